"""A process that has done the imports which a study's trials share, and forks each trial: it starts at once then.

    python fork_server.py PLACE           PLACE: first folder of the program's modules, "" for the working folder
    python fork_server.py PLACE --once    supervises one job, whose program imports ahead in its own process

Its standard input is a socket from the executor, whose end ends it. Each message is an order (JSON); one that brings a
descriptor, the control socket of a job, has a supervisor forked off, which forks the program in its turn: the same two
processes, with the same tags, sessions and signals, as a start by itself makes (supervisor.py). A fork becomes the
program: signals, streams, arguments, the environment and the tag are set as a start by itself would find them.

It guards its forks: what a supervisor leaves that is killed becomes its own, and is ended.

It imports, and does nothing else: no thread of its own, nothing computed, no GPU touched. Where an import does not keep
to that, the program is started by itself, and the executor gets the reason.
"""

from __future__ import annotations

import os
import sys

if __name__ == "__main__":
    if not sys.flags.safe_path:
        sys.path[0] = sys.argv[1]  # as the program's own start would have it, and before anything else is imported
    import runpy

    runpy.run_path(f"{os.path.dirname(os.path.abspath(__file__))}/bootstrap.py")["adopt_hpsearch"]()  # noqa: PTH100, PTH120

import ctypes
import fcntl
import gc
import importlib
import json
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from hpsearch.execution.names import SUPERVISES_VARIABLE, TAG_VARIABLE
from hpsearch.execution.processes import adopt_orphans, descendants, retag, stay_guarded
from hpsearch.execution.python_program import parse

if TYPE_CHECKING:
    from hpsearch.execution.program import Program, Spawn

_ONCE = "--once"
_ORDERS = 0
_ORDER_BYTES = 1 << 20
_IMPORT_S = 300  # for imports that hang; the executor starts the program by itself then, under the trial's own limits
_GUARD_S = 40.0  # for supervisors whose runner died to end their trees, and for what dead ones left to vanish
_PAUSE_S = 0.01
_MAY_GROW_BYTES = 64 * 1024**2  # of memory that no fork shares any more
_OF_EVERY_FORK = ("execution.supervision", "execution.supervisor", "sdk")
_PR_SET_PDEATHSIG = 1  # linux/prctl.h
_HARMLESS_THREADS = ("jemalloc_bg_thd",)  # pyarrow's allocator takes care of itself in a fork


def main() -> None:
    """Obey orders until the executor is gone."""
    if _ONCE in sys.argv:
        stay_guarded()
        _end_with_parent(signal.SIGKILL)
    for module in _OF_EVERY_FORK:
        importlib.import_module(f"hpsearch.{module}")
    state = ProcessState()
    server: ForkServer | PreloadedProgram = PreloadedProgram(state) if _ONCE in sys.argv else ForkServer(state)
    _end_with_the_executor(server.end)
    orders = socket.socket(fileno=_ORDERS)
    while True:
        data, descriptors, _, _ = socket.recv_fds(orders, _ORDER_BYTES, 1)
        if not data:
            server.end()
        server.obey(json.loads(data), descriptors)


class ForkServer:
    """Imports, and forks. ``unfit`` says why this process must not be forked into a program; empty where it may be.

    ``origin`` is the state of this process before its imports.
    """

    def __init__(self, origin: ProcessState) -> None:
        self.unfit = ""
        self._imported: set[str] = set()
        self._origin = origin
        self._memory = 0
        self._forks: set[int] = set()  # living supervisors
        adopt_orphans()
        signal.signal(signal.SIGCHLD, lambda *_: self._reap())

    def obey(self, order: dict[str, Any], descriptors: list[int]) -> None:
        """Import the order's modules; where it brings a control socket, fork its job."""
        self._preload(order)
        if not descriptors:
            return
        control = descriptors[0]
        retag(SUPERVISES_VARIABLE, order["server_tag"])  # it was started before its runner held a lease
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])  # a fork is known before any end is noticed
        pid = os.fork()
        if pid == 0:
            signal.signal(signal.SIGCHLD, signal.SIG_DFL)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
            os.setsid()
            _supervise(order, control, None if self.unfit else self._fork)
        self._forks.add(pid)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, [signal.SIGCHLD])
        os.close(control)
        if self._memory and _own_memory() > self._memory + _MAY_GROW_BYTES:
            os._exit(0)  # the executor starts another where there is more to do

    def end(self) -> NoReturn:
        """End this process once its forks have ended, which they do without their runner."""
        signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGCHLD])
        give_up = time.monotonic() + _GUARD_S
        while self._reap() and time.monotonic() < give_up:  # it may have been called in the midst of _reap
            self._end_adopted()
            time.sleep(_PAUSE_S)
        os._exit(0)

    def _reap(self) -> bool:
        """Collect supervisors that have ended, and end what one left that was killed. Returns True while any child is
        left."""
        was_killed = False
        give_up = time.monotonic() + _GUARD_S
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid:
                was_killed = was_killed or (pid in self._forks and status != 0)
                self._forks.discard(pid)
            elif not was_killed or time.monotonic() > give_up or not self._end_adopted():
                return True

    def _end_adopted(self) -> bool:
        """Kill what lives below this process and below no supervisor. Returns False if there is nothing."""
        guarded = set(self._forks).union(*(descendants(pid) for pid in self._forks))
        left = [pid for pid in descendants(os.getpid()) if pid not in guarded]
        for pid in left:
            with suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        if left:
            time.sleep(_PAUSE_S)
        return bool(left)

    def _preload(self, order: dict[str, Any]) -> None:
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
        _send({"unfit": self.unfit} if self.unfit else {"ready": order["preload"]})

    def _fork(self, program: Program, command: list[str], environment: dict[bytes, bytes], output: int) -> int:
        pid = os.fork()
        if pid == 0:
            self._origin.become(command, environment, output, close=program.descriptors)
        return pid


class PreloadedProgram:
    """A supervisor whose program has done its imports before there is a job for it. Nothing is shared: one job, and the
    program imports in a process of its own, so that its imports may do what rules out a fork afterwards."""

    def __init__(self, origin: ProcessState) -> None:
        self._origin = origin
        self._program, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._pid = os.fork()
        if self._pid == 0:
            self._program.close()
            self._import_and_wait(theirs)
        theirs.close()

    def obey(self, order: dict[str, Any], descriptors: list[int]) -> None:
        """Have the program import the order's modules; where it brings a control socket, supervise its job."""
        with suppress(OSError):  # it has ended, and is started again when its time comes
            socket.send_fds(self._program, [json.dumps({"imports": order}).encode()], [])
        if descriptors:
            _end_with_parent(0)
            _supervise(order, descriptors[0], self._hand_over)

    def end(self) -> NoReturn:
        """End this process, and the one that waits."""
        os.kill(self._pid, signal.SIGKILL)
        os.waitpid(self._pid, 0)
        os._exit(0)

    def _hand_over(self, program: Program, command: list[str], environment: dict[bytes, bytes], output: int) -> int:
        from hpsearch.execution.program import execute

        text = {os.fsdecode(name): os.fsdecode(value) for name, value in environment.items()}
        try:
            socket.send_fds(self._program, [json.dumps({"command": command, "environment": text}).encode()], [output])
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
        self._origin.become(order["command"], environment, descriptors[0], from_scratch=failed)


def _supervise(order: dict[str, Any], control: int, spawn: Spawn | None) -> NoReturn:
    """Be the supervisor of the order's job."""
    from hpsearch.execution.supervisor import supervise

    try:
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGIO, signal.SIG_IGN)
        retag(SUPERVISES_VARIABLE, order["tag"])
        os.dup2(control, _ORDERS)
        os.close(control)
        os.chdir(order["working_dir"])
        _send({"supervisor": os.getpid()})
        supervise(order["output_dir"], order["command"], spawn, order["environment"])
    except BaseException as error:  # noqa: BLE001 - the executor gets it, as from any supervisor
        sys.excepthook(type(error), error, error.__traceback__)
    finally:
        os._exit(1)  # never back to the orders; the executor starts by itself what nobody supervises


def why_unfit() -> str:
    """Return what keeps this process from being forked into a program; empty where nothing does."""
    torch = sys.modules.get("torch")
    if (torch is not None and torch.cuda.is_initialized()) or _holds_gpu():
        return "what it imports touches the GPU, which a fork cannot use any more"
    if threading.active_count() > 1:
        others = ", ".join(thread.name for thread in threading.enumerate() if thread is not threading.main_thread())
        return f"what it imports starts threads, which a fork does not have: {others}"
    threads = [(task / "comm").read_text().strip() for task in sorted(Path("/proc/self/task").iterdir())]
    native = [name for name in threads if name not in _HARMLESS_THREADS]
    if len(native) > 1:
        return f"what it imports starts {len(native) - 1} threads, which a fork does not have: {', '.join(native[1:])}"
    return ""


def _holds_gpu() -> bool:
    """True if this process has a CUDA context: only that opens the driver's unified memory."""
    for descriptor in Path("/proc/self/fd").iterdir():
        with suppress(OSError):
            if descriptor.readlink().name == "nvidia-uvm":
                return True
    return False


def _import(entry: str, prepared_dir: str | None) -> str:
    """Import ``module``, or call ``module:function``; returns what went wrong, empty where nothing did."""
    module, _, function = entry.partition(":")
    try:
        imported = importlib.import_module(module)
        if function:
            preload: Callable[[str | None], None] = getattr(imported, function)
            preload(prepared_dir)
    except BaseException as error:  # noqa: BLE001 - whatever it is, the program itself will meet and show it
        return f"importing {module} fails: {type(error).__name__}: {error}"
    return ""


def _own_memory() -> int:
    """Return the bytes of memory of this process alone."""
    for line in Path("/proc/self/status").read_text(encoding="ascii").splitlines():
        if line.startswith("RssAnon:"):
            return int(line.split()[1]) * 1024
    return 0


def _end_with_the_executor(end: Callable[[], NoReturn]) -> None:
    """End as soon as the socket does, in the middle of imports too."""

    def check(*_: object) -> None:
        with suppress(BlockingIOError), socket.socket(fileno=os.dup(_ORDERS)) as orders:
            if not orders.recv(1, socket.MSG_PEEK | socket.MSG_DONTWAIT):
                end()

    signal.signal(signal.SIGIO, check)
    fcntl.fcntl(_ORDERS, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(_ORDERS, fcntl.F_SETFL, fcntl.fcntl(_ORDERS, fcntl.F_GETFL) | os.O_ASYNC)
    check()


def _end_with_parent(number: int) -> None:
    """Have the kernel send this signal when the parent ends; 0: none."""
    ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, number, 0, 0, 0)


def _send(message: dict[str, Any]) -> None:
    try:
        os.write(_ORDERS, json.dumps(message).encode() + b"\n")
    except OSError:
        os._exit(0)  # the executor is gone


class ProcessState:
    """The state of a process before its imports, which a fork restores before it becomes a program."""

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
        from_scratch: bool = False,
    ) -> NoReturn:
        """Be the program of a command from here on, with ``output`` for what it prints, and without the descriptors to
        ``close``; ``from_scratch``: without anything that was imported."""
        try:
            os.setpgid(0, 0)
            retag(TAG_VARIABLE, os.fsdecode(environment[TAG_VARIABLE.encode()]))
            nothing = os.open(os.devnull, os.O_RDONLY)
            for descriptor, stream in ((nothing, 0), (output, 1), (output, 2)):
                os.dup2(descriptor, stream)
            for descriptor in (nothing, output, *close):
                os.close(descriptor)
            self._restore_handlers()
            os.environ.pop(SUPERVISES_VARIABLE, None)
            os.environb.update(environment)
            if (numpy := sys.modules.get("numpy")) is not None:
                numpy.random.seed()  # from the system, as at a start by itself; Python's own rng is seeded in each fork
            program = parse(command)
        except BaseException as error:  # noqa: BLE001 - this process must never get back into another's code
            print(f"hpsearch cannot start {command[0]!r} from what was imported: {error!r}", file=sys.stderr)
            os._exit(70)  # EX_SOFTWARE, sysexits.h
        torch = sys.modules.get("torch")  # which may be half imported where it is from_scratch
        if from_scratch or program is None or (torch is not None and torch.cuda._is_in_bad_fork()):
            os.execvpe(command[0], list(command), environment)  # noqa: S606 - the job's own command
        program.run()

    def _restore_handlers(self) -> None:
        sys.excepthook = self._excepthook
        for number, handler in self._signals.items():
            if number not in (signal.SIGKILL, signal.SIGSTOP) and handler is not None:
                signal.signal(number, handler)
        signal.pthread_sigmask(signal.SIG_SETMASK, [])


if __name__ == "__main__":
    main()
