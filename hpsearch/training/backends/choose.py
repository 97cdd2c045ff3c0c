"""Which backend a study's trials run on, why, and what keeps unsloth from being it. Imports nothing unsloth patches.

unsloth works with ranges of versions that end before the newest releases do. The ranges are read from what the
installed unsloth says of itself, so they are right for whichever unsloth that is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from hpsearch.errors import UsageError
from hpsearch.settings import TrainSettings

# Whose ranges count, and for which packages: those that hpsearch and unsloth's patches both work on. What else unsloth
# requires (torchvision, xformers ...) hpsearch does not use, or it shows when unsloth is imported.
_PACKAGES = ("unsloth", "unsloth_zoo")
_DECISIVE = ("torch", "transformers", "trl", "datasets", "peft", "accelerate", "bitsandbytes", "unsloth_zoo")
_MAKE_ONE = "`hpsearch setup-trainer --name unsloth` makes an environment that fits"


@dataclass(frozen=True)
class Obstacle:
    """What keeps unsloth from working here: in half a sentence, and what to do about it."""

    reason: str
    remedy: str


_SEVERAL_GPUS = Obstacle("it trains on one GPU", 'set "backend" to "hf", or give each trial one GPU')


def choose_backend(
    setting: str,
    candidates: Sequence[TrainSettings] = (),
    obstacle: Callable[[], Obstacle | None] | None = None,
    *,
    gpus: int = 1,
) -> tuple[str, str]:
    """The backend's name for a setting, and why in a few words. ``candidates`` are what trials may ask of it, each with
    so many ``gpus``.

    Raises:
        UsageError: the setting names unsloth, which cannot work here.
    """
    if setting == "hf":
        return "hf", "the settings name it"
    found = (obstacle or unsloth_obstacle)() if gpus <= 1 else _SEVERAL_GPUS
    if setting == "unsloth":
        if found is not None:
            raise UsageError(f"backend unsloth cannot work here: {found.reason}", found.remedy)
        return "unsloth", "the settings name it"
    if found is not None:
        return "hf", f"unsloth cannot work here: {found.reason}"
    asked = next((what for each in candidates if (what := beyond_unsloth(each))), None)
    if asked is not None:
        return "hf", f"unsloth does not honour {asked[0]}"
    return "unsloth", f"there is a CUDA GPU, and unsloth {version('unsloth')} with versions in its ranges"


def check_backend(backend: str, settings: TrainSettings) -> None:
    """Refuse what the chosen backend cannot honour.

    Raises:
        UsageError: saying what, and the backend that can.
    """
    beyond = beyond_unsloth(settings) if backend == "unsloth" else None
    if beyond is not None:
        raise UsageError(
            f"backend unsloth does not honour {beyond[0]}: {beyond[1]}", 'set "backend" to "hf", or leave it out'
        )


def beyond_unsloth(settings: TrainSettings) -> tuple[str, str] | None:
    """A setting that unsloth would not honour, and why; None where it honours all."""
    if settings.use_dora:
        return "use_dora true", "its LoRA function names no such argument, and its fast LoRA kernels are not for it"
    if settings.label_smoothing_factor:
        return "label_smoothing_factor", "its loss is computed inside the model, and was not seen to smooth"
    if settings.precision == "fp32":
        return "precision fp32", "its trainer computes in 16 bits whatever it is told, where the GPU can"
    return None


def unsloth_obstacle(cuda: bool | None = None) -> Obstacle | None:
    """What keeps unsloth from working in this environment, on this machine; None where nothing is known. ``cuda`` is
    whether there is a CUDA GPU; None: ask torch."""
    if not (_sees_cuda() if cuda is None else cuda):
        return Obstacle("torch sees no CUDA GPU", 'set "backend" to "hf" on this machine')
    missing = [name for name in _PACKAGES if _version(name) is None]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        remedy = f"{_MAKE_ONE}; into a new one of your own: pip install 'hpsearch[gpu]'"
        return Obstacle(f"{' and '.join(missing)} {are} not installed", remedy)
    outside = conflicts()
    if outside:
        return Obstacle("; ".join(outside), f"{_MAKE_ONE}, or install versions in these ranges")
    return None


def _sees_cuda() -> bool:
    import torch

    return torch.cuda.is_available()


def conflicts() -> list[str]:
    """What is installed outside the ranges that the installed unsloth states: package, version, range."""
    found = []
    for requirement in _ranges():
        installed = _version(requirement.name)
        if installed is not None and not requirement.specifier.contains(installed, prereleases=True):
            found.append(f"{requirement.name} {installed} is installed, but unsloth takes {requirement.specifier}")
    return sorted(set(found))


def _ranges() -> Iterator[Requirement]:
    for package in _PACKAGES:
        for text in requires(package) or ():
            requirement = Requirement(text)
            here = requirement.marker is None or requirement.marker.evaluate({"extra": ""})
            if here and requirement.name.replace("-", "_") in _DECISIVE:
                yield requirement


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None
