"""What libraries really say when memory runs out, and what hpsearch makes of it: ``python -m gpu.faults FILE``.

Every way is tried for real on the device there is; each text is classified by hpsearch/training/machine/faults.py.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from pathlib import Path

import torch

from hpsearch import sdk
from hpsearch.training.machine.faults import classify

HUGE = 2**50  # more bytes than any machine has


def main() -> None:
    """Try each, and write a JSON list of what was said."""
    ways = {**CPU, **(CUDA if torch.cuda.is_available() else {})}
    Path(sys.argv[1]).write_text(json.dumps([_try(name, way) for name, way in ways.items()], indent=1))
    sdk.finish(done=1.0)


def _try(name: str, way: Callable[[], object]) -> dict[str, str]:
    try:
        way()
    except Exception as error:  # noqa: BLE001 - whatever is raised is what is looked for
        fault = classify(error)
        said = " ".join(str(error).split())[:300]
        return {"way": name, "type": type(error).__name__, "said": said, "cause": fault.cause.value if fault else ""}
    finally:
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return {"way": name, "type": "", "said": "nothing was raised", "cause": ""}


def _host() -> object:
    return torch.empty(HUGE, dtype=torch.uint8)


def _device() -> object:
    return torch.empty(HUGE, dtype=torch.uint8, device="cuda")


def _fill(leave: int) -> list[torch.Tensor]:
    """Take the device's memory but for ``leave`` bytes."""
    taken = []
    size = 2**30
    while size >= 2**20:
        free, _ = torch.cuda.mem_get_info()
        if free - leave < size:
            size //= 2
            continue
        try:
            taken.append(torch.empty(size, dtype=torch.uint8, device="cuda"))
        except torch.OutOfMemoryError:
            size //= 2
    return taken


def _bit_by_bit() -> object:
    taken = []
    while True:
        taken.append(torch.empty(2**30, dtype=torch.uint8, device="cuda"))


def _product() -> object:
    """A matrix product whose library has no room for its workspace."""
    left, right = (torch.ones(256, 256, device="cuda", dtype=torch.bfloat16) for _ in range(2))
    kept = _fill(leave=2**20)
    result = left @ right
    torch.cuda.synchronize()
    return kept, result


def _convolution() -> object:
    """A convolution whose library has no room for its workspace."""
    picture = torch.ones(1, 3, 896, 896, device="cuda", dtype=torch.bfloat16)
    layer = torch.nn.Conv2d(3, 64, 14, 14, device="cuda", dtype=torch.bfloat16)
    kept = _fill(leave=2**20)
    result = layer(picture)
    torch.cuda.synchronize()
    return kept, result


CPU = {"the host, at once": _host}
CUDA = {
    "the GPU, at once": _device,
    "the GPU, bit by bit": _bit_by_bit,
    "a matrix product on a full GPU": _product,
    "a convolution on a full GPU": _convolution,
}

if __name__ == "__main__":
    main()
