"""The checks of the training side, by name, in the order in which they are made. Adding one is an entry here."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hpsearch.execution.doctor_question import DoctorQuestion, Fact, Finding
from hpsearch.training.doctor.compute import compute
from hpsearch.training.doctor.libraries import bitsandbytes, packages, torchvision, unsloth
from hpsearch.training.doctor.model import model, token
from hpsearch.training.doctor.settings import settings

Check = Callable[[DoctorQuestion], Iterable[Finding | Fact]]

CHECKS: dict[str, Check] = {
    "training": packages,
    "torch": compute,
    "torchvision": torchvision,
    "bitsandbytes": bitsandbytes,
    "unsloth": unsloth,
    "token": token,
    "model": model,
    "settings": settings,
}
