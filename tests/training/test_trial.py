"""A trial from its job to its files, for each family: in this process, on tiny models with random weights."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from hpsearch.data.predictions import read_predictions
from hpsearch.errors import UsageError
from hpsearch.settings import TrainSettings
from hpsearch.training.backends import BACKENDS, Training
from hpsearch.training.evaluate.scores import evaluate
from hpsearch.training.models.chat import Chat
from hpsearch.training.models.families import FAMILIES
from hpsearch.training.prepared import PreparedData, open_rows, training_rows
from hpsearch.training.schedule import batching_of
from hpsearch.training.trial import evaluation_subset, load_adapted
from tests.training.conftest import LINEARS, MERGER_LINEARS, WORDS, Door, at

SCORES = ("cer", "wer", "loss", "exact", "accuracy", "insertions", "empty", "identical", "repeats", "too_long")
STEP_METRICS = {*(f"eval_{name}" for name in SCORES), "loss", "learning_rate", "epoch"}
FINAL_METRICS = {
    *(f"{prefix}_{name}" for prefix in ("eval", "holdout") for name in SCORES),
    *("train_seconds", "eval_seconds", "it_per_s", "tokens_per_s", "peak_memory_bytes"),
    *("steps", "best_step", "micro_batch_size", "activations_recomputed", "oom_backoffs"),
}
MEASURED = {"train_seconds", "eval_seconds", "it_per_s", "tokens_per_s", "peak_memory_bytes"}


def lines_of(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_a_trial_reports_its_evaluations_and_leaves_its_files(prepared: dict[str, Door], typical_family: str) -> None:
    door = at(prepared[typical_family])
    settings = door.settings(typical_family, finetune_vision_layers=True)
    job = door.job("trial", settings, "files")
    assert door.run(job) == 0, door.lines
    assert [line.keys() - {"step"} for line in door.reports()] == [STEP_METRICS] * 2
    assert [(line["step"], line["epoch"]) for line in door.reports()] == [
        (1, pytest.approx(2 / 3)),
        (2, pytest.approx(4 / 3)),
    ]
    final = door.final()
    assert final.keys() == FINAL_METRICS
    assert all(math.isfinite(value) and (value >= 0 or name.endswith("accuracy")) for name, value in final.items())
    output = Path(job.output_dir)
    assert json.loads((output / "config.json").read_text(encoding="utf-8")) == settings
    assert {"torch", "transformers", "trl", "peft", "python"} <= json.loads(
        (output / "versions.json").read_text()
    ).keys()
    predictions = lines_of(output / "predictions.jsonl")
    assert [(line["split"], line["reference"]) for line in predictions] == [
        (split, text) for split in ("validation", "holdout") for text in WORDS[split]
    ]
    keys = ("split", "id", "reference", "prediction", "cer", "characters", "words", "repeats")
    assert tuple(predictions[0]) == keys  # these rows have no document
    base = Path(str(job.prepared_dir)) / "base_predictions.jsonl"
    for path, scores in ((output / "predictions.jsonl", final), (base, PreparedData.read(base.parent).base)):
        rows = [row for row in read_predictions(path) if row.split == "validation"]
        errors, length = (sum(getattr(row.characters, what) for row in rows) for what in ("errors", "length"))
        assert errors / length == scores["eval_cer"]
    assert not list(output.glob("checkpoint*"))
    assert {path.name for path in (output / "adapter").iterdir()} >= {
        "adapter_model.safetensors",
        "adapter_config.json",
    }
    assert not (output / "adapter" / "README.md").exists()


def test_batches_that_other_processes_prepare_change_no_bit(prepared: dict[str, Door], typical_family: str) -> None:
    door = at(prepared[typical_family])
    found = []
    for workers in (0, 2):
        settings = door.settings(typical_family, lora_dropout=0.1, dataloader_num_workers=workers)
        job = door.job("trial", settings, f"workers-{workers}")
        assert door.run(job) == 0, door.lines
        output = Path(job.output_dir)
        files = [output / "adapter" / "adapter_model.safetensors", output / "predictions.jsonl"]
        found.append([path.read_bytes() for path in files])
    assert found[0] == found[1]


def test_the_saved_adapter_says_again_what_the_trial_predicted(prepared: dict[str, Door], family_name: str) -> None:
    from peft import PeftModel

    door = at(prepared[family_name])
    settings = TrainSettings(**door.settings(family_name, max_steps=8))
    job = door.job("trial", settings.model_dump(), "reload")
    assert door.run(job) == 0
    adapter = Path(job.output_dir) / "adapter"
    base = json.loads((adapter / "adapter_config.json").read_text())["base_model_name_or_path"]
    backend, folder = BACKENDS["hf"](), Path(str(job.prepared_dir))
    loaded = backend.load(FAMILIES[family_name], Path(base), settings)
    backend.to_inference(loaded)
    untuned = evaluate(loaded, open_rows(folder, "validation"), settings)
    loaded.model = PeftModel.from_pretrained(loaded.model, adapter)
    backend.to_inference(loaded)
    scores = evaluate(loaded, open_rows(folder, "validation"), settings)
    assert scores.metrics("eval") == {name: pytest.approx(door.final()[name]) for name in scores.metrics("eval")}
    assert scores.loss < untuned.loss - 0.5, "it learned nothing"


def test_only_lora_learns_and_in_every_wanted_tower(
    prepared: dict[str, Door], family_name: str, tmp_path: Path
) -> None:
    door = at(prepared[family_name])
    towers = {"finetune_vision_layers": True, "finetune_merger_layers": FAMILIES[family_name].merger is not None}
    settings = TrainSettings(**door.settings(family_name, **towers, gradient_checkpointing=True))
    folder = door.folder / "prepare"
    backend = BACKENDS["hf"]()
    loaded = load_adapted(backend, PreparedData.read(folder), settings)
    before = {name: parameter.clone() for name, parameter in loaded.model.named_parameters()}
    rows = training_rows(open_rows(folder, "train").table, Chat(loaded.processor, settings.instruction))
    backend.trainer(loaded, Training(rows, settings, batching_of(settings), tmp_path)).train()
    changed = {name for name, parameter in loaded.model.named_parameters() if not torch.equal(parameter, before[name])}
    assert changed
    assert all("lora_" in name for name in changed)
    matrices = [name for name in before if "lora_B" in name]
    assert len(matrices) == sum(LINEARS[family_name]) + MERGER_LINEARS[family_name]
    assert not [name for name in matrices if name not in changed], "some LoRA matrices got no gradient"


def test_a_trainer_leaves_the_adapter_in_32_bits(
    prepared: dict[str, Door], typical_family: str, tmp_path: Path
) -> None:
    """trl takes it down to bf16 where the base is in 4 bits, which this one only says of itself."""
    door = at(prepared[typical_family])
    settings = TrainSettings(**door.settings(typical_family, precision="bf16", use_dora=True))
    backend = BACKENDS["hf"]()
    loaded = load_adapted(backend, PreparedData.read(door.folder / "prepare"), settings)
    base = loaded.model.get_base_model()
    base.is_loaded_in_4bit = True
    rows = training_rows(
        open_rows(door.folder / "prepare", "train").table, Chat(loaded.processor, settings.instruction)
    )
    backend.trainer(loaded, Training(rows, settings, batching_of(settings), tmp_path))
    trained = {parameter.dtype for parameter in loaded.model.parameters() if parameter.requires_grad}
    assert trained == {torch.float32}
    assert {parameter.dtype for parameter in base.get_input_embeddings().parameters()} == {torch.bfloat16}


def test_judging_goes_past_what_a_trainer_wraps_around_the_model(prepared: dict[str, Door], tmp_path: Path) -> None:
    """accelerate's wrapper copies what the model returns to 32 bits: the logits of all rows at once."""
    door = at(prepared["gemma3"])
    settings = TrainSettings(**door.settings("gemma3", precision="bf16", max_steps=1))
    backend = BACKENDS["hf"]()
    loaded = load_adapted(backend, PreparedData.read(door.folder / "prepare"), settings)
    table = open_rows(door.folder / "prepare", "train").table
    rows = training_rows(table, Chat(loaded.processor, settings.instruction))
    backend.trainer(loaded, Training(rows, settings, batching_of(settings), tmp_path)).train()
    seen: list[torch.dtype] = []
    loaded.model.get_base_model().register_forward_hook(lambda _, __, found: seen.append(found.logits.dtype))
    loaded.model.register_forward_hook(lambda _, __, found: seen.append(found.logits.dtype))
    evaluate(loaded, open_rows(door.folder / "prepare", "holdout"), settings)
    assert set(seen) == {torch.bfloat16}


def test_tokens_weigh_the_same_however_a_batch_is_divided_and_recomputed(
    prepared: dict[str, Door], family_name: str, tmp_path: Path
) -> None:
    door = at(prepared[family_name])
    norms = []
    for rows_in_a_pass, recomputed in ((4, False), (1, False), (4, True)):
        settings = TrainSettings(
            **door.settings(family_name, max_steps=1, per_device_train_batch_size=rows_in_a_pass, max_grad_norm=1e9),
        ).model_copy(update={"gradient_accumulation_steps": 4 // rows_in_a_pass, "gradient_checkpointing": recomputed})
        backend = BACKENDS["hf"]()
        loaded = load_adapted(backend, PreparedData.read(door.folder / "prepare"), settings)
        table = open_rows(door.folder / "prepare", "train").table
        uneven = [text * (1 + 5 * (number % 2)) for number, text in enumerate(table.column("text").to_pylist())]
        table = table.set_column(table.schema.get_field_index("text"), "text", [uneven])
        rows = training_rows(table, Chat(loaded.processor, settings.instruction))
        trainer = backend.trainer(loaded, Training(rows, settings, batching_of(settings), tmp_path))
        trainer.train()
        norms.append((trainer.state.log_history[0]["loss"], trainer.state.log_history[0]["grad_norm"]))
    assert norms[0] == pytest.approx(norms[1], rel=1e-4)
    assert norms[0] == pytest.approx(norms[2], rel=1e-5), "recomputed activations are others"


def test_a_trial_in_bf16_trains_and_judges(prepared: dict[str, Door], family_name: str) -> None:
    door = at(prepared[family_name])
    settings = door.settings(family_name, precision="bf16", gradient_checkpointing=True, finetune_vision_layers=True)
    assert door.run(door.job("trial", settings, "bf16")) == 0, door.lines
    losses = [line["loss"] for line in door.reports()]
    assert losses[1] < losses[0]
    assert math.isfinite(door.final()["holdout_loss"])


def test_with_fewer_steps_than_evaluations_each_is_reported_once(prepared: dict[str, Door]) -> None:
    door = at(prepared["qwen3_vl"])
    assert door.run(door.job("trial", door.settings(max_steps=3, evaluations=7), "few")) == 0
    reports = door.reports()
    assert [line["step"] for line in reports] == [1, 2, 3, 4, 5, 6, 7]
    by_step = [{**line, "step": 0} for line in reports]
    assert by_step[0] == by_step[1] != by_step[2] == by_step[3] != by_step[4] == by_step[5] == by_step[6]


def test_a_pruned_trial_stops_there_and_reports_nothing_final(prepared: dict[str, Door]) -> None:
    door = at(prepared["qwen3_vl"])
    door.prune_at = 2
    job = door.job("trial", door.settings(max_steps=8, evaluations=4), "pruned")
    assert door.run(job) == 0
    assert [line["step"] for line in door.reports()] == [1, 2]
    assert door.final() == {}
    assert not (Path(job.output_dir) / "adapter").exists()


def test_a_pruned_trial_does_not_report_later_evaluations_of_the_same_step(prepared: dict[str, Door]) -> None:
    door = at(prepared["qwen3_vl"])
    door.prune_at = 3
    assert door.run(door.job("trial", door.settings(max_steps=1, evaluations=5), "pruned-within")) == 0
    assert [line["step"] for line in door.reports()] == [1, 2, 3]
    assert door.final() == {}


def test_the_same_settings_give_the_same_figures_and_another_seed_others(prepared: dict[str, Door]) -> None:
    door = at(prepared["gemma3"])
    told = []
    for name, kind, seed in (("one", "trial", 5), ("two", "train", 5), ("three", "trial", 6)):
        assert door.run(door.job(kind, door.settings("gemma3", seed=seed, lora_dropout=0.1), name)) == 0
        final = {key: value for key, value in door.final().items() if key not in MEASURED}
        told.append((door.reports(), final))
    assert told[0] == told[1]
    assert told[0] != told[2]


def test_evaluations_on_the_way_use_few_rows_that_do_not_depend_on_the_seed(prepared: dict[str, Door]) -> None:
    door = at(prepared["qwen3_vl"])
    subsets = [
        evaluation_subset(door.folder / "prepare", TrainSettings(**door.settings(seed=seed, eval_samples=samples)))
        for seed, samples in ((1, 3), (2, 3), (1, 100))
    ]
    assert list(subsets[0]) == list(subsets[1])
    assert len(subsets[0]) == 3
    assert [row.text for row in subsets[2]] == WORDS["validation"]


def test_a_trial_shows_its_progress(prepared: dict[str, Door]) -> None:
    door = at(prepared["qwen3_vl"])
    assert door.run(door.job("trial", door.settings(), "progress")) == 0
    shown = door.said("progress")
    assert shown[0]["phase"] == "load"
    assert {values["phase"] for values in shown} == {"load", "train", "save", "final evaluation", "report"}
    last = shown[-1]
    assert last["reference"] in WORDS["holdout"]
    assert {"prediction", "loss", "it_per_s", "tokens_per_s", "memory_bytes"} <= last.keys()
    assert last["step"] == last["steps"] > 0
    assert all(0 <= values.get("fraction", 0) <= 1 for values in shown)


def test_a_loss_that_is_not_finite_ends_the_trial_at_once(prepared: dict[str, Door], tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    door = at(prepared["qwen3_vl"])
    broken = tmp_path / "base"
    broken.mkdir()
    found = PreparedData.read(door.folder / "prepare")
    for path in Path(found.model_path).iterdir():
        (broken / path.name).write_bytes(path.read_bytes())
    weights = load_file(broken / "model.safetensors")
    save_file(
        {name: torch.full_like(value, math.nan) for name, value in weights.items()},
        broken / "model.safetensors",
        {"format": "pt"},
    )
    folder = tmp_path / "prepare"
    folder.mkdir()
    for path in (door.folder / "prepare").glob("*.arrow"):
        (folder / path.name).write_bytes(path.read_bytes())
    text = (
        (door.folder / "prepare" / "prepared.json")
        .read_text()
        .replace(json.dumps(found.model_path), json.dumps(str(broken)))
    )
    (folder / "prepared.json").write_text(
        text.replace(json.dumps(str(door.bases["qwen3_vl"])), json.dumps(str(broken)))
    )
    job = door.job("trial", door.settings(model_name=str(broken)), "diverged")
    assert door.run(job.from_json(job.to_json().replace(str(job.prepared_dir), str(folder)))) == 1
    assert door.said("fault") == ["diverged"]
    assert door.reports() == []
    assert "training loss at step 1 is nan" in door.said("message")[0]


def test_settings_that_the_folder_was_not_prepared_for_are_refused(prepared: dict[str, Door]) -> None:
    door = at(prepared["qwen3_vl"])
    assert door.run(door.job("trial", door.settings(train_split="train[:50%]"), "other")) == 2
    assert door.said("fault") == ["invalid"]
    assert "train_split must be 'train'" in door.said("message")[0]
    assert door.run(door.job("trial", door.settings(max_seq_length=20), "short")) == 2
    assert "every row must fit in max_seq_length" in door.said("message")[0]


def test_rows_that_do_not_fit_are_refused_where_the_prompt_was_left_open_too(prepared: dict[str, Door]) -> None:
    found = PreparedData.read(prepared["qwen3_vl"].folder / "prepare")
    left_open = replace(found, settings={**found.settings, "instruction": None}, resolved={"instruction": "Read."})
    short = TrainSettings.model_validate({**left_open.settings, "max_seq_length": 20})
    with pytest.raises(UsageError, match="every row must fit in max_seq_length=20"):
        left_open.check(left_open.resolved_in(short))
    left_open.check(left_open.resolved_in(short.model_copy(update={"instruction": "Read it."})))  # of other lengths


def test_a_trial_without_a_prepared_folder_is_refused(door: Door) -> None:
    assert door.run(door.job("trial", door.settings(), "early")) == 2
    assert "run the prepare job first" in door.said("message")[0]
