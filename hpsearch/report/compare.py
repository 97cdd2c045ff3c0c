"""Several studies side by side: the contents of a comparison's page and files."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence

from hpsearch.execution.units import duration_text
from hpsearch.report.figures.history import best_so_far
from hpsearch.report.figures.style import Figure
from hpsearch.report.files import json_text, summary_record
from hpsearch.report.html import render_page
from hpsearch.report.rows import StudyObjective
from hpsearch.report.summary import StudySummary, gain
from hpsearch.report.text import csv_cell, number_text, value_text
from hpsearch.report.verdicts import FIRST
from hpsearch.study.evidence import better_by

COLUMNS = (
    "study",
    "metric",
    "best",
    "held out",
    "default",
    "base",
    "best trial",
    "finished",
    "pruned",
    "failed",
    "time in trials",
)
_NUMERIC = COLUMNS[2:]
SECTIONS = (("studies", "Studies"), ("race", "Best so far"), ("spaces", "Search spaces"), ("statistics", "Statistics"))


def comparison_html(summaries: Sequence[StudySummary], figures: Sequence[Figure], notes: Sequence[str]) -> str:
    """Return the comparison as one HTML text."""
    best = best_places(summaries)
    return render_page(
        "compare.html.j2",
        figures,
        {
            "summaries": summaries,
            "sections": SECTIONS,
            "verdict": [*verdict(summaries), *notes],
            "columns": COLUMNS,
            "numeric": _NUMERIC,
            "rows": [(place in best, cells(summary)) for place, summary in enumerate(summaries)],
            "spaces": spaces(summaries),
        },
    )


def comparison_csv(summaries: Sequence[StudySummary]) -> str:
    """Return the table with numbers in full; times in seconds."""
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([f"{name}_s" if name == "time in trials" else name for name in COLUMNS])
    for summary in summaries:
        best = summary.best
        row = [
            summary.name,
            summary.objective.metric,
            best.value if best else None,
            best.holdout if best else None,
            summary.default.value if summary.default else None,
            summary.base.value if summary.base else None,
            best.trial.number if best and best.trial else None,
            summary.finished,
            _count(summary, "pruned"),
            _count(summary, "failed"),
            summary.time_total_s,
        ]
        writer.writerow([csv_cell(cell) for cell in row])
    return out.getvalue()


def comparison_json(summaries: Sequence[StudySummary]) -> str:
    """Return the summaries as strict JSON, in the given order."""
    return json_text({"studies": [summary_record(summary) for summary in summaries]})


def comparison_figures(summaries: Sequence[StudySummary]) -> tuple[Figure, ...]:
    """Draw the best so far of the studies, one figure for each objective."""
    groups = by_objective(summaries)
    return tuple(
        best_so_far([summaries[place] for place in places], "race" if number == 0 else f"race-{number + 1}")
        for number, places in enumerate(groups.values())
    )


def by_objective(summaries: Sequence[StudySummary]) -> dict[StudyObjective, list[int]]:
    """Group the places of the studies by objective."""
    groups: dict[StudyObjective, list[int]] = {}
    for place, summary in enumerate(summaries):
        groups.setdefault(summary.objective, []).append(place)
    return groups


def best_places(summaries: Sequence[StudySummary]) -> set[int]:
    """Return the places of the studies with the best value of their objective, if the values can be compared."""
    winners = set()
    for objective, places in by_objective(summaries).items():
        if not _same_data([summaries[place] for place in places]):
            continue
        values = {
            place: score.value for place in places if (score := summaries[place].best) and score.value is not None
        }
        if values:
            winners.add(min(values, key=lambda place: (objective.rank(values[place]), place)))
    return winners


def verdict(summaries: Sequence[StudySummary]) -> list[str]:
    """Say which study found the best value, for each objective, and what makes the comparison doubtful."""
    groups = by_objective(summaries)
    sentences = [
        sentence
        for objective, places in groups.items()
        for sentence in _winner(objective, [summaries[place] for place in places])
    ]
    if len(groups) > 1:
        sentences.append("The studies have different objectives; only values of the same one can be compared.")
    firsts = [
        (summary.name, one) for summary in summaries for one in summary.verdicts if one.key in FIRST and one.figures
    ]
    return [*sentences, *(f"{name}: {one.text}" for name, one in firsts)]


def cells(summary: StudySummary) -> list[str]:
    """Return one study's row of the table, as text."""
    best = summary.best
    target = f" of {summary.target}" if summary.target else ""
    return [
        summary.name,
        summary.objective.title,
        number_text(best.value if best else None),
        number_text(best.holdout if best else None),
        number_text(summary.default.value if summary.default else None),
        number_text(summary.base.value if summary.base else None),
        best.trial.label if best and best.trial else "—",
        f"{summary.finished}{target}",
        str(_count(summary, "pruned")),
        str(_count(summary, "failed")),
        duration_text(summary.time_total_s),
    ]


def spaces(summaries: Sequence[StudySummary]) -> list[tuple[str, list[tuple[str, str]]]]:
    """Return each study's range and best value, for each parameter that any study searched."""
    by_name = [{parameter.name: parameter.span for parameter in summary.parameters} for summary in summaries]
    names = sorted({name for spans in by_name for name in spans})
    bests = [summary.best.trial.params if summary.best and summary.best.trial else {} for summary in summaries]
    return [
        (
            name,
            [
                (spans.get(name, "not searched"), value_text(best[name]) if name in best else "")
                for spans, best in zip(by_name, bests, strict=True)
            ],
        )
        for name in names
    ]


def _count(summary: StudySummary, group: str) -> int:
    return sum(row.ending.group == group for row in summary.trials)


def _same_data(group: Sequence[StudySummary]) -> bool:
    prints = {summary.prepared.fingerprint for summary in group if summary.prepared.fingerprint}
    return len(prints) < 2


def _winner(objective: StudyObjective, group: Sequence[StudySummary]) -> list[str]:
    if not _same_data(group):
        return [
            f"The scores in {objective.title} cannot be compared: "
            "the studies were measured on different data (their fingerprints differ)."
        ]
    best = [(summary.best.value, summary) for summary in group if summary.best and summary.best.value is not None]
    if not best:
        return [f"No trial for {objective.title} has completed."]
    order = sorted(best, key=lambda item: objective.rank(item[0]))
    (value, winner), *others = order
    first = f"{winner.name} has the best {objective.title} on the validation rows, {number_text(value)}"
    if not others:
        return [f"{first}."]
    other_value, second = others[0]
    if other_value == value:
        return [f"{first}, as {second.name} has.", *_held_out(winner, second)]
    return [f"{first}, against {number_text(other_value)} of {second.name}.", *_held_out(winner, second)]


def _held_out(winner: StudySummary, second: StudySummary) -> list[str]:
    """Say if held-out rows tell the two apart."""
    scores = [summary.best.holdout if summary.best else None for summary in (winner, second)]
    better = gain(winner.objective, scores[1], scores[0])
    if better is None:
        return []
    both = f"{number_text(scores[0])} against {number_text(scores[1])}"
    evidences = winner.evidence, second.evidence
    apart = better_by(evidences[0], evidences[1]) if evidences[0] and evidences[1] else None
    if apart is None or apart.low is None or apart.high is None:
        word = "better than" if better[0] > 0 else "worse than" if better[0] < 0 else "equal to"
        return [f"On held-out rows it is {word} {second.name}: {both}. No interval, so this may be luck."]
    if apart.low <= 0 <= apart.high:
        return [f"On held-out rows it cannot be told from {second.name}: {both}."]
    word = "better" if apart.low > 0 else "worse"
    return [f"On held-out rows it is {word} than {second.name}: {both}, beyond the 95 % interval."]
