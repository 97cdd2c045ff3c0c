"""Files of the repository that are made from the models, and checking that they still say the same."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path


def write_or_check(files: Mapping[Path, str], arguments: Sequence[str], module: str) -> int:
    """Write the files, or with ``--check`` say which differ from what the models give; the exit code."""
    if list(arguments) not in ([], ["--check"]):
        print(f"usage: python -m {module} [--check]", file=sys.stderr)
        return 2
    stale = [path for path, text in files.items() if not path.is_file() or path.read_text(encoding="utf-8") != text]
    if not arguments:
        for path in stale:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(files[path], encoding="utf-8")
            print(f"written: {path}")
        return 0
    for path in stale:
        print(f"{path} is not what the models give; run python -m {module} and commit it", file=sys.stderr)
    return 1 if stale else 0
