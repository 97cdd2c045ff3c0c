"""What the pages for people say of commands, files and each other is there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest

from hpsearch.cli import app
from hpsearch.config.setting_rules import DECIDED_BY
from hpsearch.settings import UNSEARCHABLE

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


def commands(text: str) -> Iterator[list[str]]:
    """The words of every hpsearch command on a page, in a span or a block."""
    text = re.sub(r"\\\n\s+", "", text)
    for line in re.findall(r"`([^`\n]+)`", text) + re.findall(r"^    (\S.*)$", text, re.MULTILINE):
        found = re.match(r"(?:\.venv/bin/)?hpsearch ([a-z-]+)(.*)", re.split(r"\s[#>|]", line)[0])
        if found and "->" not in line:
            yield [found[1], *found[2].split()]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_command_and_option_is_there(page: Path) -> None:
    names = set(app.list_commands(click.Context(app)))
    for command, *words in commands(page.read_text(encoding="utf-8")):
        assert command in names, command
        found = app.get_command(click.Context(app), command)
        if isinstance(found, click.Group):
            found = found.get_command(click.Context(found), words[0])
        assert found is not None
        known = {"--help"} | {one for each in found.params for one in (*each.opts, *each.secondary_opts)}
        options = {
            re.split(r"[=,\]]", word.lstrip("["))[0].replace("_", "-") for word in words if word[:3].count("-") == 2
        }
        assert options <= known, (command, options - known)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_each_link_leads_somewhere(page: Path) -> None:
    for link in re.findall(r"\]\(([^)#]+)", page.read_text(encoding="utf-8")):
        assert link.startswith("http") or (page.parent / link).exists(), link


def test_make_targets_on_the_pages_are_there() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        named = re.findall(r"`make ([a-z]+)", text) + re.findall(r"^    (?:.*&& )?make ([a-z]+)", text, re.MULTILINE)
        assert set(named) <= targets, page.name


def test_the_page_on_definitions_lists_what_cannot_be_searched_and_what_decides() -> None:
    page = (ROOT / "docs" / "definitions.md").read_text(encoding="utf-8")
    listed = page[page.index("Every setting may be searched but") : page.index("## Grid")]
    assert set(re.findall(r"`(\w+)`", listed)) == set(UNSEARCHABLE)
    pairs = re.findall(r"^\| `(\w+)` \| `(\w+)` \|$", page, re.MULTILINE)
    assert dict(pairs) == DECIDED_BY
