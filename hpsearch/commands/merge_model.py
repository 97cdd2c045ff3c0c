"""`hpsearch merge`: an adapter into its base, then GGUF files and a repository on the Hub if these are asked for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import partial
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
from hpsearch.execution.run_job import run_standalone
from hpsearch.study.events import View, silent


@dataclass(frozen=True)
class MergeExtras:
    """Steps after the merge. ``gguf`` is the number format of files for llama.cpp, ``llama_cpp`` the folder of its
    converter and ``converter_python`` a Python that runs it; all is sent to ``repo`` (OWNER/NAME) on the Hub."""

    gguf: str | None = None
    llama_cpp: str = ""
    converter_python: str = ""
    repo: str | None = None
    private: bool = True


@dataclass(frozen=True)
class MergeResult:
    """The result of each step, None where it was not done, or not finished. ``stopped`` is the exit code of an
    interruption, 0 without one."""

    merged: MergedModel | None = None
    gguf: Gguf | None = None
    published: PublishedModel | None = None
    stopped: int = 0


def merge_adapter(
    request: MergeRequest, extras: MergeExtras = MergeExtras(), view: View = silent, trainer_python: str | None = None
) -> MergeResult:
    """Merge an adapter, unless that was done before, and take the further steps. Whether these can be taken is checked
    before anything is merged.

    Raises:
        UsageError: there is no such adapter, too little space, the result is not the tuned model, or the Hub refuses.
        JobFailed: it failed for another reason.
    """
    request = _absolute_paths(request)
    folder = Path(request.output_dir)
    result = MergeResult(_checked(request, folder))
    publish = partial(_publish, folder, extras, view, trainer_python)
    convert = partial(_convert, folder, extras, view, trainer_python)
    written = next((gguf for gguf in result.merged.gguf if gguf.kind == extras.gguf), None) if result.merged else None
    try:
        if extras.repo is not None:
            publish(only_ask=True)
        if extras.gguf is not None and written is None:
            convert(only_ask=True)
        if result.merged is not None:
            view(Note(f"{folder} is merged already, and left as it is"))
        else:
            result = MergeResult(_merge(request, view, trainer_python))
        if extras.gguf is not None:
            with _keeping_merge(folder, "has no GGUF files"):
                result = replace(result, gguf=written or convert())
        if extras.repo is not None:
            with _keeping_merge(folder, "was not sent"):
                result = replace(result, published=publish())
    except Interrupted as stop:  # the caller shows what is done
        return replace(result, stopped=stop.exit_code)
    return result


def _absolute_paths(request: MergeRequest) -> MergeRequest:
    return replace(
        request,
        lora_dir=_absolute(request.lora_dir) if request.lora_dir else "",
        output_dir=_absolute(request.output_dir),
        pictures=tuple(map(_absolute, request.pictures)),
    )


def _absolute(path: str) -> str:
    return str(Path(path).expanduser().absolute())


def _checked(request: MergeRequest, folder: Path) -> MergedModel | None:
    """Return the merged model that the folder holds already; None where it is still to be made.

    Raises:
        UsageError: no adapter is named, or its folder or the output's is another kind of folder; or another number
            format is wanted than that of the merged model, or pictures to compare.
    """
    if request.force and not request.lora_dir:
        raise UsageError("--force merges again, which needs an adapter, but none is named", "name it with --lora-dir")
    merged = None if request.force else _finished(request, folder)
    if merged is None:
        if not request.lora_dir:
            raise UsageError(
                f"without --lora-dir, --output-dir must be the folder of a finished merge, but {folder} is none",
                "name the adapter with --lora-dir",
            )
        if not (folder / WHOLE).exists():
            refuse_adapter(Path(request.lora_dir))  # before anything is asked of the Hub
            refuse_strange(folder, request.force)
        return None
    if request.precision not in ("", merged.precision):
        raise UsageError(
            f"{folder} is merged already, in {merged.precision}, but --precision is {request.precision}",
            "choose another --output-dir, or merge again with --lora-dir and --force",
        )
    if request.pictures:
        raise UsageError(
            f"--check compares during a merge, but {folder} is merged already",
            "leave it out, or merge again with --lora-dir and --force",
        )
    return merged


def _finished(request: MergeRequest, folder: Path) -> MergedModel | None:
    """Return the merged model that a folder holds, if it is whole, and of this adapter where one is named."""
    try:
        merged = MergedModel.from_json((folder / SUMMARY).read_text(encoding="utf-8"))
    except (OSError, ValueError, KeyError, TypeError):
        return None
    if not all((folder / name).is_file() for name in merged.files):
        return None
    if not request.lora_dir or (merged.adapter and merged.adapter == adapter_digest(Path(request.lora_dir))):
        return merged
    return None


@contextmanager
def _keeping_merge(folder: Path, but: str) -> Iterator[None]:
    """Let a refusal say that the merge is not lost."""
    try:
        yield
    except UsageError as error:
        raise UsageError(f"{folder} is merged, but {but}: {error.what}", error.remedy) from error


def _merge(request: MergeRequest, view: View, trainer_python: str | None) -> MergedModel:
    precision = request.precision or MergeRequest.precision
    request = replace(request, precision=precision, origin=origin_of(Path(request.lora_dir)))
    work = Path(request.output_dir, WORK)
    return MergedModel.from_json(run_standalone("merge", asdict(request), SUMMARY, view, trainer_python, work=work))


def _convert(
    folder: Path, extras: MergeExtras, view: View, trainer_python: str | None, only_ask: bool = False
) -> Gguf | None:
    llama_cpp = _absolute(extras.llama_cpp) if extras.llama_cpp else ""
    request = GgufRequest(str(folder), extras.gguf or "", llama_cpp, extras.converter_python, only_ask)
    work = None if only_ask else folder / WORK
    text = run_standalone("gguf", asdict(request), CONVERTED, view, trainer_python, work=work)
    return None if only_ask else Gguf.of(json.loads(text))


def _publish(
    folder: Path, extras: MergeExtras, view: View, trainer_python: str | None, only_ask: bool = False
) -> PublishedModel:
    request = PublishRequest(str(folder), extras.repo or "", extras.private, only_ask)
    return PublishedModel(**json.loads(run_standalone("publish", asdict(request), PUBLISHED, view, trainer_python)))
