"""Studies whose settings are not all searched in every trial."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from optuna.storages import InMemoryStorage
from optuna.trial import FrozenTrial, TrialState

from hpsearch.config.conditions import active
from hpsearch.config.space import point_key
from hpsearch.execution.job import Outcome
from hpsearch.execution.outcome import Cause
from hpsearch.study import attributes as attrs
from hpsearch.study.ledger import Ledger
from hpsearch.study.memory_gate import NEEDED, Device, Gate
from hpsearch.study.preparation import PreparedInfo
from hpsearch.study.sampling.planner import Planner, open_points, queue
from hpsearch.study.warm_start_source import SourceStudy, make_warm_start
from tests.study.played import open_ledger, open_storage

pytestmark = pytest.mark.filterwarnings("ignore::optuna.exceptions.ExperimentalWarning")  # opening a storage does it

SPACE: dict[str, Any] = {
    "kind": {"type": "categorical", "choices": ["flat", "deep", "wide"]},
    "width": {"type": "int", "low": 1, "high": 4, "when": {"kind": "wide"}, "otherwise": 0},
    "depth": {"type": "int", "low": 1, "high": 3, "when": {"kind": ["deep", "wide"]}, "otherwise": 0},
    "skip": {"type": "categorical", "choices": [False, True], "when": {"depth": [2, 3]}, "otherwise": False},
    "rate": {"type": "loguniform", "low": 1e-5, "high": 1e-2, "points": 2},
}
FLAT: dict[str, Any] = {
    "command": ["program", *(f"{{{name}}}" for name in SPACE)],
    "search_space": SPACE,
    "objective": {"metric": "cer", "direction": "minimize"},
}

GB = 10**9
DEVICE = Device("a GPU of 24 GB", 24 * GB)
BUILT_IN: dict[str, Any] = {
    "input_data": "/rows.json",
    "search_space": {
        "load_in_4bit": {"type": "categorical", "choices": [False, True]},
        "lora_r": {"type": "int", "low": 8, "high": 64, "when": {"load_in_4bit": True}, "otherwise": 32},
        "longest_edge": {"type": "int", "low": 512, "high": 4096, "when": {"load_in_4bit": True}},
        "learning_rate": {"type": "loguniform", "low": 1e-5, "high": 1e-3},
    },
}


def study(**keys: Any) -> Ledger:
    return open_ledger(InMemoryStorage(), FLAT | keys)


def error(params: dict[str, Any]) -> float:
    """Best at wide, width 4."""
    return 1.0 - 0.1 * params.get("depth", 0) - 0.15 * params.get("width", 0) + 0.1 * (params["rate"] > 1e-3)


def search(ledger: Ledger, count: int) -> list[FrozenTrial]:
    """Ask for so many trials and tell them; a new planner for each, as after an interruption."""
    for _ in range(count):
        trial = Planner(ledger.study, ledger.definition).next_trial()
        if trial is None:
            break
        ledger.tell(trial.number, Outcome(Cause.OK, metrics={"cer": error(trial.params)}))
    return list(ledger.trials())


@pytest.fixture(scope="module")
def searched() -> list[FrozenTrial]:
    """Sixty trials of the default search."""
    return search(study(), 60)


@pytest.mark.parametrize("mode", ["bayesian", "random"])
def test_a_trial_has_its_active_settings_alone(mode: str, searched: list[FrozenTrial]) -> None:
    trials = searched[:40] if mode == "bayesian" else search(study(search_mode=mode), 40)
    space = study().definition.search_space
    for trial in trials:
        assert set(trial.params) == set(active(space, trial.params)) == set(trial.distributions)
    assert {len(trial.params) for trial in trials} >= {2, 4, 5}, "configurations with few settings and with all"


def test_the_sampler_learns_of_a_setting_where_it_is_active(searched: list[FrozenTrial]) -> None:
    """Of the later trials most are wide, and of those most have the greatest width."""
    late = searched[30:]
    widths = [trial.params.get("width") for trial in late]
    assert widths.count(4) > len(late) / 2


def test_what_a_configuration_does_not_have_makes_no_other_one_of_it(searched: list[FrozenTrial]) -> None:
    """A sampler that tells apart what differs in inactive settings alone tried one configuration 28 times here, and
    found the best after 39 trials."""
    trials = searched[:40]
    assert max(Counter(point_key(trial.params) for trial in trials).values()) == 1
    assert min(trial.value for trial in trials[:15] if trial.value is not None) == pytest.approx(0.1)


def test_an_interrupted_search_goes_on_as_an_undisturbed_one(tmp_path: Path, searched: list[FrozenTrial]) -> None:
    whole = [trial.params for trial in searched[:24]]
    parts = open_ledger(open_storage(tmp_path / "x.db"), FLAT)
    search(parts, 13)
    again = open_ledger(open_storage(tmp_path / "x.db"), FLAT)
    assert [trial.params for trial in search(again, 11)] == whole


def test_a_grid_has_every_active_combination_once_and_a_failed_one_stays_open() -> None:
    ledger = study(search_mode="grid")
    assert ledger.definition.grid_size() == 2 * (1 + (1 + 2 * 2) + 4 * (1 + 2 * 2))
    trials = search(ledger, 100)
    assert len(trials) == ledger.definition.grid_size()
    assert len({point_key(trial.params) for trial in trials}) == len(trials)
    assert open_points(trials, ledger.definition) == []

    failing = study(search_mode="grid")
    trial = Planner(failing.study, failing.definition).next_trial()
    assert trial is not None
    assert len(open_points(failing.trials(), failing.definition)) == failing.definition.grid_size() - 1
    failing.study.tell(trial.number, state=TrialState.FAIL)
    assert len(open_points(failing.trials(), failing.definition)) == failing.definition.grid_size()


@pytest.mark.parametrize("params", [{"kind": "flat", "rate": 1e-4}, {"kind": "deep", "depth": 1, "rate": 1e-4}])
def test_an_interrupted_trial_is_run_again_with_the_same_settings(params: dict[str, Any]) -> None:
    ledger = study()
    queue(ledger.study, params, {})
    for root in (0, 1):
        trial = Planner(ledger.study, ledger.definition).next_trial()
        assert trial is not None and trial.params == params
        assert ledger.tell(root, Outcome(Cause.INTERRUPTED)) == root + 2
    queue(ledger.study, {"kind": "deep", "rate": 1e-4}, {})
    (half,) = [trial for trial in ledger.trials(TrialState.WAITING) if attrs.RETRY_OF not in trial.user_attrs]
    assert ledger.retry(half, Cause.INTERRUPTED) is None, "what lacks an active setting was never asked for"


def test_another_study_hands_over_points_with_their_active_settings_alone(searched: list[FrozenTrial]) -> None:
    theirs = study()
    trials = sorted(searched[:30], key=lambda trial: trial.value or 0.0)
    ours = study(seed=8)
    carried, _ = make_warm_start(
        SourceStudy("theirs", "1", theirs.definition, PreparedInfo(), trials), ours.definition, PreparedInfo()
    )
    space = ours.definition.search_space
    for each in (*carried.points, *carried.prior):
        assert set(each.params) == set(active(space, each.params))
    assert {len(each.params) for each in carried.prior} > {2}
    planner = Planner(ours.study, ours.definition, carried)
    for _ in range(20):
        trial = planner.next_trial()
        assert trial is not None and set(trial.params) == set(active(space, trial.params))
        ours.tell(trial.number, Outcome(Cause.OK, metrics={"cer": error(trial.params)}))
    assert carried.prior_trials(ours.definition, ours.trials()), "the sampler has seen the other study's values"


class TestMemory:
    """An inactive setting takes the memory that its value takes."""

    def refusals(self, flat: dict[str, Any], *queued: tuple[dict[str, Any], Outcome | None]) -> list[str]:
        """What the gate says of each queued configuration, told as given before the next."""
        ledger = open_ledger(InMemoryStorage(), flat)
        gate, said = Gate(ledger.definition, DEVICE), []
        for params, outcome in queued:
            queue(ledger.study, params, {})
            trial = Planner(ledger.study, ledger.definition).next_trial()
            assert trial is not None and trial.params == params
            said.append(gate.refusal(ledger.trial(trial.number), ledger.trials()))
            ledger.note(trial.number, {attrs.DEVICE: DEVICE.kind})
            if outcome:
                ledger.tell(trial.number, outcome)
        return said

    def test_a_command_whose_memory_grows_with_an_inactive_setting(self) -> None:
        flat = FLAT | {"memory_grows_with": ["width", "depth"]}
        out = Outcome(Cause.CUDA_OOM, message="out of memory")
        said = self.refusals(
            flat,
            ({"kind": "deep", "depth": 2, "skip": True, "rate": 1e-4}, out),
            ({"kind": "flat", "rate": 1e-4}, Outcome(Cause.OK, metrics={"cer": 0.5, NEEDED: 1.0})),
            ({"kind": "deep", "depth": 1, "rate": 1e-4}, Outcome(Cause.OK, metrics={"cer": 0.5})),
            ({"kind": "wide", "width": 1, "depth": 2, "skip": False, "rate": 1e-4}, None),
        )
        assert said[:3] == ["", "", ""]
        assert said[3].startswith("not tried: it needs at least as much device memory as trial 0")

    def test_a_setting_without_a_value_is_compared_with_its_like_alone(self) -> None:
        """Without longest_edge a picture has any size: that is no smaller than any limit, nor larger."""
        out = Outcome(Cause.CUDA_OOM, message="out of memory")
        four_bit = {"load_in_4bit": True, "learning_rate": 1e-4}
        said = self.refusals(
            BUILT_IN,
            ({**four_bit, "lora_r": 16, "longest_edge": 1024}, out),
            ({"load_in_4bit": False, "learning_rate": 1e-4}, out),
            ({**four_bit, "lora_r": 15, "longest_edge": 4000}, None),
            ({"load_in_4bit": False, "learning_rate": 1e-3}, None),
            ({**four_bit, "lora_r": 17, "longest_edge": 1024}, None),
        )
        assert [bool(each) for each in said] == [False, False, False, True, True]
