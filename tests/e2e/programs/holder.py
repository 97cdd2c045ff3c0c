"""A trial for tests that does with stand-in GPUs what a training does: takes those it is shown, and leaves.

``--daemon`` leaves a process in a session of its own behind, which holds the memory too and ignores SIGTERM.
``--meet N`` waits until N trials run at once.
"""

from __future__ import annotations

import fcntl
import os
import subprocess
import sys
import time
from pathlib import Path

from hpsearch import sdk

DAEMON = "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(600)"


def main() -> None:
    root, words = Path(sys.argv[1]), sys.argv[2:]
    gpus = [gpu for gpu in os.environ.get("CUDA_VISIBLE_DEVICES", "").split(",") if gpu]
    locks = [os.open(root / f"gpu{gpu}.lock", os.O_RDWR | os.O_CREAT) for gpu in gpus]
    for lock in locks:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            sys.exit("another trial has this GPU")
    _hold(root, gpus, os.getpid())
    if "--daemon" in words:
        _hold(root, gpus, subprocess.Popen([sys.executable, "-c", DAEMON], start_new_session=True, pass_fds=locks).pid)
    if "--meet" in words:
        (root / "there" / str(os.getpid())).touch()
        while len(list((root / "there").iterdir())) < int(words[words.index("--meet") + 1]):
            time.sleep(0.01)
    sdk.report(1, score=float(words[0]))
    sdk.finish(score=float(words[0]))


def _hold(root: Path, gpus: list[str], pid: int) -> None:
    for gpu in gpus:
        (root / f"gpu{gpu}" / str(pid)).write_text("9000")


if __name__ == "__main__":
    main()
