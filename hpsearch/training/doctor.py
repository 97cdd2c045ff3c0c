"""The job "doctor": what the training's interpreter, its libraries, the Hub and the base model's files report.

It must work where these are missing or broken, so that only the standard library is imported before a check begins. A
check takes a ``DoctorQuestion`` and yields findings and facts; nothing is downloaded.
"""

from __future__ import annotations

import json
import math
import os
import re
import struct
import warnings
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from dataclasses import replace
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from hpsearch import sdk
from hpsearch.assets import PREFIX
from hpsearch.errors import UsageError
from hpsearch.execution.doctor_question import (
    FINDINGS_FILE,
    DoctorQuestion,
    Fact,
    Finding,
    ok,
    red,
    warning,
)
from hpsearch.execution.files import read_object
from hpsearch.execution.job import Job
from hpsearch.execution.units import bytes_text
from hpsearch.training.doctor_libraries import bitsandbytes, torch, torchvision, training, unsloth

HUB_TIMEOUT_S = 10.0  # for one answer of the Hub

INDEX = "model.safetensors.index.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
TEMPLATES = ("chat_template.jinja", "chat_template.json")
_MAX_HEADER_BYTES = 100_000_000  # the limit of the format itself


def answer(job: Job) -> None:
    """Make the checks that the job asks for, and write findings and facts as they come."""
    warnings.simplefilter("ignore")
    os.environ.setdefault("TRANSFORMERS_VERBOSITY", "error")
    question = DoctorQuestion.from_settings(job.settings)
    names = question.checks or tuple(CHECKS)
    with (Path(job.output_dir) / FINDINGS_FILE).open("w", encoding="utf-8", buffering=1) as file:

        def write(line: Mapping[str, Any]) -> None:
            file.write(json.dumps(line) + "\n")

        write({"checks": names})
        for name in names:
            sdk.progress(phase=name)  # a sign of life: the job's stall limit is that of one check
            write({"begin": name})
            results, worked = run_check(name, question)
            for result in results:
                write(
                    {"fact": result.name, "value": result.value}
                    if isinstance(result, Fact)
                    else {"finding": result.to_json()}
                )
            write({"end": name})
            if not worked:
                question = replace(question, failed=(*question.failed, name))


def run_check(name: str, question: DoctorQuestion) -> tuple[list[Finding | Fact], bool]:
    """Make one check. Returns its findings and facts, and False where it could not be made."""
    try:
        return list(CHECKS[name](question)), True
    except UsageError as error:
        return [red(name, error.what, error.remedy)], False
    except Exception as error:  # noqa: BLE001 - a check that fails is a finding, and the next one goes on
        reason = f"{type(error).__name__}: {error}".splitlines()[0][:300]
        return [red(name, f"this check failed: {reason}", "fix what it says, then run hpsearch doctor again")], False


# The base model: its files are here, or can be fetched; how large it is.


def token(question: DoctorQuestion) -> Iterator[Finding]:
    """Check that there is a token for the Hub, where one may be needed; never show it."""
    if question.settings is None or find_spec("huggingface_hub") is None or _is_local(question):
        return
    from huggingface_hub import get_token

    if get_token():
        yield ok("token", "there is a token for the Hugging Face Hub")
    else:
        text = "there is no token for the Hugging Face Hub: gated models, such as Gemma, cannot be fetched"
        yield warning("token", text, "make one on https://huggingface.co/settings/tokens, then: export HF_TOKEN=hf_...")


def model(question: DoctorQuestion) -> Iterator[Finding | Fact]:
    """Check the study's base model: a folder's files, or access and size on the Hub."""
    if question.settings is None:
        return
    name, revision = str(question.settings["model_name"]), question.settings.get("model_revision")
    if _is_local(question):
        from hpsearch.data.progress import ProgressReporter
        from hpsearch.training.models.base import find_model

        folder = find_model(name, revision, ProgressReporter("check"))
        yield from _check_folder(folder, name, question, "is complete")
    elif find_spec("huggingface_hub") is None:
        yield red("model", f"{name} comes from the Hub, but huggingface_hub is missing", question.install)
    else:
        from huggingface_hub import constants

        yield Fact("hub_cache", str(constants.HF_HUB_CACHE))
        if folder_in_cache := _cached(name, revision):
            yield from _check_folder(folder_in_cache, name, question, "is downloaded already")
        else:
            yield from _check_on_hub(name, revision)


def _is_local(question: DoctorQuestion) -> bool:
    name = str((question.settings or {}).get("model_name", PREFIX))
    return name.startswith(PREFIX) or Path(name).expanduser().is_dir()


def _check_folder(folder: Path, name: str, question: DoctorQuestion, verdict: str) -> Iterator[Finding | Fact]:
    from hpsearch.training.models.families import find_family

    family = find_family(str((question.settings or {}).get("family", "auto")), folder)
    problems = list(folder_findings(folder))
    yield from problems
    weights, parameters = list(folder.glob("*.safetensors")), 0
    for path in weights:
        try:
            header = _header(path)
        except (OSError, ValueError, struct.error):
            continue
        parameters += sum(math.prod(entry["shape"]) for key, entry in header.items() if key != "__metadata__")
    if not problems:
        size = sum(path.stat().st_size for path in weights)
        text = f"{name} {verdict}: {family.name}, {parameters / 1e6:,.1f} million parameters, {bytes_text(size)}"
        yield ok("model", text)
    yield Fact("parameters", parameters)
    yield Fact("to_download", 0)


def _cached(name: str, revision: str | None) -> Path | None:
    """Return the folder of a model downloaded before; None unless its newest known snapshot is whole."""
    from huggingface_hub import snapshot_download

    from hpsearch.training.models.base import PATTERNS

    try:
        folder = Path(snapshot_download(name, revision=revision, allow_patterns=list(PATTERNS), local_files_only=True))
    except Exception:  # noqa: BLE001 - not there, half there, or no name of a model: the Hub is asked then
        return None
    return folder if (folder / "config.json").is_file() and not list(folder_findings(folder)) else None


def _check_on_hub(name: str, revision: str | None) -> Iterator[Finding | Fact]:
    from huggingface_hub import HfApi, get_hf_file_metadata, hf_hub_url

    try:
        info = HfApi().model_info(name, revision=revision, files_metadata=True, timeout=HUB_TIMEOUT_S)
        get_hf_file_metadata(hf_hub_url(name, "config.json", revision=revision), timeout=HUB_TIMEOUT_S)
    except Exception as error:
        raise _refusal(name, revision, error) from error
    sizes = {file.rfilename: file.size or 0 for file in info.siblings or []}
    problems = list(name_findings(sizes, name))
    yield from problems
    size = sum(size for file, size in sizes.items() if file.endswith(".safetensors"))
    if not problems:
        download = f", {bytes_text(size)} to download" if size else ""
        yield ok("model", f"{name} can be fetched from the Hub{download}")
    counted = getattr(info.safetensors, "total", None) if info.safetensors else None
    yield Fact("parameters", counted or size // 2)  # most are in 16 bits
    yield Fact("to_download", size)


def _refusal(name: str, revision: str | None, error: Exception) -> UsageError:
    """Return each way in which the Hub refuses as a rule and its remedy."""
    from huggingface_hub import constants, errors, get_token

    page = f"https://huggingface.co/{name}"
    if isinstance(error, errors.HFValidationError):
        text = f"model_name is a Hub id, a folder or asset:NAME, but {name!r} is none of them"
        return UsageError(text, "correct the path, or write the id as owner/name")
    if isinstance(error, errors.GatedRepoError):
        if get_token():
            return UsageError(f"{name} is gated, and the token gives no access", f"accept its terms on {page}")
        text = f"{name} is gated, and there is no token"
        return UsageError(text, f"accept its terms on {page}, then: export HF_TOKEN=hf_...")
    if isinstance(error, errors.RevisionNotFoundError):
        return UsageError(f"{name} has no revision {revision!r}", "correct model_revision")
    if isinstance(error, errors.RemoteEntryNotFoundError):
        return UsageError(f"{name} has no config.json: it is no model of transformers", "correct model_name")
    if isinstance(error, errors.RepositoryNotFoundError):
        text = f"{name} is not on the Hub, or is private" + ("" if get_token() else ", and there is no token")
        return UsageError(text, "correct model_name, or set HF_TOKEN to a token that may read it")
    if isinstance(error, errors.OfflineModeIsEnabled):
        text = f"{name} is not downloaded, and HF_HUB_OFFLINE forbids to fetch it"
        return UsageError(text, "unset HF_HUB_OFFLINE, or name a folder in model_name")
    status = getattr(getattr(error, "response", None), "status_code", None)
    if status == 401:
        text = "the Hub does not accept the token"
        return UsageError(text, "make a new one on https://huggingface.co/settings/tokens")
    hub = re.sub(r"//[^/@]*@", "//", constants.ENDPOINT)  # without a password
    reply = f"it answers with status {status}" if status else f"{type(error).__name__}: {error}".splitlines()[0][:150]
    text = f"{name} is not downloaded, and the Hub at {hub} cannot be asked: {reply}"
    return UsageError(text, "connect the network (HTTPS_PROXY behind a proxy), or name a folder in model_name")


# The files of a model: those it needs, read without loading any weights.


def name_findings(names: Collection[str], model: str) -> Iterator[Finding]:
    """Find the parts missing among a model's file names. A chat template may be inside another file, so is not looked
    for."""
    if not any(name.endswith(".safetensors") for name in names):
        yield red("model", f"{model} has no weights as *.safetensors", "name a model that has them")
    for files, part in ((TOKENIZERS, "tokenizer"), (PROCESSORS, "processor (for its pictures)")):
        if not set(files) & set(names):
            text = f"{model} has no {part}: none of {', '.join(files)}"
            yield red("model", text, "name a model of text and pictures that has one, or add the file")


def folder_findings(folder: Path) -> Iterator[Finding]:
    """Find the files missing or unreadable in a model's folder, besides its config.json."""
    names = {path.name for path in folder.iterdir()}
    yield from name_findings(names, str(folder))
    missing = sorted(set(read_object(folder / INDEX).get("weight_map", {}).values()) - names)
    if missing:
        text = f"{folder} lacks {len(missing)} of the weights' files, such as {missing[0]}"
        yield red("model", text, "copy or download the model again")
    for path in sorted(folder.glob("*.safetensors")):
        try:
            _header(path)
        except (OSError, ValueError, struct.error) as error:
            yield red("model", f"{path} cannot be read: {error}", "copy or download the model again")
    configs = (folder / "tokenizer_config.json", folder / "processor_config.json")
    if not set(TEMPLATES) & names and not any(read_object(path).get("chat_template") for path in configs):
        text = f"{folder} has no chat template, which says how a question is asked"
        yield red("model", text, f"use the instruction-tuned model (-it, -Instruct), or add {TEMPLATES[0]}")


def _header(path: Path) -> dict[str, Any]:
    """Read the table of contents of a safetensors file: eight bytes of length, then JSON.

    Raises:
        ValueError: it is not such a file, or is cut off.
    """
    size = path.stat().st_size
    with path.open("rb") as source:
        (length,) = struct.unpack("<Q", source.read(8))
        if length > min(size, _MAX_HEADER_BYTES):
            raise ValueError("not a safetensors file")
        header: dict[str, Any] = json.loads(source.read(length))
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    if 8 + length + max(ends, default=0) > size:
        raise ValueError("it is cut off")
    return header


# The settings: those that this machine cannot honour, by the very rules of the prepare job.


def settings(question: DoctorQuestion) -> Iterator[Finding]:
    """Check every value that the search may try against the device. Nothing where no study is asked about."""
    if question.settings is None:
        return
    if "torch" in question.failed:
        yield warning("settings", "whether they can be honoured cannot be said without a working torch")
        return
    from hpsearch.training.machine.device import this_machine
    from hpsearch.training.preflight.settings import candidate_settings, check_settings

    machine = this_machine()
    if question.gpus and machine.device == "cpu":
        yield warning("settings", "whether they can be honoured cannot be said until torch can use the GPU")
        return

    def refusal(candidate: Any, family: Any) -> UsageError | None:
        try:
            check_settings(candidate, family, machine)
        except UsageError as error:
            return error
        return None

    families = _possible_families(question.settings)
    refused: dict[str, str] = {}
    count = 0
    try:
        for candidate in candidate_settings(question.settings, question.variations):
            count += 1
            errors = [error for family in families if (error := refusal(candidate, family)) is not None]
            if len(errors) == len(families):
                refused.setdefault(errors[0].what, errors[0].remedy)
    except UsageError as error:
        refused.setdefault(error.what, error.remedy)
    for what, remedy in refused.items():
        yield red("settings", what, remedy)
    if not refused:
        yield ok("settings", f"this {machine.device} can honour the study's settings ({count} tried)")


def _possible_families(settings: Mapping[str, Any]) -> list[Any]:
    """Return the families that the model may be of: the one named, that of a model known by its name, or all."""
    from hpsearch.training.models.families import FAMILIES
    from hpsearch.training.models.profiles import find_profile

    if settings.get("family") in FAMILIES:
        return [FAMILIES[str(settings["family"])]]
    name = str(settings.get("model_name", ""))
    known = [family for family in FAMILIES.values() if find_profile("auto", name, family) is not None]
    return known or list(FAMILIES.values())


# By name, in the order in which they are made. Adding a check is an entry here.
CHECKS: dict[str, Callable[[DoctorQuestion], Iterable[Finding | Fact]]] = {
    "training": training,
    "torch": torch,
    "torchvision": torchvision,
    "bitsandbytes": bitsandbytes,
    "unsloth": unsloth,
    "token": token,
    "model": model,
    "settings": settings,
}
