"""What a trial would run on, as plain values: the checks need no torch."""

from __future__ import annotations

from dataclasses import dataclass


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
