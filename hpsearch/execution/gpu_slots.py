"""Which GPUs a run uses, and how they are shared out among slots."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hpsearch.errors import UsageError
from hpsearch.execution.environment import has_gpu
from hpsearch.execution.gpu import ANSWER_S, Driver, Gpu, find_driver
from hpsearch.execution.slots import Slot, without_gpus

ALL = "all"
_BUSY = 0.1  # of a GPU's memory: beyond that someone else is at work on it
_GB = 1e9


@dataclass(frozen=True)
class Wanted:
    """What was asked for: ``gpus`` as numbers of nvidia-smi ("0,1"), as starts of their UUIDs, or "all"."""

    gpus: str | None = None
    slots: int | None = None
    gpus_per_trial: int | None = None

    @property
    def nothing(self) -> bool:
        """Whether nothing was asked for."""
        return self == Wanted()


@dataclass(frozen=True)
class Shares:
    """The slots of a run, and what there is to say of their GPUs. ``gpu`` is one of them, where each slot has one and
    all are of one kind and size."""

    slots: tuple[Slot, ...]
    notes: tuple[str, ...] = ()
    gpu: Gpu | None = None


def look_for_gpus() -> Driver:
    """What the NVIDIA driver says, asked only where there may be one."""
    return find_driver(ANSWER_S) if shutil.which("nvidia-smi") or has_gpu() else Driver()


def share_out(wanted: Wanted, environ: Mapping[str, str], driver: Driver, *, own_program: bool) -> Shares:
    """Make the slots that were asked for of the GPUs that are there.

    Where nothing was asked for there is one slot: with the first visible GPU for the built-in training, with all
    visible ones for a program of the study's own.

    Raises:
        UsageError: GPUs were asked for that are not there, or are too few.
    """
    visible = _visible(environ, driver)
    chosen = visible if wanted.gpus is None else _named(wanted.gpus, visible, driver)
    if not chosen:
        if wanted.gpus_per_trial is not None:
            raise _none(driver, "--gpus-per-trial")
        return Shares(without_gpus(wanted.slots or 1))
    each = wanted.gpus_per_trial or (len(chosen) if wanted.nothing and own_program else 1)
    most = len(chosen) // each
    count = wanted.slots or (1 if wanted.gpus is None and most else most)
    if count > most or count < 1:
        raise UsageError(
            f"{_number(max(count, 1), 'slot')} of {_number(each, 'GPU')} each must not need more GPUs than there are, "
            f"but there {'is' if len(chosen) == 1 else 'are'} {len(chosen)}: {_listed(chosen)}",
            "give fewer --slots, fewer --gpus-per-trial, or more --gpus",
        )
    slots = tuple(Slot(number, tuple(chosen[number * each : (number + 1) * each])) for number in range(count))
    return Shares(slots, (*_idle(wanted, slots, visible), *_busy(slots, driver)), _alike(slots, driver))


def _alike(slots: Sequence[Slot], driver: Driver) -> Gpu | None:
    gpus = [driver.gpus[gpu] for slot in slots for gpu in slot.gpus]
    alike = len({(gpu.name, gpu.total) for gpu in gpus}) == 1 and len(gpus) == len(slots)
    return gpus[0] if alike else None


def _visible(environ: Mapping[str, str], driver: Driver) -> list[int]:
    """The GPUs that CUDA_VISIBLE_DEVICES lets programs see, all where it says nothing; none where it names what the
    driver does not list, such as parts of a GPU (MIG)."""
    said = environ.get("CUDA_VISIBLE_DEVICES")
    if said is None:
        return list(range(len(driver.gpus)))
    found = [_find(word.strip(), driver) for word in said.split(",")]
    return [number for number in found if number is not None] if None not in found else []


def _find(word: str, driver: Driver) -> int | None:
    if word.isdecimal() and int(word) < len(driver.gpus):
        return int(word)
    same = [number for number, gpu in enumerate(driver.gpus) if word.startswith("GPU-") and gpu.uuid.startswith(word)]
    return same[0] if len(same) == 1 else None


def _named(text: str, visible: Sequence[int], driver: Driver) -> list[int]:
    if not visible:
        raise _none(driver, "--gpus")
    if text == ALL:
        return list(visible)
    numbers = []
    for word in (part.strip() for part in text.split(",")):
        number = _find(word, driver)
        if number is None:
            raise UsageError(
                f"--gpus names GPUs as nvidia-smi does, separated by commas, or says {ALL!r}, but there is no {word!r}",
                f"there {'is' if len(visible) == 1 else 'are'}: {_listed(visible)}",
            )
        if number not in visible:
            raise UsageError(
                f"--gpus names visible GPUs, but CUDA_VISIBLE_DEVICES leaves out GPU {number}",
                f"choose among {_listed(visible)}, or change CUDA_VISIBLE_DEVICES",
            )
        if number in numbers:
            raise UsageError(f"--gpus names each GPU once, but GPU {number} twice", "leave one of them out")
        numbers.append(number)
    return numbers


def _none(driver: Driver, option: str) -> UsageError:
    if driver.gpus:
        why = "CUDA_VISIBLE_DEVICES names none of those that the driver lists"
    else:
        why = driver.problem or "no NVIDIA driver answers here"
    return UsageError(
        f"{option} needs NVIDIA GPUs, but {why}",
        "leave it out (--slots N alone runs N trials side by side), or see `hpsearch doctor`",
    )


def _idle(wanted: Wanted, slots: Sequence[Slot], visible: Sequence[int]) -> list[str]:
    used = {gpu for slot in slots for gpu in slot.gpus}
    idle = [gpu for gpu in visible if gpu not in used]
    if wanted.gpus is not None or not idle:
        return []
    return [f"trials use {Slot(gpus=tuple(sorted(used)))}; {_listed(idle)} stay idle: --gpus {ALL} uses all"]


def _busy(slots: Sequence[Slot], driver: Driver) -> list[str]:
    notes = []
    for number in (gpu for slot in slots for gpu in slot.gpus):
        gpu = driver.gpus[number]
        if gpu.used > _BUSY * gpu.total:
            held = f"{gpu.used / _GB:.1f} of {gpu.total / _GB:.1f} GB"
            by = ", ".join(f"{holder.name} (pid {holder.pid})" for holder in gpu.holders)
            notes.append(f"of GPU {number} {held} are in use already{', by ' + by if by else ''}")
    return notes


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"


def _listed(gpus: Sequence[int]) -> str:
    return str(Slot(gpus=tuple(gpus)))
