"""A process that has done the imports which a study's trials share, and forks each trial: it starts at once then.

    python fork_server.py PLACE           PLACE: first folder of the program's modules, "" for the working folder
    python fork_server.py PLACE --once    supervises one job, whose program imports ahead in its own process

Its standard input is a socket from the executor, whose end ends it. Each message is an order (JSON); one that brings a
descriptor, the control socket of a job, has a supervisor forked off, which forks the program in its turn: the same two
processes, with the same tags, sessions and signals, as a start by itself makes (supervisor.py).

It imports, and does nothing else: no thread of its own, nothing computed, no GPU touched. Where an import does not keep
to that, the program is started by itself, and the executor is told why.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__" and not sys.flags.safe_path:
    sys.path[0] = sys.argv[1]  # as the program's own start would have it, and before anything else is imported

import ctypes
import fcntl
import gc
import importlib
import importlib.util
import json
import signal
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

if TYPE_CHECKING:
    from hpsearch.execution.becoming import ProcessState
    from hpsearch.execution.program import Program, Spawn

_ONCE = "--once"
_ORDERS = 0
_ORDER_BYTES = 1 << 20
_IMPORT_S = 300  # for imports that hang; the executor starts the program by itself then, under the trial's own limits
_MAY_GROW_BYTES = 64 * 1024**2  # of memory that no fork shares any more
_OF_EVERY_FORK = ("execution.supervision", "execution.supervisor", "execution.becoming", "sdk")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_HARMLESS_THREADS = ("jemalloc_bg_thd",)  # pyarrow's allocator takes care of itself in a fork


def main() -> None:
    """Obey orders until the executor is gone."""
    _adopt_hpsearch()
    for module in _OF_EVERY_FORK:
        importlib.import_module(f"hpsearch.{module}")
    from hpsearch.execution.becoming import ProcessState

    starter: ForkServer | PreloadedProgram = (
        PreloadedProgram(ProcessState()) if _ONCE in sys.argv else ForkServer(ProcessState())
    )
    _end_with_the_executor(starter.end)
    orders = socket.socket(fileno=_ORDERS)
    while True:
        data, descriptors, _, _ = socket.recv_fds(orders, _ORDER_BYTES, 1)
        if not data:
            starter.end()
        starter.obey(json.loads(data), descriptors)


class ForkServer:
    """Imports, and forks. ``unfit`` says why this process must not be forked into a program; empty where it may be.

    ``origin`` is what this process was like before.
    """

    def __init__(self, origin: ProcessState) -> None:
        self.unfit = ""
        self._imported: set[str] = set()
        self._origin = origin
        self._memory = 0
        signal.signal(signal.SIGCHLD, lambda *_: _collect())

    def obey(self, order: dict[str, Any], descriptors: list[int]) -> None:
        """Import what the order wants imported; where it brings a control socket, fork its job."""
        self._get_ready(order)
        if not descriptors:
            return
        control = descriptors[0]
        if os.fork() == 0:
            self._supervise(order, control)
        os.close(control)
        if self._memory and _own_memory() > self._memory + _MAY_GROW_BYTES:
            os._exit(0)  # the executor starts another where there is more to do

    def end(self) -> NoReturn:
        """End this process; what it has forked goes on."""
        os._exit(0)

    def _get_ready(self, order: dict[str, Any]) -> None:
        if self.unfit or set(order["preload"]) <= self._imported:
            return
        signal.alarm(_IMPORT_S)
        for entry in order["preload"]:
            self.unfit = self.unfit or _import(entry, order["prepared_dir"])
            self._imported.add(entry)
        signal.alarm(0)
        gc.freeze()  # what is imported stays; looking for garbage among it would copy it into each fork
        self.unfit = self.unfit or why_unfit()
        self._memory = _own_memory()
        _tell({"unfit": self.unfit} if self.unfit else {"ready": order["preload"]})

    def _supervise(self, order: dict[str, Any], control: int) -> NoReturn:
        os.setsid()
        _supervise(order, control, None if self.unfit else self._fork)

    def _fork(self, program: Program, command: list[str], environment: dict[bytes, bytes], output: int) -> int:
        pid = os.fork()
        if pid == 0:
            self._origin.become(command, environment, output, close=program.descriptors)
        return pid


class PreloadedProgram:
    """A supervisor whose program has done its imports before there is a job for it. Nothing is shared: one job, and the
    program imports in a process of its own, so that it may be any process that only is not forked afterwards."""

    def __init__(self, origin: ProcessState) -> None:
        self._origin = origin
        self._program, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pid = os.fork()
        if self._pid == 0:
            self._program.close()
            self._import_and_wait(theirs)
        theirs.close()

    def obey(self, order: dict[str, Any], descriptors: list[int]) -> None:
        """Have imported what the order wants imported; where it brings a control socket, supervise its job."""
        with suppress(OSError):  # it has ended, and is started anew when its time comes
            socket.send_fds(self._program, [json.dumps({"imports": order}).encode()], [])
        if descriptors:
            _supervise(order, descriptors[0], self._hand_over)

    def end(self) -> NoReturn:
        """End this process, and the one that waits."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os._exit(0)

    def _hand_over(self, program: Program, command: list[str], environment: dict[bytes, bytes], output: int) -> int:
        from hpsearch.execution.program import execute

        shown = {os.fsdecode(name): os.fsdecode(value) for name, value in environment.items()}
        try:
            socket.send_fds(self._program, [json.dumps({"command": command, "environment": shown}).encode()], [output])
        except OSError:
            return execute(program, command, environment, output)
        self._program.close()
        return self._pid

    def _import_and_wait(self, orders: socket.socket) -> NoReturn:
        os.dup2(1, _ORDERS)  # the executor's socket is the supervisor's alone
        _end_with_parent(signal.SIGKILL)
        failed = False
        while True:
            data, descriptors, _, _ = socket.recv_fds(orders, _ORDER_BYTES, 1)
            order = json.loads(data) if data else {}
            for entry in order.get("imports", {}).get("preload", ()):
                signal.alarm(_IMPORT_S)
                failed = failed or bool(_import(entry, order["imports"]["prepared_dir"]))
                signal.alarm(0)
            if "imports" not in order:
                break
        if not descriptors:
            os._exit(0)
        orders.close()
        _end_with_parent(0)
        environment = {os.fsencode(name): os.fsencode(value) for name, value in order["environment"].items()}
        self._origin.become(order["command"], environment, descriptors[0], anew=failed)


def _supervise(order: dict[str, Any], control: int, spawn: Spawn | None) -> NoReturn:
    """Be the supervisor of the order's job."""
    from hpsearch.execution.becoming import retag
    from hpsearch.execution.job import SUPERVISES_VARIABLE
    from hpsearch.execution.supervisor import supervise

    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        retag(SUPERVISES_VARIABLE, order["tag"])
        os.dup2(control, _ORDERS)
        os.close(control)
        os.chdir(order["working_dir"])
        _tell({"supervisor": os.getpid()})
        supervise(order["output_dir"], order["command"], spawn, order["environment"])
    except BaseException as error:  # noqa: BLE001 - the executor is told, as by any supervisor
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        os._exit(1)  # never back to the orders; the executor starts by itself what nobody supervises


def why_unfit() -> str:
    """What keeps this process from being forked into a program; empty where nothing does."""
    torch = sys.modules.get("torch")
    if (torch is not None and torch.cuda.is_initialized()) or _holds_gpu():
        return "what it imports touches the GPU, which a fork cannot use any more"
    if threading.active_count() > 1:
        others = ", ".join(thread.name for thread in threading.enumerate() if thread is not threading.main_thread())
        return f"what it imports starts threads, which a fork does not have: {others}"
    native = [name for name in _threads() if name not in _HARMLESS_THREADS]
    if len(native) > 1:
        return f"what it imports starts {len(native) - 1} threads, which a fork does not have: {', '.join(native[1:])}"
    return ""


def _import(entry: str, prepared_dir: str | None) -> str:
    """Import ``module``, or call ``module:function``; what went wrong, empty where nothing did."""
    module, _, function = entry.partition(":")
    try:
        imported = importlib.import_module(module)
        if function:
            ready: Callable[[str | None], None] = getattr(imported, function)
            ready(prepared_dir)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the program itself will meet and show it
        return f"importing {module} fails: {type(error).__name__}: {error}"
    return ""


def _holds_gpu() -> bool:
    """Whether this process has a CUDA context: only that opens the driver's unified memory."""
    for descriptor in Path("/proc/self/fd").iterdir():
        try:
            if descriptor.readlink().name == "nvidia-uvm":
                return True
        except OSError:
            continue
    return False


def _threads() -> list[str]:
    return [(task / "comm").read_text().strip() for task in sorted(Path("/proc/self/task").iterdir())]


def _own_memory() -> int:
    """Bytes of memory of this process alone."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def _end_with_the_executor(end: Callable[[], NoReturn]) -> None:
    """End as soon as the socket does, in the middle of imports too."""

    def look(*_: object) -> None:
        with suppress(BlockingIOError), socket.socket(fileno=os.dup(_ORDERS)) as orders:
            if not orders.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                end()

    signal.signal(signal.SIGIO, look)
    fcntl.fcntl(_ORDERS, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(_ORDERS, fcntl.F_SETFL, fcntl.fcntl(_ORDERS, fcntl.F_GETFL) | os.O_ASYNC)
    look()


def _end_with_parent(number: int) -> None:
    """Have the kernel send this signal when the parent ends; 0: none."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def _collect() -> None:
    """Let supervisors that have ended be gone."""
    try:
        while os.waitpid(-1, os.WNOHANG)[0]:
            pass
    except ChildProcessError:
        return


def _tell(message: dict[str, Any]) -> None:
    try:
        os.write(_ORDERS, json.dumps(message).encode() + b"\n")
    except OSError:
        os._exit(0)  # the executor is gone


def _adopt_hpsearch() -> None:
    """Make ``hpsearch`` the package that this file belongs to, whatever else this interpreter finds under the name."""
    package = Path(__file__).resolve().parents[1]
    spec = importlib.util.spec_from_file_location(
        "hpsearch", package / "__init__.py", submodule_search_locations=[str(package)]
    )
    if spec is None or spec.loader is None:
        raise ImportError(f"no package in {package}")
    module = importlib.util.module_from_spec(spec)
    sys.modules["hpsearch"] = module
    spec.loader.exec_module(module)


if __name__ == "__main__":
    main()
