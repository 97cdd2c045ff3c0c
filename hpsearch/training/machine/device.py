"""What the machine computes on, how much memory is in use, and how a run is made repeatable."""

from __future__ import annotations

import gc
import importlib.util
import os
import resource
import sys
from dataclasses import dataclass
from pathlib import Path

import torch

from hpsearch.errors import UsageError

# What a trial would run on, as plain values: the checks need no torch.


@dataclass(frozen=True)
class Machine:
    """``device`` is "cpu" or "cuda"; ``bf16``: it computes in bf16; ``bitsandbytes``: the 4- and 8-bit library is
    installed; ``memory_bytes``: the device's, 0 for a CPU, whose memory is shared with everything else."""

    device: str
    bf16: bool
    bitsandbytes: bool
    memory_bytes: int = 0


def precision_on(setting: str, machine: Machine) -> str:
    """The number format for a setting: "auto" is bf16 on a GPU that computes in it, else fp32."""
    if setting != "auto":
        return setting
    return "bf16" if machine.device == "cuda" and machine.bf16 else "fp32"


def choose_device() -> str:
    """ "cuda" where torch finds a GPU, else "cpu"."""
    return "cuda" if torch.cuda.is_available() else "cpu"


def this_machine() -> Machine:
    """What trials run on here."""
    device = choose_device()
    if device == "cpu":
        return Machine(device, True, _has("bitsandbytes"))
    memory = int(torch.cuda.get_device_properties(0).total_memory)
    return Machine(device, torch.cuda.is_bf16_supported(including_emulation=False), _has("bitsandbytes"), memory)


def gpu_name() -> str:
    """The GPU's name; empty without one."""
    return str(torch.cuda.get_device_name()) if torch.cuda.is_available() else ""


def choose_precision(setting: str, device: str) -> str:
    """The number format for a setting: see ``precision_on``.

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
    """Memory in use now: the device's, or on a CPU this process's (where there is no /proc, the most so far)."""
    if device == "cuda":
        return int(torch.cuda.memory_allocated())
    try:
        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[1])
    except OSError:
        return peak_memory_bytes(device)
    return pages * os.sysconf("SC_PAGE_SIZE")


def free_memory() -> None:
    """Give back what nothing refers to any more."""
    gc.collect()
    if torch.cuda.is_available():
        torch.cuda.empty_cache()


def forget_peak(device: str) -> None:
    """Begin to look for the device's peak anew; a process's cannot be."""
    if device == "cuda":
        torch.cuda.reset_peak_memory_stats()


def peak_memory_bytes(device: str) -> int:
    """The most memory used so far: the device's (since ``forget_peak``), or on a CPU this process's."""
    if device == "cuda":
        return int(torch.cuda.max_memory_allocated())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # bytes on macOS, kilobytes elsewhere


def _has(library: str) -> bool:
    return importlib.util.find_spec(library) is not None
