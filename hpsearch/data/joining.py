"""Making one dataset of several: `hpsearch data merge`."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hpsearch.assets import PREFIX
from hpsearch.definitions.assignments import known_settings
from hpsearch.definitions.loading import load_settings
from hpsearch.errors import UsageError
from hpsearch.ocr.places import HUB
from hpsearch.study.errands import run_errand
from hpsearch.study.view import View, silent
from hpsearch.trials.joining import SUMMARY, Joined, Joining


def merge_datasets(
    datasets: Sequence[str], target: Path, drop_alike: bool, view: View = silent, trainer_python: str | None = None
) -> Joined | int:
    """Make one dataset of several. Each is written as a study's input_data is, with settings of its own behind a
    question mark (``rows.json?text_column=reading&image_column=scan``).

    Returns:
        What came of it, or the exit code of an interruption.

    Raises:
        UsageError: one cannot be read or is given twice, no row can be used, or the output folder is one of something
            else.
        JobFailed: it failed for another reason.
    """
    settings = [_settings(text) for text in datasets]
    if len(settings) < 2:
        raise UsageError("merge makes one dataset of several, but got one", "name each with a --data of its own")
    repeated = [text for text, one in zip(datasets, settings, strict=True) if settings.count(one) > 1]
    if repeated:
        raise UsageError(f"each dataset is merged once, but {repeated[0]} is given twice", "name it once")
    wanted = Joining(tuple(settings), tuple(_names(settings)), str(target.absolute()), drop_alike)
    found = run_errand("join", asdict(wanted), SUMMARY, view, trainer_python)
    return found if isinstance(found, int) else Joined.from_json(found)


def _settings(text: str) -> dict[str, Any]:
    """A dataset's place and how it is read."""
    data, mark, more = text.partition("?")
    sets = [each for each in more.split("&") if each] if mark else []
    given = {"input_data": data, **known_settings(sets, ("input_data",))}
    settings = load_settings(options=given).settings
    return {name: settings[name] for name in given}


def _names(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """A name for each dataset, all different: the end of its place that tells it from the others."""
    places = [re.split(r"[/\\]", str(each["input_data"]).removeprefix(PREFIX).rstrip("/")) for each in settings]
    names = [_name(place, 1) for place in places]
    for depth in range(2, 8):
        names = [
            name if names.count(name) == 1 else _name(place, depth) for name, place in zip(names, places, strict=True)
        ]
    return [name if names.count(name) == 1 else f"{name}-{number}" for number, name in enumerate(names, start=1)]


def _name(place: Sequence[str], depth: int) -> str:
    """The last parts of a place, without the ending of a file."""
    hub = place[0].startswith(HUB)
    parts = [place[0].removeprefix(HUB), *place[1:]] if hub else [*place[-depth:-1], Path(place[-1]).stem]
    return re.sub(r"[^\w./-]+", "_", "/".join(parts)).strip("/.")
