"""The process tree below a supervisor, and processes that a dead supervisor left behind.

Nothing gets away from the tree, and all of it can be ended. On Linux the supervisor is a subreaper: a process that
loses its parent becomes the supervisor's child, so that daemons and new sessions stay in the tree, and the tree is
empty exactly when the supervisor has no child left. Elsewhere only the program's process group is ended: a grandchild
that moved to another group or session survives.

Leftovers are found by the tag in their environment. A tag is ``study/job/launch``; ``launch`` names the runner's
process (number, start and PID namespace), counts its launches, and names the lease that the runner held. A process is
left over when it carries a tag of the study and of the lease that the sweeper holds, its runner is seen to be dead in
the namespace where it lived, and no living supervisor looks after that tag: a supervisor that lives ends its tree by
itself. So a run lets be the trials of a container on its host, and those of another storage, also where the study has
the same name. No process is signalled unless its environment carries the tag at that moment. A process that emptied
its environment is not found. Needs /proc; elsewhere nothing is found.

Only light imports here: the supervisor loads this module before it has started the job's program.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import os
import signal
import sys
import time

from hpsearch.execution.names import GUARDS_VARIABLE, SUPERVISES_VARIABLE, TAG_VARIABLE

TYPE_CHECKING = False  # typing itself takes 20 ms to import
if TYPE_CHECKING:
    from collections.abc import Callable

_PR_SET_CHILD_SUBREAPER = 36  # linux/prctl.h
_ENV_START = 50 - 3  # where the environment lies: field 50 of /proc/self/stat (man 5 proc), without the first two
_GUARD_S = 30.0  # for what a dead supervisor left to vanish
_LONGEST_PAUSE_S = 0.05
_ORPHANED_SUPERVISOR_S = 5.0  # for a supervisor whose runner died to end its tree; 0.1 s is usual
_SWEEP_S = 10.0  # for killed processes to vanish
_PAUSE_S = 0.005
_launches = itertools.count(1)


def adopt_orphans() -> None:
    """Become the parent of every descendant that loses its own (Linux; elsewhere nothing happens).

    Raises:
        OSError: the kernel refused.
    """
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, f"prctl(PR_SET_CHILD_SUBREAPER): {os.strerror(number)}")


class ProcessTree:
    """Every child of this process, adopted ones too; one of them is the job's program.

    ``status`` is the program's wait status once it has ended.
    """

    def __init__(self, program: int) -> None:
        self.program = program
        self.status: int | None = None

    def reap(self) -> bool:
        """Collect the dead; True while any child is left."""
        while True:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            if pid == self.program:
                self.status = status

    def ask_to_end(self) -> None:
        """Send SIGTERM to the program's process group."""
        if self.status is None:  # not reaped yet, so its number cannot belong to another process
            self._signal_group(signal.SIGTERM)

    def end(self, patience_s: float, alive: Callable[[], object] = lambda: None) -> int:
        """Kill until no descendant is left; returns how many are still there after ``patience_s`` seconds. ``alive`` is
        called meanwhile.

        Killing is repeated because a process may fork between the listing and its death. What survives for long
        belongs to another user or hangs inside the kernel.
        """
        give_up = time.monotonic() + patience_s
        pause = 0.001
        while self.reap():
            below = descendants(os.getpid())
            for pid in below:
                with contextlib.suppress(OSError):
                    os.kill(pid, signal.SIGKILL)
            if not below:
                self._signal_group(signal.SIGKILL)
            if time.monotonic() > give_up:
                return len(below)
            alive()
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE_S)
        if sys.platform != "linux":
            self._signal_group(signal.SIGKILL)
        return 0

    def _signal_group(self, number: int) -> None:
        with contextlib.suppress(OSError):
            os.killpg(self.program, number)


def end_below(root: int, patience_s: float) -> None:
    """Kill all processes below one that does not answer. It is stopped before, so that it cannot answer halfway."""
    give_up = time.monotonic() + patience_s
    with contextlib.suppress(OSError):
        os.kill(root, signal.SIGSTOP)
    while (below := descendants(root)) and time.monotonic() < give_up:
        for pid in below:
            with contextlib.suppress(OSError):
                os.kill(pid, signal.SIGKILL)
        time.sleep(_PAUSE_S)


def is_stopped(pid: int) -> bool:
    """Return True for a process that was stopped by a signal, or is traced."""
    return _stat(pid)[:1] in ([b"T"], [b"t"])


def stay_guarded() -> None:
    """Go on in a fork; the process that was called stays behind as its guard. Where the fork dies and leaves processes,
    the guard becomes their parent and ends them; it ends as the fork did.

    So nothing is left even if a runner and its supervisors are killed together. Linux only.
    """
    if sys.platform != "linux":
        return
    adopt_orphans()
    fork = os.fork()
    if fork == 0:
        return
    os.close(0)  # the control socket is the fork's
    if SUPERVISES_VARIABLE in os.environ:
        retag(GUARDS_VARIABLE)
    status = None
    while status is None:
        pid, ended = os.waitpid(-1, 0)
        status = ended if pid == fork else None
    ProcessTree(fork).end(_GUARD_S)
    code = os.waitstatus_to_exitcode(status)
    if code < 0:
        if -code not in (signal.SIGKILL, signal.SIGSTOP):
            signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    os._exit(code)


def retag(variable: str, tag: str | None = None) -> None:
    """Replace the mark that this process was executed with by ``variable=tag``, where /proc shows it; the tag stays
    where none is given."""
    block = _read(os.getpid(), "environ")
    marks = ((b"\0" + block).find(f"\0{name}=".encode()) for name in (SUPERVISES_VARIABLE, TAG_VARIABLE))
    begin = next(position for position in marks if position >= 0)
    mark = block[begin:].partition(b"\0")[0]
    own = mark.partition(b"=")[2].rstrip() if tag is None else os.fsencode(tag)
    entry = (variable.encode() + b"=" + own).ljust(len(mark))
    if len(entry) > len(mark):
        raise ValueError(f"a tag of {len(entry)} bytes does not fit into {len(mark)}")
    start = int(_stat(os.getpid())[_ENV_START])
    ctypes.memmove(start + begin, entry, len(mark))


def descendants(root: int) -> list[int]:
    """List the pids of the living processes below ``root``, by what /proc says now; none where there is no /proc."""
    children: dict[int, list[int]] = {}
    for pid in _pids():
        fields = _stat(pid)
        if fields and fields[0] not in (b"Z", b"X"):
            children.setdefault(int(fields[1]), []).append(pid)
    below = []
    waiting = [root]
    while waiting:
        own = children.pop(waiting.pop(), [])
        below += own
        waiting += own
    return below


def make_tag(study: str, job_id: str, lease: str) -> str:
    """Make a new tag for a launch of a job by this process, which holds the study's lease ("" outside a study)."""
    launch = f"{os.getpid()}.{_start(_stat('self'))}.{next(_launches)}.{_namespace('self')}.{lease}"
    return f"{_escape(study)}/{_escape(job_id)}/{launch}"


def end_tagged(tag: str) -> int:
    """End every process that carries this tag; returns how many."""
    return _end_all(lambda: {pid: other for pid, other in _marked(TAG_VARIABLE).items() if other == tag})


def sweep(study: str, lease: str) -> int:
    """End every process that earlier holders of the study's lease left and no living supervisor looks after; returns
    how many. The caller holds that lease now.

    Supervisors whose runner died get 5 s to end their trees and to write their outcomes.
    """
    prefix, suffix = f"{_escape(study)}/", f".{lease}"

    def is_ours(tag: str) -> bool:
        return tag.startswith(prefix) and tag.endswith(suffix) and lease != ""

    def left_over() -> dict[int, str]:
        marked = {pid: tag for pid, tag in _marked(TAG_VARIABLE).items() if is_ours(tag)}
        dead = {tag for tag in set(marked.values()) if _has_dead_runner(tag)}
        tagged = {pid: tag for pid, tag in marked.items() if tag in dead}
        # Second, because a program is never there before its supervisor.
        guarded = set(_marked(SUPERVISES_VARIABLE).values()) if tagged else set()
        return {pid: tag for pid, tag in tagged.items() if tag not in guarded}

    _wait_for_orphans(is_ours)
    return _end_all(left_over)


def _wait_for_orphans(is_ours: Callable[[str], bool]) -> None:
    """Wait until no supervisor without its runner is left: one that was killed still looks after its tree until it is
    gone."""

    def orphans() -> dict[int, str]:
        left = {}
        for pid, tag in _marked(SUPERVISES_VARIABLE).items():
            if is_ours(tag) and _has_dead_runner(tag):
                left[pid] = tag
        return left

    patience = time.monotonic() + _ORPHANED_SUPERVISOR_S
    while (left := orphans()) and time.monotonic() < patience + _SWEEP_S:
        if time.monotonic() > patience:
            for pid, tag in left.items():
                _kill(pid, SUPERVISES_VARIABLE, tag)
        time.sleep(_PAUSE_S)


def _has_dead_runner(tag: str) -> bool:
    """Return True if the runner that a tag names can be seen to be dead: all processes of its PID namespace are seen,
    and it is not among them. A namespace is seen from itself and from those around it, and then with all processes."""
    launch = tag.rpartition("/")[2].split(".")
    if len(launch) != 5 or not all(map(str.isdecimal, launch[:4])) or launch[3] == "0":
        return False  # made by another release, or where there are no namespaces
    seen = launch[3] == _namespace("self")
    for pid in _pids():
        if _namespace(pid) != launch[3]:
            continue
        seen = True
        if _start(_stat(pid)) == int(launch[1]) and _own_number(pid) == launch[0]:
            return False
    return seen


def _namespace(pid: int | str) -> str:
    """Return the number of a process's PID namespace; "0" where it cannot be read."""
    try:
        return str(os.stat(f"/proc/{pid}/ns/pid").st_ino)  # noqa: PTH116 - pathlib takes 30 ms to import
    except OSError:
        return "0"


def _own_number(pid: int) -> str:
    """Return the number of a process in its own PID namespace (NSpid, man 5 proc_pid_status)."""
    for line in _read(pid, "status").splitlines():
        if line.startswith(b"NSpid:"):
            return line.split()[-1].decode()
    return str(pid)


def _end_all(find: Callable[[], dict[int, str]]) -> int:
    deadline = time.monotonic() + _SWEEP_S
    ended: dict[int, int] = {}  # start times by pid
    while time.monotonic() < deadline:
        left = find()
        for pid, tag in left.items():
            start = _start_time(pid)
            if _kill(pid, TAG_VARIABLE, tag):
                ended[pid] = start
        if not left:  # one that is ending has no environment any more, and may still hold a GPU
            states = ((start, _stat(pid)) for pid, start in ended.items())
            if not any(stat and int(stat[19]) == start and stat[0] not in (b"Z", b"X") for start, stat in states):
                break
        time.sleep(_PAUSE_S)
    return len(ended)


def _kill(pid: int, variable: str, tag: str) -> bool:
    """Kill the process if it carries the tag; a pidfd keeps its number from being given to another in between."""
    if sys.platform != "linux":
        return False
    try:
        pidfd = os.pidfd_open(pid)
    except ProcessLookupError:
        return False
    except OSError:  # a kernel before 5.3, or a container that forbids it
        pidfd = -1
    try:
        if _value(pid, variable) != tag:
            return False
        if pidfd >= 0:
            signal.pidfd_send_signal(pidfd, signal.SIGKILL)
        else:
            os.kill(pid, signal.SIGKILL)
        return True
    except OSError:
        return False
    finally:
        if pidfd >= 0:
            os.close(pidfd)


def _marked(variable: str) -> dict[int, str]:
    """Map the living processes with this variable in their environment to its value."""
    values = ((pid, _value(pid, variable)) for pid in _pids())
    return {pid: value for pid, value in values if value is not None}


def _value(pid: int, variable: str) -> str | None:
    environment = b"\0" + _read(pid, "environ")  # nothing of one that ended, or belongs to another user
    _, mark, rest = environment.partition(f"\0{variable}=".encode())
    # The fork server keeps space for longer tags.
    return os.fsdecode(rest.partition(b"\0")[0].rstrip()) if mark else None


def _start_time(pid: int) -> int:
    """Return when a process started, in the kernel's ticks since boot; 0 if there is no such process."""
    return _start(_stat(pid))


def _start(fields: list[bytes]) -> int:
    return int(fields[19]) if fields else 0  # field 22, man 5 proc


def _stat(pid: int | str) -> list[bytes]:
    """Return the kernel's record of a process, from its state (field 3) on; nothing if there is none."""
    fields = _read(pid, "stat").rpartition(b")")[2].split()  # "pid (any bytes) state parent ..."
    return fields if len(fields) > 19 else []


def _read(pid: int | str, name: str) -> bytes:
    try:
        with open(f"/proc/{pid}/{name}", "rb") as file:  # noqa: PTH123 - pathlib takes 30 ms to import
            return file.read()
    except OSError:
        return b""


def _pids() -> list[int]:
    """List all processes; none where /proc is that of another PID namespace, as its numbers mean others here."""
    try:
        if os.readlink("/proc/self") != str(os.getpid()):  # noqa: PTH115 - pathlib takes 30 ms to import
            return []
        return [int(name) for name in os.listdir("/proc") if name.isdigit()]  # noqa: PTH208 - ten times faster
    except OSError:
        return []


def _escape(name: str) -> str:
    return name.replace("%", "%25").replace("/", "%2F").replace("\0", "%00")
