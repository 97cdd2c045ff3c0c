"""Curves are sent where report_to says: read back from what the trackers' own libraries wrote."""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import pytest
import torch

from hpsearch.training.backends.hf import HfBackend
from hpsearch.training.preflight.settings import without_key
from tests.training.conftest import Door, at


def needs(library: str) -> pytest.MarkDecorator:
    missing = importlib.util.find_spec(library) is None
    return pytest.mark.skipif(missing, reason=f"needs {library}: pip install 'hpsearch[tracking]'")


@needs("tensorboard")
def test_tensorboard_has_a_run_for_each_trial_in_the_studys_folder(prepared: dict[str, Door]) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    door = at(prepared["qwen3_vl"])
    settings = door.settings(report_to="tensorboard", logging_steps=2)
    assert door.run(door.job("trial", settings, "trial_7")) == 0, door.lines
    events = EventAccumulator(str(door.folder / "tensorboard" / "trial_7"))
    events.Reload()
    curve = [(point.step, point.value) for point in events.Scalars("eval_cer")]
    assert curve == [(2 * line["step"], pytest.approx(line["eval_cer"])) for line in door.reports()]
    assert [point.step for point in events.Scalars("loss")] == [2, 4]
    (last,) = events.Scalars("final_holdout_cer")
    assert last.value == pytest.approx(door.final()["holdout_cer"])


@needs("tensorboard")
def test_a_training_that_fails_leaves_the_points_before(
    prepared: dict[str, Door], monkeypatch: pytest.MonkeyPatch
) -> None:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from torch.utils.tensorboard import SummaryWriter

    def full(*_: Any) -> None:
        torch.empty(2**50)

    closed: list[str] = []
    close = SummaryWriter.close

    def closing(writer: SummaryWriter) -> None:
        close(writer)
        closed.append(writer.log_dir)

    door = at(prepared["qwen3_vl"])
    monkeypatch.setattr(HfBackend, "save", full)
    monkeypatch.setattr(SummaryWriter, "close", closing)  # the program ends without what Python does at its end
    settings = door.settings(report_to="tensorboard", logging_steps=2)
    assert door.run(door.job("trial", settings, "trial_9")) == 1
    events = EventAccumulator(str(door.folder / "tensorboard" / "trial_9"))
    events.Reload()
    assert [point.step for point in events.Scalars("loss")] == [2, 4]
    assert closed == [str(door.folder / "tensorboard" / "trial_9")]


@needs("wandb")
def test_wandb_has_a_run_named_by_trial_in_the_studys_group(
    prepared: dict[str, Door], monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: dict[str, Any] = {}
    import wandb

    init = wandb.init

    def looking_on(**options: Any) -> Any:
        seen["run"] = init(**options)
        return seen["run"]

    monkeypatch.setattr(wandb, "init", looking_on)
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.setenv("WANDB_SILENT", "true")
    door = at(prepared["qwen3_vl"])
    settings = door.settings(report_to="wandb", logging_steps=2)
    assert door.run(door.job("trial", settings, "trial_8")) == 0, door.lines
    run = seen["run"]
    assert (run.group, run.name) == ("words", "trial_8")
    assert dict(run.config)["lora_r"] == settings["lora_r"]
    (written,) = (door.folder / "trial_8").rglob("*.wandb")
    content = written.read_bytes()
    for name in ("eval_cer", "loss", "learning_rate", "final_holdout_cer", "words", "trial_8"):
        assert name.encode() in content, name


@needs("wandb")
def test_a_service_that_cannot_be_reached_costs_no_fine_tune(
    prepared: dict[str, Door], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    import wandb

    def unreachable(**_: Any) -> Any:
        raise wandb.errors.CommError("no route to host")

    monkeypatch.setattr(wandb, "init", unreachable)
    door = at(prepared["qwen3_vl"])
    assert door.run(door.job("trial", door.settings(report_to="wandb"), "trial_10")) == 0, door.lines
    assert "eval_cer" in door.final()
    (line,) = [line for line in capsys.readouterr().out.splitlines() if "report_to" in line]
    assert line == "report_to wandb failed, and nothing more is sent: CommError: no route to host"


def test_a_key_is_looked_for_where_wandb_keeps_it(tmp_path: Path) -> None:
    file = tmp_path / "netrc"
    nowhere = {"NETRC": str(file)}
    (warning,) = without_key("wandb", nowhere)
    assert "WANDB_API_KEY" in warning
    file.write_text("machine wandb.example.com\n  login user\n  password secret\n")
    own = {**nowhere, "WANDB_BASE_URL": "https://wandb.example.com:8080"}
    for environment in (own, {**nowhere, "WANDB_API_KEY": "x"}, {**nowhere, "WANDB_MODE": "offline"}):
        assert without_key("wandb", environment) == []
    assert without_key("wandb", nowhere) == [warning]
    assert without_key("tensorboard", nowhere) == []
