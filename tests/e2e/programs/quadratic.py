"""A trial for tests: the objective is (x - 3)^2 + y, reported at a few steps and then as the final value.

With --wait it stays at its first step until the named file is there, so that a test can act while it runs.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

from hpsearch import sdk


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--x", type=float, required=True)
    parser.add_argument("--y", type=float, default=0.0)
    parser.add_argument("--seed", required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--wait", type=Path)
    arguments = parser.parse_args()
    value = (arguments.x - 3) ** 2 + arguments.y
    (arguments.out / "adapter").mkdir(parents=True)
    (arguments.out / "adapter" / "weights.txt").write_text(str(value))
    (arguments.out / "seen.txt").write_text(f"{arguments.x} {arguments.y} {arguments.seed}")
    for step in range(1, 5):
        sdk.report(step, score=value + 1.0 / step)
        if sdk.should_prune():
            return
        while step == 1 and arguments.wait and not arguments.wait.exists():
            time.sleep(0.02)
    sdk.finish(score=value)


if __name__ == "__main__":
    main()
