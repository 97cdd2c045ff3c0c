"""Settings that cannot be honoured here, refused before the first trial. Pure functions; no torch."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from netrc import NetrcParseError, netrc
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import ValidationError

from hpsearch.errors import UsageError
from hpsearch.settings import TrainSettings
from hpsearch.training.machine import Machine
from hpsearch.training.models.families import Family
from hpsearch.training.models.image_size import check_sizing

EIGHT_BIT_OPTIMIZERS = ("adamw_8bit", "paged_adamw_8bit")


def candidate_settings(settings: Mapping[str, Any], variations: Sequence[Mapping[str, Any]]) -> Iterator[TrainSettings]:
    """Yield the settings as they are, and once with each of the variations over them.

    Raises:
        UsageError: a setting has a value it cannot have.
    """
    for changes in ({}, *variations):
        try:
            yield TrainSettings.model_validate({**settings, **changes})
        except ValidationError as error:
            first = error.errors()[0]
            key = ".".join(map(str, first["loc"])) or "settings"
            raise UsageError(
                f"{key}: {first['msg']}, but is {first.get('input')!r:.60}", "see docs/settings.md for its range"
            ) from error


def check_settings(settings: TrainSettings, family: Family, machine: Machine) -> None:
    """Refuse what the family, the backend or the machine cannot honour.

    Raises:
        UsageError: it has the rule, the values that break it, and the remedy.
    """
    _check_precision(settings, family, machine)
    check_sizing(settings, family)
    if settings.load_in_4bit:
        _check_bitsandbytes("load_in_4bit", machine)
    if settings.optim in EIGHT_BIT_OPTIMIZERS:
        _check_bitsandbytes(f"optim {settings.optim}", machine)
    check_tracker(settings.report_to)


def _check_precision(settings: TrainSettings, family: Family, machine: Machine) -> None:
    if settings.precision == "fp16" and machine.device == "cpu":
        raise UsageError("precision fp16 needs a CUDA GPU, but torch sees none", 'set "precision" to "fp32" or "auto"')
    if settings.precision == "bf16" and not machine.bf16:
        raise UsageError(
            f"precision bf16 needs a device that computes in it, but this {machine.device} does not",
            'set "precision" to "fp32" or "auto"',
        )
    if settings.precision != "auto" and settings.precision not in family.precisions:
        raise UsageError(
            f"precision {settings.precision} does not train {family.name} models soundly",
            f"set it to one of {', '.join(family.precisions)}",
        )


def _check_bitsandbytes(name: str, machine: Machine) -> None:
    if machine.device != "cuda":
        raise UsageError(f"{name} needs a CUDA GPU, but torch sees none", f"leave {name} out on this machine")
    if not machine.bitsandbytes:
        raise UsageError(f"{name} needs bitsandbytes, which is not installed", "pip install bitsandbytes")


def check_tracker(report_to: str) -> None:
    """Refuse a tracker whose library is not installed.

    Raises:
        UsageError: names the library.
    """
    if report_to != "none" and importlib.util.find_spec(report_to) is None:
        raise UsageError(f"report_to {report_to} needs {report_to}, which is not installed", f"pip install {report_to}")


def without_key(report_to: str, environment: Mapping[str, str]) -> list[str]:
    """Warn where Weights & Biases would ask for a key and there is none where it is usually kept: in the environment,
    or in the file that `wandb login` writes to."""
    offline = environment.get("WANDB_MODE") in ("offline", "disabled", "dryrun")
    if report_to != "wandb" or offline or environment.get("WANDB_API_KEY"):
        return []
    host = urlsplit(environment.get("WANDB_BASE_URL", "https://api.wandb.ai")).hostname
    with suppress(OSError, NetrcParseError):
        if host in netrc(environment.get("NETRC") or Path.home() / ".netrc").hosts:
            return []
    return [
        "report_to wandb will send nothing without a key: `wandb login`, set WANDB_API_KEY, or WANDB_MODE=offline to "
        "send the runs later"
    ]
