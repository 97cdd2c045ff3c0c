"""A study is deleted from its storage and its folder, by the real command: nothing else, and not while it runs."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from hpsearch.study.storage.lease import lease_for
from hpsearch.study.storage.open import StorageUrl
from tests.conftest import CommandLine
from tests.e2e.conftest import trials


def ctrl_c_at_the_question(folder: Path) -> int:
    """Delete study one at a terminal, and press Ctrl-C when it asks; the exit code."""
    terminal, its_side = os.openpty()
    command = [sys.executable, "-m", "hpsearch", "delete", "--study", "one"]
    with subprocess.Popen(command, cwd=folder, stdin=its_side, stdout=its_side, stderr=its_side) as process:
        os.close(its_side)
        shown = b""
        while b"[y/N]" not in shown:
            shown += os.read(terminal, 4096)
        deadline = time.monotonic() + 60  # until it reads from its standard input: before, Ctrl-C could come too early
        while Path(f"/proc/{process.pid}/syscall").read_text().split()[1:2] != ["0x0"] and time.monotonic() < deadline:
            time.sleep(0.01)
        process.send_signal(signal.SIGINT)
        try:
            code = process.wait(timeout=60)
        finally:
            process.kill()
    os.close(terminal)
    return code


def test_a_study_is_deleted_whole_and_alone(two_studies: Path, command_line: CommandLine) -> None:
    studies = two_studies / "studies"
    asked = command_line("delete", "--study", "one")
    assert asked.returncode == 2
    assert "2 trials" in asked.stdout
    assert f"folder {Path('studies/one')}:" in asked.stdout
    assert "no terminal to ask at; add --yes" in asked.stderr
    with lease_for(StorageUrl(f"sqlite:///{studies / 'hpsearch.db'}"), "one"):
        owned = command_line("delete", "--study", "one", "--yes")
    assert owned.returncode == 5
    assert f"owned by pid {os.getpid()}" in owned.stderr
    assert ctrl_c_at_the_question(two_studies) == 130
    assert len(trials(two_studies, "one")) == 2
    assert (studies / "one/trial_0").is_dir()

    (studies / "one.json").write_text("{}")
    deleted = command_line("delete", "--study", "one", "--yes")
    assert deleted.returncode == 0, deleted.stderr
    assert [path.name for path in studies.glob("*one*")] == ["one.json"]
    assert "one" not in command_line("status").stdout
    assert len(trials(two_studies, "two")) == 2
    missing = command_line("delete", "--study", "towo", "--yes")
    assert missing.returncode == 2
    assert 'did you mean "two"?' in missing.stderr


def test_what_is_left_of_a_study_is_deleted_too(two_studies: Path, command_line: CommandLine) -> None:
    folder, delete = two_studies / "studies/two", ("delete", "--study", "two", "--yes")
    saved = folder.rename(two_studies / "saved")
    folder.mkdir()
    (folder / "mine.txt").touch()
    stored = command_line(*delete)
    assert "deleted two: 2 trials\n" in stored.stdout
    assert (folder / "mine.txt").exists()
    shutil.rmtree(folder)

    shutil.move(saved, folder)
    os.mkfifo(folder / "trial_0/report.fifo")
    reader = os.open(folder / "trial_0/report.fifo", os.O_RDONLY | os.O_NONBLOCK)  # as a supervisor of another storage
    assert command_line(*delete).returncode == 5
    os.close(reader)
    assert command_line(*delete).returncode == 0
    assert not folder.exists()
