"""docs/coming-from-other-tools.md names what there is: options, settings, Python names and files."""

from __future__ import annotations

import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import click
import pytest

from hpsearch.cli import app
from hpsearch.config.fields import STUDY_KEYS
from hpsearch.config.load import load_settings
from hpsearch.settings import setting_names

DOCS = Path(__file__).parents[2] / "docs"
PAGE = (DOCS / "coming-from-other-tools.md").read_text(encoding="utf-8")

# Everything that the programs take or have, by section of the page.
BEFORE = {
    "train_chandra.py: data": """--dataset_dir --dataset_name --dataset_subset --dataset_split --image_column
        --text_column --val_ratio prepare_dataset() convert_to_conversation()""",
    "train_chandra.py: model and LoRA": """--model_id --load_in_4bit --no_4bit --longest_edge --lora_r --lora_alpha
        --lora_dropout --finetune_vision --no_finetune_vision load_model() verify_config() --skip_verification""",
    "train_chandra.py: training": """--output_dir --num_epochs --max_steps --per_device_train_batch_size
        --gradient_accumulation_steps --learning_rate --warmup_steps --weight_decay --lr_scheduler_type
        --logging_steps --save_steps --save_total_limit --seed --report_to --ocr_instruction""",
    "train_chandra.py: early stopping, resume, metrics, export": """--eval_steps --early_stopping_patience
        --early_stopping_threshold --metric_for_best_model --resume_from_checkpoint --compute_cer_wer --no_cer_wer
        --save_merged_16bit --save_gguf --push_to_hub --hf_token --skip_pre_eval --verbose""",
    "sft_gemma.py": """--config --lora-output-dir --learning-rate --num-train-epochs --lora-r --lora-alpha
        --per-device-train-batch-size --gradient-accumulation-steps --load-in-4bit model_name input_data instruction
        max_seq_length load_in_4bit finetune_vision_layers finetune_language_layers load_data() load_model() tune()""",
    "convert-xml-chandra-hf.py": """--input_dir --output_dir --max_image_edge --output_format --val_ratio
        --include_full_pages --include_paragraphs --aug_copies --batch_size --seed hf_dataset_chandra""",
    "evaluate.py": "table --vllm-url --data-file --output-file --top-k --workers --model-name --save-interval",
    "count_score.py and the analysis scripts": """--input --output analyze_empty_predictions train_test_data
        troubleshooting""",
    "split_dataset.py": "42 img_path ocr_results image_path ocr_text ocr_non_test ocr_test",
    "gemma_adapter_merge.py": "--lora_dir --output_dir 30",
}
NOT_YET: set[str] = set()
A_COMMAND = {"--save-merged-16bit", "--save-gguf", "--push-to-hub"}  # are of one of its own here
# The command whose options a section names without saying so.
COMMANDS = {
    "convert-xml-chandra-hf.py": "data convert",
    "evaluate.py": "evaluate",
    "count_score.py and the analysis scripts": "score",
    "split_dataset.py": "data split",
    "gemma_adapter_merge.py": "merge",
}
# Names in code that are no settings of ours.
OTHERS = {"test", "validation", "val", "valid", "dev", "image_path", "ocr_text", "eval_cer", "eval_loss",
          "max_length", "q_proj", "v_proj", "constant", "model_type", "num_epochs", "adamw_torch", "error", "recorded",
          "img_path", "ocr_results", "empty_predictions"}  # fmt: skip


def spans(text: str = PAGE) -> list[str]:
    """Return the code on the page: spans, and the lines of blocks with their continuations."""
    blocks = re.sub(r"\\\n\s+", "", text)
    return re.findall(r"`([^`\n]+)`", text) + re.findall(r"^    (\S.*)$", blocks, re.MULTILINE)


def options() -> Iterator[tuple[str, str]]:
    """Every option that the page names, with the command it is named for; without one that is its section's."""
    for section in PAGE.split("\n## "):
        usual = COMMANDS.get(section.partition("\n")[0], "train")
        for span in spans(section):
            words = span.split()
            command = usual
            if words[0] == "hpsearch" and len(words) > 1:
                command = " ".join(words[1 : 3 if words[1] == "data" else 2])
            if words[0] == "hpsearch" or words[0].startswith("-"):
                yield from ((command, re.split(r"[=,]", word)[0]) for word in words if word.startswith("-"))


def known(command: str) -> set[str]:
    """The options of a command."""
    found: click.Command | None = app
    for name in command.split():
        assert isinstance(found, click.Group)
        found = found.get_command(click.Context(found), name)
    assert found is not None, command
    return {"--help"} | {one for each in found.params for one in (*each.opts, *each.secondary_opts)}


def rows(section: str) -> list[list[str]]:
    """The cells of a section's table."""
    text = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    lines = [line for line in text.splitlines() if line.startswith("|")][2:]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in lines]


def test_each_option_is_one_of_its_command() -> None:
    named = {(command, option.replace("_", "-")) for command, option in options()}
    assert len(named) > 60
    missing = {(command, option) for command, option in named if option not in known(command)}
    assert missing == {("train", option) for option in NOT_YET | A_COMMAND}


def test_what_is_not_there_is_said_to_be_so() -> None:
    cells = [row for section in BEFORE for row in rows(section)]
    not_yet = {re.findall(r"`(--[a-z_0-9]+)", row[0])[0].replace("_", "-") for row in cells if row[1] == "not yet"}
    assert not_yet == NOT_YET


@pytest.mark.parametrize("section", BEFORE)
def test_nothing_of_before_is_left_out(section: str) -> None:
    first = " ".join(row[0] for row in rows(section))
    there = set(re.findall(r"--[a-z_0-9-]+|[a-z_0-9]+\(\)|[a-z_0-9]+", first.replace("(image, model", "()")))
    assert set(BEFORE[section].split()) <= there
    assert all(len(row) == 3 and row[0] and row[1] for row in rows(section))


def test_each_setting_is_one() -> None:
    names = {span for span in spans() if re.fullmatch(r"[a-z][a-z0-9_]*", span)}
    assert len(names & setting_names()) > 15
    assert names - setting_names() - STUDY_KEYS == OTHERS


def test_each_python_name_can_be_imported() -> None:
    dotted = {span for span in spans() if re.fullmatch(r"hpsearch(\.\w+)+", span)}
    assert len(dotted) > 5
    for name in dotted:
        module, _, last = name.rpartition(".")
        try:
            getattr(import_module(module), last)
        except AttributeError:
            import_module(name)


def test_each_page_it_points_to_is_there() -> None:
    assert all((DOCS / link).is_file() for link in re.findall(r"\]\(([\w./-]+)\)", PAGE))


def test_the_command_of_the_old_defaults_gives_them() -> None:
    (line,) = [span for span in spans() if span.startswith("hpsearch train --study chandra-ocr")]
    words = line.split()[2:]
    given = dict(zip(words[::2], words[1::2], strict=True))
    given_settings = {"max_steps": 500, "eval_steps": 50, "early_stopping_patience": 3, "save_steps": 200}
    assert {name: int(given[f"--{name.replace('_', '-')}"]) for name in given_settings} == given_settings
    settings = {**given_settings, "metric_for_best_model": given["--metric-for-best-model"], "input_data": "hub:a/b"}
    found = load_settings(None, settings, study=given["--study"])
    assert found.seed == 3407
    assert found.settings.items() >= {
        **settings, "model_name": "datalab-to/chandra", "val_ratio": 0.1, "load_in_4bit": True, "longest_edge": 2048,
        "lora_r": 16, "lora_alpha": 16, "lora_dropout": 0.05, "finetune_vision_layers": True,
        "per_device_train_batch_size": 1, "gradient_accumulation_steps": 8, "learning_rate": 2e-4, "warmup_steps": 50,
        "weight_decay": 0.01, "lr_scheduler_type": "cosine", "logging_steps": 10, "save_total_limit": 3,
        "report_to": "none", "early_stopping_threshold": 0.0, "compute_cer_wer": True, "optim": "adamw_8bit",
    }.items()  # fmt: skip
