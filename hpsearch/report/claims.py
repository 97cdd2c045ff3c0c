"""What the best score of a study is worth, in words: beside base and default, after a confirmation, beside other
trials, and if the rows suffice to say so. Each rule gives verdicts with their figures; docs/trust.md lists them."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from hpsearch.report.text import number_text, range_text
from hpsearch.study.evidence import RELATIVE, ScoreEvidence, of_runs

if TYPE_CHECKING:
    from hpsearch.data.uncertainty import Interval
    from hpsearch.report.summary import HeadlineScore, StudySummary

KINDS = ("good", "bad", "warning", "note")  # in the order in which they are shown, after those of base and default
NAMES = {"base": "the untuned base", "default": "the default configuration"}
_RATIOS = {"validation": "val_ratio", "heldout": "val_ratio or holdout_fraction"}  # settings that give more rows
_NAMED = 8  # trials named in a sentence


@dataclass(frozen=True)
class StudyVerdict:
    """One finding: ``key`` is stable, ``kind`` one of KINDS, ``text`` one or two sentences, ``figures`` what they are
    made of, as JSON values."""

    key: str
    kind: str
    text: str
    figures: Mapping[str, Any] = field(default_factory=dict)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values."""
        return {"key": self.key, "kind": self.kind, "text": self.text, "figures": dict(self.figures)}


def confirmed(summary: StudySummary) -> Iterator[StudyVerdict]:
    """Say what fresh runs of the best configurations showed (`hpsearch confirm`)."""
    values, title = summary.confirmed, summary.objective.title
    winner, held = values.get("winner"), values.get("heldout")
    if not isinstance(winner, dict):
        return
    seeds, alike = values.get("seeds"), values.get("set")
    runs = len(seeds) if isinstance(seeds, list) else seeds
    figures = {"winner": winner, "heldout": held, "set": alike, "seeds": seeds}
    others = f", one of {len(alike)} that cannot be told apart" if isinstance(alike, list) and len(alike) > 1 else ""
    first = f"Confirmed with {runs} fresh seeds: the configuration of trial {winner.get('trial')}{others}."
    if not isinstance(held, dict) or not isinstance(held.get("value"), (int, float)):
        why = values.get("heldout_why") or "there are no held-out rows"
        yield StudyVerdict("confirmed", "note", f"{first} Nothing is claimed of other rows: {why}.", figures)
        return
    claim = f"On held-out rows, which chose nothing, its {title} is {range_text(held['value'], *_ends(held))}."
    base = summary.base.holdout if summary.base else None
    ends = [end for end in _ends(held) if end is not None]
    worst = max(map(summary.objective.rank, ends)) if ends else math.inf
    proven = base is not None and worst < summary.objective.rank(base)
    yield StudyVerdict("confirmed", "good" if proven else "note", f"{first} {claim}", figures)


def _ends(values: Mapping[str, Any]) -> tuple[float | None, float | None]:
    low, high = values.get("low"), values.get("high")
    both = isinstance(low, (int, float)) and isinstance(high, (int, float))
    return (low, high) if both else (None, None)


def against(summary: StudySummary) -> Iterator[StudyVerdict]:
    """Compare the best trial with base and default: on held-out rows if there are any, else on validation rows."""
    best = best_score(summary)
    for name, score in (("base", summary.base), ("default", summary.default)):
        if score is None:
            continue
        key = f"against_{name}"
        if score.trial is not None and score.trial is best.trial:
            yield StudyVerdict(key, "note", "The best trial is the default configuration itself.")
        elif best.holdout is not None and score.holdout is not None:
            yield _on_heldout(summary, key, name, score)
        elif best.value is not None and score.value is not None and best.holdout is None:
            yield _on_validation(summary, key, name, best.value, score.value)


def best_score(summary: StudySummary) -> HeadlineScore:
    """Return the best trial's score.

    Raises:
        ValueError: no trial has completed.
    """
    if summary.best is None:
        raise ValueError("no trial has completed")
    return summary.best


def _on_heldout(summary: StudySummary, key: str, name: str, score: HeadlineScore) -> StudyVerdict:
    best, title, evidence = best_score(summary).holdout or 0.0, summary.objective.title, summary.evidence
    other = score.holdout or 0.0
    gained = evidence.against.get(name) if evidence else None
    better = summary.objective.rank(other) - summary.objective.rank(best)
    both = f"{title} {number_text(best)} against {number_text(other)}"
    where = "On held-out rows, which chose nothing,"
    figures: dict[str, Any] = {"best": best, name: other, "better_by": better}
    if gained is None or gained.low is None or gained.high is None:
        why = f"No interval: {_why(summary, name)}; this may be luck."
        word = "is better than" if better > 0 else "is worse than" if better < 0 else "equals"
        kind = "note" if better > 0 else "bad" if better < 0 else "warning"
        return StudyVerdict(key, kind, f"{where} the best trial {word} {NAMES[name]}: {both}. {why}", figures)
    figures |= {"low": gained.low, "high": gained.high, "of": of_runs(gained)}
    if gained.low > 0:
        sure = f"better by {_span(gained)}"
        return StudyVerdict(
            key, "good", f"{where} the best trial is better than {NAMES[name]}: {both}, {sure}.", figures
        )
    if gained.high < 0:
        sure = f"worse by {_span(_reversed(gained))}"
        remedy = "Train longer, or search other learning rates." if name == "base" else "Rather take the default."
        text = f"{where} the best trial is worse than {NAMES[name]}: {both}, {sure}. {remedy}"
        return StudyVerdict(key, "bad", text, figures)
    if gained.value < 0 and name == "base":  # nothing was won, whatever another seed may give
        text = (
            f"{where} the best trial is worse than {NAMES[name]}: {both}, worse by {_span(_reversed(gained))}, which "
            "may be luck. Train longer, or search other learning rates."
        )
        return StudyVerdict(key, "bad", text, figures)
    apart = f"worse by {_span(_reversed(gained))}" if gained.value < 0 else f"better by {_span(gained)}"
    text = f"{where} the best trial cannot be told from {NAMES[name]}: {both}. The difference, {apart}, may be none."
    return StudyVerdict(key, "warning", text, figures)


def _reversed(gained: Interval) -> Interval:
    low, high = gained.low, gained.high
    return replace(gained, value=-gained.value, low=None if high is None else -high, high=None if low is None else -low)


def _span(gained: Interval) -> str:
    of = " of these two runs only" if gained.this_run_only else ""
    return f"{range_text(gained.value, gained.low, gained.high)}{of}"


def _why(summary: StudySummary, name: str) -> str:
    evidence = summary.evidence
    scores = [evidence.heldout[part] for part in ("best", name) if part in evidence.heldout] if evidence else []
    reasons = [score.why for score in scores if score.why]
    if reasons:
        return reasons[0]
    return "no rows were recorded" if not any(score.scores for score in scores) else "their documents differ"


def _on_validation(summary: StudySummary, key: str, name: str, best: float, other: float) -> StudyVerdict:
    better = summary.objective.rank(other) - summary.objective.rank(best)
    both = f"{summary.objective.title} {number_text(best)} against {number_text(other)}"
    figures = {"best_validation": best, f"{name}_validation": other, "better_by": better}
    if better > 0:
        text = (
            f"Better than {NAMES[name]} on the validation rows that chose it: {both}. That is no proof: no score on "
            "held-out rows was recorded."
        )
        return StudyVerdict(key, "note", text, figures)
    remedy = " Train longer, or search higher learning rates." if name == "base" else ""
    text = f"No trial is better than {NAMES[name]} on the validation rows: {both}.{remedy}"
    return StudyVerdict(key, "bad", text, figures)


def none_better(summary: StudySummary) -> Iterator[StudyVerdict]:
    """Say if no trial is better than the base on the rows by which trials are compared, whatever held-out rows say."""
    best, base = best_score(summary), summary.base
    if base is None or base.value is None or best.value is None or best.holdout is None or base.holdout is None:
        return
    if summary.objective.rank(best.value) >= summary.objective.rank(base.value):
        text = (
            "No trial is better than the untuned base on the validation rows: train longer, or search higher learning "
            "rates."
        )
        yield StudyVerdict("none_better", "bad", text, {"best_validation": best.value, "base_validation": base.value})


def no_heldout(summary: StudySummary) -> Iterator[StudyVerdict]:
    """Say if no row tells what the best trial is worth."""
    if best_score(summary).holdout is not None:
        return
    remedy = ""
    if summary.definition:
        own = summary.definition.get("command")
        remedy = f": report {summary.objective.holdout_metric}" if own else ": name holdout_split, or raise val_ratio"
    text = f"Nothing was measured on held-out rows, so the best score is only the best of several{remedy}."
    yield StudyVerdict("no_heldout", "warning" if remedy else "note", text)


def no_interval(summary: StudySummary) -> Iterator[StudyVerdict]:
    """Say if scores have no interval, or one over seeds alone."""
    score = _evidence_of_best(summary)
    if score is None or score.scores is not None:
        return
    if score.over:
        text = f"Intervals are over seeds alone, from the study's repeats: {_no_rows(summary)}."
        yield StudyVerdict("no_rows", "note", text, {"over": score.over})
    else:
        yield StudyVerdict("no_rows", "note", f"Scores have no interval: {score.why}.", {"over": ""})


def _no_rows(summary: StudySummary) -> str:
    return "the program recorded no rows" if summary.definition.get("command") else "no rows were recorded"


def _evidence_of_best(summary: StudySummary) -> ScoreEvidence | None:
    return summary.evidence.validation.get("best") if summary.evidence else None


def ties(summary: StudySummary) -> Iterator[StudyVerdict]:
    """Name the trials that cannot be told from the best one."""
    evidence, score = summary.evidence, _evidence_of_best(summary)
    if evidence is None or score is None or not evidence.tied:
        return
    labels = {row.number: row.label for row in summary.rows}
    named = [labels[number] for number in evidence.tied]
    one = len(named) == 1
    listed = f"Trial{'' if one else 's'} {listed_text(named)} cannot be told from the best one"
    rows = f" on {score.documents} validation documents" if score.documents else ""
    values = {row.number: row.value for row in summary.rows}
    equal = [labels[number] for number in evidence.tied if values[number] == score.value]
    same = f" Trial{'' if len(equal) == 1 else 's'} {listed_text(equal)} had exactly its score." if equal else ""
    of = f" (of the {evidence.compared} next best)" if not one else ""
    text = f"{listed}{rows}{of}: its lead may be luck.{same}"
    yield StudyVerdict("ties", "note", text, {"trials": list(evidence.tied), "compared": evidence.compared})


def listed_text(names: Sequence[str]) -> str:
    """Join names as in a sentence, the first of many."""
    if len(names) > _NAMED:
        return f"{', '.join(names[:_NAMED])} and {len(names) - _NAMED} more"
    return " and ".join(filter(None, (", ".join(names[:-1]), *names[-1:])))


def too_few_rows(summary: StudySummary) -> Iterator[StudyVerdict]:
    """Say if rows are too few to tell a difference of a tenth, and how many it takes."""
    evidence = summary.evidence
    if evidence is None:
        return
    for name, score in (("validation", evidence.validation.get("best")), ("heldout", evidence.heldout.get("best"))):
        if score is None or not score.needed or score.needed <= score.documents:
            continue
        word = name.replace("heldout", "held-out")
        text = (
            f"{score.documents} {word} documents are too few to tell scores {RELATIVE:.0%} apart: that takes about "
            f"{_round(score.needed):,}. Raise {_RATIOS[name]}, or add pages."
        )
        yield StudyVerdict(f"{name}_too_few", "warning", text, {"documents": score.documents, "needed": score.needed})


def _round(count: int) -> int:
    """Return a count with two significant figures: it is an estimate."""
    return int(float(f"{count:.2g}"))
