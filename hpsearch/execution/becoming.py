"""How a process that has done a program's imports becomes that program.

What it was before its imports is restored, as far as a start by itself would find it: signals, streams, arguments, the
environment, and the mark by which it is found.
"""

from __future__ import annotations

import ctypes
import os
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

from hpsearch.execution.job import SUPERVISES_VARIABLE, TAG_VARIABLE
from hpsearch.execution.python_program import parse

_ENV_START = 50 - 3  # where the environment lies: field 50 of /proc/self/stat (man 5 proc), without the first two


class ProcessState:
    """What a process is like when it is made."""

    def __init__(self) -> None:
        self._signals = {number: signal.getsignal(number) for number in signal.valid_signals()}
        self._excepthook = sys.excepthook

    def become(
        self,
        command: Sequence[str],
        environment: dict[bytes, bytes],
        output: int,
        *,
        close: Sequence[int] = (),
        anew: bool = False,
    ) -> NoReturn:
        """Be the program of a command from here on, with ``output`` for what it prints, and without what to ``close``.

        ``anew``: with nothing of what was imported.
        """
        try:
            os.setpgid(0, 0)
            retag(TAG_VARIABLE, os.fsdecode(environment[TAG_VARIABLE.encode()]))
            _take_streams(output, close)
            self._restore()
            os.environ.pop(SUPERVISES_VARIABLE, None)
            os.environb.update(environment)
            _seed_anew()
            program = parse(command)
        except BaseException as error:  # noqa: BLE001 - this process must never get back into another's code
            print(f"hpsearch cannot start {command[0]!r} from what was imported: {error!r}", file=sys.stderr)
            os._exit(70)  # EX_SOFTWARE, sysexits.h
        if anew or program is None or _has_lost_its_gpu():
            os.execvpe(command[0], list(command), environment)  # noqa: S606 - the job's own command
        program.run()

    def _restore(self) -> None:
        sys.excepthook = self._excepthook
        for number, handler in self._signals.items():
            if number not in (signal.SIGKILL, signal.SIGSTOP) and handler is not None:
                signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _take_streams(output: int, close: Sequence[int]) -> None:
    nothing = os.open(os.devnull, os.O_RDONLY)
    for descriptor, stream in ((nothing, 0), (output, 1), (output, 2)):
        os.dup2(descriptor, stream)
    for descriptor in (nothing, output, *close):
        os.close(descriptor)


def retag(variable: str, tag: str) -> None:
    """Set the variable that this process was executed with as its mark, where /proc shows it: by its new name."""
    block = Path("/proc/self/environ").read_bytes()
    begin = next(at for at in (_find(block, SUPERVISES_VARIABLE), _find(block, TAG_VARIABLE)) if at >= 0)
    room = block.index(b"\0", begin) - begin
    entry = f"{variable}={tag}".encode().ljust(room)
    if len(entry) > room:
        raise ValueError(f"a tag of {len(entry)} bytes does not fit into {room}")
    start = int(Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()[_ENV_START])
    ctypes.memmove(start + begin, entry, room)


def _find(block: bytes, variable: str) -> int:
    return (b"\0" + block).find(f"\0{variable}=".encode())


def _seed_anew() -> None:
    """Give numpy's generator the chance that a start by itself gives it; Python's own is seeded anew in each fork."""
    numpy = sys.modules.get("numpy")
    if numpy is not None:
        numpy.random.seed()


def _has_lost_its_gpu() -> bool:
    torch = sys.modules.get("torch")
    return torch is not None and torch.cuda._is_in_bad_fork()
