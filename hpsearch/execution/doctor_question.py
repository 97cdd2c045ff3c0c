"""The question of `hpsearch doctor` for the training's interpreter, in a job of kind "doctor", and its findings.

The question is the job's settings. The findings are JSON lines in a file of its folder, so that those of a job that
hangs or dies are kept: ``{"checks": [...]}`` first, then ``{"begin": check}`` and ``{"end": check}`` around each check,
and between these ``{"finding": {...}}`` and ``{"fact": name, "value": ...}``. Standard library only.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from enum import Enum
from typing import Any

FINDINGS_FILE = "findings.jsonl"


class Level(str, Enum):
    """The meaning of a finding for a search."""

    OK = "ok"
    WARNING = "warning"  # a search works, but not as well as it could, or not everywhere
    RED = "red"  # a search would fail


@dataclass(frozen=True)
class Finding:
    """One result of a check: the ``check``'s name, the result as text, and what to do about it.

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
        """Return the finding as flat JSON."""
        return {**asdict(self), "level": self.level.value}

    @staticmethod
    def from_json(values: dict[str, str]) -> Finding:
        """Read back what ``to_json`` wrote."""
        return Finding(values["check"], Level(values["level"]), values["text"], values["remedy"])


def ok(check: str, text: str) -> Finding:
    """Make a finding that all is well."""
    return Finding(check, Level.OK, text)


def warning(check: str, text: str, remedy: str = "") -> Finding:
    """Make a finding that something could be better."""
    return Finding(check, Level.WARNING, text, remedy)


def red(check: str, text: str, remedy: str) -> Finding:
    """Make a finding that a search would fail."""
    return Finding(check, Level.RED, text, remedy)


@dataclass(frozen=True)
class Fact:
    """A value, fit for JSON, that other checks need."""

    name: str
    value: Any


@dataclass(frozen=True)
class DoctorQuestion:
    """The question for the training's interpreter.

    ``checks`` are names of checks, none: all of them. ``settings`` are those of the default configuration (None: no
    study is asked about), ``searched`` the values that a search may try, by setting, and ``variations`` what differs in
    other configurations. ``gpus`` are the GPUs that the driver shows, ``driver_cuda`` the newest CUDA version it
    supports ("" where not known). ``requirements`` are hpsearch's own for the training's packages. ``pip`` and
    ``install`` are the commands that install packages for this interpreter, and the training's. ``failed`` are checks
    that hung or died before.
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

    def to_settings(self) -> dict[str, Any]:
        """Return the question as a job's settings."""
        return asdict(self)

    @staticmethod
    def from_settings(settings: dict[str, Any]) -> DoctorQuestion:
        """Read back what ``to_settings`` returned, after a way through JSON."""
        lists = ("checks", "gpus", "requirements", "failed")
        return DoctorQuestion(**{**settings, **{name: tuple(settings[name]) for name in lists}})

    def searches(self, name: str) -> list[Any]:
        """Return every value that a setting may have in this study."""
        return self.searched.get(name) or [(self.settings or {}).get(name)]
