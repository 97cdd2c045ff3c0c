"""Refusing, before the first trial, every setting that cannot be honoured here. Pure functions; no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError

from hpsearch.errors import UsageError
from hpsearch.training.families import Family
from hpsearch.training.prepared import TOO_LONG_REMEDY, too_long
from hpsearch.trials.settings import TrainSettings


@dataclass(frozen=True)
class Machine:
    """What a trial would run on."""

    device: str  # "cpu" or "cuda"
    bf16: bool  # whether it computes in bf16
    bitsandbytes: bool  # whether the 4- and 8-bit library is installed


def candidates(settings: Mapping[str, Any], searched: Mapping[str, Sequence[Any]]) -> Iterator[TrainSettings]:
    """The settings as they are, and once for each searched value, the other searched settings at their first.

    Raises:
        UsageError: a setting has a value it cannot have.
    """
    base = {**settings, **{name: values[0] for name, values in searched.items() if values}}
    yield _parse(base)
    for name, values in searched.items():
        for value in values[1:]:
            yield _parse({**base, name: value})


def check_settings(settings: TrainSettings, family: Family, machine: Machine) -> None:
    """Refuse what the family, the backend or the machine cannot honour.

    Raises:
        UsageError: saying which rule is broken by which values, and the remedy.
    """
    if not (settings.finetune_language_layers or settings.finetune_vision_layers):
        raise UsageError(
            "something must be adapted, but finetune_language_layers and finetune_vision_layers are both false",
            "set one of them to true",
        )
    _check_precision(settings, family, machine)
    for name, wanted in {
        "load_in_4bit": settings.load_in_4bit,
        "optim adamw_8bit": settings.optim == "adamw_8bit",
    }.items():
        if wanted:
            _check_bitsandbytes(name, machine)


def check_length(settings: TrainSettings, longest: int) -> None:
    """Refuse a length limit below the longest row's tokens.

    Raises:
        UsageError: saying both numbers.
    """
    if longest > settings.max_seq_length:
        raise UsageError(too_long(longest, settings.max_seq_length), TOO_LONG_REMEDY)


def _check_precision(settings: TrainSettings, family: Family, machine: Machine) -> None:
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


def _parse(settings: Mapping[str, Any]) -> TrainSettings:
    try:
        return TrainSettings.model_validate(dict(settings))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "settings"
        raise UsageError(
            f"{where}: {first['msg']}, but is {first.get('input')!r:.60}", "see docs/settings.md for its range"
        ) from error
