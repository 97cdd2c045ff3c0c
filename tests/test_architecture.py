"""ARCHITECTURE.md shows the package as it is, and tests and benchmarks enter it by few doors."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "hpsearch"
PAGE = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
MOST_MODULES = 10
# Modules that import more, with their number of today: it may only fall.
EXCEPTIONS = {
    # Whole searches by hpsearch's own loop over made-up trials, without processes, whose parts are put together here.
    "benchmarks/gate.py": 12,
    # The same, with a lease and a session as in a run, since it measures what these cost.
    "benchmarks/grown_studies.py": 15,
    # Plants what the machine, the study and the training side find, each by its own check.
    "tests/commands/doctor/test_study.py": 11,
    # What the gate refuses is followed into the status table and the report's counts.
    "tests/study/test_memory.py": 16,
}


def tree() -> list[str]:
    """The files that the page's tree names."""
    lines = PAGE.partition("\n## The tree\n")[2].partition("\n## ")[0].splitlines()
    return [match[1] for line in lines if (match := re.match(r"    (\S+\.py)\s{2,}\S", line))]


def test_the_tree_names_every_module_once() -> None:
    named, there = tree(), sorted(str(path.relative_to(PACKAGE)) for path in PACKAGE.rglob("*.py"))
    assert named, "no tree was found in ARCHITECTURE.md"
    problems = [f"add a line for {path}" for path in there if path not in named]
    problems += [f"delete the line of {path}" for path in sorted(set(named) - set(there))]
    problems += [f"name {path} once" for path in sorted(set(named)) if named.count(path) > 1]
    assert not problems, "the tree in ARCHITECTURE.md: " + "; ".join(problems)


def test_no_line_is_longer_than_120_columns() -> None:
    assert [number for number, line in enumerate(PAGE.splitlines(), 1) if len(line) > 120] == []


@pytest.mark.parametrize(
    ("heading", "count", "text"),
    [
        pytest.param(*match.groups(), id=match[1])
        for match in re.finditer(r"^### ([^\n]*) \((\d+) files\)\n(.*?)(?=^#)", PAGE, re.MULTILINE | re.DOTALL)
    ],
)
def test_a_walk_opens_as_many_files_as_it_says(heading: str, count: str, text: str) -> None:
    opened = set(re.findall(r"`([a-z0-9_/]+\.py)`", text))
    assert sorted(opened - set(tree())) == [], heading
    assert len(opened) == int(count), heading


def additions() -> list[str]:
    """The rows of CONTRIBUTING.md's table of what is added where."""
    page = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
    return [line for line in page.partition("\n## Adding\n")[2].partition("\n## ")[0].splitlines() if line[:2] == "| "]


@pytest.mark.parametrize("row", additions()[1:], ids=lambda row: row.split("|")[1].strip())
def test_the_files_and_tables_to_add_to_are_there(row: str) -> None:
    paths = [path for path in re.findall(r"`([a-z0-9_/]+(?:\.py|/))`", row) if "/" in path or path.endswith(".py")]
    places = [next(filter(Path.exists, (ROOT / path, PACKAGE / path)), ROOT / path) for path in paths]
    assert paths or "make" in row
    assert [str(place) for place in places if not place.exists()] == []
    files = [file for place in places for file in ([place] if place.is_file() else place.rglob("*.py"))]
    files.append(PACKAGE / "settings.py")
    texts = [file.read_text(encoding="utf-8") for file in files]
    for name in re.findall(r"`([A-Z][A-Za-z_]+)`", row):
        assert any(re.search(rf"^(?:class )?{name}\b", text, re.MULTILINE) for text in texts), name


def internal_modules(path: Path) -> set[str]:
    """The modules of hpsearch that a file's import statements name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {name.name for name in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names |= {whole if is_module(whole := f"{node.module}.{name.name}") else node.module for name in node.names}
    return {name for name in names if name.partition(".")[0] == "hpsearch" and is_module(name)}


def is_module(name: str) -> bool:
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def test_tests_and_benchmarks_import_few_internal_modules() -> None:
    files = sorted(path for folder in ("tests", "benchmarks") for path in (ROOT / folder).rglob("*.py"))
    counts = {str(path.relative_to(ROOT)): len(internal_modules(path)) for path in files}
    many = {path: count for path, count in counts.items() if count > EXCEPTIONS.get(path, MOST_MODULES)}
    assert many == {}, "import from a room's face, or go by the command line"
    lower = {path: counts.get(path, 0) for path, most in EXCEPTIONS.items() if counts.get(path, 0) < most}
    assert lower == {}, "write the lower number into EXCEPTIONS, or delete the entry if it is 10 or less"
