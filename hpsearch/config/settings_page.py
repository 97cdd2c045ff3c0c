"""docs/settings.md, made from the settings' own model."""

from __future__ import annotations

import inspect
import re
from pathlib import Path

from hpsearch import settings as model
from hpsearch.config.problems import show
from hpsearch.config.setting_rules import DECIDED_BY, defaults, schemas, takes

PAGE = Path(__file__).resolve().parent.parent.parent / "docs" / "settings.md"

_HEAD = """# Settings of a fine-tune

Every setting of the built-in training: fixed beside `search_space` in a definition, searched inside it, or given to
`hpsearch train` as an option (`lora_r` is `--lora-r`). One that the model, backend or device cannot honour is refused
before the first trial, never ignored. This page is made from the code: `python -m hpsearch.config.schemas`.
"""


def page() -> str:
    """The page's text."""
    parts = [_HEAD]
    for title, names in _groups():
        rows = [f"| `{name}` | {_takes(name)} | {_default(name)} | {_meaning(name)} |" for name in names]
        parts.append(
            "\n".join([f"## {title}", "", "| name | takes | default | meaning |", "|---|---|---|---|", *rows]) + "\n"
        )
    pairs = [f"- `{first}`, where it is not null, instead of `{second}`" for first, second in DECIDED_BY.items()]
    together = "One name decides, so giving both in one place is refused; a later layer's name wins:"
    parts.append("\n".join(["## Two names of one thing", "", together, "", *pairs]) + "\n")
    return "\n".join(parts)


def _groups() -> list[tuple[str, list[str]]]:
    """The settings under the headings they have in the code (comments on lines of their own)."""
    groups: list[tuple[str, list[str]]] = []
    for line in inspect.getsource(model.TrainSettings).splitlines():
        heading = re.fullmatch(r"    # (\w+)", line)
        name = re.match(r"    (\w+): ", line)
        if heading:
            groups.append((heading[1], []))
        elif name and name[1] in model.setting_names():
            groups[-1][1].append(name[1])
    return groups


def _takes(name: str) -> str:
    return takes(name).replace("|", "\\|")


def _default(name: str) -> str:
    return f"`{show(defaults()[name])}`"


def _meaning(name: str) -> str:
    return str(schemas()[name]["description"]).replace("|", "\\|")
