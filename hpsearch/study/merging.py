"""Merging an adapter into its base: `hpsearch merge`."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from hpsearch.study.errands import run_errand
from hpsearch.study.origin import origin_of
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
    adapter = Path(_absolute(wanted.lora_dir))
    wanted = replace(
        wanted, lora_dir=str(adapter), output_dir=_absolute(wanted.output_dir), origin=origin_of(adapter),
        pictures=tuple(_absolute(each) for each in wanted.pictures),
    )  # fmt: skip
    settings = asdict(wanted)
    found = run_errand("merge", settings, SUMMARY, view, trainer_python)
    return found if isinstance(found, int) else Merged.from_json(found)


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())
