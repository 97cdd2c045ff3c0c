"""Slots for jobs to run in: sharing the GPUs out among them, and handing them on only once their memory is free again.

After a job its GPU's memory must be back where it was before the first one, less what the driver shows other processes
to hold. From inside a container it shows none: then memory that stays in use may be a neighbour's. If enough is free
for what the trials needed so far, the GPU is used all the same; else it is waited for. A GPU that a process of the job
still holds, or that is lost, is left out.
"""

from __future__ import annotations

import math
import shutil
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from hpsearch.errors import UsageError
from hpsearch.execution.environment import has_gpu
from hpsearch.execution.gpu import ANSWER_S, Driver, Gpu, find_driver
from hpsearch.execution.units import bytes_text

# A process that only queries a GPU holds 300 to 600 MB of it (its CUDA context), so a leftover one is noticed.
TOLERANCE_BYTES = 256 * 1024**2
# Memory is free within a second or two, a big process's within several; a GPU that hangs never frees it.
PATIENCE_S = 60.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_BUSY = 0.1  # of a GPU's memory: beyond that another process is at work on it
ALL = "all"

_MARGIN = 1.1, 1024**3  # times what trials needed, and bytes of CUDA's own, that are to be free beside a neighbour

Devices = Callable[[], Mapping[int, Gpu]]


@dataclass(frozen=True)
class Slot:
    """A place for one job at a time, with GPUs as nvidia-smi numbers them; without any, nothing is set for a job."""

    number: int = 0
    gpus: tuple[int, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """The variables that show a program these GPUs and no others."""
        if not self.gpus:
            return {}
        # CUDA would number the fastest GPU 0, nvidia-smi numbers them in the order of the bus.
        return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": ",".join(map(str, self.gpus))}

    def __str__(self) -> str:
        """Format as "GPU 0" or "GPUs 0, 1"."""
        return f"GPU{'s' if len(self.gpus) > 1 else ''} {', '.join(map(str, self.gpus))}" if self.gpus else "no GPU"


def without_gpus(count: int) -> tuple[Slot, ...]:
    """Make ``count`` slots that name no device."""
    return tuple(Slot(number) for number in range(count))


def devices_now() -> dict[int, Gpu]:
    """Map the numbers of the GPUs that answer to what the driver shows; empty where the driver does not answer."""
    return {number: gpu for number, gpu in enumerate(find_driver(ANSWER_S).gpus) if not gpu.lost}


class Slots:
    """Hands out slots and takes them back. ``usable`` is the number of slots without those that are left out. ``say``
    is called, from another thread, when a slot became free or unusable, with a text for the user (empty where all is
    well)."""

    def __init__(
        self,
        slots: Sequence[Slot],
        say: Callable[[str], None],
        devices: Devices = devices_now,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._say, self._devices, self._patience_s = say, devices, patience_s
        self.usable = len(slots)
        self._free = sorted(slots, key=lambda slot: slot.number)
        self._baseline: dict[int, int] = {}
        self._needed = 0  # bytes, the most that a job said it needed
        self._lock = threading.Lock()
        self._closed = threading.Event()

    @property
    def free(self) -> int:
        """Number of slots that can be taken now."""
        return len(self._free)

    def take(self) -> Slot | None:
        """Take the free slot with the lowest number; None where there is none."""
        with self._lock:
            slot = self._free.pop(0) if self._free else None
        if slot is not None and not set(slot.gpus) <= set(self._baseline):
            devices = self._devices()
            self._baseline |= {gpu: _unexplained(devices[gpu], "") for gpu in slot.gpus if gpu in devices}
        return slot

    def give_back(self, slot: Slot, tag: str = "", needed: float = 0.0) -> None:
        """Return a slot whose job is gone; it is free when its GPUs are. ``tag`` is in the environment of the job's
        processes; ``needed``: bytes of device memory that it took, 0 where that is not known."""
        if not slot.gpus:
            self._set_free(slot, 0)
            return
        self._needed = max(self._needed, int(needed) if math.isfinite(needed) else 0)
        waiting = threading.Thread(target=self._wait_for, args=(slot, tag), name=f"slot {slot.number}", daemon=True)
        waiting.start()

    def close(self) -> None:
        """Stop waiting for GPUs."""
        self._closed.set()

    def _wait_for(self, slot: Slot, tag: str) -> None:
        """Set the slot free once its GPUs are. What is lost, or held by the job's own processes, is left out while that
        takes too long; a neighbour is waited for, or lived with."""
        began, pause, left_out, said = time.monotonic(), _FIRST_PAUSE_S, False, False
        while trouble := self._trouble(slot, tag):
            if time.monotonic() - began >= self._patience_s and not trouble.is_ours:
                if self._can_share(slot):
                    said = True
                    self._say(f"{trouble.text}; {bytes_text(self._needed)} are enough for a trial: it is used again")
                    break
                if not said:
                    self._say(f"{trouble.text}, {self._patience_s:g} s after the end of its job: waiting for it")
                said = True
            elif time.monotonic() - began >= self._patience_s and not left_out:
                left_out = said = True
                with self._lock:
                    self.usable -= 1
                self._say(f"{trouble.text}, {self._patience_s:g} s after the end of its job: it is left out for now")
            if self._closed.wait(pause):
                return
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        self._set_free(slot, int(left_out))
        self._say(f"{slot} can be used again" if said else "")

    def _trouble(self, slot: Slot, tag: str) -> _Trouble | None:
        """Return why the slot cannot be handed on; None where it can."""
        devices = self._devices()
        for gpu in slot.gpus:
            if gpu not in devices:
                return _Trouble(f"GPU {gpu} is lost: the driver does not show it any more", is_ours=True)
            now = _unexplained(devices[gpu], tag)
            held = now - self._baseline.setdefault(gpu, now)
            if held > TOLERANCE_BYTES:
                own = [str(holder.pid) for holder in devices[gpu].holders if not _is_another(holder.pid, tag)]
                by = f" (pid {', '.join(own)})" if own else ""
                return _Trouble(
                    f"GPU {gpu} still holds {bytes_text(held)} more than before its first job{by}", bool(own)
                )
            self._baseline[gpu] = min(self._baseline[gpu], now)
        return None

    def _can_share(self, slot: Slot) -> bool:
        """Return True if the slot's GPUs have enough free memory for the trials so far; they count as free from now."""
        devices, (times, more) = self._devices(), _MARGIN
        needed = times * self._needed + more
        if not self._needed or not all(gpu in devices and devices[gpu].free >= needed for gpu in slot.gpus):
            return False
        self._baseline |= {gpu: _unexplained(devices[gpu], "") for gpu in slot.gpus}
        return True

    def _set_free(self, slot: Slot, regained: int) -> None:
        with self._lock:
            self.usable += regained
            self._free = sorted([*self._free, slot], key=lambda free: free.number)


@dataclass(frozen=True)
class _Trouble:
    """Why a slot cannot be handed on; ``is_ours``: by what hpsearch started, or for want of the GPU itself."""

    text: str
    is_ours: bool


def _unexplained(gpu: Gpu, tag: str) -> int:
    """Return the bytes in use that no process of others accounts for."""
    others = sum(holder.used or 0 for holder in gpu.holders if _is_another(holder.pid, tag))
    return max(gpu.used - others, 0)


def _is_another(pid: int, tag: str) -> bool:
    """Return True for a process that is not of the job with this tag. One that is being taken apart has no environment
    any more, and counts as the job's."""
    try:
        environment = Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:
        return True  # of another user, or in another namespace
    return bool(environment) and not (tag and tag.encode() in environment)


@dataclass(frozen=True)
class GpuRequest:
    """A request for slots: ``gpus`` as numbers of nvidia-smi ("0,1"), as starts of their UUIDs, or "all"."""

    gpus: str | None = None
    slots: int | None = None
    gpus_per_trial: int | None = None

    @property
    def nothing(self) -> bool:
        """True if nothing was requested."""
        return self == GpuRequest()


@dataclass(frozen=True)
class SlotAllocation:
    """The slots of a run, and notes on their GPUs for the user. ``gpu`` is one of them, where each slot has one and all
    are of one kind and size."""

    slots: tuple[Slot, ...]
    notes: tuple[str, ...] = ()
    gpu: Gpu | None = None


def look_for_gpus() -> Driver:
    """Ask the NVIDIA driver, only where there may be one."""
    return find_driver(ANSWER_S) if shutil.which("nvidia-smi") or has_gpu() else Driver()


def share_out(request: GpuRequest, environ: Mapping[str, str], driver: Driver, *, own_program: bool) -> SlotAllocation:
    """Make the requested slots of the GPUs that are there.

    Where nothing was requested there is one slot: with the first visible GPU for the built-in training, with all
    visible ones for a program of the study's own.

    Raises:
        UsageError: GPUs were requested that are not there, or are too few.
    """
    visible = _visible(environ, driver)
    words = environ.get("CUDA_VISIBLE_DEVICES", "").split(",")
    if _are_ambiguous(words, environ, driver) and (request.gpus or request.gpus_per_trial or request.slots):
        raise UsageError(
            "slots need to know their GPUs, but CUDA_VISIBLE_DEVICES numbers different ones in CUDA's own order, the "
            "fastest first, which nvidia-smi does not show",
            "set CUDA_DEVICE_ORDER=PCI_BUS_ID, or name UUIDs (nvidia-smi -L)",
        )
    chosen = visible if request.gpus is None else _named(request.gpus, visible, driver)
    if not chosen:
        if request.gpus_per_trial is not None:
            raise _none(driver, "--gpus-per-trial")
        return SlotAllocation(without_gpus(request.slots or 1))
    per_slot = request.gpus_per_trial or (len(chosen) if request.nothing and own_program else 1)
    most = len(chosen) // per_slot
    count = request.slots or (1 if request.gpus is None and most else most)
    if count > most or count < 1:
        raise UsageError(
            f"{_number(max(count, 1), 'slot')} of {_number(per_slot, 'GPU')} each must not need more GPUs than there "
            f"are, but there {'is' if len(chosen) == 1 else 'are'} {len(chosen)}: {_listed(chosen)}",
            "give fewer --slots, fewer --gpus-per-trial, or more --gpus",
        )
    slots = tuple(Slot(number, tuple(chosen[number * per_slot : (number + 1) * per_slot])) for number in range(count))
    idle = [gpu for gpu in visible if gpu not in {used for slot in slots for used in slot.gpus}]
    notes = []
    if request.gpus is None and idle:
        used = Slot(gpus=tuple(sorted(set(visible) - set(idle))))
        notes.append(f"trials use {used}; {_listed(idle)} stay idle: --gpus {ALL} uses all")
    gpus = [driver.gpus[gpu] for slot in slots for gpu in slot.gpus]
    alike = len({(gpu.name, gpu.total) for gpu in gpus}) == 1 and len(gpus) == len(slots)
    return SlotAllocation(slots, (*notes, *_busy(slots, driver)), gpus[0] if alike else None)


def _visible(environ: Mapping[str, str], driver: Driver) -> list[int]:
    """List the GPUs that CUDA_VISIBLE_DEVICES lets programs see, as CUDA reads it (Programming Guide, environment
    variables): those before the first word that names none, such as -1; all where it is not set. None for a part of a
    GPU (MIG), and where numbers may mean another GPU than nvidia-smi's: the program chooses then."""
    value = environ.get("CUDA_VISIBLE_DEVICES")
    if value is None:
        return [number for number, gpu in enumerate(driver.gpus) if not gpu.lost]
    words = [word.strip() for word in value.split(",")]
    if _are_ambiguous(words, environ, driver):
        return []
    visible: list[int] = []
    for word in words:
        number = _find(word, driver)
        if number is None or number in visible or driver.gpus[number].lost:
            break
        visible.append(number)
    return visible


def _are_ambiguous(words: Sequence[str], environ: Mapping[str, str], driver: Driver) -> bool:
    """Return True if numbers are CUDA's own, the fastest GPU first, and GPUs of several kinds are there: nvidia-smi,
    which numbers them by the bus, does not show which is meant."""
    by_bus = environ.get("CUDA_DEVICE_ORDER") == "PCI_BUS_ID"
    return not by_bus and words[0].isdecimal() and len({gpu.name for gpu in driver.gpus}) > 1


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


def _busy(slots: Sequence[Slot], driver: Driver) -> list[str]:
    notes = []
    for number in (gpu for slot in slots for gpu in slot.gpus):
        gpu = driver.gpus[number]
        if gpu.used > _BUSY * gpu.total:
            held = f"{bytes_text(gpu.used)} of {bytes_text(gpu.total)}"
            by = ", ".join(f"{holder.name} (pid {holder.pid})" for holder in gpu.holders)
            notes.append(f"of GPU {number} {held} are in use already{', by ' + by if by else ''}")
    return notes


def _number(count: int, what: str) -> str:
    return f"{count} {what}{'s' if count != 1 else ''}"


def _listed(gpus: Sequence[int]) -> str:
    return str(Slot(gpus=tuple(gpus)))
