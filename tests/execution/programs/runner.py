"""A runner in a process of its own: runs the job of a file under the lease 1-1, and prints each event's name.

With a second argument it first forks a child that outlives it, and prints the child's pid.
"""

import os
import signal
import sys

from hpsearch.execution.executors.local import LocalExecutor
from hpsearch.execution.gpu_slots import without_gpus
from hpsearch.execution.job import Finished, Job


def main() -> None:
    """Run the job to its end."""
    executor = LocalExecutor(without_gpus(1))
    job = Job.load(sys.argv[1])
    executor.take_over(job.study, "1-1")
    executor.launch(job)
    if len(sys.argv) > 2:
        child = os.fork()
        if child == 0:
            signal.pause()
        print(child, flush=True)
    ended = False
    while not ended:
        for event in executor.events(60.0):
            print(type(event).__name__, flush=True)
            ended = isinstance(event, Finished)
    executor.close()


if __name__ == "__main__":
    main()
