"""The choice of the backend that a study's trials run on, with the reason. Imports nothing that unsloth patches.

unsloth works with ranges of versions that end before the newest releases do. The ranges are read from the metadata of
the installed unsloth, so they are right for every release of it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from hpsearch.errors import UsageError
from hpsearch.execution.versions import misfits, requirements_of, version_of
from hpsearch.settings import TrainSettings

# The packages whose ranges count, and the libraries for which they do: those that hpsearch and unsloth's patches both
# work on. What else unsloth requires (torchvision, xformers ...) hpsearch does not use, or unsloth's import fails.
_PACKAGES = ("unsloth", "unsloth_zoo")
_DECISIVE = ("torch", "transformers", "trl", "datasets", "peft", "accelerate", "bitsandbytes", "unsloth_zoo")
_MAKE_ONE = "`hpsearch setup-trainer --name unsloth` makes an environment that fits"


@dataclass(frozen=True)
class Obstacle:
    """A reason why unsloth cannot work here, in half a sentence, and the remedy."""

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
    """Choose the backend for a setting. ``candidates`` are the settings that trials may have, each on ``gpus`` GPUs.

    Returns:
        Its name, and the reason in a few words.

    Raises:
        UsageError: the setting names unsloth, which cannot work here.
    """
    if setting == "hf":
        return "hf", "the settings name it"
    problem = (obstacle or unsloth_obstacle)() if gpus <= 1 else _SEVERAL_GPUS
    if setting == "unsloth":
        if problem is not None:
            raise UsageError(f"backend unsloth cannot work here: {problem.reason}", problem.remedy)
        return "unsloth", "the settings name it"
    if problem is not None:
        return "hf", f"unsloth cannot work here: {problem.reason}"
    for candidate in candidates:
        if beyond := beyond_unsloth(candidate):
            return "hf", f"unsloth does not honour {beyond[0]}"
    return "unsloth", f"there is a CUDA GPU, and unsloth {version_of('unsloth')} with versions in its ranges"


def check_backend(backend: str, settings: TrainSettings) -> None:
    """Refuse settings that the chosen backend does not honour.

    Raises:
        UsageError: names the setting, and the backend that honours it.
    """
    beyond = beyond_unsloth(settings) if backend == "unsloth" else None
    if beyond is not None:
        raise UsageError(
            f"backend unsloth does not honour {beyond[0]}: {beyond[1]}", 'set "backend" to "hf", or leave it out'
        )


def beyond_unsloth(settings: TrainSettings) -> tuple[str, str] | None:
    """Return a setting that unsloth would not honour, with the reason; None where it honours all."""
    if settings.use_dora:
        return "use_dora true", "its LoRA function names no such argument, and its fast LoRA kernels are not for it"
    if settings.label_smoothing_factor:
        return "label_smoothing_factor", "its loss is computed inside the model, and was not seen to smooth"
    if settings.precision == "fp32":
        return "precision fp32", "its trainer computes in 16 bits whatever is set, where the GPU can"
    return None


def unsloth_obstacle(cuda: bool | None = None) -> Obstacle | None:
    """Return the obstacle to unsloth in this environment, on this machine; None where none is known. ``cuda``: there is
    a CUDA GPU; None: ask torch."""
    if cuda is None:
        import torch

        cuda = torch.cuda.is_available()
    if not cuda:
        return Obstacle("torch sees no CUDA GPU", 'set "backend" to "hf" on this machine')
    missing = [name for name in _PACKAGES if version_of(name) is None]
    if missing:
        are = "is" if len(missing) == 1 else "are"
        remedy = f"{_MAKE_ONE}; into a new one of your own: pip install 'hpsearch[gpu]'"
        return Obstacle(f"{' and '.join(missing)} {are} not installed", remedy)
    outside = conflicts()
    if outside:
        return Obstacle("; ".join(outside), f"{_MAKE_ONE}, or install versions in these ranges")
    return None


def conflicts() -> list[str]:
    """List the libraries that are installed outside the ranges of the installed unsloth: name, version, range."""
    requirements = [text for package in _PACKAGES for text in requirements_of(package)]
    return sorted(
        {
            f"{misfit.name} {misfit.installed} is installed, but unsloth takes {misfit.ranges}"
            for misfit in misfits(requirements)
            if misfit.installed is not None and misfit.name.replace("-", "_") in _DECISIVE
        }
    )
