"""The walls between the rooms: what each side may load, and that the checks notice when a wall is broken."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import hpsearch

PACKAGE = Path(hpsearch.__file__).parent
ROOT = PACKAGE.parent
TRAINING_PACKAGES = {"torch", "torchvision", "transformers", "trl", "peft", "accelerate", "datasets", "bitsandbytes"}
SEARCHING_PACKAGES = {"optuna", "optuna_dashboard", "sqlalchemy", "click", "plotly"}

LIST_WHAT_IS_LOADED = """
import importlib, json, sys
before = set(sys.modules)
for name in sys.argv[1:]:
    importlib.import_module(name)
print(json.dumps(sorted(set(sys.modules) - before)))
"""


def loaded_by(*modules: str) -> set[str]:
    """Names of all modules that importing these brings into a fresh interpreter."""
    words = [sys.executable, "-W", "error", "-c", LIST_WHAT_IS_LOADED, *modules]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout.splitlines()[-1]))


def packages(modules: set[str]) -> set[str]:
    """Their top-level names."""
    return {name.partition(".")[0] for name in modules}


def modules_of(*rooms: str) -> list[str]:
    """Every module of these rooms of the package, but programs (``__main__``)."""
    paths = [path for path in PACKAGE.rglob("*.py") if path.name != "__main__.py"]
    names = [".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__") for path in paths]
    return sorted(name for name in names if name.count(".") and name.split(".")[1] in rooms)


@pytest.mark.parametrize(
    "module",
    ["hpsearch.sdk", "hpsearch.execution.job", "hpsearch.execution.outcome", "hpsearch.execution.doctor_question"],
)
def test_the_door_and_the_sdk_load_the_standard_library_alone(module: str) -> None:
    foreign = packages(loaded_by(module)) - sys.stdlib_module_names - {"hpsearch"}
    assert not foreign


def test_the_package_lists_its_functions_without_loading_torch_and_its_run_names_its_arguments() -> None:
    code = (
        "import inspect, sys, hpsearch; print(*dir(hpsearch)); print(*inspect.signature(hpsearch.run).parameters); "
        "assert not {'torch', 'optuna', 'click'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    names, arguments = (set(line.split()) for line in done.stdout.splitlines())
    assert {"load_model", "run_ocr", "verify_config", "run", "resume"} <= names
    assert {"study", "n_trials", "search_space", "timeout", "gpus", "slots", "settings"} <= arguments


def test_the_command_line_starts_without_torch_and_without_optuna() -> None:
    loaded = packages(loaded_by("hpsearch", "hpsearch.cli"))
    assert not loaded & (TRAINING_PACKAGES | {"optuna", "sqlalchemy", "plotly"})


def test_no_module_of_the_searching_side_loads_the_training_side() -> None:
    rooms = ("cli", "commands", "report", "study", "config", "data", "sdk", "execution", "settings", "errors", "assets")
    loaded = loaded_by(*modules_of(*rooms))
    assert "hpsearch.study" in loaded
    assert not packages(loaded) & TRAINING_PACKAGES
    assert not [name for name in loaded if name.startswith("hpsearch.training")]


def test_pages_and_text_load_neither_torch_nor_optuna() -> None:
    assert not packages(loaded_by(*modules_of("data"))) & (TRAINING_PACKAGES | SEARCHING_PACKAGES)


def test_no_module_of_the_training_side_loads_the_searching_side() -> None:
    loaded = loaded_by(*modules_of("training"))
    assert "torch" in loaded
    assert not packages(loaded) & SEARCHING_PACKAGES
    above = ("cli", "commands", "report", "study", "config")
    rooms = tuple(f"hpsearch.{room}" for room in above)
    assert not [name for name in loaded if name.startswith(rooms)]


def test_only_the_demos_own_files_know_of_it() -> None:
    demo = re.compile(r"""digits[-/]|[:/.]digits\b|load_digits|["']digits["']|import.*\bdigits\b""", re.IGNORECASE)
    assert demo.search("asset:digits/qwen3_vl") and demo.search("--study digits-ocr")
    modules = [path for path in PACKAGE.rglob("*.py") if PACKAGE / "assets" / "digits" not in path.parents]
    assert modules
    knowing = [path.relative_to(ROOT).as_posix() for path in modules if demo.search(path.read_text("utf-8"))]
    assert not knowing, "the demo must have no code path of its own"


BREACHES = {
    "study-torch": ("study/attributes.py", "import torch", "The searching side"),
    "study-training-late": ("study/attributes.py", "def f(): import hpsearch.training", "The searching side"),
    "cli-training": ("cli/__init__.py", "from hpsearch import training", "The searching side"),
    "data-transformers": ("data/__init__.py", "import transformers", "The searching side"),
    "data-optuna": ("data/__init__.py", "import optuna", "The training side"),
    "training-optuna": ("training/__init__.py", "from optuna import trial", "The training side"),
    "training-study": ("training/__init__.py", "import hpsearch.study.attributes", "The training side"),
    "execution-study": ("execution/job.py", "import hpsearch.study.attributes", "One direction"),
    "execution-data": ("execution/job.py", "import hpsearch.data.metrics", "One direction"),
    "config-study": ("config/names.py", "import hpsearch.study.attributes", "One direction"),
    "training-config": ("training/__init__.py", "import hpsearch.config.names", "The training side"),
    "study-report": ("study/attributes.py", "import hpsearch.report", "One direction"),
    "study-commands": ("study/attributes.py", "import hpsearch.commands.plan", "One direction"),
    "errors-execution": ("errors.py", "import hpsearch.execution.job", "One direction"),
    "commands-torch": ("commands/convert.py", "import torch", "The searching side"),
    "evaluate-fit": ("training/evaluate/scores.py", "import hpsearch.training.fit.best", "In the training side"),
    "models-rows": ("training/models/chat.py", "import hpsearch.training.prepared", "In the training side"),
    "unlisted": ("helpers.py", "", "One direction"),
    "unlisted-training": ("training/helpers.py", "", "In the training side"),
    "study-tools": ("study/attributes.py", "import tools", "The searching side"),
}


def broken_walls(root: Path) -> str:
    """What the import checks say about the package under ``root``; empty if every wall holds."""
    program = Path(sys.executable).with_name("lint-imports")
    environment = {**os.environ, "PYTHONPATH": str(root), "COLUMNS": "200"}
    words = [str(program), "--no-cache", "--config", str(root / "pyproject.toml")]
    done = subprocess.run(words, cwd=root, env=environment, capture_output=True, text=True, timeout=60, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("copy")
    shutil.copy(ROOT / "pyproject.toml", root)
    shutil.copytree(
        PACKAGE, root / "hpsearch", ignore=lambda _, names: [n for n in names if Path(n).suffix not in ("", ".py")]
    )
    assert broken_walls(root) == ""
    return root


@pytest.mark.parametrize(("module", "line", "wall"), BREACHES.values(), ids=BREACHES.keys())
def test_a_broken_wall_is_noticed(copy: Path, module: str, line: str, wall: str) -> None:
    path = copy / "hpsearch" / module
    before = path.read_text("utf-8") if path.exists() else None
    path.write_text(f"{before or ''}\n{line}\n", "utf-8")
    try:
        said = broken_walls(copy)
    finally:
        path.unlink() if before is None else path.write_text(before, "utf-8")
    assert any(row.startswith(wall) and "BROKEN" in row for row in said.splitlines()), said
