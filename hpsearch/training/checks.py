"""Refusing, before the first trial, every setting that cannot be honoured here. Pure functions; no torch."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from pydantic import ValidationError

from hpsearch.errors import UsageError
from hpsearch.training.families import Family
from hpsearch.training.machine import Machine
from hpsearch.training.sizing import check_sizing
from hpsearch.trials.settings import TrainSettings

EIGHT_BIT_OPTIMIZERS = ("adamw_8bit", "paged_adamw_8bit")
# Libraries of which one is enough, by report_to.
TRACKERS = {"wandb": ("wandb",), "tensorboard": ("tensorboard",)}


def candidates(settings: Mapping[str, Any], searched: Mapping[str, Sequence[Any]]) -> Iterator[TrainSettings]:
    """The settings as they are, and once for each other value of a searched one, the rest as they are.

    Raises:
        UsageError: a setting has a value it cannot have.
    """
    yield _parse(settings)
    for name, values in searched.items():
        for value in values:
            if value != settings.get(name):
                yield _parse({**settings, name: value})


def check_settings(settings: TrainSettings, family: Family, machine: Machine) -> None:
    """Refuse what the family, the backend or the machine cannot honour.

    Raises:
        UsageError: saying which rule is broken by which values, and the remedy.
    """
    _check_precision(settings, family, machine)
    check_sizing(settings, family)
    for name, wanted in {
        "load_in_4bit": settings.load_in_4bit,
        f"optim {settings.optim}": settings.optim in EIGHT_BIT_OPTIMIZERS,
    }.items():
        if wanted:
            _check_bitsandbytes(name, machine)
    _check_report_to(settings.report_to)


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


def _check_report_to(setting: str) -> None:
    """Refuse a tracker whose library is not installed: transformers would fail in the first trial."""
    libraries = TRACKERS.get(setting, ())
    if libraries and not any(importlib.util.find_spec(name) for name in libraries):
        raise UsageError(
            f"report_to {setting} needs {libraries[0]}, which is not installed", f"pip install {libraries[0]}"
        )


def _parse(settings: Mapping[str, Any]) -> TrainSettings:
    try:
        return TrainSettings.model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "settings"
        raise UsageError(
            f"{where}: {first['msg']}, but is {first.get('input')!r:.60}", "see docs/settings.md for its range"
        ) from error
