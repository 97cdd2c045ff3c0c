"""Faults: the exceptions of torch and its libraries, classified by the causes that a job may end with."""

from __future__ import annotations

import re
import sys
from typing import Any

from hpsearch.execution.outcome import Cause

# Messages of the CUDA libraries when memory runs out; torch raises some of them as a plain RuntimeError, and
# accelerate's own test knows only the first (pytorch#67680, deepmd-kit#5443).
_OUT_OF_MEMORY = re.compile(
    r"out of memory|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_(?:ALLOC_FAILED|NOT_SUPPORTED)"
    r"|DefaultCPUAllocator|NCCL.*unhandled cuda error",
    re.IGNORECASE | re.DOTALL,
)

# Messages of torch where a process that prepares batches was killed for memory, or found no room in /dev/shm.
_WORKER_KILLED = re.compile(r"DataLoader worker .* killed by signal: (?:Killed|Bus error)")


class Fault(Exception):
    """The job cannot go on, for a known cause."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message


def classify(error: BaseException) -> Fault | None:
    """Return the fault that an exception, or one that led to it, means; None where it is nothing foreseen."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, Fault):
            return seen
        if isinstance(seen, MemoryError) or _is_of_the_host(seen):
            return Fault(Cause.HOST_OOM, f"out of host memory: {_first_line(seen)}")
        if isinstance(seen, RuntimeError) and _OUT_OF_MEMORY.search(str(seen)):  # torch.OutOfMemoryError is one too
            return Fault(Cause.CUDA_OOM, f"out of device memory: {_first_line(seen)}")
        seen = seen.__cause__ or seen.__context__
    return None


def available_bytes() -> int:
    """Return the bytes of the GPU that this process has or could take now; 0 where it uses none."""
    torch: Any = sys.modules.get("torch")
    if torch is None or not torch.cuda.is_available() or not torch.cuda.is_initialized():
        return 0
    return int(torch.cuda.mem_get_info()[0] + torch.cuda.memory_reserved())


def is_out_of_memory(error: BaseException) -> bool:
    """Return True if an exception means that memory ran out, the device's or the host's."""
    fault = classify(error)
    return fault is not None and fault.cause in (Cause.CUDA_OOM, Cause.HOST_OOM)


def _is_of_the_host(error: BaseException) -> bool:
    """Return True if the host's memory ran out: a worker's, or the allocator's where a GPU computes."""
    if _WORKER_KILLED.search(str(error)):
        return True
    torch: Any = sys.modules.get("torch")
    return "DefaultCPUAllocator" in str(error) and torch is not None and torch.cuda.is_available()


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
