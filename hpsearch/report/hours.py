"""The hours of a study's trials by what they went into: wall time of process trees times the GPUs of their slots."""

from __future__ import annotations

from collections.abc import Iterable

from hpsearch.report.rows import TrialRow, finite

USES = ("loading", "training", "judging", "pruned", "failed", "interrupted", "repeated")


def hours_by_use(rows: Iterable[TrialRow]) -> dict[str, float]:
    """Return hours by use, without those that took none; their sum is that of all rows.

    Completed trials are divided: the built-in training measures its steps (training) and evaluations (judging); the
    rest is loading, with the start of the process and saving. A program that measures neither is training as a whole.
    Pruned, failed and interrupted attempts count whole, as do fresh-seed repeats of another trial (repeated).
    """
    spent = dict.fromkeys(USES, 0.0)
    for row in rows:
        for use, seconds in _seconds(row).items():
            spent[use] += row.gpus * seconds / 3600
    return {use: hours for use, hours in spent.items() if hours > 0}


def _seconds(row: TrialRow) -> dict[str, float]:
    whole = row.duration_s or 0.0
    if row.cause == "pruned":
        return {"pruned": whole}
    if row.ending.group in ("failed", "interrupted"):
        return {row.ending.group: whole}
    if row.repeats is not None:
        return {"repeated": whole}
    training, judging = (finite(row.metrics.get(name)) for name in ("train_seconds", "eval_seconds"))
    if training is None or judging is None or min(training, judging) < 0:
        return {"training": whole}
    training = min(training, whole)
    judging = min(judging, whole - training)
    return {"training": training, "judging": judging, "loading": whole - training - judging}


def uses_text(hours: dict[str, float]) -> str:
    """Return hours by use as text: training 1.2 (60 %), ..."""
    total = sum(hours.values())
    return ", ".join(f"{use} {spent:.3g} ({spent / total:.0%})" for use, spent in hours.items())
