"""The ranks of a fine-tune on several GPUs: alike processes that torchrun starts, each with a GPU of its own.

All of them train together, and each evaluates its share of the rows. The results are gathered on each, so that all
branch alike. Only the first one writes files and, through the SDK, reports.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any, TypeVar

Item = TypeVar("Item")

_PATIENCE_S = 3600.0  # with the slowest: one may have the pages on which generation takes longest


def ranks() -> int:
    """Return the number of ranks; 1 where no launcher started them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Return the number of this rank, from 0."""
    return int(os.environ.get("RANK", "0"))


def is_first() -> bool:
    """Return True for the rank that writes files."""
    return rank() == 0


def join_ranks() -> None:
    """Connect the ranks, each on its own GPU; only the first one goes on printing."""
    if ranks() == 1:
        return
    import torch

    if torch.cuda.is_available():
        torch.cuda.set_device(int(os.environ.get("LOCAL_RANK", "0")))
    backend = "nccl" if torch.cuda.is_available() else "gloo"
    torch.distributed.init_process_group(backend, timeout=timedelta(seconds=_PATIENCE_S))
    if not is_first():
        os.dup2(os.open(os.devnull, os.O_WRONLY), 1)


def wait_for_all() -> None:
    """Wait until all ranks are here: files that the first one wrote or removed are then so for the others."""
    if ranks() > 1:
        import torch

        torch.distributed.barrier()


def of_all(part: tuple[Item, ...]) -> tuple[Item, ...]:
    """Gather all ranks' parts of a sequence that was dealt out in turns, in its order."""
    if ranks() == 1:
        return part
    import torch

    parts: list[Any] = [None] * ranks()
    torch.distributed.all_gather_object(parts, part)
    count = sum(map(len, parts))
    return tuple(parts[number % ranks()][number // ranks()] for number in range(count))
