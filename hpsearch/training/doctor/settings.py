"""Whether this machine can honour the study's settings: the very rules that the prepare job applies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from hpsearch.trials.diagnosis import Finding, Question, ok, red, warning


def settings(question: Question) -> Iterator[Finding]:
    """Every value that the search may try, against the device. Nothing where no study is asked about."""
    if question.settings is None:
        return
    if "torch" in question.failed:
        yield warning("settings", "whether they can be honoured cannot be said without a working torch")
        return
    from hpsearch.errors import UsageError
    from hpsearch.training.checks.settings import candidate_settings, check_settings
    from hpsearch.training.models.families import FAMILIES

    machine = _machine()
    if question.gpus and machine.device == "cpu":
        yield warning("settings", "whether they can be honoured cannot be said until torch can use the GPU")
        return
    family = FAMILIES.get(str(question.settings.get("family")), next(iter(FAMILIES.values())))
    refused: dict[str, str] = {}
    count = 0
    try:
        for candidate in candidate_settings(question.settings, question.variations):
            count += 1
            try:
                check_settings(candidate, family, machine)
            except UsageError as error:
                refused.setdefault(error.what, error.remedy)
    except UsageError as error:
        refused.setdefault(error.what, error.remedy)
    for what, remedy in refused.items():
        yield red("settings", what, remedy)
    if not refused:
        yield ok("settings", f"this {machine.device} can honour the study's settings ({count} tried)")


def _machine() -> Any:
    import torch

    from hpsearch.training.doctor.installed import is_importable
    from hpsearch.training.machine.devices import choose_device
    from hpsearch.training.machine.kind import Machine

    device = choose_device()
    bf16 = device == "cpu" or torch.cuda.is_bf16_supported(including_emulation=False)
    return Machine(device, bf16, is_importable("bitsandbytes"))
