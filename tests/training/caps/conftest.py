"""Tests of the unsloth backend against the installed unsloth: only where that is, which is the second environment.

``tests/e2e/test_trainer.py`` runs them there.
"""

from __future__ import annotations

import importlib.util
import os

collect_ignore_glob = [] if importlib.util.find_spec("unsloth") else ["test_*.py"]
os.environ["UNSLOTH_ZOO_DISABLE_GPU_INIT"] = (
    "1"  # its own switch, with which its collator can be imported without a GPU
)
