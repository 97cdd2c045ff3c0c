"""Command lines that run a Python program, and running one inside an interpreter that is already up."""

from __future__ import annotations

import atexit
import io
import os
import runpy
import signal
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from types import CodeType, ModuleType, TracebackType
from typing import NoReturn, TextIO

_WITH_VALUE = "WX"  # options of one letter that take a value, attached or as the next word
_WITHOUT_VALUE = "bBdEIOPqsSuv"
_INTERRUPTED = -signal.SIGINT


@dataclass(frozen=True)
class PythonProgram:
    """``python -P train.py --epochs 3``, taken apart.

    ``kind`` is "script", "module" (-m) or "code" (-c), ``name`` the script, the module or the code.
    """

    interpreter: str
    options: tuple[str, ...]
    kind: str
    name: str
    arguments: tuple[str, ...]

    @property
    def place(self) -> str:
        """The first folder of its module search path: a script's own folder, else "" for the working folder."""
        return os.path.dirname(os.path.realpath(self.name)) if self.kind == "script" else ""  # noqa: PTH120

    def run(self) -> NoReturn:
        """Be this program from here on: its ``__main__``, its arguments, and at its end the end of the process."""
        sys.argv = [self.name if self.kind == "script" else "-m" if self.kind == "module" else "-c", *self.arguments]
        code = 0
        try:
            self._execute()
        except SystemExit as end:
            if end.code is None or isinstance(end.code, int):
                code = (end.code or 0) & 0xFF
            else:
                print(end.code, file=sys.stderr)
                code = 1
        except BaseException as error:  # noqa: BLE001 - shown as the interpreter shows what nobody caught
            error.__traceback__ = _of_the_program(error.__traceback__)
            sys.excepthook(type(error), error, error.__traceback__)
            code = _INTERRUPTED if isinstance(error, KeyboardInterrupt) else 1
        _flush(sys.stderr, sys.stdout)
        _end(code)

    def _execute(self) -> None:
        own_place = not sys.flags.safe_path  # the first entry of sys.path
        if self.kind == "module":
            sys.path[:own_place] = [os.getcwd()] * own_place  # noqa: PTH109
            runpy.run_module(self.name, run_name="__main__", alter_sys=True)
        elif self.kind == "script" and os.path.isdir(self.name):  # noqa: PTH112
            del sys.path[:own_place]
            runpy.run_path(self.name, run_name="__main__")
        else:
            main = sys.modules["__main__"] = ModuleType("__main__")
            exec(self._compiled(main), main.__dict__)  # noqa: S102 - this is what Python does with it

    def _compiled(self, main: ModuleType) -> CodeType:
        if self.kind == "code":
            return compile(self.name, "<string>", "exec")
        main.__file__ = self.name
        with io.open_code(os.path.abspath(self.name)) as file:  # noqa: PTH100
            return compile(file.read(), self.name, "exec")


def parse(command: Sequence[str]) -> PythonProgram | None:
    """Take a command apart; None unless it is ``python [options] (script | -m module | -c code) [arguments]``."""
    interpreter, *words = command
    if not os.path.basename(interpreter).startswith("python"):  # noqa: PTH119
        return None
    options: list[str] = []
    while words:
        word = words.pop(0)
        if not word.startswith("-"):
            return PythonProgram(interpreter, tuple(options), "script", word, tuple(words))
        if word in ("-m", "-c"):
            kind = "module" if word == "-m" else "code"
            return PythonProgram(interpreter, tuple(options), kind, words[0], tuple(words[1:])) if words else None
        letters = word[1:]
        if letters[:1] not in tuple(_WITH_VALUE) and (not letters or set(letters) - set(_WITHOUT_VALUE)):
            return None
        options.append(word)
        if len(word) == 2 and word[1] in _WITH_VALUE:
            options += words[:1]
            del words[:1]
    return None


def _of_the_program(trace: TracebackType | None) -> TracebackType | None:
    """Return the part of a trace that the program's own command line would show."""
    ours = (__file__, runpy.__file__, "<frozen runpy>")
    while trace is not None and trace.tb_next is not None and trace.tb_frame.f_code.co_filename in ours:
        trace = trace.tb_next
    return trace


def _flush(*streams: TextIO) -> None:
    for stream in streams:
        with suppress(OSError, ValueError):  # closed by the program, or by the reader
            stream.flush()


def _end(code: int) -> NoReturn:
    """End as an interpreter does: threads waited for, exit handlers called, output written."""
    try:
        threading._shutdown()  # type: ignore[attr-defined]  # as multiprocessing ends its forks
        atexit._run_exitfuncs()
        _flush(sys.stdout, sys.stderr)
    except BaseException as error:  # noqa: BLE001 - an exit handler's error is shown, and changes nothing
        sys.excepthook(type(error), error, error.__traceback__)
    if code == _INTERRUPTED:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
        os.kill(os.getpid(), signal.SIGINT)
    os._exit(code)
