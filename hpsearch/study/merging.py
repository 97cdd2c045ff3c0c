"""Merging an adapter into its base, and sending what came of it to the Hub: `hpsearch merge`."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hpsearch.errors import UsageError
from hpsearch.study.errands import run_errand
from hpsearch.study.origin import origin_of
from hpsearch.study.view import Note, View, silent
from hpsearch.trials.merge import PUBLISHED, SUMMARY, Merge, Merged, Publish, Published, adapter_digest


@dataclass(frozen=True)
class Beside:
    """What is done with a merged model: ``repo`` is the Hub's repository that it is sent to (OWNER/NAME)."""

    repo: str | None = None
    private: bool = True


@dataclass(frozen=True)
class MergeResult:
    """What came of it. ``stopped`` is the exit code of an interruption, 0 without one: what is None was not done, or
    not finished."""

    merged: Merged | None = None
    published: Published | None = None
    stopped: int = 0


def merge_adapter(
    wanted: Merge, beside: Beside = Beside(), view: View = silent, trainer_python: str | None = None
) -> MergeResult:
    """Merge an adapter, where that was not done before, and do what is to be done with the merged model. Whether that
    can be done is seen before anything is merged.

    Raises:
        UsageError: there is no such adapter, no room, what came of it is not the tuned model, or the Hub refuses.
        JobFailed: it failed for another reason.
    """
    folder = Path(_absolute(wanted.output_dir))
    merged = None if wanted.force else _finished(folder, wanted)
    if merged is None and not wanted.lora_dir:
        raise UsageError(
            f"without --lora-dir, --output-dir must be the folder of a finished merge, but {folder} is none",
            "name the adapter with --lora-dir",
        )
    if beside.repo is not None:
        stopped = _publish(folder, beside, view, trainer_python, only_ask=True)
        if isinstance(stopped, int):
            return MergeResult(merged, stopped=stopped)
    if merged is not None:
        view(Note(f"{folder} is merged already, and left as it is"))
    else:
        done = _merge(wanted, view, trainer_python)
        if isinstance(done, int):
            return MergeResult(stopped=done)
        merged = done
    if beside.repo is None:
        return MergeResult(merged)
    try:
        published = _publish(folder, beside, view, trainer_python)
    except UsageError as error:
        raise UsageError(f"{folder} is merged, but was not sent: {error.what}", error.remedy) from error
    if isinstance(published, int):
        return MergeResult(merged, stopped=published)
    return MergeResult(merged, published)


def _finished(folder: Path, wanted: Merge) -> Merged | None:
    """The merge that a folder holds, where it is whole and of this adapter, or no adapter is named."""
    try:
        found = Merged.from_json((folder / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not all((folder / name).is_file() for name in found.files):
        return None
    digest = adapter_digest(Path(_absolute(wanted.lora_dir))) if wanted.lora_dir else found.adapter
    same = bool(found.adapter) and (digest, wanted.precision) == (found.adapter, found.precision)
    return found if same or not wanted.lora_dir else None


def _merge(wanted: Merge, view: View, trainer_python: str | None) -> Merged | int:
    adapter = Path(_absolute(wanted.lora_dir))
    wanted = replace(
        wanted, lora_dir=str(adapter), output_dir=_absolute(wanted.output_dir), origin=origin_of(adapter),
        pictures=tuple(_absolute(each) for each in wanted.pictures),
    )  # fmt: skip
    found = run_errand("merge", asdict(wanted), SUMMARY, view, trainer_python)
    return found if isinstance(found, int) else Merged.from_json(found)


def _publish(
    folder: Path, beside: Beside, view: View, trainer_python: str | None, only_ask: bool = False
) -> Published | int:
    asked = Publish(str(folder), beside.repo or "", beside.private, only_ask)
    found = run_errand("publish", asdict(asked), PUBLISHED, view, trainer_python)
    return found if isinstance(found, int) else Published(**json.loads(found))


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())
