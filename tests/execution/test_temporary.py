"""Temporary folders are gone after any signal that can be caught; after SIGKILL the next command removes them."""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from hpsearch.execution.temporary import temporary_folder

HOLDER = """
import time
from hpsearch.execution.signals import Unwinding
from hpsearch.execution.temporary import temporary_folder
code = None
with Unwinding() as unwinding:
    try:
        with temporary_folder() as folder:
            (folder / "file").write_text("x")
            print(folder, flush=True)
            time.sleep(600)
    except KeyboardInterrupt:
        code = unwinding.exit_code
raise SystemExit(code)
"""


@pytest.fixture(autouse=True)
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder of temporary folders."""
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def hold(number: signal.Signals | None) -> tuple[subprocess.Popen[str], Path]:
    """A process that is at work in a temporary folder, after a signal."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    folder = Path(process.stdout.readline().strip())
    assert (folder / "file").exists()
    if number is not None:
        process.send_signal(number)
        process.wait(60)
        process.stdout.close()
    return process, folder


def test_a_signal_that_can_be_caught_leaves_nothing_and_gives_its_exit_code(place: Path) -> None:
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT, signal.SIGUSR1):
        process, _ = hold(number)
        assert process.returncode == 128 + number
        assert list(place.iterdir()) == []


def test_what_a_killed_process_left_is_swept_and_nothing_else(place: Path) -> None:
    (place / "hpsearch-of-another-program").mkdir()
    with temporary_folder(lambda folder: True) as kept:
        (kept / "log.txt").touch()
    alive, used = hold(None)
    try:
        _, dead = hold(signal.SIGKILL)
        assert dead.exists()
        with temporary_folder() as folder:
            assert {path.name for path in place.iterdir()} == {
                "hpsearch-of-another-program",
                kept.name,
                used.name,
                folder.name,
            }
    finally:
        alive.kill()
        alive.communicate()
