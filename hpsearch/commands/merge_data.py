"""Making one dataset of several: `hpsearch data merge`."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
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
from hpsearch.execution.run_job import run_errand
from hpsearch.study.events import View, silent

# Data as commands are told of it: DATA, or DATA?KEY=VALUE&KEY=VALUE with settings that say how it is read.

READING = frozenset(
    {"image_column", "text_column", "document_column", "image_root", "dataset_subset", "dataset_revision"}
)


def data_settings(text: str, more: dict[str, Any] | None = None, allowed: Collection[str] = READING) -> dict[str, Any]:
    """Settings of a study that name the data and say how it is read; ``more`` are further ones, and ``allowed`` those
    that may stand behind the question mark.

    Raises:
        UsageError: it is empty, or what stands behind the question mark is no such setting.
    """
    data, mark, behind = text.rpartition("?")
    if not mark or Path(text).exists():
        data, behind = text, ""
    if not data.strip():
        raise UsageError("--data must name rows, but is empty", "name a file, a folder or a dataset on the Hub")
    given = {"input_data": data, **known_settings([_pair(each, text) for each in behind.split("&") if each], allowed)}
    given |= more or {}
    settings = load_settings(options=given).settings
    return {name: settings[name] for name in given}


def _pair(part: str, text: str) -> str:
    if not part.partition("=")[0] or "=" not in part:
        raise UsageError(
            f"behind the question mark of {text!r} stand settings as KEY=VALUE, but {part!r} is none",
            f"write for example {text.rpartition('?')[0]}?text_column=reading",
        )
    return part


def merge_datasets(
    datasets: Sequence[str], target: Path, drop_alike: bool, view: View = silent, trainer_python: str | None = None
) -> MergeDatasetsResult:
    """Make one dataset of several. Each is written as a study's input_data is, with settings of its own behind a
    question mark (``rows.json?text_column=reading&image_column=scan``).

    Raises:
        Interrupted: a stop signal came.
        UsageError: one cannot be read or is given twice, no row can be used, or the output folder is one of something
            else.
        JobFailed: it failed for another reason.
    """
    settings = [data_settings(text) for text in datasets]
    if len(settings) < 2:
        raise UsageError("merge makes one dataset of several, but got one", "name each with a --data of its own")
    repeated = [text for text, one in zip(datasets, settings, strict=True) if settings.count(one) > 1]
    if repeated:
        raise UsageError(f"each dataset is merged once, but {repeated[0]} is given twice", "name it once")
    wanted = MergeDatasetsRequest(tuple(settings), tuple(_names(settings)), str(target.absolute()), drop_alike)
    found = run_errand("join", asdict(wanted), SUMMARY, view, trainer_python, work=target.absolute() / WORK)
    return MergeDatasetsResult.from_json(found)


def _names(settings: Sequence[Mapping[str, Any]]) -> list[str]:
    """A name for each dataset, all different: the last part of its place, or the last two, with a number if need be."""
    places = [str(each["input_data"]) for each in settings]
    names = [_name(place, 1) for place in places]
    longer = [_name(place, 2) for place in places]
    names = [other if names.count(name) > 1 else name for name, other in zip(names, longer, strict=True)]
    return [f"{name}-{names[:at].count(name) + 1}" if names.count(name) > 1 else name for at, name in enumerate(names)]


def _name(place: str, parts: int) -> str:
    """The last parts of a place, without the ending of a file; all of an id on the Hub, and of an asset's name."""
    for prefix in (HUB, PREFIX):
        if place.startswith(prefix):
            return place.removeprefix(prefix)
    path = Path(place.rstrip("/"))
    path = path.parent if path.name == DATASET else path
    return re.sub(r"[^\w./-]+", "_", "/".join([*path.parent.parts[-parts + 1 :][: parts - 1], path.stem])).strip("/.")
