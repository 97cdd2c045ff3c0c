"""Merging an adapter into its base, and sending what came of it to the Hub: `hpsearch merge`."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

from hpsearch.commands.origin import origin_of
from hpsearch.errors import Interrupted, UsageError
from hpsearch.execution.events import Note
from hpsearch.execution.job import WHOLE
from hpsearch.execution.model_export import (
    CONVERTED,
    PUBLISHED,
    SUMMARY,
    WORK,
    Gguf,
    GgufRequest,
    MergedModel,
    MergeRequest,
    PublishedModel,
    PublishRequest,
    adapter_digest,
    refuse_adapter,
    refuse_strange,
)
from hpsearch.execution.run_job import run_errand
from hpsearch.study.events import View, silent


@dataclass(frozen=True)
class MergeExtras:
    """What is done with a merged model. ``gguf`` is the number format of files for llama.cpp, ``llama_cpp`` the folder
    of its converter and ``converter_python`` a Python that runs it; ``repo`` is the Hub's repository (OWNER/NAME) that
    all is sent to."""

    gguf: str | None = None
    llama_cpp: str = ""
    converter_python: str = ""
    repo: str | None = None
    private: bool = True


@dataclass(frozen=True)
class MergeResult:
    """What came of it. ``stopped`` is the exit code of an interruption, 0 without one: what is None was not done, or
    not finished."""

    merged: MergedModel | None = None
    gguf: Gguf | None = None
    published: PublishedModel | None = None
    stopped: int = 0


def merge_adapter(
    wanted: MergeRequest, beside: MergeExtras = MergeExtras(), view: View = silent, trainer_python: str | None = None
) -> MergeResult:
    """Merge an adapter, where that was not done before, and do what is to be done with the merged model. Whether that
    can be done is seen before anything is merged.

    Raises:
        UsageError: there is no such adapter, no room, what came of it is not the tuned model, or the Hub refuses.
        JobFailed: it failed for another reason.
    """
    folder = Path(_absolute(wanted.output_dir))
    merged = None if wanted.force else _finished(folder, wanted)
    if wanted.force and not wanted.lora_dir:
        raise UsageError("--force merges anew, which needs an adapter, but none is named", "name it with --lora-dir")
    if merged is None and not wanted.lora_dir:
        raise UsageError(
            f"without --lora-dir, --output-dir must be the folder of a finished merge, but {folder} is none",
            "name the adapter with --lora-dir",
        )
    if merged is not None:
        _refuse_idle(wanted, merged, folder)
    elif not (folder / WHOLE).exists():
        refuse_adapter(Path(_absolute(wanted.lora_dir)))  # before anything is asked of the Hub
        refuse_strange(folder, wanted.force)
    result = MergeResult(merged)
    try:
        _check(folder, beside, merged, view, trainer_python)
        if merged is not None:
            view(Note(f"{folder} is merged already, and left as it is"))
        else:
            merged = _merge(wanted, view, trainer_python)
            result = MergeResult(merged)
        if beside.gguf is not None:
            gguf = _written(merged, beside.gguf)
            if gguf is None:
                with _said_to_be_merged(folder, "has no GGUF files"):
                    gguf = _convert(folder, beside, view, trainer_python)
            result = replace(result, gguf=gguf)
        if beside.repo is not None:
            with _said_to_be_merged(folder, "was not sent"):
                result = replace(result, published=_publish(folder, beside, view, trainer_python))
    except Interrupted as stop:  # the caller shows what is done
        return replace(result, stopped=stop.exit_code)
    return result


def _refuse_idle(wanted: MergeRequest, merged: MergedModel, folder: Path) -> None:
    """Refuse what a merge would need that was done before.

    Raises:
        UsageError: another number format, or pictures to compare.
    """
    if wanted.precision not in ("", merged.precision):
        raise UsageError(
            f"{folder} is merged already, in {merged.precision}, but --precision is {wanted.precision}",
            "choose another --output-dir, or merge anew with --lora-dir and --force",
        )
    if wanted.pictures:
        raise UsageError(
            f"--check compares while it is merged, but {folder} is merged already",
            "leave it out, or merge anew with --lora-dir and --force",
        )


def _check(
    folder: Path, beside: MergeExtras, merged: MergedModel | None, view: View, trainer_python: str | None
) -> None:
    """Refuse what cannot be done with the merged model, before anything is merged."""
    if beside.repo is not None:
        _publish(folder, beside, view, trainer_python, only_ask=True)
    if beside.gguf is not None and _written(merged, beside.gguf) is None:
        _convert(folder, beside, view, trainer_python, only_ask=True)


@contextmanager
def _said_to_be_merged(folder: Path, but: str) -> Iterator[None]:
    """Let a refusal say that the merge is not lost."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{folder} is merged, but {but}: {error.what}", error.remedy) from error


def _written(merged: MergedModel | None, kind: str) -> Gguf | None:
    """The GGUF files of a number format that a merged model has."""
    return next((each for each in merged.gguf if each.kind == kind), None) if merged else None


def _finished(folder: Path, wanted: MergeRequest) -> MergedModel | None:
    """The merge that a folder holds, where it is whole and of this adapter, or no adapter is named."""
    try:
        found = MergedModel.from_json((folder / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not all((folder / name).is_file() for name in found.files):
        return None
    digest = adapter_digest(Path(_absolute(wanted.lora_dir))) if wanted.lora_dir else found.adapter
    same = bool(found.adapter) and digest == found.adapter
    return found if same or not wanted.lora_dir else None


def _merge(wanted: MergeRequest, view: View, trainer_python: str | None) -> MergedModel:
    adapter = Path(_absolute(wanted.lora_dir))
    wanted = replace(
        wanted,
        lora_dir=str(adapter),
        output_dir=_absolute(wanted.output_dir),
        precision=wanted.precision or MergeRequest.precision,
        pictures=tuple(_absolute(each) for each in wanted.pictures),
        origin=origin_of(adapter),
    )
    work = Path(wanted.output_dir, WORK)
    found = run_errand("merge", asdict(wanted), SUMMARY, view, trainer_python, work=work)
    return MergedModel.from_json(found)


def _convert(
    folder: Path, beside: MergeExtras, view: View, trainer_python: str | None, only_ask: bool = False
) -> Gguf | None:
    place = _absolute(beside.llama_cpp) if beside.llama_cpp else ""
    asked = GgufRequest(str(folder), beside.gguf or "", place, beside.converter_python, only_ask)
    found = run_errand("gguf", asdict(asked), CONVERTED, view, trainer_python, work=None if only_ask else folder / WORK)
    return None if only_ask else Gguf.of(json.loads(found))


def _publish(
    folder: Path, beside: MergeExtras, view: View, trainer_python: str | None, only_ask: bool = False
) -> PublishedModel:
    asked = PublishRequest(str(folder), beside.repo or "", beside.private, only_ask)
    found = run_errand("publish", asdict(asked), PUBLISHED, view, trainer_python)
    return PublishedModel(**json.loads(found))


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())
