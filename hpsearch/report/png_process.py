"""``python png_process.py JOBS.json`` draws the figures that the file lists, with one browser.

Needs only kaleido and the standard library, nothing of hpsearch. The last line on standard error is the error.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any


def main(path: str) -> int:
    """Draw every figure of the file at ``path``; return 1 if one could not be drawn."""
    jobs = json.loads(Path(path).read_text(encoding="utf-8"))
    try:
        asyncio.run(_draw(jobs))
    except Exception as error:  # noqa: BLE001  kaleido and the browser fail in many ways; any failure is one line
        missing = type(error).__name__ == "ChromeNotFoundError"
        text = "no browser was found; install Chromium or Chrome." if missing else f"{type(error).__name__}: {error}"
        print(text.replace("\n", " "), file=sys.stderr)
        return 1
    return 0


async def _draw(jobs: Sequence[Mapping[str, Any]]) -> None:
    from kaleido import Kaleido

    async with Kaleido(n=1, mathjax=False) as browser:
        for job in jobs:
            await browser.write_fig(job["figure"], path=job["path"], opts=job["opts"])


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
