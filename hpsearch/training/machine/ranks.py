"""The ranks of a fine-tune on several GPUs: alike processes that torchrun starts, each with a GPU of its own.

All of them train together, and each judges its share of the rows. What is found is put together on each, so that all
take the same way. Files are the first one's to write; the SDK lets it alone speak.
"""

from __future__ import annotations

import os
from datetime import timedelta
from typing import Any, TypeVar

Item = TypeVar("Item")

_PATIENCE_S = 3600.0  # with the slowest: one may have the pages on which generation takes longest


def ranks() -> int:
    """How many there are; 1 where no launcher started them."""
    return int(os.environ.get("WORLD_SIZE", "1"))


def rank() -> int:
    """Which one this is, from 0."""
    return int(os.environ.get("RANK", "0"))


def is_first() -> bool:
    """Whether this is the one that writes files."""
    return rank() == 0


def join_ranks() -> None:
    """Meet the others, each on its own GPU; only the first one goes on printing."""
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
    """Go on when all have come here: what the first one wrote or removed is seen by the others."""
    if ranks() > 1:
        import torch

        torch.distributed.barrier()


def of_all(part: tuple[Item, ...]) -> tuple[Item, ...]:
    """All ranks' parts of what was dealt out in turns, in its order."""
    if ranks() == 1:
        return part
    import torch

    parts: list[Any] = [None] * ranks()
    torch.distributed.all_gather_object(parts, part)
    count = sum(map(len, parts))
    return tuple(parts[number % ranks()][number // ranks()] for number in range(count))
