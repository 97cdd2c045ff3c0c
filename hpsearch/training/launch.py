"""The training program for another Python than the one that runs hpsearch: ``python -P launch.py``.

That Python has the libraries, in versions of its own, but hpsearch itself always comes from where this file stands:
one source on both sides of the door, so the two can never be of different releases. With ``--check`` it only tells, as
JSON, which libraries it finds, and imports none.
"""

from __future__ import annotations

import json
import platform
import runpy
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

# Distributions that the training side imports, whatever it is asked to do.
NEEDED = (
    *("torch", "transformers", "trl", "peft", "accelerate", "datasets", "pillow", "pyarrow", "huggingface_hub"),
    *("tokenizers", "tqdm", "pydantic", "rapidfuzz", "packaging"),
)


def check() -> str:
    """Which Python this is, and the versions of what is needed; null for what is missing."""
    return json.dumps({"python": platform.python_version(), "versions": {name: _version(name) for name in NEEDED}})


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def main() -> None:
    """Check, or run the training program, which ends the process."""
    if "--check" in sys.argv:
        print(check())
        return
    runpy.run_path(str(Path(__file__).resolve().parents[1] / "execution" / "bootstrap.py"))["adopt_hpsearch"]()
    from hpsearch.training.__main__ import end

    end()


if __name__ == "__main__":
    main()
