"""`hpsearch data merge`: one dataset of several.

Also how --data names rows: DATA, or DATA?KEY=VALUE&KEY=VALUE with settings that say how it is read.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from hpsearch.assets import PREFIX
from hpsearch.config.layers import known_settings
from hpsearch.config.load import load_settings
from hpsearch.data.convert import DATASET
from hpsearch.data.merge import SUMMARY, WORK, MergeDatasetsRequest, MergeDatasetsResult
from hpsearch.data.places import HUB
from hpsearch.errors import UsageError
from hpsearch.execution.run_job import run_standalone
from hpsearch.study.events import View, silent

READING = frozenset(
    {"image_column", "text_column", "document_column", "image_root", "dataset_subset", "dataset_revision"}
)


def data_settings(
    text: str, sets: Sequence[str] = (), model: str | None = None, allowed: Collection[str] = READING
) -> dict[str, Any]:
    """Return settings of a study that name the data and say how it is read. ``sets`` are texts of --set; they, and what
    follows the question mark, may be of ``allowed`` settings.

    Raises:
        UsageError: no data is named, or a setting is not of these.
    """
    data, mark, pairs = text.rpartition("?")
    if not mark or Path(text).exists():
        data, pairs = text, ""
    if not data.strip():
        raise UsageError("--data must name rows, but is empty", "name a file, a folder or a dataset on the Hub")
    reading = [pair for pair in pairs.split("&") if pair]
    for pair in reading:
        if pair.find("=") < 1:
            raise UsageError(
                f"settings follow the question mark of {text!r} as KEY=VALUE, but {pair!r} is none",
                f"write for example {data}?text_column=reading",
            )
    given = {"input_data": data, **known_settings(reading, allowed), **known_settings(sets, allowed)}
    if model is not None:
        given["model_name"] = model
    settings = load_settings(options=given).settings
    return {name: settings[name] for name in given}


def merge_datasets(
    datasets: Sequence[str], target: Path, drop_alike: bool, view: View = silent, trainer_python: str | None = None
) -> MergeDatasetsResult:
    """Make one dataset of several, each named as --data names it (``rows.json?text_column=reading``).

    Raises:
        Interrupted: a stop signal came.
        UsageError: one cannot be read or is given twice, no row can be used, or the output folder is one of something
            else.
        JobFailed: it failed for another reason.
    """
    settings = [data_settings(text) for text in datasets]
    if len(settings) < 2:
        raise UsageError("merge makes one dataset of several, but got one", "name each with a --data of its own")
    repeated = [text for text, values in zip(datasets, settings, strict=True) if settings.count(values) > 1]
    if repeated:
        raise UsageError(f"each dataset is merged once, but {repeated[0]} is given twice", "name it once")
    names = _names([str(values["input_data"]) for values in settings])
    request = MergeDatasetsRequest(tuple(settings), tuple(names), str(target.absolute()), drop_alike)
    text = run_standalone("join", asdict(request), SUMMARY, view, trainer_python, work=target.absolute() / WORK)
    return MergeDatasetsResult.from_json(text)


def _names(places: Sequence[str]) -> list[str]:
    """Name each dataset differently: by the last part of its place, or the last two, with a number if need be."""
    short, long = ([_name(place, parts) for place in places] for parts in (1, 2))
    names = [other if short.count(name) > 1 else name for name, other in zip(short, long, strict=True)]
    return [f"{name}-{names[:at].count(name) + 1}" if names.count(name) > 1 else name for at, name in enumerate(names)]


def _name(place: str, parts: int) -> str:
    """Return the last parts of a place, without a file's ending; all of an id on the Hub, and of an asset's name."""
    for prefix in (HUB, PREFIX):
        if place.startswith(prefix):
            return place.removeprefix(prefix)
    path = Path(place.rstrip("/"))
    path = path.parent if path.name == DATASET else path
    return re.sub(r"[^\w./-]+", "_", "/".join([*path.parent.parts[-parts + 1 :][: parts - 1], path.stem])).strip("/.")
