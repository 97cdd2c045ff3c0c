"""The words that STYLE.md rules out are in no page and, room by room, in no docstring, help or message."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "hpsearch"
# The changelog's old entries stay as they were; docs/settings.md is made from hpsearch's settings.
NOT_OURS = {"CHANGELOG.md", "settings.md"}
PAGES = sorted(path for path in [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")] if path.name not in NOT_OURS)
RULED_OUT = re.compile(r"\b(anew|mend|mends|mended|mending|whoever|so\s+many)\b", re.IGNORECASE)

# Rooms and modules of hpsearch/ whose texts are reworded, as "study" or "settings.py". All belong here in the end.
REWORDED: list[str] = [
    "commands",
    "config",
    "study",
    "training",
    "data",
    "cli",
    "report",
    "execution",
    "sdk.py",
    "settings.py",
    "errors.py",
    "crash_points.py",
    "__init__.py",
    "__main__.py",
]


def ruled_out(text: str) -> list[str]:
    """The words of a text that STYLE.md rules out."""
    return [match[0] for match in RULED_OUT.finditer(text)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_pages_avoid_the_words(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    if page.name == "STYLE.md":
        text = text.partition("\n## Words\n")[0]
    assert ruled_out(text) == []


def test_the_style_page_lists_the_words() -> None:
    table = (ROOT / "STYLE.md").read_text(encoding="utf-8").partition("\n## Words\n")[2]
    bold = re.findall(r"\*\*([a-z ]+)\*\*", table)
    assert bold
    assert all(ruled_out(word) == [word] for word in bold)


def modules() -> Iterator[Path]:
    """The modules of the rooms that are reworded."""
    for name in REWORDED:
        place = PACKAGE / name
        assert place.exists(), f"REWORDED names {name}, which hpsearch/ does not have"
        yield from sorted(place.rglob("*.py")) if place.is_dir() else [place]


def texts(module: Path) -> Iterator[tuple[int, str]]:
    """Every string literal of a module with its line: docstrings, help, messages; parts of an f-string joined."""
    tree = ast.parse(module.read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.lineno, node.value
        elif isinstance(node, ast.JoinedStr):
            parts = [part.value for part in node.values if isinstance(part, ast.Constant)]
            yield node.lineno, "{}".join(str(part) for part in parts)


def test_the_package_avoids_the_words() -> None:
    places = [
        f"{module.relative_to(ROOT)}:{line}: {word}"
        for module in modules()
        for line, text in texts(module)
        for word in ruled_out(text)
    ]
    assert sorted(set(places)) == []


def test_a_public_class_name_has_one_meaning_in_the_package() -> None:
    names = Counter(
        node.name
        for module in modules()
        for node in ast.walk(ast.parse(module.read_text(encoding="utf-8")))
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_")
    )
    assert [name for name, count in names.items() if count > 1] == []
