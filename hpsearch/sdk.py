"""Functions by which a training program reports to hpsearch, and gets its answers. Standard library only.

    from hpsearch import sdk

    job = sdk.job()                          # None when the program runs on its own
    rate = job.settings["learning_rate"] if job else 1e-4
    for step in range(1, 21):
        ...
        sdk.report(step, cer=cer, loss=loss)
        if sdk.should_prune():
            raise SystemExit(0)
    sdk.finish(cer=cer)

Everything here does nothing, harmlessly, when the program was not started by hpsearch, so that the same program also
runs alone. Under torchrun (``RANK`` is set) every rank calls the same functions: only rank 0 reports (a fault may
come from any rank), and all ranks get rank 0's answer.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import operator
import os
import select
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, SupportsFloat, SupportsIndex

from hpsearch.execution.files import replace_file
from hpsearch.execution.job import MAX_LINE_BYTES, Job, encode_values
from hpsearch.execution.names import ANSWER_VARIABLE, JOB_VARIABLE, RANK0_SUFFIX, REPORT_VARIABLE

_POLL_S = 0.002  # at first; doubled up to:
_LONGEST_POLL_S = 0.05
_UNREAD_S = 5.0  # for final metrics to be read; it takes milliseconds
_OTHER_RANKS_S = 30.0  # how much longer than rank 0 itself the others wait for rank 0's answer

_last_step: int | None = None
_warned = False


def job() -> Job | None:
    """Read the job this program was started for; None if hpsearch did not start it.

    Raises:
        ValueError: the job's file does not hold a job.
        OSError: the job's file cannot be read.
    """
    path = os.environ.get(JOB_VARIABLE)
    return Job.load(path) if path else None


def report(step: SupportsIndex, **metrics: SupportsFloat) -> None:
    """Report metrics at a step (a whole number from 0, at each evaluation). The first report of a step stands.

    Values may be numbers, or anything that ``float`` takes, such as tensors of one element. Values that are not finite
    mean divergence.
    """
    global _last_step
    _last_step = operator.index(step)
    _send({"step": _last_step, **_numbers(metrics)})


def finish(**metrics: SupportsFloat) -> None:
    """Report final metrics, the objective's among them. Later calls add to earlier ones.

    Returns once hpsearch has read them, so that they count whatever happens next; after 5 s in any case.
    """
    if metrics:
        _send(dict(_numbers(metrics)), until_read=True)


def progress(**values: Any) -> None:
    """Show the progress of the work (see ``Progress`` for known names). It is dropped where the channel is full."""
    _send({"progress": values}, may_drop=True)


def fault(cause: str, message: str) -> None:
    """Report why the program is about to end: "cuda_oom", "diverged", "invalid", "host_oom", "crash" or "pruned"."""
    _send({"fault": cause, "message": message[:2000]}, from_any_rank=True)


def should_prune(timeout_s: float = 10.0) -> bool:
    """Return True if the program should stop after the step it reported last.

    Waits up to ``timeout_s`` seconds for the answer; without one the program goes on (False).
    """
    path = os.environ.get(ANSWER_VARIABLE)
    if path is None or _last_step is None:
        return False
    if _number("WORLD_SIZE", 1) == 1:
        return _wait_for_answer(Path(path), _last_step, timeout_s)
    rank0_answer = Path(path + RANK0_SUFFIX)
    if _number("RANK", 0) != 0:
        return _wait_for_answer(rank0_answer, _last_step, timeout_s + _OTHER_RANKS_S)
    prune = _wait_for_answer(Path(path), _last_step, timeout_s)
    with contextlib.suppress(OSError):
        replace_file(str(rank0_answer), json.dumps({"step": _last_step, "prune": prune}).encode())
    return prune


def _wait_for_answer(path: Path, step: int, timeout_s: float) -> bool:
    deadline = time.monotonic() + timeout_s
    pause = _POLL_S
    while True:
        answered, prune = _read_answer(path)
        if answered >= step or prune:
            return prune and answered <= step  # an answer to a later step: this one was answered by going on
        if time.monotonic() >= deadline:
            return False
        time.sleep(pause)
        pause = min(2 * pause, _LONGEST_POLL_S)


def _read_answer(path: Path) -> tuple[int, bool]:
    try:
        answer = json.loads(path.read_bytes())
        return int(answer["step"]), bool(answer["prune"])
    except (OSError, ValueError, KeyError, TypeError):
        return -1, False


def _numbers(metrics: dict[str, SupportsFloat]) -> dict[str, float | str]:
    return encode_values({name: float(value) for name, value in metrics.items()})


def _send(
    message: dict[str, Any], *, may_drop: bool = False, from_any_rank: bool = False, until_read: bool = False
) -> None:
    path = os.environ.get(REPORT_VARIABLE)
    if path is None or (_number("RANK", 0) != 0 and not from_any_rank):
        return
    line = json.dumps(message, default=str).encode() + b"\n"
    if len(line) > MAX_LINE_BYTES:
        _warn(f"a line holds at most {MAX_LINE_BYTES} bytes, this one has {len(line)}: it is not accepted")
        if may_drop:
            return  # a report is sent all the same: it is refused there, and the trial's end says so
    try:
        with _channel(path) as channel:
            if may_drop and len(line) <= select.PIPE_BUF:
                with contextlib.suppress(BlockingIOError):
                    os.write(channel, line)
                return
            os.set_blocking(channel, True)  # a reader is there; if it goes, the write fails
            rest = memoryview(line)
            while rest:
                rest = rest[os.write(channel, rest) :]
            if until_read:
                _wait_for_reader(channel)
    except OSError as error:
        _warn(f"hpsearch does not read reports any more ({error.strerror})")


@contextlib.contextmanager
def _channel(path: str) -> Iterator[int]:
    """Open the channel without waiting for a reader, and lock it: only lines up to PIPE_BUF are written whole by
    themselves."""
    channel = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        fcntl.flock(channel, fcntl.LOCK_EX)
        yield channel
    finally:
        os.close(channel)


def _wait_for_reader(channel: int) -> None:
    """Wait until nothing is left in the channel: what is unread is lost if reader and writer are killed together."""
    deadline = time.monotonic() + _UNREAD_S
    with contextlib.suppress(OSError):  # not a channel that can tell
        while time.monotonic() < deadline and any(fcntl.ioctl(channel, termios.FIONREAD, bytes(4))):
            time.sleep(_POLL_S)


def _number(variable: str, otherwise: int) -> int:
    try:
        return int(os.environ.get(variable, otherwise))
    except ValueError:
        return otherwise


def _warn(text: str) -> None:
    global _warned
    if not _warned:
        _warned = True
        print(f"hpsearch.sdk: {text}", file=sys.stderr)
