"""Places for jobs to run in, each with its GPUs, which are handed on only once their memory is free again.

Which processes hold a GPU cannot be seen from inside a container, so its memory decides: after a job it must be back
where it was before the first one. A GPU on which it stays away is left out until it comes back.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from hpsearch.execution.gpu import ANSWER_S, find_driver

# A process that only looks at a GPU holds 300 to 600 MB of it (its CUDA context), so a leftover one is seen.
TOLERANCE_BYTES = 256 * 1024**2
# Freed memory is there within a second or two, a big process's within some; a GPU that hangs stays away for ever.
PATIENCE_S = 60.0
_FIRST_PAUSE_S, _LONGEST_PAUSE_S = 0.1, 5.0
_GB = 1e9

Memory = Callable[[], Mapping[int, int]]


@dataclass(frozen=True)
class Slot:
    """A place for one job at a time, with GPUs as nvidia-smi numbers them; without any, a job finds what it finds."""

    number: int = 0
    gpus: tuple[int, ...] = ()

    @property
    def environment(self) -> dict[str, str]:
        """What shows a program these GPUs and no others."""
        if not self.gpus:
            return {}
        # CUDA would number the fastest GPU 0, nvidia-smi numbers them in the order of the bus.
        return {"CUDA_DEVICE_ORDER": "PCI_BUS_ID", "CUDA_VISIBLE_DEVICES": ",".join(map(str, self.gpus))}

    def __str__(self) -> str:
        """Such as "GPU 0" or "GPUs 0, 1"."""
        return f"GPU{'s' if len(self.gpus) > 1 else ''} {', '.join(map(str, self.gpus))}" if self.gpus else "no GPU"


def without_gpus(count: int) -> tuple[Slot, ...]:
    """``count`` slots that name no device."""
    return tuple(Slot(number) for number in range(count))


def memory_in_use() -> dict[int, int]:
    """Bytes in use on each GPU, by its number; none where the driver does not answer."""
    return {number: gpu.used for number, gpu in enumerate(find_driver(ANSWER_S).gpus)}


class Slots:
    """Hands out slots and takes them back. ``say`` is told, from another thread, that a slot became free or unusable,
    and what a person should know of that (nothing where all is well)."""

    def __init__(
        self,
        slots: Sequence[Slot],
        say: Callable[[str], None],
        memory: Memory = memory_in_use,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._say, self._memory, self._patience_s = say, memory, patience_s
        self._usable = len(slots)
        self._free = sorted(slots, key=lambda slot: slot.number)
        self._baseline: dict[int, int] = {}
        self._lock = threading.Lock()
        self._closed = threading.Event()

    @property
    def usable(self) -> int:
        """How many slots there are, but for those whose GPU is left out."""
        return self._usable

    @property
    def free(self) -> int:
        """How many slots can be taken now."""
        return len(self._free)

    def take(self) -> Slot | None:
        """A free slot, the first by number; None where there is none."""
        with self._lock:
            slot = self._free.pop(0) if self._free else None
        if slot is not None and not set(slot.gpus) <= set(self._baseline):
            used = self._memory()
            self._baseline |= {gpu: used[gpu] for gpu in slot.gpus if gpu in used}
        return slot

    def give_back(self, slot: Slot) -> None:
        """Take back a slot whose job is gone; it is free when its GPUs are."""
        if not slot.gpus:
            self._set_free(slot, 0)
            return
        threading.Thread(target=self._wait_for, args=(slot,), name=f"slot {slot.number}", daemon=True).start()

    def close(self) -> None:
        """Wait for no GPU any more."""
        self._closed.set()

    def _wait_for(self, slot: Slot) -> None:
        """Set the slot free once its GPUs' memory is; leave it out while that takes too long."""
        began, pause, left_out = time.monotonic(), _FIRST_PAUSE_S, False
        while trouble := self._trouble(slot):
            if not left_out and time.monotonic() - began >= self._patience_s:
                left_out = True
                self._leave_out(f"{trouble}, {self._patience_s:g} s after the end of its job: it is left out for now")
            if self._closed.wait(pause):
                return
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        self._set_free(slot, int(left_out))
        self._say(f"{slot} can be used again" if left_out else "")

    def _trouble(self, slot: Slot) -> str:
        """What keeps the slot from being handed on; empty where nothing does."""
        used = self._memory()
        for gpu in slot.gpus:
            if gpu not in used:
                return f"the driver shows no GPU {gpu}"
            held = used[gpu] - self._baseline.setdefault(gpu, used[gpu])
            if held > TOLERANCE_BYTES:
                return f"GPU {gpu} still holds {held / _GB:.1f} GB more than before its first job"
            self._baseline[gpu] = min(self._baseline[gpu], used[gpu])
        return ""

    def _leave_out(self, why: str) -> None:
        with self._lock:
            self._usable -= 1
        self._say(why)

    def _set_free(self, slot: Slot, regained: int) -> None:
        with self._lock:
            self._usable += regained
            self._free = sorted([*self._free, slot], key=lambda free: free.number)
