"""Merging an adapter into its base: `hpsearch merge`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from hpsearch.study.errands import run_errand
from hpsearch.study.view import View, silent
from hpsearch.trials.merge import SUMMARY, Merge, Merged


def merge_adapter(wanted: Merge, view: View = silent, trainer_python: str | None = None) -> Merged | int:
    """Merge an adapter.

    Returns:
        What came of it, or the exit code of an interruption.

    Raises:
        UsageError: there is no such adapter, no room, or what came of it is not the tuned model.
        JobFailed: it failed for another reason.
    """
    places = {name: _absolute(getattr(wanted, name)) for name in ("lora_dir", "output_dir")}
    settings = {**asdict(wanted), **places, "pictures": [_absolute(each) for each in wanted.pictures]}
    found = run_errand("merge", settings, SUMMARY, view, trainer_python)
    return found if isinstance(found, int) else Merged.from_json(found)


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())
