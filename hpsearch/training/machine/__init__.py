"""The machine that a fine-tune runs on: its description as plain values, for which no torch is needed."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Machine:
    """``device`` is "cpu" or "cuda"; ``bf16``: it computes in bf16; ``bitsandbytes``: the 4- and 8-bit library is
    installed; ``memory_bytes`` are the device's, 0 for a CPU, whose memory is shared with everything else."""

    device: str
    bf16: bool
    bitsandbytes: bool
    memory_bytes: int = 0


def precision_on(setting: str, machine: Machine) -> str:
    """Return the number format for a setting: "auto" is bf16 on a GPU that computes in it, else fp32."""
    if setting != "auto":
        return setting
    return "bf16" if machine.device == "cuda" and machine.bf16 else "fp32"
