"""The demo's search, and what its wall time went into. Arguments: trials, then settings as NAME=VALUE.

Prints seconds by phase as JSON: those that a job names itself, and "elsewhere".
"""

import json
import os
import sys
import time
from collections import Counter
from typing import Any

from hpsearch.execution.events import JobProgress
from hpsearch.study.events import TrialEnded, TrialProgress, TrialStarted
from hpsearch.study.options import RunOptions
from hpsearch.study.run import run_study

began = float(os.environ["BEGAN"])
spent: Counter[str] = Counter()
now = {"phase": "start", "since": began}


def watch(happening: Any) -> None:
    """Count the seconds of the phase that is over."""
    phase = now["phase"]
    if isinstance(happening, (JobProgress, TrialProgress)):
        phase = happening.values.get("phase", phase)
    elif isinstance(happening, (TrialStarted, TrialEnded)):
        phase = "between trials"
    if phase != now["phase"]:
        spent[str(now["phase"])] += time.time() - float(now["since"])
        now.update(phase=phase, since=time.time())


run_study(RunOptions(study="digits-ocr", n_trials=int(sys.argv[1]), sets=sys.argv[2:]), watch)
spent[str(now["phase"])] += time.time() - float(now["since"])
print(json.dumps(spent))
