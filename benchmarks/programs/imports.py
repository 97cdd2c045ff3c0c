"""A trial that imports what a LoRA fine-tune imports, and then only waits: ten steps of 0.05 s.

Arguments: a file to which it adds the times of its first and its last step; then whatever is searched.
"""

import sys
import time
from pathlib import Path

import peft  # noqa: F401
import torch  # noqa: F401
import transformers  # noqa: F401
from trl import SFTTrainer  # noqa: F401

from hpsearch import sdk

STEPS, STEP_S = 10, 0.05

steps = []
for step in range(1, STEPS + 1):
    time.sleep(STEP_S)
    sdk.report(step, score=1 / step)
    steps.append(time.time())
sdk.finish(score=1 / STEPS)
with Path(sys.argv[1]).open("a", encoding="utf-8") as times:
    times.write(f"{steps[0]} {steps[-1]}\n")
