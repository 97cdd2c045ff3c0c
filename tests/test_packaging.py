"""What is installed: the wheel holds what the program needs and nothing else, and works away from the checkout."""

from __future__ import annotations

import ast
import configparser
import email
import importlib
import importlib.metadata
import os
import subprocess
import sys
import tomllib
import zipfile
from pathlib import Path

import pytest

import hpsearch

PACKAGE = Path(hpsearch.__file__).parent
ROOT = PACKAGE.parent
MAX_WHEEL_BYTES = 12 * 1024 * 1024  # two bases of at most 3 MB each, and as much again for everything else


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel, built from the checkout."""
    pytest.importorskip("hatchling.build", reason="hatchling builds the wheel")
    folder = tmp_path_factory.mktemp("wheel")
    words = [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(folder)]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def names(wheel: Path) -> set[str]:
    with zipfile.ZipFile(wheel) as archive:
        return set(archive.namelist())


def files_below(folder: Path) -> set[str]:
    """Files of the package, as the wheel names them."""
    paths = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {path.relative_to(ROOT).as_posix() for path in paths}


def test_the_wheel_holds_every_file_of_the_package(names: set[str]) -> None:
    assert files_below(PACKAGE) <= names
    assert any(name.endswith(".safetensors") for name in names)
    assert any(name.endswith(".parquet") for name in names)


def test_the_wheel_holds_the_shipped_studies_and_spaces_but_no_results(names: set[str]) -> None:
    studies = {f"hpsearch/assets/{path.relative_to(ROOT).as_posix()}" for path in ROOT.glob("studies/*.json")}
    spaces = {f"hpsearch/assets/{path.relative_to(ROOT).as_posix()}" for path in ROOT.glob("search_spaces/**/*.json")}
    assert studies and spaces
    shipped = {
        name for name in names if name.startswith(("hpsearch/assets/studies/", "hpsearch/assets/search_spaces/"))
    }
    assert shipped == studies | spaces


def test_the_wheel_is_small_and_holds_nothing_else(wheel: Path, names: set[str]) -> None:
    assert wheel.stat().st_size <= MAX_WHEEL_BYTES
    assert {name.partition("/")[0].partition("-")[0] for name in names} == {"hpsearch"}
    assert any(name.endswith("licenses/LICENSE") for name in names)


def test_installing_hpsearch_alone_brings_no_training_package(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        needs = email.message_from_bytes(archive.read(path)).get_all("Requires-Dist") or []
    alone = [need for need in needs if "extra ==" not in need]
    assert any(need.startswith("optuna") for need in alone)
    assert not [need for need in alone if need.startswith(("torch", "transformers", "trl", "peft", "datasets"))]


def test_the_console_script_is_the_command_line(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (path,) = (name for name in archive.namelist() if name.endswith("entry_points.txt"))
        entries = configparser.ConfigParser()
        entries.read_string(archive.read(path).decode())
    module, _, function = entries["console_scripts"]["hpsearch"].partition(":")
    assert callable(getattr(importlib.import_module(module), function))


def test_the_installed_wheel_finds_its_studies_in_an_empty_folder(wheel: Path, tmp_path: Path) -> None:
    installed, here = tmp_path / "site", tmp_path / "an empty folder"
    here.mkdir()
    with zipfile.ZipFile(wheel) as archive:
        archive.extractall(installed)
    words = [sys.executable, "-m", "hpsearch", "run", "--study", "digits-ocr", "--dry-run"]
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(words, cwd=here, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert "asset:digits/" in done.stdout
    assert not list(here.iterdir())


def test_every_dependency_is_pinned_in_the_tested_set() -> None:
    unpinned_on_purpose = {"hpsearch", "torchvision", "unsloth", "unsloth-zoo"}  # the gpu extra: unsloth's caps decide
    wanted = {normal(need) for need in everything_declared()} - unpinned_on_purpose
    lines = (ROOT / "constraints.txt").read_text("utf-8").splitlines()
    pinned = {normal(line.partition("==")[0]) for line in lines if line and not line.startswith("#")}
    assert wanted <= pinned


def test_every_package_that_is_imported_is_declared() -> None:
    declared = {normal(need) for need in everything_declared()}
    distributions = importlib.metadata.packages_distributions()
    undeclared = {
        f"{path.relative_to(ROOT)}: {name}"
        for path in PACKAGE.rglob("*.py")
        for name in foreign_imports(path)
        if not {normal(distribution) for distribution in distributions.get(name, [name])} & declared
    }
    assert not undeclared


def everything_declared() -> list[str]:
    """Requirements of the package, its extras and its development group."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    extras = [need for needs in settings["project"]["optional-dependencies"].values() for need in needs]
    return [*settings["project"]["dependencies"], *extras, *settings["dependency-groups"]["dev"]]


def foreign_imports(path: Path) -> set[str]:
    """Top-level names of the packages a module imports anywhere, less its own and the standard library's."""
    nodes = list(ast.walk(ast.parse(path.read_text("utf-8"))))
    names = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module for node in nodes if isinstance(node, ast.ImportFrom) and node.module and not node.level}
    return {name.partition(".")[0] for name in names} - sys.stdlib_module_names - {"hpsearch"}


def normal(requirement: str) -> str:
    """The package a requirement names, as package indexes spell it."""
    name = requirement.translate(str.maketrans("<>=!~[;", "       ")).split()[0]
    return name.lower().replace("_", "-")
