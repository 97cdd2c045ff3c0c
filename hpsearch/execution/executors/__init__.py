"""The port through which jobs are run, and its implementations by name.

A pid, a descriptor or a remote path never crosses this port: nothing in the runner may assume that a job is its child
process or on its machine. An executor delivers the job's files into ``Job.output_dir`` before it says ``Finished``.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

from hpsearch.execution.gpu_slots import Slot
from hpsearch.execution.job import Event, Job


class Executor(Protocol):
    """Runs jobs and reports on them."""

    @property
    def slots(self) -> int:
        """Number of jobs that may run at once; fewer where a slot's GPU has become unusable."""

    @property
    def free(self) -> int:
        """Number of jobs that can be launched now: a slot may still be waiting for its GPU's memory."""

    def expect(self, job: Job) -> None:
        """Do the imports of ``Job.preload`` ahead of jobs like this one; nothing where that is not possible."""

    def launch(self, job: Job) -> None:
        """Start a job. Failures are reported by a ``Finished`` event with cause "launch", never raised."""

    def events(self, timeout_s: float) -> Sequence[Event]:
        """Return the events since the last call, in order for each job; waits up to ``timeout_s`` for the first.

        Returns early, maybe with nothing, after ``wake``.
        """

    def wake(self) -> None:
        """Make ``events`` return now, or at once at its next call. May be called from a signal handler or a thread."""

    def answer(self, job_id: str, step: int, prune: bool) -> None:
        """Tell a job whether to stop after ``step``. A job that has ended is ignored."""

    def stop(self, job_id: str, grace_s: float) -> None:
        """Ask a job to end: TERM now, KILL of its whole tree after ``grace_s`` (0: KILL at once).

        ``Finished`` follows. Its cause is ``interrupted`` unless the job had already ended otherwise.
        """

    def take_over(self, study: str, lease: str) -> int:
        """End the processes that earlier holders of the study's ``lease`` left behind; returns how many.

        The caller holds it, and the jobs that are launched from now on run under it.
        """

    def close(self) -> None:
        """End all jobs and release the executor's resources."""


def _local(slots: Sequence[Slot]) -> Executor:
    from hpsearch.execution.executors.local import LocalExecutor

    return LocalExecutor(slots)


EXECUTORS: dict[str, Callable[[Sequence[Slot]], Executor]] = {"local": _local}
