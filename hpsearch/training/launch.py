"""The training program for another Python than the one that runs hpsearch: ``python -P launch.py``.

That Python has the libraries, in versions of its own, but hpsearch itself always comes from where this file lies: one
source for both processes, so the two can never be of different releases. With ``--check`` it only prints, as JSON,
which libraries it finds, and imports none.
"""

from __future__ import annotations

import json
import platform
import runpy
import sys
from pathlib import Path

# Distributions that the training side imports for every job.
NEEDED = (
    *("torch", "transformers", "trl", "peft", "accelerate", "datasets", "pillow", "pyarrow", "huggingface_hub"),
    *("tokenizers", "tqdm", "pydantic", "rapidfuzz", "packaging"),
)


def check() -> str:
    """Describe this Python as JSON: its version, and those of the needed libraries; null for a missing one."""
    from hpsearch.execution.versions import version_of

    return json.dumps({"python": platform.python_version(), "versions": {name: version_of(name) for name in NEEDED}})


def main() -> None:
    """Check, or run the training program, which ends the process."""
    runpy.run_path(str(Path(__file__).resolve().parents[1] / "execution" / "bootstrap.py"))["adopt_hpsearch"]()
    if "--check" in sys.argv:
        print(check())
        return
    from hpsearch.training.__main__ import end

    end()


if __name__ == "__main__":
    main()
