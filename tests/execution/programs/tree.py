"""A trial that is a tree of six processes, five of which try to get away; it reports a step once all of them stand.

Arguments: a file for their pids, and what the first of them does then: "hang", "exit", or "leave" (exit, result given).
"""

import json
import os
import signal
import sys
from pathlib import Path

IGNORED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT)


def stay(ready: int, pids: str) -> None:
    """Ignore what can be ignored, be counted, and stay for ever."""
    for number in IGNORED:
        signal.signal(number, signal.SIG_IGN)
    with Path(pids).open("a") as file:
        file.write(f"{os.getpid()}\n")
    os.write(ready, b"x")
    while True:
        signal.pause()


def branch(ready: int, pids: str, *, session: bool = False, forks: int = 1, forget: bool = False) -> None:
    """Grow one process, ``forks`` generations down, whose ancestors end at once."""
    if os.fork():
        return
    if session:
        os.setsid()
    for _ in range(forks - 1):
        if os.fork():
            os._exit(0)
    if forget:  # a new program with an empty environment: no tag is left on it
        code = (
            f"import sys; sys.path.insert(0, {str(Path(__file__).parent)!r}); import tree; tree.stay({ready}, {pids!r})"
        )
        os.set_inheritable(ready, True)
        os.execve(sys.executable, [sys.executable, "-I", "-S", "-c", code], {})
    stay(ready, pids)


def main() -> None:
    """Grow the tree."""
    pids, then = sys.argv[1:]
    up, ready = os.pipe()
    branch(ready, pids)
    branch(ready, pids, session=True)
    branch(ready, pids, session=True, forks=2)
    branch(ready, pids, session=True, forks=3)
    branch(ready, pids, session=True, forks=2, forget=len(os.environ.get("KEEP_TAGS", "")) == 0)
    for _ in range(5):
        os.read(up, 1)
    with Path(pids).open("a") as file:
        file.write(f"{os.getpid()}\n")
    if then == "hang":  # before the report, upon which it may be stopped
        for number in IGNORED:
            signal.signal(number, signal.SIG_IGN)
    with Path(os.environ["HPSEARCH_REPORT"]).open("w") as channel:
        channel.write(json.dumps({"step": 1, "cer": 0.5}) + "\n")
        if then == "leave":
            channel.write(json.dumps({"cer": 0.25}) + "\n")
    if then == "hang":
        while True:
            signal.pause()
    sys.exit(0 if then == "leave" else 7)


if __name__ == "__main__":
    main()
