"""Whether this machine can honour the study's settings: the very rules that the prepare job applies."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from hpsearch.execution.doctor_question import DoctorQuestion, Finding, ok, red, warning


def settings(question: DoctorQuestion) -> Iterator[Finding]:
    """Every value that the search may try, against the device. Nothing where no study is asked about."""
    if question.settings is None:
        return
    if "torch" in question.failed:
        yield warning("settings", "whether they can be honoured cannot be said without a working torch")
        return
    from hpsearch.errors import UsageError
    from hpsearch.training.preflight.settings import candidate_settings

    machine = _machine()
    if question.gpus and machine.device == "cpu":
        yield warning("settings", "whether they can be honoured cannot be said until torch can use the GPU")
        return
    families = _families(question.settings)
    refused: dict[str, str] = {}
    count = 0
    try:
        for candidate in candidate_settings(question.settings, question.variations):
            count += 1
            errors = [error for each in families if (error := _refusal(candidate, each, machine)) is not None]
            if len(errors) == len(families):
                refused.setdefault(errors[0].what, errors[0].remedy)
    except UsageError as error:
        refused.setdefault(error.what, error.remedy)
    for what, remedy in refused.items():
        yield red("settings", what, remedy)
    if not refused:
        yield ok("settings", f"this {machine.device} can honour the study's settings ({count} tried)")


def _families(settings: Mapping[str, Any]) -> list[Any]:
    """The families that the model may be of: the one named, that of a model known by its name, or any."""
    from hpsearch.training.models.families import FAMILIES
    from hpsearch.training.models.profiles import find_profile

    if settings.get("family") in FAMILIES:
        return [FAMILIES[str(settings["family"])]]
    name = str(settings.get("model_name", ""))
    known = [family for family in FAMILIES.values() if find_profile("auto", name, family) is not None]
    return known or list(FAMILIES.values())


def _refusal(candidate: Any, family: Any, machine: Any) -> Any:
    """Why a configuration cannot be honoured with a model of this family; None where it can."""
    from hpsearch.errors import UsageError
    from hpsearch.training.preflight.settings import check_settings

    try:
        check_settings(candidate, family, machine)
    except UsageError as error:
        return error
    return None


def _machine() -> Any:
    import torch

    from hpsearch.training.doctor.installed import is_importable
    from hpsearch.training.machine import Machine
    from hpsearch.training.machine.device import choose_device

    device = choose_device()
    bf16 = device == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)
    return Machine(device, bf16, is_importable("bitsandbytes"))
