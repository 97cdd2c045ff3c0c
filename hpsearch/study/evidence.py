"""What the scores of a study are worth: intervals of base, default and best on held-out rows, those of the best trials
on validation rows, and which trials cannot be told from the best one. docs/trust.md says what they mean.

Rows are read from the files of predictions that trials leave. Without them an interval is over seeds alone, if the
study has repeats; else there is none, and ``why`` says so.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.data.metrics.registry import METRICS
from hpsearch.data.predictions import ROW_METRICS, Prediction, document_scores, read_predictions
from hpsearch.data.uncertainty import DocumentScores, Interval, difference, documents_needed, interval, student
from hpsearch.execution.job import BASE_PREDICTIONS_FILE, PREDICTIONS_FILE
from hpsearch.study import attributes as attrs
from hpsearch.study.folders import attempt_folder
from hpsearch.study.noise import PRIOR, PRIOR_OF_LOSS, NoiseFloor, noise_floor, repeats_of
from hpsearch.study.records import attempt_of, best_first, rank, root_of, value_of

if TYPE_CHECKING:
    from optuna.trial import FrozenTrial

HELDOUT, VALIDATION = "holdout", "validation"  # splits, as files of predictions name them
RELATIVE = 0.10  # the difference that rows should suffice to tell
_SAME = 1e-6  # a recorded score and that of the rows, apart by no more
_LARGEST = 1e100  # beyond it squares overflow
_SEVERAL = 30  # trials whose repeats are read row by row


@dataclass(frozen=True)
class ScoreEvidence:
    """One score and its 95 % interval. ``over``: "seeds and documents", "documents, of this run only" or "seeds"; "" if
    there is no interval, and ``why`` says why. ``rows`` and ``documents`` are those it was measured on, 0 if unknown;
    ``needed`` is the number of documents that tell 10 % apart, None if unknown."""

    value: float
    trial: int | None = None  # None: the untuned base
    low: float | None = None
    high: float | None = None
    over: str = ""
    why: str = ""
    rows: int = 0
    documents: int = 0
    needed: int | None = None
    scores: DocumentScores | None = field(default=None, repr=False, compare=False)

    def to_json(self) -> dict[str, Any]:
        """Return it without the rows."""
        names = ("value", "trial", "low", "high", "over", "why", "rows", "documents", "needed")
        return {name: getattr(self, name) for name in names}


@dataclass(frozen=True)
class Evidence:
    """What the scores of a study are worth. ``metric`` is without its prefix: cer. ``heldout`` are scores of "base",
    "default" and "best"; ``validation`` also those of the best trials, by number; ``against`` how much the best one
    is better on held-out rows than "base" and "default", paired over documents: positive is better. ``tied``: numbers
    of the trials that cannot be told from the best one on validation rows, of ``compared`` of other configurations.
    ``readings``: what base and best trial read.
    """

    metric: str
    direction: str
    heldout: Mapping[str, ScoreEvidence]
    validation: Mapping[str | int, ScoreEvidence]
    against: Mapping[str, Interval]
    floor: NoiseFloor | None
    tied: tuple[int, ...] = ()
    compared: int = 0
    readings: Mapping[str, Sequence[Prediction]] = field(default_factory=dict, repr=False)

    def to_json(self) -> dict[str, Any]:
        """Return it as JSON values, without what was read."""
        floor = self.floor
        return {
            "level": 0.95,
            "metric": self.metric,
            "heldout": {name: score.to_json() for name, score in self.heldout.items()},
            "validation": {str(name): score.to_json() for name, score in self.validation.items()},
            "best_better_by": {
                name: {"value": gained.value, "low": gained.low, "high": gained.high, "of": of_runs(gained)}
                for name, gained in self.against.items()
            },
            "noise_floor": (
                {"sd": floor.sd, "low": floor.low, "high": floor.high, "at": floor.at, "repeats": floor.repeats}
                if floor
                else None
            ),
            "indistinguishable": list(self.tied),
        }


def better_by(first: Evidence, second: Evidence) -> Interval | None:
    """Return how much better the best trial of one study is than that of another on held-out rows, paired over
    documents; None if these are not the same ones for the same metric."""
    pair = [one.heldout.get("best") for one in (first, second)]
    known = [score.scores for score in pair if score is not None and score.scores is not None]
    same = (first.metric, first.direction) == (second.metric, second.direction)
    if len(known) < 2 or not same or known[0].documents != known[1].documents:
        return None
    floor = max((one.floor for one in (first, second) if one.floor), key=lambda floor: floor.sd, default=None)
    return _difference(known[1], known[0], first.direction, floor.sd if floor else None, floor)


def _difference(
    before: DocumentScores, after: DocumentScores, direction: str, sd: float | None, floor: NoiseFloor | None
) -> Interval:
    """Return by how much ``after`` is better: positive is better."""
    gained = difference(before, after, seed_sd=sd, seed_freedom=floor.freedom if floor else math.inf)
    if direction == "minimize" or gained.low is None or gained.high is None:
        return gained
    return Interval(-gained.value, -gained.high, -gained.low, gained.this_run_only)


def of_runs(gained: Interval) -> str:
    """Say what an interval of a difference is over; "" if there is none."""
    if gained.low is None:
        return ""
    return "these two runs only" if gained.this_run_only else "seeds and documents"


def plain_metric(metric: str) -> str:
    """Return a metric's name without the prefix of the split."""
    return metric.removeprefix("eval_")


def read_evidence(
    trials: Sequence[FrozenTrial],
    metric: str,
    direction: str,
    base: Mapping[str, Any],
    folder: Path | None,
    *,
    normalization: str = "nfc",
    top: int = 1,
) -> Evidence | None:
    """Read what the scores of a study's trials are worth; None while no trial has completed. ``base`` are the untuned
    model's metrics, ``folder`` is the study's, None if it has none; ``top`` is the number of trials to compare."""
    ranked = best_first(trials, direction)
    return _Reader(metric, direction, base, folder, normalization).evidence(trials, ranked, top) if ranked else None


class _Reader:
    """Reads files of predictions, each once."""

    def __init__(
        self, metric: str, direction: str, base: Mapping[str, Any], folder: Path | None, normalization: str
    ) -> None:
        self.metric, self.name, self.direction = metric, plain_metric(metric), direction
        self.base, self.folder, self.normalization = base, folder, normalization
        self._read: dict[int | None, list[Prediction]] = {}

    def evidence(self, trials: Sequence[FrozenTrial], ranked: Sequence[FrozenTrial], top: int) -> Evidence:
        best = ranked[0]
        default = next((trial for trial in ranked if trial.user_attrs.get(attrs.IS_DEFAULT) is True), None)
        named = {"base": None, "best": best} | ({"default": default} if default is not None else {})
        floors = {split: self._floor(trials, split, best) for split in (VALIDATION, HELDOUT)}
        scores: dict[str, dict[str | int, ScoreEvidence]] = {}
        for split, floor in floors.items():
            made = {name: self._score(trial, split, floor) for name, trial in named.items()}
            scores[split] = {name: score for name, score in made.items() if score is not None}
        heldout = {str(name): score for name, score in scores[HELDOUT].items()}
        against: dict[str, Interval] = {
            name: gained
            for name in ("base", "default")
            if name in heldout and "best" in heldout and named[name] is not best
            if (gained := self._gain(heldout["best"], heldout[name], floors[HELDOUT]))
        }
        others = {trial.number: self._score(trial, VALIDATION, floors[VALIDATION]) for trial in ranked[:top]}
        first, tied = others.get(best.number), []
        rivals = [trial.number for trial in ranked[1:top] if trial.params != best.params]  # not the best one's repeats
        for number in rivals:
            score = others[number]
            if first is not None and score is not None and self._cannot_be_told(first, score, floors[VALIDATION]):
                tied.append(number)
        validation = scores[VALIDATION] | {number: score for number, score in others.items() if score is not None}
        readings = {name: self._rows(named[name]) for name in ("base", "best")}
        return Evidence(
            self.name,
            self.direction,
            heldout,
            validation,
            against,
            floors[HELDOUT] or floors[VALIDATION],
            tuple(tied),
            len(rivals),
            readings,
        )

    def _rows(self, trial: FrozenTrial | None) -> list[Prediction]:
        number = None if trial is None else trial.number
        if number not in self._read:
            path = self._path(trial)
            self._read[number] = read_predictions(path, self.normalization, skip_bad=True) if path else []
        return self._read[number]

    def _path(self, trial: FrozenTrial | None) -> Path | None:
        """Return the file of a trial's predictions, or the base's; None if it is missing, or outside the study's."""
        if self.folder is None:
            return None
        folder: Path | None = self.folder
        if trial is not None:
            named = trial.user_attrs.get(attrs.FOLDER)
            named = named if isinstance(named, str) else None
            folder = attempt_folder(self.folder, named, root_of(trial), attempt_of(trial))
        if folder is None:
            return None
        path = folder / (BASE_PREDICTIONS_FILE if trial is None else PREDICTIONS_FILE)
        inside = path.resolve().is_relative_to(self.folder.resolve())
        return path if inside and path.is_file() else None

    def _recorded(self, trial: FrozenTrial | None, split: str) -> float | None:
        """Return a score as it was stored, which other programs may have written; None if it is no usable number."""
        if trial is not None and split == VALIDATION:
            value: object = value_of(trial)
        else:
            metrics = self.base if trial is None else trial.user_attrs.get(attrs.METRICS)
            name = self.metric if split == VALIDATION else f"{split}_{self.name}"
            value = metrics.get(name) if isinstance(metrics, Mapping) else None
        if not isinstance(value, (int, float)) or isinstance(value, bool):
            return None
        return float(value) if math.isfinite(value) and abs(value) <= _LARGEST else None

    def _documents(self, trial: FrozenTrial | None, split: str) -> tuple[DocumentScores | None, int]:
        """Return the scores by document and the number of rows; None if there are none for this metric."""
        rows = [row for row in self._rows(trial) if row.split == split]
        return document_scores(rows, self.name), len(rows)

    def _score(self, trial: FrozenTrial | None, split: str, floor: NoiseFloor | None) -> ScoreEvidence | None:
        value = self._recorded(trial, split)
        if value is None:
            return None
        scores, rows = self._documents(trial, split)
        number = None if trial is None else trial.number
        if scores is not None and abs(scores.value - value) > _SAME:
            why = f"its rows give another score ({scores.value:.4g}) than was recorded"
            return ScoreEvidence(value, number, why=why, rows=rows)
        if scores is not None:
            sd = 0.0 if trial is None else floor.sd_at(value) if floor else None
            made = interval(scores, seed_sd=sd, seed_freedom=floor.freedom if floor and trial is not None else math.inf)
            over = "documents, of this run only" if made.this_run_only else "seeds and documents"
            if trial is None:
                over = "documents"
            why = "" if made.low is not None else "all its rows are of one document"
            return ScoreEvidence(
                value,
                number,
                made.low,
                made.high,
                over if made.low is not None else "",
                why,
                rows,
                len(scores.documents),
                documents_needed(scores, RELATIVE),
                scores,
            )
        if floor is not None and floor.repeats and trial is not None:
            reach = student(0.975, floor.freedom) * floor.sd_at(value)
            return ScoreEvidence(value, number, value - reach, value + reach, "seeds", "", rows)
        known = self.name in ROW_METRICS
        why = "no rows were recorded" if known else f"{self.name} is not made of single rows"
        return ScoreEvidence(value, number, why=f"{why}, and no configuration was repeated", rows=rows)

    def _floor(self, trials: Sequence[FrozenTrial], split: str, best: FrozenTrial) -> NoiseFloor | None:
        """Return the noise of one run on a split; None if nothing is known of it: an unknown metric, and no repeats."""
        at = self._recorded(best, split)
        if at is None:
            return None
        prior = PRIOR_OF_LOSS if self.name.endswith("loss") else PRIOR if self.name in METRICS else None
        groups: list[Sequence[float] | DocumentScores] = []
        for runs in repeats_of(trials):
            values = [value for run in runs if (value := self._recorded(run, split)) is not None]
            by_document = [self._documents(run, split)[0] for run in runs[:_SEVERAL]] if len(groups) < _SEVERAL else []
            whole = [scores for scores in by_document if scores is not None]
            if len(whole) == len(values) == len(runs) and len({scores.documents for scores in whole}) == 1:
                groups.append(_joined(whole))
            elif len(values) > 1:
                groups.append(values)
        if prior is None and not groups:
            return None
        return noise_floor(groups, at, self.direction, prior or PRIOR)

    def _gain(self, best: ScoreEvidence, other: ScoreEvidence, floor: NoiseFloor | None) -> Interval | None:
        """Return how much better the best one is; without an interval if not both have rows of the same documents."""
        gained = rank(other.value, self.direction) - rank(best.value, self.direction)
        if best.scores is None or other.scores is None or best.scores.documents != other.scores.documents:
            return Interval(gained)
        return self._better(best, other, floor)

    def _better(self, best: ScoreEvidence, other: ScoreEvidence, floor: NoiseFloor | None) -> Interval:
        """Return a paired interval of how much better the first one is."""
        if best.scores is None or other.scores is None:
            raise ValueError("a paired difference is of scores by document")
        sd = None
        if floor is not None:
            sd = floor.sd_at((best.value + other.value) / 2)
            if other.trial is None:  # the untuned base has no seed: the difference has the noise of one run, not of two
                sd = floor.sd_at(best.value) / math.sqrt(2)
        return _difference(other.scores, best.scores, self.direction, sd, floor)

    def _cannot_be_told(self, best: ScoreEvidence, other: ScoreEvidence, floor: NoiseFloor | None) -> bool:
        if best.scores is not None and other.scores is not None and best.scores.documents == other.scores.documents:
            gained = self._better(best, other, floor)
            return gained.low is None or gained.low <= 0
        if floor is not None and floor.repeats:
            reach = student(0.975, floor.freedom) * floor.sd_at(best.value) * math.sqrt(2)
            return abs(other.value - best.value) <= reach
        return other.value == best.value


def _joined(runs: Sequence[DocumentScores]) -> DocumentScores:
    import numpy as np

    above, below = (np.concatenate([getattr(run, name) for run in runs]) for name in ("above", "below"))
    return DocumentScores(runs[0].documents, above, below)
