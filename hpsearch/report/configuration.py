"""The best trial's configuration as something to copy: flat JSON, and the command that repeats the trial."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch.config.command import fill
from hpsearch.report.rows import TrialRow
from hpsearch.report.summary import StudySummary
from hpsearch.settings import setting_names


@dataclass(frozen=True)
class Configuration:
    """``settings`` are complete where hpsearch made the study, the parameters alone where another script did.

    ``path`` is the file that holds them, None where there is none yet. ``command`` repeats the trial; "" where only the
    script that made the study can.
    """

    trial: TrialRow
    settings: Mapping[str, Any]
    path: Path | None
    command: str

    @property
    def json(self) -> str:
        """The settings as JSON text."""
        return json.dumps(self.settings, indent=2, ensure_ascii=False, default=str)


def best_configuration(summary: StudySummary, study_dir: Path | None) -> Configuration | None:
    """The configuration of the best trial, None where no trial completed."""
    row = summary.best.trial if summary.best else None
    if row is None:
        return None
    path = study_dir / f"{summary.name}_best_config.json" if study_dir else None
    written = _read(path, row)
    program = summary.definition.get("command")
    if isinstance(program, list) and all(isinstance(part, str) for part in program):
        settings = _mapping(summary.definition.get("settings")) | _inactive(summary, row) | dict(row.params)
        return Configuration(row, settings, path if written else None, _filled(program, settings, row))
    if not summary.definition:
        return Configuration(row, dict(row.params), None, "")
    settings = written or _complete(summary, row)
    config = str(path) if written else f"{summary.name}_best_config.json"
    argv = ("hpsearch", "train", "--config", config, "--output-dir", f"{summary.name}-again")
    return Configuration(row, settings, path if written else None, shlex.join(argv))


def _complete(summary: StudySummary, row: TrialRow) -> dict[str, Any]:
    fixed = {name: value for name, value in summary.definition.items() if name in setting_names() and name != "seed"}
    seed = {} if row.seed is None else {"seed": row.seed}
    return dict(sorted((fixed | _inactive(summary, row) | dict(row.params) | seed).items()))


def _inactive(summary: StudySummary, row: TrialRow) -> dict[str, Any]:
    """What settings are said to be that the trial did not search, as their condition did not hold there."""
    return {
        name: each["otherwise"]
        for name, each in _ranges(summary).items()
        if name not in row.params and "otherwise" in each
    }


def conditions(summary: StudySummary) -> dict[str, str]:
    """In words, where settings are searched that are not searched in every trial."""
    wanted = {name: _mapping(each.get("when")) for name, each in _ranges(summary).items()}
    return {name: f"where {' and '.join(map(_wanted, when.items()))}" for name, when in wanted.items() if when}


def _wanted(condition: tuple[str, Any]) -> str:
    name, values = condition
    listed = values if isinstance(values, list) else [values]
    return f"{name} is {' or '.join(json.dumps(value, ensure_ascii=False, default=str) for value in listed)}"


def _ranges(summary: StudySummary) -> dict[str, dict[str, Any]]:
    return {name: _mapping(each) for name, each in _mapping(summary.definition.get("search_space")).items()}


def _filled(program: list[str], settings: Mapping[str, Any], row: TrialRow) -> str:
    """The study's own command with the trial's values in their places; "" where it names a value that is not known."""
    reserved = {"seed": row.seed, "output_dir": f"trial_{row.root}-again", "trial": row.root, "study": ""}
    try:
        return shlex.join(fill(program, {**settings, **reserved}))
    except KeyError:
        return ""


def _read(path: Path | None, row: TrialRow) -> dict[str, Any] | None:
    """The file's settings, if it is there and is about this trial."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8")) if path and path.is_file() else None
    except (OSError, ValueError):
        return None
    if not isinstance(settings, dict):
        return None
    values = _mapping(settings.get("settings")) or settings  # a study with a command of its own keeps them apart
    return settings if all(values.get(name) == value for name, value in row.params.items()) else None


def _mapping(value: object) -> dict[str, Any]:
    return {str(name): item for name, item in value.items()} if isinstance(value, dict) else {}
