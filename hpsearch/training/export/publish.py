"""The publish job: a merged model to the Hugging Face Hub. The token is that of the environment or of the Hub's own
login; it is asked what it may do before anything costs time, and nothing but the model's files is sent."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from huggingface_hub import HfApi, get_token
from huggingface_hub.errors import (
    HfHubHTTPError,
    HFValidationError,
    OfflineModeIsEnabled,
    RepositoryNotFoundError,
)
from huggingface_hub.utils import logging as hub_logging
from huggingface_hub.utils._validators import validate_repo_id

from hpsearch import sdk
from hpsearch.data.progress import ProgressReporter
from hpsearch.errors import UsageError
from hpsearch.execution.job import Job
from hpsearch.execution.model_export import PUBLISHED, SUMMARY, MergedModel, PublishedModel, PublishRequest

MESSAGE = "Upload a model merged by hpsearch"
PAUSES_S = (1.0, 5.0)  # before the Hub is asked again after it failed; what it has is not sent twice
OPTION = "--push-to-hub"
WEIGHTS = (".safetensors", ".safetensors.index.json", ".gguf")
# What the Hub's library raises: its own errors, those of what it asks with (httpx, or another by version), of files,
# and of its part that sends large ones.
FAILURES: tuple[type[Exception], ...] = (*HfHubHTTPError.__bases__, RuntimeError)
_SENT = re.compile(r"uploaded \(([^)]+) transferred\)")  # in what the Hub's library logs every half minute


def publish(job: Job) -> None:
    """Send a merged model's files, or only see whether that could be done; what came of it is in published.json.

    Raises:
        UsageError: there is no token, it may not write there, or the Hub cannot be reached or refuses.
    """
    progress = ProgressReporter("ask the Hub")
    wanted = PublishRequest(**job.settings)
    _refuse_name(wanted.repo)
    with _explained(wanted):
        api = HfApi(token=_token(wanted))
        found = _repository(api, wanted)
        if not wanted.only_ask:
            found = _send(api, wanted, found, progress)
    (Path(job.output_dir) / PUBLISHED).write_text(found.to_json(), encoding="utf-8")
    sdk.finish(bytes=found.bytes)


def _refuse_name(repo: str) -> None:
    try:
        validate_repo_id(repo)
        valid = repo.count("/") == 1
    except HFValidationError:
        valid = False
    if not valid:
        raise UsageError(
            f"{OPTION} takes OWNER/NAME of letters, numbers and - _ . inside, but got {repo!r}", "mend the name"
        )


def _token(wanted: PublishRequest) -> str:
    token = get_token()
    if token is None:
        raise UsageError(
            f"{OPTION} {wanted.repo} needs a token that may write there, but there is none in HF_TOKEN, nor a login",
            "make one on https://huggingface.co/settings/tokens and set HF_TOKEN, or run `hf auth login`",
        )
    return token


def _repository(api: HfApi, wanted: PublishRequest) -> PublishedModel:
    """The repository, made where there is none yet: whether a token may do so is known for sure only then."""
    api.whoami()
    try:
        info = api.repo_info(wanted.repo)
    except RepositoryNotFoundError:
        api.create_repo(wanted.repo, private=wanted.private, exist_ok=True)
        info = api.repo_info(wanted.repo)
    api.auth_check(wanted.repo, write=True)
    private = bool(info.private)
    if wanted.private and not private:
        raise UsageError(
            f"a model is sent to a private repository unless --public is given, but {wanted.repo} is public",
            "give --public, or name another repository",
        )
    return PublishedModel(f"{api.endpoint}/{wanted.repo}", private)


def _send(api: HfApi, wanted: PublishRequest, found: PublishedModel, progress: ProgressReporter) -> PublishedModel:
    folder = Path(wanted.folder)
    summary = MergedModel.from_json((folder / SUMMARY).read_text(encoding="utf-8"))
    sizes = {name: (folder / name).stat().st_size for name in summary.files}
    progress.phase(f"upload {_amount(sum(sizes.values()))}")
    with _watched(progress, sum(sizes.values())):
        commit = _upload(api, wanted.repo, folder, list(sizes), _of_another(api, wanted.repo, sizes))
    progress.phase("compare what is there")
    _compare(api, wanted.repo, sizes)
    return PublishedModel(found.url, found.private, commit, len(sizes), sum(sizes.values()))


def _of_another(api: HfApi, repo: str, names: Collection[str]) -> list[str]:
    """Weights that are there and not of this model: whoever loads it would find those of an earlier one beside it."""
    there = [each.path for each in api.list_repo_tree(repo, recursive=True)]
    return [path for path in there if path.endswith(WEIGHTS) and path not in names]


def _upload(api: HfApi, repo: str, folder: Path, names: list[str], others: list[str]) -> str:
    """Send the files, and take the ``others`` away; where the Hub fails for a moment, again. Its library sends nothing
    twice that has arrived."""
    for pause in (*PAUSES_S, None):
        try:
            sent = api.upload_folder(
                repo_id=repo,
                folder_path=folder,
                allow_patterns=list(names),
                delete_patterns=others or None,
                commit_message=MESSAGE,
            )
            return str(sent.oid)
        except FAILURES as error:
            if pause is None or not _passes(error):
                raise
            print(f"the Hub failed, and is asked again in {pause:g} s: {error}")
            time.sleep(pause)
    raise AssertionError


def _passes(error: Exception) -> bool:
    """Whether what failed may work a moment later."""
    status = _status(error)
    return status is None or status >= 500 or status in (409, 412, 429)


def _compare(api: HfApi, repo: str, sizes: dict[str, int]) -> None:
    there = {each.path: getattr(each, "size", None) for each in api.list_repo_tree(repo, recursive=True)}
    other = sorted(name for name, size in sizes.items() if there.get(name) != size)
    if other:
        raise UsageError(
            f"what was sent must be what is on the Hub, but of {repo} these differ: {', '.join(other[:5])}",
            "run the same command again: it sends what is missing",
        )


@contextmanager
def _watched(progress: ProgressReporter, total: int) -> Iterator[None]:
    """Show what the Hub's library says of an upload while it goes on."""

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            found = _SENT.search(record.getMessage())
            if found:
                progress.phase(f"upload {_amount(total)}, {found[1]} sent")

    watch, logger, before = Watch(), logging.getLogger("huggingface_hub"), hub_logging.get_verbosity()
    hub_logging.set_verbosity(logging.INFO)
    logger.addHandler(watch)
    try:
        yield
    finally:
        logger.removeHandler(watch)
        hub_logging.set_verbosity(before)


@contextmanager
def _explained(wanted: PublishRequest) -> Iterator[None]:
    """Say in our words why the Hub does not take what is sent."""
    try:
        yield
    except UsageError:
        raise
    except OfflineModeIsEnabled as error:
        raise UsageError(f"{OPTION} needs the Hub, but HF_HUB_OFFLINE is set", "unset it") from error
    except FAILURES as error:
        raise _refusal(wanted.repo, error) from error


def _refusal(repo: str, error: Exception) -> UsageError:
    status, owner = _status(error), repo.partition("/")[0]
    said = str(error).strip().splitlines()[-1] if str(error).strip() else type(error).__name__
    again = "run the same command again: what has arrived is not sent twice"
    if status == 401:
        return UsageError(
            "the Hub takes a token that is valid, but refuses the one of HF_TOKEN or of its login",
            "make another on https://huggingface.co/settings/tokens",
        )
    if status in (402, 403, 404):
        return UsageError(
            f"the token must be one that may write to {repo}, but the Hub refuses: {said}",
            f"give it the right to write for {owner}, or name a repository of your own",
        )
    if status == 409:
        return UsageError(f"the Hub refuses {repo} because of a conflict: {said}", again)
    if status is not None:
        return UsageError(f"the Hub failed with status {status} for {repo}: {said}", again)
    if isinstance(error, RuntimeError):  # of the part of the library that sends large files
        return UsageError(f"the upload to {repo} failed: {said}", again)
    place = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    return UsageError(f"the Hub cannot be reached at {place}: {said}", f"see to the network, then {again}")


def _status(error: Exception) -> int | None:
    """What the Hub answered, also where the library says it of a file; None where it did not answer."""
    answers = [getattr(each, "response", None) for each in (error, error.__cause__)]
    found: Any = next((each for each in answers if each is not None), None)
    return None if found is None else int(found.status_code)


def _amount(count: int) -> str:
    return f"{count / 1e9:.3g} GB"
