"""One job's guardian: starts the job's program, reads its reports, and leaves no process of it behind.

    python -m hpsearch.execution.supervisor OUTPUT_DIR COMMAND...

Its standard input is the control socket from the executor: first the job as one line of JSON, then commands
(supervision.py lists the messages); the end of that socket means that the runner died. Its environment is the job's,
with the job's tag. It runs in a session of its own and ignores the signals that ask a process to end: only the end of
the program or of the runner ends it. Another process guards it: what it leaves when it is killed is ended as well.

The program is started before most of this side is loaded, which takes three times as long as all the rest.
"""

from __future__ import annotations

import contextlib
import os
import signal
import sys

from hpsearch.execution.processes import ProcessTree, adopt_orphans, stay_guarded
from hpsearch.execution.program import Program, start_program

TYPE_CHECKING = False  # typing itself takes 20 ms to import
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any

    from hpsearch.execution.program import Spawn

_CONTROL = 0
_PATIENCE_S = 30.0  # for killed processes to vanish
_IGNORED = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGPIPE", "SIGUSR1", "SIGUSR2", "SIGALRM")


def main() -> None:
    """Supervise the job that standard input and the arguments name."""
    output_dir, *command = sys.argv[1:]
    ignore_requests_to_end()
    stay_guarded()
    supervise(output_dir, command)


def supervise(
    output_dir: str, command: list[str], spawn: Spawn | None = None, more: dict[str, str] | None = None
) -> None:
    """Supervise the job that standard input names, and end this process.

    ``spawn`` starts its program where it is not simply executed; ``more`` are variables for its environment beside
    this process's.
    """
    sys.excepthook = _report_error
    ignore_requests_to_end()
    adopt_orphans()
    data = b""
    while b"\n" not in data and (received := os.read(_CONTROL, 1 << 20)):
        data += received
    job_json, separator, early = data.partition(b"\n")
    if not separator:
        os._exit(0)  # the runner died before it had sent the job
    program = start_program(command, output_dir, job_json, spawn, more)
    try:
        _supervise(job_json, program, early)
    finally:
        if program.pid:
            ProcessTree(program.pid).end(_PATIENCE_S)
    os._exit(0)  # everything is written and sent; taking the interpreter apart would delay the next trial by 30 ms


def ignore_requests_to_end() -> None:
    """Ignore the signals that ask a process to end."""
    for name in _IGNORED:
        signal.signal(getattr(signal, name), signal.SIG_IGN)


def _supervise(job_json: bytes, program: Program, early: bytes) -> None:
    from hpsearch.execution.job import Job, Outcome
    from hpsearch.execution.outcome import Cause
    from hpsearch.execution.supervision import Supervision, finished_message, write_outcome

    if program.pid:
        Supervision(Job.from_json(job_json.decode()), program, _CONTROL, early).run()
        return
    outcome = Outcome(Cause.LAUNCH, message=program.error)
    write_outcome(program, outcome)
    _send(finished_message(outcome))


def _send(message: dict[str, Any]) -> None:
    import json

    os.set_blocking(_CONTROL, True)
    with contextlib.suppress(OSError):
        os.write(_CONTROL, json.dumps(message).encode() + b"\n")


def _report_error(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Send the executor an unforeseen error; this process has no other place to report it."""
    import traceback

    _send({"broken": "".join(traceback.format_exception(kind, error, trace))[-4000:]})


if __name__ == "__main__":
    main()
