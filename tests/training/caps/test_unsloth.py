"""The installed unsloth is what the backend was written for: its signatures, its collator, its choice of layers.

What needs a GPU is read from its source, because importing it fails without one.
"""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

from hpsearch.data.prepared_rows import PreparedRow
from hpsearch.errors import UsageError
from hpsearch.settings import TrainSettings
from hpsearch.training.backends.choose import conflicts, unsloth_obstacle
from hpsearch.training.backends.unsloth import adapting_options, collating_options, loading_options
from hpsearch.training.models.chat import Chat
from hpsearch.training.models.families import FAMILIES
from hpsearch.training.models.processors import load_processor
from hpsearch.training.prepared import table_of, training_rows
from tests.training.conftest import Door, picture
from tests.training.test_families import LINEARS, trainable_modules
from tools.tiny_models import build_tiny

A4 = (720, 1024)  # pixels, 16 x 16 to a token
STAND_IN = Path(__file__).parent / "stand_in"


def source(package: str, file: str) -> str:
    spec = importlib.util.find_spec(package)
    assert spec is not None and spec.origin is not None
    return (Path(spec.origin).parent / file).read_text(encoding="utf-8")


def method(file: str, cls: str, name: str) -> tuple[set[str], str]:
    """The names of a method's arguments, and its source."""
    text = source("unsloth", file)
    classes = [node for node in ast.parse(text).body if isinstance(node, ast.ClassDef) and node.name == cls]
    found = [node for node in classes[0].body if isinstance(node, ast.FunctionDef) and node.name == name]
    arguments = found[0].args
    return {argument.arg for argument in (*arguments.args, *arguments.kwonlyargs)}, ast.get_source_segment(
        text, found[0]
    ) or ""


def test_the_model_class_is_there() -> None:
    assert re.search(r"^class FastVisionModel\(FastModel\)", source("unsloth", "models/loader.py"), re.MULTILINE)
    assert "FastVisionModel" in source("unsloth", "models/__init__.py")


def test_loading_knows_every_argument() -> None:
    named, _ = method("models/loader.py", "FastModel", "from_pretrained")
    passed_on = method("models/vision.py", "FastBaseModel", "from_pretrained")[1]
    options = loading_options(TrainSettings(load_in_4bit=True, gradient_checkpointing=True), torch.bfloat16, object())
    assert options["use_gradient_checkpointing"] == "unsloth"
    for name in options.keys() - named:
        assert f'kwargs.get("{name}"' in passed_on, name


def test_adapting_knows_every_argument(family_name: str) -> None:
    named, text = method("models/vision.py", "FastBaseModel", "get_peft_model")
    assert adapting_options(TrainSettings(), FAMILIES[family_name]).keys() <= named
    assert "assert type(target_modules) in (list, tuple, str)" in text  # an expression is taken as it is
    assert "use_dora" not in named  # the day it is, the backend need not refuse it any more


def test_the_modes_are_there() -> None:
    for name in ("for_training", "for_inference"):
        assert "model" in method("models/loader.py", "FastModel", name)[0]


def test_the_collator_knows_every_argument() -> None:
    from unsloth_zoo.vision_utils import UnslothVisionDataCollator

    named = inspect.signature(UnslothVisionDataCollator.__init__).parameters
    assert collating_options(TrainSettings()).keys() <= named.keys()
    assert list(named)[1:3] == ["model", "processor"]
    own, _ = method("trainer.py", "UnslothVisionDataCollator", "__init__")
    assert own == {"self", "padding_free"}  # and hands the others on


def rows(processor: Any, texts: Mapping[str, tuple[int, int]]) -> list[dict[str, Any]]:
    table = table_of(PreparedRow(text, picture(text, size), text) for text, size in texts.items())
    dataset = training_rows(table, Chat(processor, "Read."))
    return [dataset[index] for index in range(len(texts))]


def collator(family_name: str, folder: Path, **changes: Any) -> tuple[Any, Any]:
    from unsloth_zoo.vision_utils import UnslothVisionDataCollator

    processor = load_processor(FAMILIES[family_name], folder, TrainSettings())
    options = {**collating_options(TrainSettings()), **changes}
    return UnslothVisionDataCollator(build_tiny(family_name).model, processor, **options), processor


def trained(batch: Any) -> list[tuple[list[int], list[int]]]:
    """Tokens and labels of each row, without padding."""
    kept = [mask.bool() for mask in batch["attention_mask"]]
    pairs = zip(batch["input_ids"], batch["labels"], kept, strict=True)
    return [(ids[mask].tolist(), labels[mask].tolist()) for ids, labels, mask in pairs]


def test_batches_are_those_of_the_other_backend(family_name: str, tiny_bases: dict[str, Path]) -> None:
    from trl.trainer.sft_trainer import DataCollatorForVisionLanguageModeling

    unsloths, processor = collator(family_name, tiny_bases[family_name])
    examples = rows(processor, {"cat": (48, 16), "an owl": (96, 32)})
    trls = DataCollatorForVisionLanguageModeling(processor, max_length=None, completion_only_loss=True)
    ours, theirs = unsloths([dict(example) for example in examples]), trls([dict(example) for example in examples])
    assert trained(ours) == trained(theirs)
    assert torch.equal(ours["pixel_values"].float(), theirs["pixel_values"].float())
    assert ours.keys() == theirs.keys()


def test_only_the_answer_is_learned(family_name: str, tiny_bases: dict[str, Path]) -> None:
    unsloths, processor = collator(family_name, tiny_bases[family_name])
    (example,) = rows(processor, {"owl": (48, 16)})
    labels = unsloths([example])["labels"]
    assert processor.tokenizer.decode(labels[labels != -100]) == example["completion"]


def page_tokens(folder: Path, **changes: Any) -> int:
    """Tokens of the picture of a page in a batch."""
    unsloths, processor = collator("qwen3_vl", folder, **changes)
    processor.image_processor.size = {
        "shortest_edge": 16 * 16,
        "longest_edge": 2048 * 2048,
    }  # the tiny one's is 64 tokens
    (example,) = rows(processor, {"page": A4})
    ids = unsloths([example])["input_ids"]
    return int((ids == processor.image_token_id).sum())


def test_a_page_keeps_its_tokens(tiny_bases: dict[str, Path]) -> None:
    assert page_tokens(tiny_bases["qwen3_vl"]) == 45 * 64
    assert page_tokens(tiny_bases["qwen3_vl"], resize="min") == 32 * 46  # 512 pixels wide: what its default leaves


LEFT_ALONE = ("in_proj_a", "in_proj_b")  # by us, of Qwen3.5's linear attention: see families.py


@pytest.mark.parametrize(("language", "vision"), [(True, False), (False, True), (True, True)])
def test_its_own_choice_of_layers_is_the_families(family_name: str, language: bool, vision: bool) -> None:
    from unsloth_zoo.peft_utils import get_peft_regex

    model = build_tiny(family_name).model
    theirs = get_peft_regex(model, finetune_language_layers=language, finetune_vision_layers=vision)
    names = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    settings = TrainSettings(finetune_language_layers=language, finetune_vision_layers=vision)
    ours = trainable_modules(settings, FAMILIES[family_name], names)
    found = [name for name in names if re.fullmatch(theirs, name)]
    assert [name for name in found if name.rpartition(".")[2] not in LEFT_ALONE] == ours
    count = LINEARS[family_name]
    assert len(ours) == language * count[0] + vision * count[1]


def test_the_lock_is_inside_its_ranges() -> None:
    assert conflicts() == []
    assert unsloth_obstacle(cuda=True) is None


def test_without_a_gpu_it_says_so_before_the_first_trial(tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from hpsearch.errors import UsageError\n"
        "from hpsearch.training.backends.startup import start_backend\n"
        "try: start_backend('unsloth', Path(sys.argv[1]))\n"
        "except UsageError as error: print(error)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, str(tmp_path)], capture_output=True, text=True, check=False)
    if torch.cuda.is_available():
        pytest.skip("there is a GPU")
    assert "backend unsloth must be importable, but importing it fails: " in done.stdout, done.stderr


def test_a_trial_goes_through_the_backend(prepared: dict[str, Door], tmp_path: Path) -> None:
    """Our part of it: what is called, in which order, and what is left. The model computes as peft does."""
    family_name = "qwen3_vl"
    there = prepared[family_name]
    folder = tmp_path / "prepare"
    folder.mkdir()
    for path in ("train.arrow", "validation.arrow", "holdout.arrow", "prepared.json"):
        shutil.copy(there.folder / "prepare" / path, folder)
    told = json.loads((folder / "prepared.json").read_text())
    (folder / "prepared.json").write_text(json.dumps({**told, "backend": "unsloth"}))
    job = there.job("trial", there.settings(family_name, max_steps=2, evaluations=1, use_rslora=True))
    output = tmp_path / "trial"
    output.mkdir()
    fields = {**json.loads(job.to_json()), "output_dir": str(output), "prepared_dir": str(folder)}
    (output / "job.json").write_text(json.dumps(fields))
    code = (
        "from hpsearch.training.__main__ import main; code = main(); import os, unsloth\n"
        "print('calls', *unsloth.CALLS); print('cache', os.environ['TORCHINDUCTOR_CACHE_DIR']); raise SystemExit(code)"
    )
    paths = os.pathsep.join([str(STAND_IN), str(Path(__file__).parents[3])])
    others = {name: value for name, value in os.environ.items() if not name.startswith("HPSEARCH_")}
    environment = {**others, "PYTHONPATH": paths, "HPSEARCH_JOB": str(output / "job.json")}
    words = [sys.executable, "-c", code]
    done = subprocess.run(words, env=environment, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr[-3000:]
    assert "calls load adapt infer train infer train" in done.stdout
    assert f"cache {folder}/compiled/slot-0/inductor" in done.stdout
    adapter = json.loads((output / "adapter/adapter_config.json").read_text())
    assert (adapter["use_rslora"], adapter["base_model_name_or_path"]) == (True, told["model_path"])
    assert (output / "adapter/adapter_model.safetensors").is_file()


def test_what_it_leaves_out_is_refused() -> None:
    from hpsearch.training.backends.choose import check_backend

    for settings in (TrainSettings(use_dora=True), TrainSettings(precision="fp32")):
        with pytest.raises(UsageError, match=r'backend unsloth does not honour .*; set "backend" to "hf"'):
            check_backend("unsloth", settings)
