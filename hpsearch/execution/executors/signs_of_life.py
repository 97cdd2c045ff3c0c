"""Judges from outside if a supervisor does what it should: one that is frozen keeps no limit of its job itself."""

from __future__ import annotations

import math
from dataclasses import dataclass

from hpsearch.execution.job import Job
from hpsearch.execution.outcome import Cause

# Seconds without a sign from a supervisor, which gives one each second, until it is taken for frozen: anyway, if its
# job is past a limit, and if it was to end its job.
_SILENT_S, _SILENT_AT_LIMIT_S, _SILENT_AT_STOP_S = 120.0, 10.0, 3.0
_PAST_LIMIT_S = 90.0  # past its limit a job is ended also if its supervisor gives signs; that one tries for 60 s
_STOP_MARGIN_S = 1.0  # after the grace of a stop


@dataclass
class SignsOfLife:
    """When a job was ``launched``, and when its supervisor and its program were last heard of, in seconds of a clock
    that does not count while the runner itself stands still."""

    launched: float
    heard: float
    heard_program: float
    end_by: float = math.inf  # when the grace of a stop is over

    def note(self, now: float, *, of_program: bool) -> None:
        """Note a message of the supervisor."""
        self.heard = now
        if of_program:
            self.heard_program = now

    def stop(self, now: float, grace_s: float) -> None:
        """Note that the job was told to end."""
        self.end_by = min(self.end_by, now + grace_s + _STOP_MARGIN_S)

    def verdict(self, job: Job, now: float) -> tuple[Cause, str] | None:
        """Return why the job is to be ended from outside; None if its supervisor does what it should."""
        silent = now - self.heard
        if now >= self.end_by and silent >= _SILENT_AT_STOP_S:
            return Cause.INTERRUPTED, "stopped on request"
        if job.timeout_s is not None:
            late = now - self.launched - job.timeout_s
            if late >= _PAST_LIMIT_S or min(late, silent) >= _SILENT_AT_LIMIT_S:
                return Cause.TIMEOUT, f"ran past its limit of {job.timeout_s:g} s"
        if job.stall_s is not None and min(now - self.heard_program - job.stall_s, silent) >= _SILENT_AT_LIMIT_S:
            return Cause.STALLED, f"reported nothing for {job.stall_s:g} s"
        return (Cause.LOST, "it could not be supervised") if silent >= _SILENT_S else None
