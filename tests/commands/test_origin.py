"""What is known of an adapter is read from what a study or a fine-tune left beside it, and names no path."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hpsearch.commands.origin import origin_of
from hpsearch.execution.model_export import AdapterOrigin, adapter_digest

SETTINGS = {"model_name": "google/gemma-3-4b-it", "input_data": "/home/anna/secret/pages.json", "image_root": "/home",
            "lora_r": 8, "instruction": "Read."}  # fmt: skip


def write(path: Path, value: Any) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))


def card(folder: Path, **changes: Any) -> Path:
    """An adapter's card in a folder."""
    values = {
        "study": "s",
        "base": "google/gemma-3-4b-it",
        "settings": SETTINGS,
        "versions": {"peft": "0.21"},
        **changes,
    }
    write(folder / "hpsearch.json", values)
    return folder


@pytest.fixture
def study(tmp_path: Path) -> Path:
    """The folder of a study of four trials, one of which was tried twice."""
    folder = tmp_path / "studies" / "s"
    write(folder / ".study", "id")
    rows, base = {"train": 80, "holdout": 9}, {"eval_cer": 0.5, "holdout_cer": 0.6, "eval_loss": "NaN"}
    write(folder / "prepared" / "prepared.json", {"rows": rows, "base": base, "data_revision": None})
    ends = [(0, 1, "ok", 8), (1, 1, "interrupted", 32), (1, 2, "ok", 32), (2, 1, "pruned", 16), (3, 1, "cuda_oom", 64)]
    for number, (root, attempt, cause, rank) in enumerate(ends):
        place = folder / f"trial_{root}" / ("" if attempt == 1 else f"attempt-{attempt}")
        result = {"study": "s", "trial": number, "root": root, "attempt": attempt, "cause": cause}
        result |= {"params": {"lora_r": rank}, "metrics": {"eval_cer": 0.1 + number, "holdout_cer": 0.2}}
        write(place / f"trial_{root}_results.json", result)
    best = {"study": "s", "trial": 2, "params": {"lora_r": 32}, "metrics": {"eval_cer": 0.05, "holdout_cer": 0.07}}
    write(card(folder / "best") / "best_params.json", best)
    return folder


def test_the_best_trial_is_known_with_its_study(study: Path) -> None:
    origin = origin_of(study / "best")
    assert (origin.study, origin.trial, origin.base, origin.on_hub) == ("s", 2, "google/gemma-3-4b-it", True)
    assert origin.trials == {"ok": 2, "pruned": 1, "cuda_oom": 1}, "each trial by how its last attempt ended"
    assert origin.tried == {"lora_r": [8, 16, 32, 64]}
    assert origin.metrics == {"eval_cer": 0.05, "holdout_cer": 0.07}
    assert origin.untuned == {"eval_cer": 0.5, "holdout_cer": 0.6}
    assert origin.rows == {"train": 80, "holdout": 9} and origin.versions == {"peft": "0.21"}
    assert (origin.data, origin.data_on_hub) == ("pages.json", False)
    assert "anna" not in repr(origin) and "/home" not in repr(origin) and str(study) not in repr(origin)


@pytest.mark.parametrize(("place", "trial"), [("trial_0", 0), ("trial_1/attempt-2", 2)])
def test_any_trial_of_a_study_is_known(study: Path, place: str, trial: int) -> None:
    origin = origin_of(card(study / place / "adapter"))
    assert (origin.study, origin.trial, origin.metrics["eval_cer"]) == ("s", trial, 0.1 + trial)
    assert origin.rows and origin.trials


def test_a_fine_tune_of_its_own_is_known(tmp_path: Path) -> None:
    write(tmp_path / "train_results.json", {"metrics": {"holdout_cer": 0.3}})
    write(tmp_path / "prepared" / "prepared.json", {"rows": {"train": 5}, "base": {"holdout_cer": 0.9}})
    origin = origin_of(card(tmp_path / "adapter"))
    assert (origin.study, origin.trial, origin.trials, origin.tried) == ("", None, {}, {})
    assert (origin.metrics, origin.untuned, origin.rows) == ({"holdout_cer": 0.3}, {"holdout_cer": 0.9}, {"train": 5})


@pytest.mark.parametrize(
    ("given", "revision", "named"),
    [("hub:org/pages", None, ("org/pages", True)), ("org/pages", "c0ffee", ("org/pages", True)),
     ("org/pages", None, ("pages", False)), ("asset:digits/data", None, ("asset:digits/data", False))],
)  # fmt: skip
def test_data_on_the_hub_are_distinguished_from_a_folder(
    tmp_path: Path, given: str, revision: str | None, named: tuple[str, bool]
) -> None:
    write(tmp_path / "train_results.json", {})
    write(tmp_path / "prepared" / "prepared.json", {"data_revision": revision})
    origin = origin_of(card(tmp_path / "adapter", settings={**SETTINGS, "input_data": given}))
    assert (origin.data, origin.data_on_hub) == named
    assert origin.settings["input_data"] == named[0]


@pytest.mark.parametrize(
    ("base", "model_name", "named"),
    [("/models/google--gemma", "../google--gemma", "google--gemma"), ("/x/assets/tiny", "asset:tiny", "asset:tiny")],
)
def test_a_base_on_this_machine_is_named_without_its_path(
    tmp_path: Path, base: str, model_name: str, named: str
) -> None:
    origin = origin_of(card(tmp_path, base=base, settings={**SETTINGS, "model_name": model_name}))
    assert (origin.base, origin.on_hub, origin.settings["model_name"]) == (named, False, named)


def test_an_adapter_of_another_program_has_its_base_alone(tmp_path: Path) -> None:
    assert origin_of(tmp_path) == AdapterOrigin()
    write(tmp_path / "adapter_config.json", {"base_model_name_or_path": "google/gemma-3-4b-it"})
    assert origin_of(tmp_path) == AdapterOrigin(base="google/gemma-3-4b-it", on_hub=True)
    for broken in ("", "[1]", '{"settings": 3, "versions": null}'):
        (tmp_path / "hpsearch.json").write_text(broken)
        assert origin_of(tmp_path).base == "google/gemma-3-4b-it"


def test_an_adapter_has_a_digest_of_its_weights_and_configuration(tmp_path: Path) -> None:
    assert adapter_digest(tmp_path) == ""
    (tmp_path / "adapter_model.safetensors").write_bytes(b"one")
    write(tmp_path / "adapter_config.json", {"r": 8})
    digests = [adapter_digest(tmp_path)]
    write(tmp_path / "adapter_config.json", {"r": 16})
    digests.append(adapter_digest(tmp_path))
    (tmp_path / "adapter_model.safetensors").write_bytes(b"two")
    digests.append(adapter_digest(tmp_path))
    assert len(set(digests)) == 3
