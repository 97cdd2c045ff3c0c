"""The card of a merged model: what the Hub reads of it, what people do, and nothing that is not known."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from hpsearch.execution.model_export import AdapterOrigin, Gguf, GgufFile, MergedModel
from hpsearch.training.export.model_card import renew_model_card, write_model_card

KNOWN = AdapterOrigin(
    base="google/gemma-3-4b-it",
    on_hub=True,
    data="org/pages",
    data_on_hub=True,
    study="words",
    trial=7,
    settings={"lora_r": 32, "learning_rate": 2e-4, "instruction": "Read ```this```.", "longest_edge": 2048,
              "model_name": "google/gemma-3-4b-it", "lora_dropout": 0.0},
    versions={"peft": "0.21.2"},
    trials={"ok": 12, "pruned": 5, "cuda_oom": 1},
    tried={"lora_r": [8, 16, 32], "learning_rate": [1e-5, 1e-4, 2e-4, 3e-4, 5e-4]},
    metrics={"eval_cer": 0.031, "holdout_cer": 0.042, "eval_loss": 1.0},
    untuned={"eval_cer": 0.31, "holdout_cer": 0.33},
    rows={"holdout": 30, "train": 1200, "validation": 70},
)  # fmt: skip


def written(folder: Path, origin: AdapterOrigin, **changes: Any) -> Any:
    """The card that a merged model gets."""
    merged = MergedModel("/home/anna/base", "gemma3", "bf16", 0.01, 5, 8192, (), origin=origin, **changes)
    write_model_card(folder, merged, "gemma-ocr")
    return ModelCard.load(folder / "README.md")


def test_the_hub_reads_base_task_and_score(tmp_path: Path) -> None:
    data = written(tmp_path, KNOWN).data
    assert (data.base_model, data.get("base_model_relation")) == ("google/gemma-3-4b-it", "finetune")
    assert (data.library_name, data.pipeline_tag, data.tags) == (
        "transformers", "image-text-to-text", ["hpsearch", "ocr", "lora"],
    )  # fmt: skip
    assert (data.datasets, data.metrics, data.language, data.license) == (["org/pages"], ["cer"], None, None)
    (result,) = data.eval_results
    assert (data.model_name, result.metric_type, result.metric_value) == ("gemma-ocr", "cer", 0.042)
    assert (result.dataset_type, result.dataset_split) == ("org/pages", "holdout")


def test_people_read_what_was_searched_and_what_came_of_it(tmp_path: Path) -> None:
    text = written(tmp_path, KNOWN).text
    for line in (
        "| CER, validation | 0.031 | 0.31 |",
        "| CER, holdout | 0.042 | 0.33 |",
        "Study `words`: 18 trials (12 completed, 5 pruned, 1 cuda oom); this is trial 7.",
        "| `lora_r` | 8, 16, 32 | 32 |",
        "| `learning_rate` | 1e-05 to 0.0005 | 0.0002 |",
        "`org/pages` (on the Hub): 1,200 train, 70 validation, 30 holdout rows.",
        "Pictures are sized by the processor that is saved here (longest_edge 2048).",
        "vllm serve FOLDER --max-model-len 8192 --limit-mm-per-prompt",
        "peft 0.21.2",
        "````\nRead ```this```.\n````",
    ):
        assert line in text, line
    assert "`lora_dropout`" not in text and "| `model_name`" not in text, "defaults, and what stands elsewhere"
    assert "anna" not in (tmp_path / "README.md").read_text()


def test_llama_servers_options_are_in_the_card(tmp_path: Path) -> None:
    file = GgufFile("m.gguf", 1, "qwen3vl", ("F16",), 1, 1, 1, 0.0)
    text = written(tmp_path, KNOWN, gguf=(Gguf("f16", file, file, ("--image-max-tokens", "99")),)).text
    assert "llama-server -m FOLDER/m.gguf --mmproj FOLDER/m.gguf -c 8192 --image-max-tokens 99 --jinja" in text


@pytest.mark.parametrize("base", ["", "my-folder"])
def test_what_is_not_known_is_not_said(tmp_path: Path, base: str) -> None:
    card = written(tmp_path, AdapterOrigin(base=base))
    data = card.data.to_dict()
    assert set(data) == {"library_name", "pipeline_tag", "tags"}, "no base, no score, no data"
    headings = [line for line in card.text.splitlines() if line.startswith("#")]
    assert headings == ["# gemma-ocr", "## Use"]
    assert (f"`{base}`" if base else "its base") in card.text


def test_data_of_ones_own_are_called_private(tmp_path: Path) -> None:
    data = written(tmp_path, AdapterOrigin(data="pages.json", metrics={"holdout_cer": 0.5})).data
    (result,) = data.eval_results
    assert (result.dataset_type, result.dataset_name, data.datasets) == ("private", "pages.json", None)


def test_a_card_that_somebody_changed_is_left_as_it_is(tmp_path: Path) -> None:
    before = MergedModel("/home/anna/base", "gemma3", "bf16", 0.01, 5, 8192, (), origin=KNOWN)
    after = replace(before, precision="fp32")
    write_model_card(tmp_path, before, "gemma-ocr")
    renew_model_card(tmp_path, before, after, "gemma-ocr")
    assert "merged in fp32" in (tmp_path / "README.md").read_text()
    with (tmp_path / "README.md").open("a") as card:
        card.write("\nOf the letters of 1890.\n")
    changed = (tmp_path / "README.md").read_text()
    renew_model_card(tmp_path, after, before, "gemma-ocr")
    assert (tmp_path / "README.md").read_text() == changed
