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


# Modules, lines that they may not hold, what each imports, and the contract that it breaks.
SEARCHING, TRAINING, WITHIN, DOWN = "The searching side", "The training side", "In the training side", "One direction"
BREACHES = [
    ("study.attributes", "import torch", "torch", SEARCHING),
    ("study.attributes", "def f(): import hpsearch.training", "hpsearch.training", SEARCHING),
    ("cli", "from hpsearch import training", "hpsearch.training", SEARCHING),
    ("data", "import transformers", "transformers", SEARCHING),
    ("data", "import optuna", "optuna", TRAINING),
    ("training", "from optuna import trial", "optuna", TRAINING),
    ("training", "import hpsearch.study.attributes", "hpsearch.study.attributes", TRAINING),
    ("execution.job", "import hpsearch.study.attributes", "hpsearch.study.attributes", DOWN),
    ("execution.job", "import hpsearch.data.metrics", "hpsearch.data.metrics", DOWN),
    ("config.names", "import hpsearch.study.attributes", "hpsearch.study.attributes", DOWN),
    ("training", "import hpsearch.config.names", "hpsearch.config.names", TRAINING),
    ("study.attributes", "import hpsearch.report", "hpsearch.report", DOWN),
    ("study.attributes", "import hpsearch.commands.plan", "hpsearch.commands.plan", DOWN),
    ("errors", "import hpsearch.execution.job", "hpsearch.execution.job", DOWN),
    ("commands.convert", "import torch", "torch", SEARCHING),
    ("training.evaluate.scores", "import hpsearch.training.fit.best", "hpsearch.training.fit.best", WITHIN),
    ("training.models.chat", "import hpsearch.training.prepared", "hpsearch.training.prepared", WITHIN),
    ("study.attributes", "import tools", "tools", SEARCHING),
]
UNLISTED = [("helpers.py", DOWN), ("training/helpers.py", WITHIN)]


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


def test_each_broken_wall_is_noticed(copy: Path) -> None:
    """All are broken at once: the checks name every import, under its contract."""
    before: dict[Path, str] = {}
    for module, line, _, _ in BREACHES:
        path = copy / "hpsearch" / module.replace(".", "/")
        path = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        before.setdefault(path, path.read_text("utf-8"))
        path.write_text(f"{path.read_text('utf-8')}\n{line}\n", "utf-8")
    said = broken_walls(copy)
    for path, text in before.items():
        path.write_text(text, "utf-8")
    *parts, last = re.split(r"^(\w.*)\n-{20,}\n", said, flags=re.M)
    sections = dict(zip(parts[1::2], [*parts[2::2], last], strict=True))
    for module, _, imported, contract in BREACHES:
        text = next(text for heading, text in sections.items() if heading.startswith(contract))
        assert f"hpsearch.{module} -> {imported} (l." in text, (module, imported, contract, text)


@pytest.mark.parametrize(("module", "wall"), UNLISTED, ids=[module for module, _ in UNLISTED])
def test_a_module_without_a_place_is_noticed(copy: Path, module: str, wall: str) -> None:
    path = copy / "hpsearch" / module
    path.touch()
    said = broken_walls(copy)
    path.unlink()
    assert any(row.startswith(wall) and "BROKEN" in row for row in said.splitlines()), said
