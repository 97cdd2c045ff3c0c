"""A trial that reports its final value, and then ends as the file "fault" in the working folder says."""

from __future__ import annotations

import os
import signal
import sys
import time
from pathlib import Path

from hpsearch import sdk


def main() -> None:
    fault = Path("fault").read_text() if Path("fault").exists() else ""
    Path("fault").unlink(missing_ok=True)
    if fault:
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sdk.report(1, score=float(sys.argv[1]))
    sdk.finish(score=float(sys.argv[1]))
    Path("reported").touch()
    if fault == "exit":
        os._exit(7)
    if fault == "segv":
        os.kill(os.getpid(), signal.SIGSEGV)
    while fault:
        time.sleep(60)


if __name__ == "__main__":
    main()
