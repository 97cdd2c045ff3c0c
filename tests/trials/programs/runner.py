"""A runner in a process of its own: runs the job named by its argument, and prints every event's name on a line."""

import sys

from hpsearch.trials.executors.local import LocalExecutor
from hpsearch.trials.job import Finished, Job


def main() -> None:
    """Run the job to its end."""
    executor = LocalExecutor(slots=1)
    executor.launch(Job.load(sys.argv[1]))
    ended = False
    while not ended:
        for event in executor.events(60.0):
            print(type(event).__name__, flush=True)
            ended = isinstance(event, Finished)
    executor.close()


if __name__ == "__main__":
    main()
