"""Configurations that are sure to run out of device memory are told so and not launched."""

from __future__ import annotations

import importlib
import random
from collections.abc import Callable, Generator, Mapping
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState
from rich.text import Text

from hpsearch.cli.tables import status_table
from hpsearch.commands.status import study_statuses
from hpsearch.config.definition import StudyDefinition
from hpsearch.errors import UsageError
from hpsearch.execution.events import Note
from hpsearch.execution.job import Job, Outcome
from hpsearch.execution.outcome import Cause
from hpsearch.report.summary import summarize
from hpsearch.settings import UNSEARCHABLE, setting_names
from hpsearch.study import attributes as attrs
from hpsearch.study.events import RunEvent
from hpsearch.study.folders import study_folders
from hpsearch.study.loop import LoopEnding
from hpsearch.study.memory_gate import ADDING, AVAILABLE, LIMITS, NEEDED, OWN_BYTES, SWITCHED, WITHOUT, Device, Gate
from hpsearch.study.open import target_of
from hpsearch.study.sampling.planner import Planner, queue
from tests.study.played import open_ledger, open_storage, run_played

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")  # opening a storage does it

GB = 10**9
BENCHMARKS = Path(__file__).parents[2] / "benchmarks"
DEVICE = Device("a GPU of 24 GB", 24 * GB)
PROGRAM = {
    "command": ["train", "{batch}", "{rank}"],
    "search_space": {
        "batch": {"type": "int", "low": 1, "high": 64},
        "rank": {"type": "int", "low": 1, "high": 128},
    },
    "objective": {"metric": "cer", "direction": "minimize"},
    "memory_grows_with": ["batch", "rank"],
}
BUILT_IN = {
    "input_data": "/rows.json",
    "search_space": {
        "lora_r": {"type": "int", "low": 1, "high": 128},
        "learning_rate": {"type": "loguniform", "low": 1e-5, "high": 1e-3},
        "optim": {"type": "categorical", "choices": ["adamw_torch", "sgd"]},
    },
    "objective": {"metric": "eval_cer", "direction": "minimize"},
    "pruner": "none",
}
Gigabytes = Callable[[Mapping[str, Any]], float]


def of_program(settings: Mapping[str, Any]) -> float:
    return 4 + 0.5 * settings["batch"] + 0.1 * settings["rank"]


class Study:
    """A study of trials that run out of memory above 24 GB, run as often as wanted."""

    def __init__(self, folder: Path, flat: Mapping[str, Any], gigabytes: Gigabytes, **said: Any) -> None:
        storage = said.get("storage") or InMemoryStorage()
        self.ledger = open_ledger(storage, flat)
        self.folder, self.gigabytes, self.said = folder, gigabytes, said
        self.seen: list[RunEvent] = []
        self.device: Device | None = DEVICE

    def play(self, job: Job) -> Generator[dict[str, Any], bool, None]:
        taken = self.gigabytes(job.settings)
        if taken <= 24:
            yield {job.metric: 1 / taken, **({NEEDED: taken * GB} if self.said.get("measured") else {})}
            return
        if "step" in self.said:
            yield {"step": self.said["step"], job.metric: 0.5}
        if "had" in self.said:
            yield {AVAILABLE: self.said["had"]}
        yield {"fault": "cuda_oom", "message": "out of device memory"}

    def run(self, target: int, *queued: Mapping[str, Any]) -> list[str]:
        """Run to so many finished trials, the queued ones first; how each trial of the study ended."""
        for params in queued:
            queue(self.ledger.study, params, {})
        gate = Gate(self.ledger.definition, self.device)
        self.ending = run_played(self.ledger, self.folder, self.play, target, view=self.seen.append, gate=gate)
        return self.endings()

    def endings(self) -> list[str]:
        words = {True: "not tried", False: ""}
        return [
            words[attrs.NOT_TRIED in trial.user_attrs] or str(trial.user_attrs[attrs.OUTCOME])
            for trial in self.ledger.trials()
        ]


def test_what_needs_as_much_as_a_trial_that_ran_out_is_not_tried(tmp_path: Path) -> None:
    study = Study(tmp_path, PROGRAM, of_program)
    asked = [{"batch": 40, "rank": 20}, {"batch": 40, "rank": 21}, {"batch": 50, "rank": 19}, {"batch": 9, "rank": 9}]
    assert study.run(3, *asked) == ["cuda_oom", "not tried", "cuda_oom", "ok"]
    refused = study.ledger.trial(1)
    assert refused.state is TrialState.PRUNED
    assert refused.user_attrs[attrs.OUTCOME] == "cuda_oom"
    why = "not tried: it needs at least as much device memory as trial 0, which ran out of it"
    assert refused.user_attrs[attrs.MESSAGE] == why
    assert not study_folders(tmp_path, "a").attempt(1, 1).exists()
    assert Note(f"trial 1 is {why}") in study.seen


def test_what_was_not_tried_does_not_count_and_is_told_apart(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path / 'x.db'}"
    study = Study(tmp_path, PROGRAM, of_program, storage=open_storage(tmp_path / "x.db"))
    study.run(2, {"batch": 40, "rank": 20}, {"batch": 41, "rank": 20}, {"batch": 1, "rank": 1})
    summary = summarize(study.ledger.study)
    assert (summary.finished, dict(summary.counts)) == (2, {"cuda_oom": 1, "not_tried": 1, "ok": 1})
    assert [row.number for row in summary.failures["not_tried"]] == [1]
    (status,) = study_statuses(url, tmp_path, "a")
    assert (status.finished, status.causes) == (2, {"cuda_oom": 1, "not_tried": 1, "ok": 1})
    assert list(status_table([status]).columns[2].cells) == [Text("1 complete, 1 cuda_oom, 1 not_tried")]


def test_of_the_built_in_training_it_is_known_what_adds_to_its_memory(tmp_path: Path) -> None:
    study = Study(tmp_path, BUILT_IN, lambda settings: settings["lora_r"], had=23.4 * GB)
    rate, adam = {"learning_rate": 1e-4}, {"optim": "adamw_torch"}
    asked = [
        {"lora_r": 30, **rate, **adam},
        {"lora_r": 30, "learning_rate": 1e-3, **adam},  # the rate has no part in it
        {"lora_r": 64, **rate, "optim": "sgd"},  # cannot be compared
        {"lora_r": 24, **rate, **adam},
        {"lora_r": 29, **rate, **adam},
    ]
    assert study.run(4, *asked) == ["cuda_oom", "not tried", "cuda_oom", "ok", "cuda_oom"]


@pytest.mark.parametrize(
    "said",
    [{"had": DEVICE.memory_bytes - OWN_BYTES - 1}, {"step": 1}],
    ids=["others held some of the memory", "it ran out late"],
)
def test_a_trial_that_did_not_run_out_for_its_own_need_alone_proves_nothing(
    tmp_path: Path, said: dict[str, Any]
) -> None:
    study = Study(tmp_path, PROGRAM, of_program, **said)
    same = {"batch": 40, "rank": 20}
    assert study.run(2, same, same) == ["cuda_oom", "cuda_oom"]


def test_a_trial_that_fits_with_as_much_refutes_one_that_ran_out(tmp_path: Path) -> None:
    ran_out = {"batch": 40, "rank": 20}  # for some reason that is gone
    study = Study(tmp_path, PROGRAM, lambda settings: 24 + (settings == {**settings, **ran_out}))
    assert study.run(3, {"batch": 50, "rank": 20}, ran_out, {"batch": 45, "rank": 20}) == ["ok", "cuda_oom", "ok"]


def test_a_trial_on_another_device_proves_nothing(tmp_path: Path) -> None:
    study = Study(tmp_path, PROGRAM, of_program)
    same = {"batch": 40, "rank": 20}
    study.run(1, same)
    study.device = Device("a GPU of 80 GB", 80 * GB)
    study.run(2, same)
    study.device = None
    assert study.run(3, same) == ["cuda_oom"] * 3


def test_by_what_others_took_it_is_known_beforehand(tmp_path: Path) -> None:
    study = Study(tmp_path, PROGRAM, of_program, measured=True)
    pairs = (1, 1), (30, 1), (1, 120), (20, 60), (10, 10), (1, 128), (64, 1), (30, 80), (2, 2)
    endings = study.run(8, *({"batch": batch, "rank": rank} for batch, rank in pairs))
    assert endings == ["ok"] * 6 + ["cuda_oom", "not tried", "ok"]  # believed once a trial has borne it out
    assert "by what 6 trials took, it needs more than the 24 GB" in study.ledger.trial(7).user_attrs[attrs.MESSAGE]


def test_a_resumed_study_refuses_the_same(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    whole.mkdir(), parts.mkdir()
    undisturbed, resumed = (Study(folder, PROGRAM, of_program, measured=True) for folder in (whole, parts))
    smallest = {"batch": 1, "rank": 1}
    undisturbed.run(20, smallest)
    resumed.run(1, smallest)
    for target in range(2, 21):
        resumed.run(target)
    assert "not tried" in undisturbed.endings()
    assert resumed.endings() == undisturbed.endings()
    assert [trial.params for trial in resumed.ledger.trials()] == [t.params for t in undisturbed.ledger.trials()]


def test_a_grid_point_that_is_not_tried_is_done(tmp_path: Path) -> None:
    grid = {
        "batch": {"type": "categorical", "choices": [10, 40, 50]},
        "rank": {"type": "categorical", "choices": [9, 20]},
    }
    study = Study(tmp_path, PROGRAM | {"search_space": grid, "search_mode": "grid"}, of_program)
    endings = study.run(target_of(study.ledger.study, study.ledger.definition))
    assert endings == ["ok", "ok", "cuda_oom", "not tried", "not tried", "not tried"]
    assert study.ending is LoopEnding.EXHAUSTED
    assert target_of(study.ledger.study, study.ledger.definition) == 3


def test_a_trial_to_be_run_again_may_be_refused(tmp_path: Path) -> None:
    study = Study(tmp_path, PROGRAM, of_program)
    study.run(1, {"batch": 40, "rank": 20})
    queue(study.ledger.study, {"batch": 41, "rank": 20}, {})
    asked = Planner(study.ledger.study, study.ledger.definition).next_trial()
    assert asked is not None
    assert study.ledger.tell(asked.number, Outcome(Cause.LOST)) == 2
    study.run(2)
    assert study.endings()[:3] == ["cuda_oom", "lost", "not tried"]
    assert study.ledger.trial(2).user_attrs[attrs.ROOT] == 1
    assert not any(trial.user_attrs.get(attrs.RETRY_OF) == 2 for trial in study.ledger.trials())


def test_a_search_comes_to_its_end_where_little_fits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpsearch.study.memory_gate.MOST_IN_A_ROW", 2)
    study = Study(tmp_path, PROGRAM, lambda settings: settings["batch"])
    ran_out = {"batch": 64, "rank": 1}
    asked = [{"batch": 1, "rank": 1}, ran_out, ran_out, ran_out, ran_out]
    assert study.run(3, *asked) == ["ok", "cuda_oom", "not tried", "not tried", "cuda_oom"]


def drawn_memory(chance: random.Random) -> Gigabytes:
    """Some memory that never falls with batch or rank, of whatever form."""
    powers = [chance.choice([0.5, 1.0, 2.0]) for _ in range(2)]
    base, first, second = chance.uniform(0, 15), chance.uniform(5, 20), chance.uniform(5, 20)
    most, both = chance.uniform(0.3, 1), chance.choice([max, lambda one, other: one + other])

    def gigabytes(settings: Mapping[str, Any]) -> float:
        batch, rank = min(settings["batch"] / 64, most), settings["rank"] / 128
        return base + both(first * batch ** powers[0], second * rank ** powers[1])

    return gigabytes


@pytest.mark.parametrize("seed", range(8))
def test_nothing_that_fits_is_refused_whatever_the_form_of_the_memory(tmp_path: Path, seed: int) -> None:
    memory = drawn_memory(random.Random(seed))
    study = Study(tmp_path, PROGRAM | {"search_mode": "random", "seed": seed}, memory)
    study.run(25, {"batch": 1, "rank": 1})
    refused = [trial for trial in study.ledger.trials() if attrs.NOT_TRIED in trial.user_attrs]
    assert all(memory(trial.params) > 24 for trial in refused)


def test_few_trials_of_the_benchmark_run_out_of_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(str(BENCHMARKS))
    gate, surrogates = importlib.import_module("gate"), importlib.import_module("surrogates")
    results = [gate.search(surrogates.TOY, "tpe", seed) for seed in range(2)]
    without = [gate.search(surrogates.TOY, "tpe", seed, gated=False) for seed in range(2)]
    assert sum(one.wasted for one in results) < sum(one.wasted for one in without) / 2
    assert not any(one.wrong for one in results)


def test_every_setting_that_can_be_searched_was_thought_of() -> None:
    """The others must be equal for a comparison. A new setting is one of these until it is known better."""
    known = ADDING | SWITCHED | WITHOUT
    assert len(ADDING) + len(SWITCHED) + len(WITHOUT) == len(known)
    assert known <= setting_names() and LIMITS <= ADDING
    others = setting_names() - known - set(UNSEARCHABLE)
    assert others == {
        *("load_in_4bit", "bnb_4bit_quant_type", "bnb_4bit_use_double_quant", "precision", "optim", "instruction"),
        *("early_stopping_patience", "early_stopping_threshold", "metric_for_best_model", "load_best_model_at_end"),
        "cpu_threads",
    }


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"memory_grows_with": ["batsh"]}, 'but "batsh" is none'),
        ({"command": None, "search_space": BUILT_IN["search_space"]}, '"memory_grows_with" describes a command'),
        (
            {"search_space": PROGRAM["search_space"] | {"rank": {"type": "categorical", "choices": ["a", "b"]}}},
            'but "rank" has texts',
        ),
    ],
)
def test_what_memory_grows_with_is_checked(change: dict[str, Any], said: str) -> None:
    with pytest.raises(UsageError, match=said):
        StudyDefinition.from_flat({key: value for key, value in (PROGRAM | change).items() if value is not None})
