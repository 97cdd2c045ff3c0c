"""The base model: whether its files are here or can be fetched, and how large it is. Nothing is downloaded."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from hpsearch.assets import PREFIX
from hpsearch.errors import UsageError
from hpsearch.execution.doctor_question import DoctorQuestion, Fact, Finding, ok, red, warning
from hpsearch.training.doctor.files import folder_findings, name_findings, parameters_in, weight_bytes
from hpsearch.training.doctor.installed import is_importable

HUB_TIMEOUT_S = 10.0  # for one answer of the Hub


def token(question: DoctorQuestion) -> Iterator[Finding]:
    """Whether there is a token for the Hub; never what it is."""
    if question.settings is None or not is_importable("huggingface_hub") or _is_local(question):
        return
    if _token():
        yield ok("token", "there is a token for the Hugging Face Hub")
    else:
        text = "there is no token for the Hugging Face Hub: gated models, such as Gemma, cannot be fetched"
        yield warning("token", text, "make one on https://huggingface.co/settings/tokens, then: export HF_TOKEN=hf_...")


def model(question: DoctorQuestion) -> Iterator[Finding | Fact]:
    """The study's base model: a folder's files, or the Hub's word on access and size."""
    if question.settings is None:
        return
    name = str(question.settings["model_name"])
    if _is_local(question):
        yield from _local(name, question)
    elif not is_importable("huggingface_hub"):
        yield red("model", f"{name} is to come from the Hub, but huggingface_hub is missing", question.install)
    else:
        yield from _on_the_hub(name, question)


def _is_local(question: DoctorQuestion) -> bool:
    name = str((question.settings or {}).get("model_name", PREFIX))
    return name.startswith(PREFIX) or Path(name).expanduser().is_dir()


def _token() -> str | None:
    from huggingface_hub import get_token

    return get_token()


def _local(name: str, question: DoctorQuestion) -> Iterator[Finding | Fact]:
    from hpsearch.data.progress import ProgressReporter
    from hpsearch.training.models.base import find_model

    folder = find_model(name, (question.settings or {}).get("model_revision"), ProgressReporter("check"))
    yield from _folder(folder, name, question, "is complete")


def _folder(folder: Path, name: str, question: DoctorQuestion, verdict: str) -> Iterator[Finding | Fact]:
    from hpsearch.training.models.families import find_family

    family = find_family(str((question.settings or {}).get("family", "auto")), folder)
    wrong = list(folder_findings(folder))
    size, parameters = weight_bytes(folder), parameters_in(folder)
    yield from wrong
    if not wrong:
        text = f"{name} {verdict}: {family.name}, {parameters / 1e6:,.1f} million parameters, {size / 1e6:,.1f} MB"
        yield ok("model", text)
    yield Fact("parameters", parameters)
    yield Fact("to_download", 0)


def _on_the_hub(name: str, question: DoctorQuestion) -> Iterator[Finding | Fact]:
    from huggingface_hub import constants

    yield Fact("hub_cache", str(constants.HF_HUB_CACHE))
    cached = _in_cache(name, question)
    if cached is not None:
        yield from _folder(cached, name, question, "is downloaded already")
        return
    yield from _remote(name, question)


def _in_cache(name: str, question: DoctorQuestion) -> Path | None:
    """The downloaded snapshot, where the newest that is known is whole."""
    from huggingface_hub import snapshot_download

    from hpsearch.training.models.base import PATTERNS

    revision = (question.settings or {}).get("model_revision")
    try:
        found = snapshot_download(name, revision=revision, allow_patterns=list(PATTERNS), local_files_only=True)
    except Exception:  # noqa: BLE001 - not there, half there, or no name of a model: the Hub is asked then
        return None
    folder = Path(found)
    return folder if (folder / "config.json").is_file() and not list(folder_findings(folder)) else None


def _remote(name: str, question: DoctorQuestion) -> Iterator[Finding | Fact]:
    from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url

    revision = (question.settings or {}).get("model_revision")
    try:
        info = HfApi().model_info(name, revision=revision, files_metadata=True, timeout=HUB_TIMEOUT_S)
        get_hf_file_metadata(hf_hub_url(name, "config.json", revision=revision), timeout=HUB_TIMEOUT_S)
    except Exception as error:
        raise _refusal(name, revision, error) from error
    sizes = {each.rfilename: each.size or 0 for each in info.siblings or []}
    wrong = list(name_findings(sizes, name))
    yield from wrong
    size = sum(size for file, size in sizes.items() if file.endswith(".safetensors"))
    counted = getattr(info.safetensors, "total", None) if info.safetensors else None
    if not wrong:
        shown = f", {size / 1e9:.3g} GB to download" if size else ""
        yield ok("model", f"{name} can be fetched from the Hub{shown}")
    yield Fact("parameters", counted or size // 2)  # most are in 16 bits
    yield Fact("to_download", size)


def _without_password(url: str) -> str:
    return re.sub(r"//[^/@]*@", "//", url)


def _refusal(name: str, revision: Any, error: Exception) -> UsageError:
    """Each way in which the Hub says no, as the rule and its remedy."""
    from huggingface_hub import constants, errors

    page = f"https://huggingface.co/{name}"
    if isinstance(error, errors.HFValidationError):
        text = f"model_name is a Hub id, a folder or asset:NAME, but {name!r} is none of them"
        return UsageError(text, "mend the path, or write the id as owner/name")
    if isinstance(error, errors.GatedRepoError):
        if _token():
            return UsageError(f"{name} is gated, and the token gives no access", f"accept its terms on {page}")
        text = f"{name} is gated, and there is no token"
        return UsageError(text, f"accept its terms on {page}, then: export HF_TOKEN=hf_...")
    if isinstance(error, errors.RevisionNotFoundError):
        return UsageError(f"{name} has no revision {revision!r}", "mend model_revision")
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return UsageError(f"{name} has no config.json: it is no model of transformers", "mend model_name")
    if isinstance(error, errors.RepositoryNotFoundError):
        text = f"{name} is not on the Hub, or is private" + ("" if _token() else ", and there is no token")
        return UsageError(text, "mend model_name, or set HF_TOKEN to a token that may read it")
    if isinstance(error, errors.OfflineModeIsEnabled):
        text = f"{name} is not downloaded, and HF_HUB_OFFLINE forbids to fetch it"
        return UsageError(text, "unset HF_HUB_OFFLINE, or name a folder in model_name")
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401:
        return UsageError(
            "the Hub does not accept the token", "make a new one on https://huggingface.co/settings/tokens"
        )
    said = f"it answers with status {status}" if status else f"{type(error).__name__}: {error}".splitlines()[0][:150]
    text = f"{name} is not downloaded, and the Hub at {_without_password(constants.ENDPOINT)} cannot be asked: {said}"
    return UsageError(text, "connect the network (HTTPS_PROXY behind a proxy), or name a folder in model_name")
