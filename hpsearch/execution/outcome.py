"""How a trial can end, and what each ending means for the search: the one table.

``Cause`` is the value of the trial attribute ``hps:outcome``. ``VERDICTS`` holds, for each cause, the Optuna state that
is recorded, the value with it, whether the same parameters are run again, and whether the trial counts towards the
study's target. A *configuration's* fault teaches the sampler (recorded as PRUNED with a NaN report: samplers ignore
FAIL, so a fault recorded as FAIL is suggested again and again); a *machine's* fault does not, and is run again.
docs/trials.md shows the same table; a test keeps the two equal.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Cause(str, Enum):
    """Why a trial ended."""

    OK = "ok"  # reported a finite final value
    PRUNED = "pruned"  # stopped by the study's pruner
    DIVERGED = "diverged"  # reported a loss or metric that is not finite
    CUDA_OOM = "cuda_oom"  # ran out of device memory
    INVALID = "invalid"  # its program refused this combination of settings (exit code 2 with a reason)
    TIMEOUT = "timeout"  # ran past its own time limit
    STALLED = "stalled"  # reported nothing for the stall limit
    HOST_OOM = "host_oom"  # killed by the kernel for memory
    CRASH = "crash"  # its program ended with an error
    SIGNAL = "signal"  # its program died of a signal hpsearch did not send
    PROTOCOL = "protocol"  # ended well without reporting the objective, or broke the channel's rules
    LAUNCH = "launch"  # its program could not be started
    INTERRUPTED = "interrupted"  # stopped because the runner was asked to stop
    LOST = "lost"  # its runner or supervisor died


class Again(str, Enum):
    """How often the same parameters are run again, with the same seed."""

    NEVER = "never"
    LIMITED = "up to max_retries"
    ALWAYS = "always"


@dataclass(frozen=True)
class Verdict:
    """The meaning of one cause for the search."""

    state: str  # Optuna's name of the recorded state: COMPLETE, PRUNED or FAIL
    value: str  # recorded with it: "final metric", "last report", "NaN report" or "none"
    again: Again
    counts: bool  # towards the study's target of finished trials

    @property
    def teaches(self) -> bool:
        """True if the sampler learns from the trial."""
        return self.state != "FAIL"


VERDICTS: dict[Cause, Verdict] = {
    Cause.OK: Verdict("COMPLETE", "final metric", Again.NEVER, True),
    Cause.PRUNED: Verdict("PRUNED", "last report", Again.NEVER, True),
    Cause.DIVERGED: Verdict("PRUNED", "NaN report", Again.NEVER, True),
    Cause.CUDA_OOM: Verdict("PRUNED", "NaN report", Again.NEVER, True),
    Cause.INVALID: Verdict("PRUNED", "NaN report", Again.NEVER, True),
    Cause.TIMEOUT: Verdict("PRUNED", "NaN report", Again.NEVER, True),
    Cause.STALLED: Verdict("FAIL", "none", Again.LIMITED, False),
    Cause.HOST_OOM: Verdict("FAIL", "none", Again.LIMITED, False),
    Cause.CRASH: Verdict("FAIL", "none", Again.NEVER, False),
    Cause.SIGNAL: Verdict("FAIL", "none", Again.LIMITED, False),
    Cause.PROTOCOL: Verdict("FAIL", "none", Again.NEVER, False),
    Cause.LAUNCH: Verdict("FAIL", "none", Again.LIMITED, False),
    Cause.INTERRUPTED: Verdict("FAIL", "none", Again.ALWAYS, False),
    Cause.LOST: Verdict("FAIL", "none", Again.ALWAYS, False),
}
