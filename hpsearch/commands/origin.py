"""Where an adapter is from: what a study, or a fine-tune of its own, left beside it, for a merged model's card."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hpsearch.assets import PREFIX
from hpsearch.execution.adapter_card import AdapterCard
from hpsearch.execution.job import TRAIN_RESULTS_FILE
from hpsearch.execution.model_export import AdapterOrigin, public_name, public_settings
from hpsearch.study.folders import MARKER
from hpsearch.study.results import BEST_PARAMS

HUB = "hub:"
_Json = Mapping[str, Any]


def origin_of(adapter: Path) -> AdapterOrigin:
    """Gather what is known of an adapter. Whatever is missing, or is not what hpsearch writes, is left out."""
    adapter = adapter.absolute()
    card = AdapterCard.find(adapter)
    settings = card.settings
    loaded = _read(adapter / "adapter_config.json").get("base_model_name_or_path")  # whatever the card says
    base = str(loaded or card.base)
    on_hub = not (Path(base).expanduser().is_absolute() or Path(base).is_dir() or base.startswith(PREFIX))
    named = str(settings.get("model_name") or base) if base == card.base else base
    folder = _work_folder(adapter)
    prepared = _read(folder / "prepared" / "prepared.json") if folder else {}
    given = str(settings.get("input_data") or "")
    data_on_hub = given.startswith(HUB) or bool(prepared.get("data_revision"))
    data = public_name(given.removeprefix(HUB), data_on_hub)
    base = public_name(base if on_hub or not named.startswith(PREFIX) else named, on_hub)
    return AdapterOrigin(
        base=base,
        on_hub=bool(base) and on_hub,
        data=data,
        data_on_hub=data_on_hub,
        settings=public_settings(settings, base, data),
        versions=card.versions,
        untuned=_numbers(_dict(prepared, "base")),
        rows=_dict(prepared, "rows"),
        **_found(adapter, folder),
    )


def _work_folder(adapter: Path) -> Path | None:
    """The folder of the study that an adapter is of (best/, or adapter/ of a trial or of its attempt), or of the
    fine-tune."""
    above = list(adapter.parents)[:3]
    study = next((folder for folder in above if (folder / MARKER).is_file()), None)
    return study or next((folder for folder in above[:1] if (folder / TRAIN_RESULTS_FILE).is_file()), None)


def _found(adapter: Path, folder: Path | None) -> dict[str, Any]:
    """The trial, its metrics, and what the study tried."""
    if folder is None or not (folder / MARKER).is_file():
        return {"metrics": _numbers(_dict(_read(folder / TRAIN_RESULTS_FILE), "metrics"))} if folder else {}
    results = [found for path in _result_files(folder) if (found := _read(path))]
    own = _read(adapter / BEST_PARAMS) or next(
        (_read(path) for path in adapter.parent.glob("trial_*_results.json")), {}
    )
    last = {each.get("root"): each for each in sorted(results, key=lambda each: int(each.get("attempt") or 1))}
    return {
        "study": str(own.get("study") or ""),
        "trial": own.get("trial"),
        "metrics": _numbers(_dict(own, "metrics")),
        "trials": dict(Counter(str(each.get("cause")) for each in last.values()).most_common()),
        "tried": _tried(last.values()),
    }


def _result_files(folder: Path) -> list[Path]:
    names = ("trial_*/trial_*_results.json", "trial_*/attempt-*/trial_*_results.json")
    return sorted(path for name in names for path in folder.glob(name))


def _tried(results: Iterable[_Json]) -> dict[str, list[Any]]:
    """The values that trials had of each searched setting: numbers by size, others as they came."""
    values: dict[str, list[Any]] = {}
    for each in results:
        for name, value in _dict(each, "params").items():
            if value not in values.setdefault(name, []):
                values[name].append(value)
    return {name: sorted(some) if all(map(_is_number, some)) else some for name, some in sorted(values.items())}


def _numbers(values: _Json) -> dict[str, float]:
    return {name: value for name, value in values.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _dict(values: _Json, name: str) -> dict[str, Any]:
    found = values.get(name)
    return dict(found) if isinstance(found, dict) else {}


def _read(path: Path) -> dict[str, Any]:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
