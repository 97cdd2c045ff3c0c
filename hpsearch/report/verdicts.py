"""The verdicts on a study, each from one rule: those of claims.py, then what the best trial read, and how the search
went. docs/trust.md lists them and what to do."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING

from hpsearch.data.metrics.registry import METRICS
from hpsearch.report.claims import (
    KINDS,
    StudyVerdict,
    against,
    best_score,
    confirmed,
    listed_text,
    no_heldout,
    no_interval,
    none_better,
    ties,
    too_few_rows,
)
from hpsearch.report.text import number_text, percent_text, value_text

if TYPE_CHECKING:
    from hpsearch.data.predictions import Prediction
    from hpsearch.report.rows import Parameter, TrialRow
    from hpsearch.report.summary import StudySummary

FIRST = ("confirmed", "against_base", "against_default")
FEW_BAD, MANY_BAD = 0.02, 0.2  # shares of rows from which empty, looping and over-long answers are a warning, and bad
SAME, ALL_SAME = 0.2, 0.5  # shares of the references that one answer was given for
FEWEST_SAME = 3  # different references that one answer must be given for
INVENTED, MUCH_INVENTED = 0.05, 0.3  # inserted characters per character of the references
EDGE = 0.05  # of a range, at each end
FEWEST_FOR_EDGE = 5  # completed trials
LATE, FALLING = 4, 0.1  # the last quarter of the evaluations still made the score better by this share
FEWEST_FOR_EFFECT, NO_EFFECT = 30, 0.02  # completed trials; share of the importance


def verdicts_of(summary: StudySummary) -> tuple[StudyVerdict, ...]:
    """Apply all rules: the confirmation, base and default first, then the others, the worst first."""
    if summary.best is None:
        return ()
    verdicts = [verdict for rule in RULES for verdict in rule(summary)]
    return tuple(sorted(verdicts, key=_order))


def _order(verdict: StudyVerdict) -> tuple[int, int]:
    if verdict.key in FIRST:
        return -1, FIRST.index(verdict.key)
    return KINDS.index(verdict.kind), 0


def is_proven(verdicts: Sequence[StudyVerdict]) -> bool:
    """Return True if the best trial is better than the untuned base on held-out rows, beyond the interval."""
    return any(verdict.key == "against_base" and verdict.kind == "good" for verdict in verdicts)


def predictions(summary: StudySummary) -> Iterator[StudyVerdict]:
    """Judge what the best trial read: identical, empty, looping and over-long answers, and invented text."""
    evidence = summary.evidence
    rows, base = (evidence.readings.get(name, ()) for name in ("best", "base")) if evidence else ((), ())
    if not rows:
        return
    different = len({row.reference for row in rows})
    identical = METRICS["identical"].value(rows)
    if identical >= SAME and identical * different >= FEWEST_SAME - 0.5:
        answers = [row.prediction for row in rows]
        most = max(sorted(set(answers)), key=answers.count)
        text = (
            f"The best trial gave one answer for {percent_text(identical)} of the different references: {_cut(most)}."
        )
        yield StudyVerdict("identical", "bad" if identical >= ALL_SAME else "warning", text, {"share": identical})
    for key, what in (
        ("empty", "empty, though the reference has text"),
        ("repeats", "loops: one piece again and again"),
        ("too_long", "over-long: more than twice the reference"),
    ):
        share = METRICS[key].value(rows)
        if share >= FEW_BAD:
            text = f"{percent_text(share)} of the best trial's {len(rows)} answers are {what}{_beside(key, base)}."
            yield StudyVerdict(key, "bad" if share >= MANY_BAD else "warning", text, {"share": share})
    invented = METRICS["insertions"].value(rows)
    kind = "bad" if invented >= MUCH_INVENTED else "warning" if invented >= INVENTED else "note"
    beside = _beside("insertions", base)
    text = f"Invented text: {percent_text(invented)} of the references' characters were added{beside}."
    yield StudyVerdict("insertions", kind, text, {"rate": invented})


def _beside(key: str, base: Sequence[Prediction]) -> str:
    return f" (the untuned base: {percent_text(METRICS[key].value(base))})" if base else ""


def _cut(text: str) -> str:
    shown = " ".join(text.split())
    return f'"{shown[:40]}…"' if len(shown) > 40 else f'"{shown}"'


def edges(summary: StudySummary) -> Iterator[StudyVerdict]:
    """Say if the best value of a parameter is at an end of its range, and which way to widen it."""
    best = best_score(summary).trial
    if best is None or len(summary.completed) < FEWEST_FOR_EDGE:
        return
    tied = set(summary.evidence.tied) if summary.evidence else set()
    for parameter in summary.parameters:
        end = _end(parameter, best)
        if not end:
            continue
        inside = [row.label for row in summary.rows if row.number in tied and not _end(parameter, row)]
        but = f" Trial {inside[0]}, which cannot be told from it, is inside the range." if inside else ""
        value = value_text(best.params[parameter.name])
        text = (
            f"The best {parameter.name}, {value}, is at the {end} end of its range, {parameter.span}: "
            f"widen it {'upwards' if end == 'upper' else 'downwards'}.{but}"
        )
        figures = {"parameter": parameter.name, "value": best.params[parameter.name], "end": end}
        yield StudyVerdict("edge", "note" if inside else "warning", text, figures)


def _end(parameter: Parameter, row: TrialRow) -> str:
    """Return "lower" or "upper" if a trial's value is at that end of the range, from where it could be widened."""
    value = row.params.get(parameter.name)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not parameter.varies:
        return ""
    if parameter.scale == "choice":
        numbers = [choice for choice in parameter.choices if type(choice) in (int, float)]
        if len(numbers) < max(3, len(parameter.choices)):
            return ""
        return "lower" if value == min(numbers) else "upper" if value == max(numbers) else ""
    low, high = parameter.low, parameter.high
    if low is None or high is None or low >= high:
        return ""
    place = (value - low) / (high - low)
    if parameter.scale == "log" and low > 0 and value > 0:
        place = math.log(value / low) / math.log(high / low)
    if place <= EDGE and not (low == 0 and parameter.scale == "linear"):  # nothing is below 0
        return "lower"
    return "upper" if place >= 1 - EDGE else ""


def still_falling(summary: StudySummary) -> Iterator[StudyVerdict]:
    """Say if the best trial was still getting better when it ended."""
    best, objective = best_score(summary).trial, summary.objective
    steps = best.steps if best else ()
    if len(steps) < LATE:
        return
    late = max(len(steps) // LATE, 1)
    step, before = min(steps[:-late], key=lambda item: objective.rank(item[1]))
    last_step, last = steps[-1]
    gained = objective.rank(before) - objective.rank(last)
    if any(objective.rank(value) < objective.rank(last) for _, value in steps) or gained < FALLING * abs(before):
        return
    text = (
        f"The best trial was still getting better when it ended: {number_text(before)} at evaluation {step}, "
        f"{number_text(last)} at the last, {last_step}. Train longer, if there is time."
    )
    figures = {"before": before, "step": step, "last": last, "last_step": last_step}
    yield StudyVerdict("still_falling", "note", text, figures)


def pruning_cost(summary: StudySummary) -> Iterator[StudyVerdict]:
    """Count the pruned trials that were ahead of the best one when they were stopped: more than those cannot have been
    lost, as far as curves tell."""
    best, objective = best_score(summary).trial, summary.objective
    curve = dict(best.steps) if best else {}
    pruned = [row for row in summary.trials if row.cause == "pruned" and row.steps and row.steps[-1][0] in curve]
    if not pruned:
        return
    ahead = [row.label for row in pruned if objective.rank(row.steps[-1][1]) < objective.rank(curve[row.steps[-1][0]])]
    figures = {"pruned": len(pruned), "ahead": len(ahead)}
    if ahead:
        text = (
            f"{len(ahead)} of {len(pruned)} pruned trials ({listed_text(ahead)}) were ahead of the best trial when "
            "they were stopped: pruning may have cost one that is better."
        )
    else:
        text = (
            f"None of {len(pruned)} pruned trials was ahead of the best trial when it was stopped: pruning probably "
            "cost nothing."
        )
    yield StudyVerdict("pruning_cost", "note", text, figures)


RULES: tuple[Callable[[StudySummary], Iterator[StudyVerdict]], ...] = (
    confirmed, against, none_better, no_heldout, no_interval, predictions, too_few_rows, ties, edges, still_falling,
    pruning_cost,
)  # fmt: skip


def no_effect(summary: StudySummary, shares: Mapping[str, float] | str) -> tuple[StudyVerdict, ...]:
    """Name the settings that made no visible difference, by their ``shares`` of the importance."""
    complete = len(summary.completed)
    if isinstance(shares, str) or complete < FEWEST_FOR_EFFECT:
        return ()
    idle = sorted(name for name, share in shares.items() if share < NO_EFFECT)
    if not idle:
        return ()
    text = (
        f"{listed_text(idle)} made no visible difference over {complete} completed trials (under {NO_EFFECT:.0%} of "
        "the importance each): fix them, and fewer trials do."
    )
    return (StudyVerdict("no_effect", "note", text, {"parameters": idle}),)
