"""The training program of the stored study ``own``: its settings decide how a trial ends.

It writes a line into runs.txt each time it runs, and waits at its second step while there is a file ``hold``.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import time
from pathlib import Path

from hpsearch import sdk


def main() -> None:
    parser = argparse.ArgumentParser()
    for name in ("x", "width"):
        parser.add_argument(f"--{name}", type=float, required=True)
    parser.add_argument("--layers", type=int, required=True)
    parser.add_argument("--head", required=True)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--out", type=Path, required=True)
    given = parser.parse_args()
    with Path("runs.txt").open("a") as runs:
        runs.write(f"{given.out.relative_to(Path.cwd())} {given.seed}\n")
    _fail(given.x, given.layers)
    score = (given.x - 3) ** 2 + 0.1 * given.layers + given.width
    (given.out / "adapter").mkdir()
    (given.out / "adapter" / "weights.txt").write_text(f"{score}\n")
    for step in range(1, 5):
        sdk.report(step, score=score + 1 / step, seconds_left=4 - step)
        if sdk.should_prune():
            return
        while step == 2 and Path("hold").exists():
            time.sleep(0.02)
    sdk.finish(score=score, holdout_score=score + 0.5)


def _fail(x: float, layers: int) -> None:
    """End as a program may that goes wrong, for some values of its settings."""
    if layers == 4:
        sys.exit("CUDA out of memory. Tried to allocate 20.00 GiB")
    if x >= 9.75:
        raise RuntimeError("the rows cannot be read")
    if x >= 9.5:
        os.kill(os.getpid(), signal.SIGSEGV)
    if x >= 9.25:
        sdk.fault("invalid", "x and layers do not go together")
        sys.exit(2)
    if x >= 9.0:
        sdk.report(1, score=float("nan"))
        sys.exit(1)


if __name__ == "__main__":
    main()
