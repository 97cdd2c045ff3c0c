"""A trial that reports once, and gives its final value when the file "go" is in its working folder."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from hpsearch import sdk


def main() -> None:
    score = float(sys.argv[1])
    sdk.report(1, score=score)
    Path(f"held-{os.getpid()}").touch()
    while not Path("go").exists():
        time.sleep(0.02)
    sdk.finish(score=score)


if __name__ == "__main__":
    main()
