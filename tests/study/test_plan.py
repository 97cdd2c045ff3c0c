"""What is foreseen of a study, against what it then really takes."""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Generator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from optuna.trial import FrozenTrial

from hpsearch.commands.plan import Devices, Outlook, Plan, foresee, makespan
from hpsearch.config.definition import StudyDefinition
from hpsearch.config.space import space_size
from hpsearch.execution.job import Job, Outcome
from hpsearch.execution.outcome import Cause
from hpsearch.study.budget import spent_hours, whole_s
from hpsearch.study.forecast import Forecast
from hpsearch.study.ledger import Ledger
from hpsearch.study.sampling.planner import queue_default
from hpsearch.study.storage.replica import StudyReplica
from tests.study.played import open_ledger, open_storage, run_played

STUDY = {
    "input_data": "/rows.json",
    "search_mode": "random",
    "search_space": {
        "learning_rate": {"type": "loguniform", "low": 1e-5, "high": 1e-3},
        "num_train_epochs": {"type": "int", "low": 1, "high": 8, "default": 3},
    },
    "evaluations": 10,
    "pruner": {"type": "median", "n_startup_trials": 5, "n_warmup_steps": 2},
}
SEEDS = range(12)


class Simulated:
    """A study whose trials load for two minutes and train for four an epoch, a tenth more or less."""

    def __init__(self, folder: Path, seed: int, **keys: Any) -> None:
        self._chance = random.Random(seed)
        definition = StudyDefinition.from_flat(STUDY | {"seed": seed} | keys)
        self._folder = folder / str(seed)
        self._folder.mkdir()
        storage = open_storage(self._folder / "x.db")
        self.ledger: Ledger = open_ledger(StudyReplica(storage, "a", lambda _: None), definition)
        queue_default(self.ledger.study, definition)

    @property
    def trials(self) -> Sequence[FrozenTrial]:
        return self.ledger.trials()

    def run_to(self, total: int) -> None:
        """Run until so many trials are finished."""
        assert run_played(self.ledger, self._folder, self._play, total).name == "TARGET"

    def foresee(self, total: int) -> Outlook:
        """What is expected of so many finished trials."""
        spent = spent_hours(self.trials)
        known = Plan("a", "random", None, total, 0, 1, 0, spent, None, Devices(1, 1, True))
        known = replace(known, finished=len(whole_s(self.trials)))
        made = foresee(known, self.ledger.definition, self.trials)
        return next(each for each in made.outlooks if each.trials == total)

    def _play(self, job: Job) -> Generator[dict[str, Any] | bytes | Outcome, bool, None]:
        epochs, off = job.settings["num_train_epochs"], math.log10(job.settings["learning_rate"] / 1e-4)
        whole = (120 + 240 * epochs) * math.exp(self._chance.gauss(0, 0.1))
        for step in range(1, 11):
            cer = 0.1 + 0.1 * off**2 + 0.8 * math.exp(-step * epochs / 10) + self._chance.gauss(0, 0.01)
            if (yield {"step": step, "eval_cer": cer}):
                yield Outcome(Cause.PRUNED, duration_s=whole * step / 10)
                return
        yield Outcome(Cause.OK, metrics={"eval_cer": cer}, duration_s=whole)


def test_what_a_study_takes_is_within_the_range_foreseen(tmp_path: Path) -> None:
    # How wide a range may be after that number of trials: one that holds everything says nothing.
    most = {1: 8.0, 8: 2.5}
    within, widths = Counter[int](), defaultdict[int, list[float]](list)
    for seed in SEEDS:
        study, expected = Simulated(tmp_path, seed), {}
        for seen in most:
            study.run_to(seen)
            expected[seen] = study.foresee(30).gpu_hours
        study.run_to(30)
        for seen, range_ in expected.items():
            within[seen] += range_.low <= spent_hours(study.trials) <= range_.high
            widths[seen].append(range_.high / range_.low)
    for seen, width in most.items():
        # Nine of ten are meant to be; of twelve, fewer than nine would be so once in forty times.
        assert within[seen] >= 9, (seen, within)
        assert np.median(widths[seen]) < width, (seen, widths)


def test_more_trials_narrow_the_range(tmp_path: Path) -> None:
    study, widths = Simulated(tmp_path, 1), []
    for seen in (1, 5, 20):
        study.run_to(seen)
        range_ = study.foresee(40).gpu_hours
        widths.append((range_.high - range_.low) / range_.middle)
    assert widths == sorted(widths, reverse=True)
    assert widths[-1] < widths[0] / 2


def test_epochs_tell_how_long_the_next_trials_take(tmp_path: Path) -> None:
    longer = {"num_train_epochs": {"type": "int", "low": 6, "high": 8, "default": 6}}
    plain = Simulated(tmp_path, 0)
    plain.run_to(3)
    definition = StudyDefinition.from_flat(STUDY | {"search_space": STUDY["search_space"] | longer})
    usual = np.median(Forecast(plain.ledger.definition, plain.trials).draw_whole(1))
    long = np.median(Forecast(definition, plain.trials).draw_whole(1))
    assert 1.2 < long / usual < 2.5  # 1,800 s for 7 epochs, 1,200 s for 4.5


def test_what_the_pruner_can_never_stop_is_not_taken_to_be_cut_short(tmp_path: Path) -> None:
    study = Simulated(tmp_path, 0, pruner={"type": "median", "n_startup_trials": 0, "n_warmup_steps": 10})
    study.run_to(1)
    forecast = Forecast(study.ledger.definition, study.trials)
    assert np.mean(forecast.draw(1)[1]) < 0.1


def test_trials_are_begun_in_the_slot_that_is_free_first() -> None:
    assert makespan([3.0, 1.0, 1.0, 1.0, 2.0], 2) == 5.0
    assert makespan([3.0, 1.0], 1) == 4.0
    assert makespan([3.0, 1.0], 8) == 3.0


def test_points_of_spaces_are_counted() -> None:
    def points(mode: str, **space: Any) -> int | None:
        found = StudyDefinition.from_flat({"command": ["x"], "objective": {"metric": "s", "direction": "minimize"},
                                           "search_mode": mode, "search_space": space})  # fmt: skip
        return space_size(found.search_space, grid=mode == "grid")

    ranks = {"type": "categorical", "choices": [8, 16, 32]}
    whole = {"type": "int", "low": 1, "high": 9, "step": 2}
    assert points("random", ranks=ranks, whole=whole) == 15
    assert points("random", ranks=ranks, rate={"type": "uniform", "low": 0, "high": 1}) is None
    assert points("grid", ranks=ranks, rate={"type": "uniform", "low": 0, "high": 1, "points": 4}) == 12
