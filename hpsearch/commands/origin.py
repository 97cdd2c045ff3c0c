"""The origin of an adapter, for a merged model's card: what a study, or a fine-tune of its own, left beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from hpsearch.assets import PREFIX
from hpsearch.execution.adapter_card import AdapterCard
from hpsearch.execution.files import read_object
from hpsearch.execution.job import TRAIN_RESULTS_FILE
from hpsearch.execution.model_export import AdapterOrigin, public_name, public_settings
from hpsearch.study.folders import MARKER
from hpsearch.study.results import BEST_PARAMS

HUB = "hub:"
_Json = Mapping[str, Any]


def origin_of(adapter: Path) -> AdapterOrigin:
    """Gather what is known of an adapter. What is missing, or is not what hpsearch writes, is left out."""
    adapter = adapter.absolute()
    card = AdapterCard.find(adapter)
    settings = card.settings
    loaded = read_object(adapter / "adapter_config.json").get("base_model_name_or_path")
    base = str(loaded or card.base)  # what was loaded, rather than what the card says
    on_hub = not (Path(base).expanduser().is_absolute() or Path(base).is_dir() or base.startswith(PREFIX))
    named = str(settings.get("model_name") or base) if base == card.base else base
    base = public_name(base if on_hub or not named.startswith(PREFIX) else named, on_hub)
    above = list(adapter.parents)[:3]  # best/, or adapter/ of a trial or of its attempt, or of a fine-tune
    study = next((folder for folder in above if (folder / MARKER).is_file()), None)
    folder = study or next((folder for folder in above[:1] if (folder / TRAIN_RESULTS_FILE).is_file()), None)
    prepared = read_object(folder / "prepared" / "prepared.json") if folder else {}
    input_data = str(settings.get("input_data") or "")
    data_on_hub = input_data.startswith(HUB) or bool(prepared.get("data_revision"))
    data = public_name(input_data.removeprefix(HUB), data_on_hub)
    if study:
        history = _history(adapter, study)
    else:
        history = {"metrics": _numbers(_dict(read_object(folder / TRAIN_RESULTS_FILE), "metrics"))} if folder else {}
    return AdapterOrigin(
        base=base,
        on_hub=bool(base) and on_hub,
        data=data,
        data_on_hub=data_on_hub,
        settings=public_settings(settings, base, data),
        versions=card.versions,
        untuned=_numbers(_dict(prepared, "base")),
        rows=_dict(prepared, "rows"),
        **history,
    )


def _history(adapter: Path, study: Path) -> dict[str, Any]:
    """Gather the adapter's trial and its metrics, and what the study tried."""
    patterns = ("trial_*/trial_*_results.json", "trial_*/attempt-*/trial_*_results.json")
    paths = sorted(path for pattern in patterns for path in study.glob(pattern))
    results = [result for path in paths if (result := read_object(path))]
    results.sort(key=lambda result: int(result.get("attempt") or 1))
    last = {result.get("root"): result for result in results}
    own = read_object(adapter / BEST_PARAMS) or next(
        (read_object(path) for path in adapter.parent.glob("trial_*_results.json")), {}
    )
    return {
        "study": str(own.get("study") or ""),
        "trial": own.get("trial"),
        "metrics": _numbers(_dict(own, "metrics")),
        "trials": dict(Counter(str(result.get("cause")) for result in last.values()).most_common()),
        "tried": _tried(last.values()),
    }


def _tried(results: Iterable[_Json]) -> dict[str, list[Any]]:
    """Return the values that trials had of each searched setting: numbers by size, others in their order."""
    tried: dict[str, list[Any]] = {}
    for result in results:
        for name, value in _dict(result, "params").items():
            if value not in tried.setdefault(name, []):
                tried[name].append(value)
    return {name: sorted(values) if all(map(_is_number, values)) else values for name, values in sorted(tried.items())}


def _numbers(values: _Json) -> dict[str, float]:
    return {name: value for name, value in values.items() if _is_number(value)}


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _dict(values: _Json, name: str) -> dict[str, Any]:
    value = values.get(name)
    return dict(value) if isinstance(value, dict) else {}
