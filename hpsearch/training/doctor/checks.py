"""The checks of the training side, by name, in the order in which they are made. Adding one is an entry here."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from hpsearch.training.doctor.compute import compute
from hpsearch.training.doctor.libraries import bitsandbytes, packages, torchvision, unsloth
from hpsearch.training.doctor.model import model, token
from hpsearch.training.doctor.settings import settings
from hpsearch.trials.diagnosis import Fact, Finding, Question

Check = Callable[[Question], Iterable[Finding | Fact]]

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
