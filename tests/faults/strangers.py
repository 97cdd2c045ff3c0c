"""G12, G14 to G16: programs, files and texts that mean harm. What the suite tests in full is run from there."""

from __future__ import annotations

import re
import resource
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

from hpsearch.execution.executors.local import LocalExecutor
from hpsearch.execution.job import Finished, Job
from tests.faults.goals import Effort, Found, Goal

ROOT = Path(__file__).parents[2]
MOST_BYTES = 50 * 1024**2
FLOOD = "import os\nfor _ in range({blocks}):\n    os.write(1, b'x' * 1048576)\n"
GARBAGE = (
    "import os, random\n"
    "chance = random.Random({seed})\n"
    "channel = os.open(os.environ['HPSEARCH_REPORT'], os.O_WRONLY)\n"
    "for _ in range(100):\n"
    "    os.write(channel, bytes(chance.randrange(256) for _ in range(chance.randrange(4000))) + b'\\n')\n"
)


def by_tests(*nodes: str) -> Callable[[Path, Effort], Found]:
    """A measure that runs these tests of the suite; with small effort nothing, as they are there already."""

    def measure(folder: Path, effort: Effort) -> Found:
        if not effort.full:
            return Found("by the suite", met=True)
        argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--basetemp", str(folder / "t"), *nodes]
        done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
        last = done.stdout.strip().splitlines()[-1]
        counts = re.sub(r" in [\d.]+s.*", "", last.strip("= "))
        return Found(f"of its tests {counts}", done.returncode == 0)

    return measure


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


def measure_channel(folder: Path, effort: Effort) -> Found:
    """Garbage on the report channel of many trials, and a flood of output; how much this process grows."""
    executor, before = LocalExecutor(), _peak()
    codes = [GARBAGE.format(seed=seed) for seed in range(effort.times(100, 3))]
    codes.append(FLOOD.format(blocks=effort.times(2048, 64)))
    causes = []
    try:
        for number, code in enumerate(codes):
            command = (sys.executable, "-I", "-S", "-c", code)
            executor.launch(Job(f"t{number}", "trial", "noise", command, str(folder / str(number)), {}, metric="cer"))
            while not (ended := [event for event in executor.events(60.0) if isinstance(event, Finished)]):
                pass
            causes.append(ended[0].outcome.cause.value)
    finally:
        executor.close()
    grown, foreign = _peak() - before, len(causes) - causes.count("protocol")
    sent = f"{100 * (len(codes) - 1)} lines, {effort.times(2048, 64)} MB"
    text = f"{sent}: {foreign} believed, {grown / 1e6:.0f} MB more memory"
    return Found(text, foreign == 0 and grown < MOST_BYTES, "no channel")


GOALS = [
    Goal(
        "G12",
        "Garbage on the report channel and floods of output do no harm",
        "0 crashes, 0 values believed, < 50 MB more memory",
        measure_channel,
    ),
    Goal(
        "G14",
        "Passwords and tokens are in no output, file, argument or environment",
        "0 hits",
        by_tests(
            "tests/e2e/test_postgres.py::test_the_password_is_nowhere",
            "tests/execution/test_environment.py",
            "tests/study/test_storage.py::test_a_password_is_never_shown",
        ),
    ),
    Goal(
        "G15",
        "Code planted in a storage, a checkpoint or a model's files is never run",
        "0 executed",
        by_tests("tests/e2e/test_planted_pickles.py", "tests/training/test_planted_code.py", "tests/test_sinks.py"),
    ),
    Goal(
        "G16",
        "Texts and names of others never become markup, a formula or an escape sequence",
        "0 active elements",
        by_tests("tests/report/test_injection.py", "tests/cli/test_board.py"),
    ),
]
