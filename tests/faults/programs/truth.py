"""A trial that writes down what it did before it says so, on the disk, for history.py to compare with the study.

The objective is x. By the number of its configuration: 1 dies of a signal at its first attempt, 2 is worse than all
others at every step, 3 diverges. A file "term" in the working folder lets it ask its runner to end; one "hold" lets it
wait; one "hang" lets it wait once it has reported its result.
"""

from __future__ import annotations

import json
import math
import os
import signal
import sys
import time
from pathlib import Path

from hpsearch import sdk

STEPS = 3


def main() -> None:
    x, job = float(sys.argv[1]), sdk.job()
    assert job is not None
    note(what="start", number=job.number, root=job.root, attempt=job.attempt, x=x, seed=job.seed)
    (Path(job.output_dir) / "adapter").mkdir(exist_ok=True)
    (Path(job.output_dir) / "adapter" / "weights").write_text(repr(x))
    for step in range(1, STEPS + 1):
        sdk.report(step, score=told(job.root or 0, x, step))
        if step == 1:
            linger()
        if job.root == 1 and job.attempt == 1:
            os.kill(os.getpid(), signal.SIGKILL)
        if step < STEPS and sdk.should_prune():
            return
    note(what="end", number=job.number, root=job.root, attempt=job.attempt, x=x, seed=job.seed)
    sdk.finish(score=x)
    note(what="result", number=job.number, root=job.root, attempt=job.attempt, x=x, seed=job.seed)
    while Path("hang").exists():
        time.sleep(0.005)
    time.sleep(0.1)  # as the end of an interpreter with torch in it takes its time


def told(root: int, x: float, step: int) -> float:
    """What a trial reports at a step."""
    if root == 3 and step == 2:
        return math.nan
    return (100.0 if root == 2 else x) + 1 / step


def linger() -> None:
    """Obey the files."""
    try:
        Path("term").unlink()
    except FileNotFoundError:
        pass
    else:
        runner = os.environ["HPSEARCH_TAG"].rpartition("/")[2].partition(".")[0]
        os.kill(int(runner), signal.SIGTERM)
        time.sleep(600)
    while Path("hold").exists():
        time.sleep(0.005)


def note(**line: object) -> None:
    """Append a line, and have it on the disk."""
    with Path("truth.jsonl").open("a") as file:
        file.write(json.dumps({**line, "at": time.time()}) + "\n")
        file.flush()
        os.fsync(file.fileno())


if __name__ == "__main__":
    main()
