"""The publish job: a merged model to the Hugging Face Hub. The token is that of the environment or of the Hub's own
login; the Hub is asked for its rights before anything costs time, and only the model's files are sent."""

from __future__ import annotations

import logging
import os
import re
import time
from collections.abc import Iterator
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
from hpsearch.execution.units import bytes_text

MESSAGE = "Upload a model merged by hpsearch"
PAUSES_S = (1.0, 5.0)  # before a retry; what the Hub has is not sent twice
OPTION = "--push-to-hub"
WEIGHTS = (".safetensors", ".safetensors.index.json", ".gguf")
# What the Hub's library raises: its own errors, those of its HTTP client (httpx, or another by version), of files, and
# of its part that sends large ones.
FAILURES: tuple[type[Exception], ...] = (*HfHubHTTPError.__bases__, RuntimeError)
_SENT = re.compile(r"uploaded \(([^)]+) transferred\)")  # in what the Hub's library logs every half minute


def publish(job: Job) -> None:
    """Send a merged model's files, or only check whether that could be done; the result is in published.json.

    Raises:
        UsageError: there is no token, it may not write there, or the Hub cannot be reached or refuses.
    """
    progress = ProgressReporter("ask the Hub")
    request = PublishRequest(**job.settings)
    _refuse_name(request.repo)
    with _explained(request.repo):
        api = HfApi(token=_token(request.repo))
        published = _repository(api, request)
        if not request.only_ask:
            published = _send(api, request, published, progress)
    (Path(job.output_dir) / PUBLISHED).write_text(published.to_json(), encoding="utf-8")
    sdk.finish(bytes=published.bytes)


def _refuse_name(repo: str) -> None:
    try:
        validate_repo_id(repo)
        valid = repo.count("/") == 1
    except HFValidationError:
        valid = False
    if not valid:
        raise UsageError(
            f"{OPTION} takes OWNER/NAME of letters, numbers and - _ . inside, but got {repo!r}", "fix the name"
        )


def _token(repo: str) -> str:
    token = get_token()
    if token is None:
        raise UsageError(
            f"{OPTION} {repo} needs a token that may write there, but there is none in HF_TOKEN, nor a login",
            "make one on https://huggingface.co/settings/tokens and set HF_TOKEN, or run `hf auth login`",
        )
    return token


def _repository(api: HfApi, request: PublishRequest) -> PublishedModel:
    """Find the repository, or make it: only then is it certain that the token may do so."""
    api.whoami()
    try:
        info = api.repo_info(request.repo)
    except RepositoryNotFoundError:
        api.create_repo(request.repo, private=request.private, exist_ok=True)
        info = api.repo_info(request.repo)
    api.auth_check(request.repo, write=True)
    private = bool(info.private)
    if request.private and not private:
        raise UsageError(
            f"a model is sent to a private repository unless --public is given, but {request.repo} is public",
            "give --public, or name another repository",
        )
    return PublishedModel(f"{api.endpoint}/{request.repo}", private)


def _send(
    api: HfApi, request: PublishRequest, repository: PublishedModel, progress: ProgressReporter
) -> PublishedModel:
    folder = Path(request.folder)
    summary = MergedModel.from_json((folder / SUMMARY).read_text(encoding="utf-8"))
    sizes = {name: (folder / name).stat().st_size for name in summary.files}
    progress.phase(f"upload {bytes_text(sum(sizes.values()))}")
    with _watched(progress, sum(sizes.values())):
        # Weights of an earlier model would be loaded with these.
        there = [file.path for file in api.list_repo_tree(request.repo, recursive=True)]
        others = [path for path in there if path.endswith(WEIGHTS) and path not in sizes]
        commit = _upload(api, request.repo, folder, list(sizes), others)
    progress.phase("compare the files")
    _compare(api, request.repo, sizes)
    return PublishedModel(repository.url, repository.private, commit, len(sizes), sum(sizes.values()))


def _upload(api: HfApi, repo: str, folder: Path, names: list[str], others: list[str]) -> str:
    """Send the files, and remove the ``others``. Retried where the Hub fails for a moment; its library sends nothing
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
            status = _status(error)
            temporary = status is None or status >= 500 or status in (409, 412, 429)
            if pause is None or not temporary:
                raise
            print(f"the Hub failed, and is asked again in {pause:g} s: {error}")
            time.sleep(pause)
    raise AssertionError


def _compare(api: HfApi, repo: str, sizes: dict[str, int]) -> None:
    sent = {file.path: getattr(file, "size", None) for file in api.list_repo_tree(repo, recursive=True)}
    other = sorted(name for name, size in sizes.items() if sent.get(name) != size)
    if other:
        raise UsageError(
            f"the files on the Hub must be those that were sent, but in {repo} these differ: {', '.join(other[:5])}",
            "run the same command again: it sends what is missing",
        )


@contextmanager
def _watched(progress: ProgressReporter, total: int) -> Iterator[None]:
    """Show the amount that the Hub's library reports during an upload."""

    class Watch(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            sent = _SENT.search(record.getMessage())
            if sent:
                progress.phase(f"upload {bytes_text(total)}, {sent[1]} sent")

    watch, logger, before = Watch(), logging.getLogger("huggingface_hub"), hub_logging.get_verbosity()
    hub_logging.set_verbosity(logging.INFO)
    logger.addHandler(watch)
    try:
        yield
    finally:
        logger.removeHandler(watch)
        hub_logging.set_verbosity(before)


@contextmanager
def _explained(repo: str) -> Iterator[None]:
    """Raise errors of the Hub as ``UsageError`` with a rule and a remedy."""
    try:
        yield
    except UsageError:
        raise
    except OfflineModeIsEnabled as error:
        raise UsageError(f"{OPTION} needs the Hub, but HF_HUB_OFFLINE is set", "unset it") from error
    except FAILURES as error:
        raise _refusal(repo, error) from error


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
    """Return the status that the Hub answered, also for a single file; None where it did not answer."""
    responses = [getattr(raised, "response", None) for raised in (error, error.__cause__)]
    response: Any = next((response for response in responses if response is not None), None)
    return None if response is None else int(response.status_code)
