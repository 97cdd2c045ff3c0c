"""What crosses the door when hpsearch asks whether a machine is ready: a question in, findings out. Standard library.

The question is one JSON object on the program's standard input. What is found comes back as JSON lines on its standard
output: ``{"begin": check}`` and ``{"end": check}`` around each check, so that one that hangs or dies is known by name,
and between them ``{"finding": {...}}`` and ``{"fact": name, "value": ...}``.
"""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any


class Level(str, Enum):
    """What a finding means for a search."""

    OK = "ok"
    WARNING = "warning"  # a search works, but not as well as it could, or not everywhere
    RED = "red"  # a search would fail


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: the ``check`` it belongs to, what was found, and what to do about it.

    Raises:
        ValueError: it is red and names no remedy.
    """

    check: str
    level: Level
    text: str
    remedy: str = ""

    def __post_init__(self) -> None:
        """A red line without a remedy helps nobody."""
        if self.level is Level.RED and not self.remedy:
            raise ValueError(f"a red finding names its remedy, but {self.check!r} has none: {self.text}")

    def to_json(self) -> dict[str, str]:
        """The finding as flat JSON."""
        return {**asdict(self), "level": self.level.value}

    @staticmethod
    def from_json(values: dict[str, str]) -> Finding:
        """Read back what ``to_json`` wrote."""
        return Finding(values["check"], Level(values["level"]), values["text"], values["remedy"])


def ok(check: str, text: str) -> Finding:
    """A finding that all is well."""
    return Finding(check, Level.OK, text)


def warning(check: str, text: str, remedy: str = "") -> Finding:
    """A finding that something could be better."""
    return Finding(check, Level.WARNING, text, remedy)


def red(check: str, text: str, remedy: str) -> Finding:
    """A finding that a search would fail."""
    return Finding(check, Level.RED, text, remedy)


@dataclass(frozen=True)
class Fact:
    """A value, fit for JSON, that other checks need."""

    name: str
    value: Any


@dataclass(frozen=True)
class DoctorQuestion:
    """What the training side is asked to look at.

    ``settings`` are those of the default configuration (None: no study is asked about), ``searched`` the values that a
    search may try, by setting, and ``variations`` what differs in other configurations. ``gpus`` are the GPUs that the
    driver shows, ``driver_cuda`` the newest CUDA version it supports ("" where not known). ``requirements`` are what
    hpsearch's own metadata asks of the training's packages. ``pip`` and ``install`` are the commands that install
    packages for this interpreter, and the training's. ``failed`` are checks that hung or died before, and ``timeout_s``
    the seconds that one may take.
    """

    checks: tuple[str, ...] = ()
    settings: dict[str, Any] | None = None
    searched: dict[str, list[Any]] = field(default_factory=dict)
    variations: list[dict[str, Any]] = field(default_factory=list)
    gpus: tuple[str, ...] = ()
    driver_cuda: str = ""
    requirements: tuple[str, ...] = ()
    pip: str = "pip"
    install: str = "pip install 'hpsearch[train]'"
    failed: tuple[str, ...] = ()
    timeout_s: float = 60.0

    def to_json(self) -> str:
        """The question as one JSON object."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> DoctorQuestion:
        """Read back what ``to_json`` wrote."""
        fields = json.loads(text)
        lists = ("checks", "gpus", "requirements", "failed")
        return DoctorQuestion(**{**fields, **{name: tuple(fields[name]) for name in lists}})

    def searches(self, name: str) -> list[Any]:
        """Every value that a setting may have in this study."""
        return self.searched.get(name) or [(self.settings or {}).get(name)]
