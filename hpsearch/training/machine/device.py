"""The device that trials compute on: number formats, threads, seeds and memory."""

from __future__ import annotations

import gc
import importlib.util
import os
import resource
import sys
from pathlib import Path

import torch

from hpsearch.errors import UsageError
from hpsearch.training.machine import Machine, precision_on


def choose_device() -> str:
    """Return "cuda" where torch finds a GPU, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def this_machine() -> Machine:
    """Describe the machine that this process runs on."""
    device, bitsandbytes = choose_device(), importlib.util.find_spec("bitsandbytes") is not None
    if device == "cpu":
        return Machine(device, True, bitsandbytes)
    memory = int(torch.cuda.get_device_properties(0).total_memory)
    return Machine(device, torch.cuda.is_bf16_supported(including_emulation=False), bitsandbytes, memory)


def gpu_name() -> str:
    """Return the GPU's name; empty without one."""
    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else ""


def choose_precision(setting: str, device: str) -> str:
    """Return the number format for a setting on this machine, as ``precision_on`` does.

    Raises:
        UsageError: bf16 was asked for on a GPU that cannot compute in it.
    """
    machine = this_machine()
    if setting == "bf16" and not machine.bf16:
        raise UsageError(
            f"precision bf16 needs a GPU that computes in it, but {torch.cuda.get_device_name()} does not",
            'set "precision" to "fp32" or "auto"',
        )
    return precision_on(setting, machine)


def set_threads(setting: int, device: str) -> None:
    """Fix the CPU threads of this process: 0 means one on a CPU-only machine, else torch's own number."""
    threads = setting or (1 if device == "cpu" else 0)
    if threads:
        torch.set_num_threads(threads)


def set_seeds(seed: int) -> None:
    """Seed Python, NumPy and torch, and ask cuDNN for the same algorithms every time."""
    from transformers import set_seed

    set_seed(seed)
    torch.backends.cudnn.benchmark = False
    torch.backends.cudnn.deterministic = True


def memory_bytes(device: str) -> int:
    """Return the memory in use now: the device's, or on a CPU this process's (its peak where there is no /proc)."""
    if device == "cuda":
        return int(torch.cuda.memory_allocated())
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return peak_memory_bytes(device)
    return pages * os.sysconf("SC_PAGE_SIZE")


def free_memory() -> None:
    """Free the memory that nothing refers to any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def forget_peak(device: str) -> None:
    """Reset the device's peak; a process's cannot be."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def peak_memory_bytes(device: str) -> int:
    """Return the peak of used memory: the device's (since ``forget_peak``), or on a CPU this process's."""
    if device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes on macOS, kilobytes elsewhere
