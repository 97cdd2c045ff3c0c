"""The report of a study that is being run: made again after trials that ended, at most once a minute.

A process of its own makes it, with a low priority, watched by a thread: it cannot delay or end the run. It ends
with its runner.
"""

from __future__ import annotations

import ctypes
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from hpsearch.crash_points import VARIABLE
from hpsearch.execution import bootstrap
from hpsearch.execution.events import Note
from hpsearch.study.events import RunEvent, RunStarted, TrialEnded, View
from hpsearch.study.storage.open import STORAGE_VARIABLE, StorageUrl

EVERY_S = 60.0
_FIRST_S = 2.0  # after the first trial: a run that is over by then writes its report itself
_SHARE = 10  # a report that takes long is made again after this many times as long
_LONGEST_S = 600.0
_TICK_S = 0.2
# This very package, whatever else lies in the working folder.
_PROGRAM = (
    "import runpy, sys; runpy.run_path(sys.argv.pop(1))['adopt_hpsearch'](); "
    "from hpsearch.report.refresh import main; main()"
)
_PR_SET_PDEATHSIG = 1  # linux/prctl.h


@contextmanager
def refreshed(url: StorageUrl, base: Path, view: View, every_s: float = EVERY_S) -> Iterator[View]:
    """Give a view that does what ``view`` does, and keeps the report of the run's study up to date meanwhile."""
    refresh = ReportRefresh(url, base.absolute(), view, every_s)
    try:
        yield refresh.take
    finally:
        refresh.close()


class ReportRefresh:
    """Makes the report of a study again while the study is run. ``take`` gets the run's events."""

    def __init__(self, url: StorageUrl, base: Path, view: View, every_s: float) -> None:
        self._url, self._base, self._view, self._every_s = url, base, view, every_s
        self._study = ""
        self._wanted, self._closed = threading.Event(), threading.Event()
        self._thread: threading.Thread | None = None
        self._problems: deque[str] = deque()
        self._last_problem = ""

    def take(self, event: RunEvent) -> None:
        """Show the event, and want a new report after the end of a trial."""
        self._view(event)
        while self._problems:
            self._view(Note(self._problems.popleft()))
        if isinstance(event, RunStarted):
            self._study = event.study
        elif isinstance(event, TrialEnded):
            self._wanted.set()
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="report", daemon=True)
                self._thread.start()

    def close(self) -> None:
        """End what is under way."""
        self._closed.set()
        if self._thread is not None:
            self._thread.join()

    def _work(self) -> None:
        pause = min(_FIRST_S, self._every_s)
        while not self._closed.wait(pause):
            pause = _TICK_S
            if self._wanted.is_set():
                self._wanted.clear()
                began = time.monotonic()
                problem = self._make()
                if problem and problem != self._last_problem:
                    self._problems.append(f"no report while the run is under way: {problem}")
                self._last_problem = problem
                took = time.monotonic() - began
                pause = max(self._every_s - took, (_SHARE - 1) * took)

    def _make(self) -> str:
        """Make the report once; return what went wrong, "" if nothing did, or the run is over."""
        words = (
            sys.executable,
            "-P",
            "-c",
            _PROGRAM,
            bootstrap.__file__,
            str(os.getpid()),
            self._study,
            str(self._base),
        )
        environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
        try:
            with (
                tempfile.TemporaryFile() as errors,
                subprocess.Popen(
                    words,
                    env=environment | {STORAGE_VARIABLE: self._url.full},
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=errors,
                    start_new_session=True,
                ) as process,
            ):
                code = self._wait(process)
                errors.seek(0)
                lines = errors.read().decode(errors="replace").strip().splitlines()
        except OSError as error:
            return str(error)
        if code == 0 or self._closed.is_set():
            return ""
        return (lines or [f"its process ended with {code}"])[-1][:300]

    def _wait(self, process: subprocess.Popen[bytes]) -> int:
        """Wait for the process; end it if the run is over, or it takes too long."""
        latest = time.monotonic() + _LONGEST_S
        while process.poll() is None and not self._closed.wait(_TICK_S) and time.monotonic() < latest:
            pass
        if process.poll() is None:
            process.terminate()  # it removes what it has half written
            with suppress(subprocess.TimeoutExpired):
                process.wait(1.0)
            process.kill()
        return process.wait()


def main() -> None:
    """Make the report of the study that the arguments name: ``PID STUDY FOLDER``, with the runner's pid."""
    parent, study, base = sys.argv[1:]
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))
    os.nice(10)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGTERM, 0, 0, 0)
    if os.getppid() != int(parent):
        return
    from hpsearch.errors import HpsearchError
    from hpsearch.report.analyze import analyze_study
    from hpsearch.study.folders import study_folders
    from hpsearch.study.open import read_study

    folders = study_folders(Path(base), study)
    try:
        with StorageUrl(os.environ[STORAGE_VARIABLE]).opened() as storage:
            read = read_study(storage, study)
        analyze_study(read, study_dir=folders.root, output_dir=folders.report, png=False, pages=False)
    except (HpsearchError, OSError) as error:
        sys.exit(" ".join(str(error).split()))
