"""Why a job ends early, in the words of the door: classifying what torch and its libraries raise."""

from __future__ import annotations

import re

from hpsearch.trials.causes import Cause

# What the CUDA libraries say when memory runs out; torch raises some of them as a plain RuntimeError, and accelerate's
# own test knows only the first (pytorch#67680, deepmd-kit#5443).
_OUT_OF_MEMORY = re.compile(
    r"out of memory|CUBLAS_STATUS_ALLOC_FAILED|CUDNN_STATUS_(?:ALLOC_FAILED|NOT_SUPPORTED)"
    r"|DefaultCPUAllocator|NCCL.*unhandled cuda error",
    re.IGNORECASE | re.DOTALL,
)


class Fault(Exception):
    """The job cannot go on, and why is known."""

    def __init__(self, cause: Cause, message: str) -> None:
        super().__init__(message)
        self.cause = cause
        self.message = message


def classify(error: BaseException) -> Fault | None:
    """The fault that an exception means, or None where it is nothing foreseen. What raised it is looked at too."""
    seen: BaseException | None = error
    while seen is not None:
        if isinstance(seen, Fault):
            return seen
        if isinstance(seen, RuntimeError) and _OUT_OF_MEMORY.search(str(seen)):  # torch.OutOfMemoryError is one too
            return Fault(Cause.CUDA_OOM, f"out of device memory: {_first_line(seen)}")
        if isinstance(seen, MemoryError):
            return Fault(Cause.HOST_OOM, f"out of host memory: {_first_line(seen)}")
        seen = seen.__cause__ or seen.__context__
    return None


def is_out_of_memory(error: BaseException) -> bool:
    """Whether an exception means that memory ran out, the device's or the host's."""
    fault = classify(error)
    return fault is not None and fault.cause in (Cause.CUDA_OOM, Cause.HOST_OOM)


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
