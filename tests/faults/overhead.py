"""G18: what supervision, lease and storage cost a trial and a report, against a shell loop over the same program."""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from tests.conftest import run_command
from tests.faults.goals import Effort, Found, Goal

TRIAL_S, REPORT_S = 0.1, 0.001
# A program of the standard library that reports so often: to hpsearch, or to nobody.
PROGRAM = (
    "import os, sys\n"
    "channel = os.open(os.environ.get('HPSEARCH_REPORT', os.devnull), os.O_WRONLY)\n"
    "for step in range(int(sys.argv[1])):\n"
    '    os.write(channel, b\'{"step": %d, "score": 0.5}\\n\' % step)\n'
    "os.write(channel, b'{\"score\": 0.5}\\n')\n"
)


def searched(folder: Path, count: int, reports: int) -> tuple[float, float]:
    """Seconds from the first trial's start to the last one's end, and those that one program ran."""
    folder.mkdir()
    (folder / "program.py").write_text(PROGRAM)
    fields = {
        "command": [sys.executable, "-I", "-S", str(folder / "program.py"), str(reports)],
        "search_space": {"x": {"type": "uniform", "low": 0.0, "high": 1.0}},
        "search_mode": "random",
        "objective": {"metric": "score", "direction": "minimize"},
        "pruner": {"type": "none"},
    }
    (folder / "study.json").write_text(json.dumps(fields))
    done = run_command(folder, "run", "--study", "cost", "--config", "study.json", "--n-trials", str(count))
    assert done.returncode == 0, done.stderr
    folders = [folder / f"studies/cost/trial_{number}" for number in range(count)]
    first = (folders[0] / "job.json").stat().st_mtime
    last = (folders[-1] / f"trial_{count - 1}_results.json").stat().st_mtime
    ran = [json.loads((each / "outcome.json").read_text())["duration_s"] for each in folders]
    return last - first, statistics.median(ran)


def looped(folder: Path, count: int, reports: int) -> float:
    """Seconds of a shell's loop over the program."""
    words = f"{sys.executable} -I -S {folder / 'program.py'} {reports}"
    began = time.monotonic()
    subprocess.run(["/bin/sh", "-c", f"for n in $(seq {count}); do {words}; done"], check=True, env=dict(os.environ))
    return time.monotonic() - began


def measure_overhead(folder: Path, effort: Effort) -> Found:
    """Trials that report nothing, then trials that report often."""
    count, reports = effort.times(40, 5), 150
    (few, short), (_, long) = searched(folder / "few", count, 0), searched(folder / "many", count, reports)
    alone, told = looped(folder / "few", count, 0), looped(folder / "many", count, reports)
    trial = (few - alone) / count
    report = (long - short - (told - alone) / count) / reports
    text = f"{1000 * trial:.0f} ms a trial; a trial waits {1000 * report:.2f} ms for a report"
    return Found(text, (trial < TRIAL_S and report < REPORT_S) or not effort.full, "not applicable")


GOALS = [
    Goal(
        "G18",
        "Supervision, lease and storage cost little beside a shell's loop (SQLite)",
        "< 100 ms a trial, < 1 ms a report",
        measure_overhead,
    )
]
