"""Which fault an exception means."""

from __future__ import annotations

import os
import signal

import pytest
import torch

from hpsearch.execution.outcome import Cause
from hpsearch.training.machine.faults import Fault, available_bytes, classify

OUT_OF_MEMORY = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB. GPU 0 has a total capacity of 23.65 GiB"),
    RuntimeError("CUDA error: out of memory\nCUDA kernel errors might be asynchronously reported"),
    RuntimeError("CUDA driver error: out of memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
    RuntimeError("cuDNN error: CUDNN_STATUS_ALLOC_FAILED"),
    RuntimeError(
        "cuDNN error: CUDNN_STATUS_NOT_SUPPORTED. This error may appear if you passed in a non-contiguous input"
    ),
    RuntimeError("NCCL Error 1: unhandled cuda error (run with NCCL_DEBUG=INFO for details)"),
    RuntimeError("[enforce fail at alloc_cpu.cpp:119] err == 0. DefaultCPUAllocator: can't allocate memory"),
]


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU has some")
def test_without_a_gpu_there_is_no_memory_of_one() -> None:
    assert available_bytes() == 0


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=lambda error: str(error)[:30])
def test_device_memory(error: Exception) -> None:
    fault = classify(error)
    assert fault is not None
    assert fault.cause is Cause.CUDA_OOM
    assert "\n" not in fault.message


def test_what_torch_really_says_when_memory_is_too_small() -> None:
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    fault = classify(caught.value)
    assert fault is not None
    assert fault.cause is Cause.CUDA_OOM


def test_host_memory() -> None:
    fault = classify(MemoryError())
    assert fault is not None
    assert fault.cause is Cause.HOST_OOM


def test_the_hosts_allocator_is_not_the_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    with pytest.raises(RuntimeError) as caught:
        torch.empty(2**50)
    fault = classify(caught.value)
    assert fault is not None
    assert fault.cause is Cause.HOST_OOM


class Killing(torch.utils.data.Dataset[int]):
    """Gets the process killed that reads it, as it is where memory runs out."""

    def __init__(self, killed_by: signal.Signals) -> None:
        self._killed_by = killed_by

    def __len__(self) -> int:
        return 4

    def __getitem__(self, index: int) -> int:
        os.kill(os.getpid(), self._killed_by)
        return index


@pytest.mark.parametrize("killed_by", [signal.SIGKILL, signal.SIGBUS])
def test_a_worker_killed_for_memory_is_the_hosts_memory(killed_by: signal.Signals) -> None:
    with pytest.raises(RuntimeError, match="DataLoader worker") as caught:
        list(torch.utils.data.DataLoader(Killing(killed_by), num_workers=1))
    fault = classify(caught.value)
    assert fault is not None
    assert fault.cause is Cause.HOST_OOM


def test_a_fault_inside_another_exception_is_found() -> None:
    try:
        try:
            raise Fault(Cause.DIVERGED, "the loss is nan")
        except Fault as fault:
            raise ValueError("a callback failed") from fault
    except ValueError as error:
        found = classify(error)
    assert found is not None
    assert found.cause is Cause.DIVERGED


@pytest.mark.parametrize(
    "error", [ValueError("out of memory is only a word here"), RuntimeError("mat1 and mat2"), KeyError("x")]
)
def test_anything_else_is_a_crash(error: Exception) -> None:
    assert classify(error) is None
