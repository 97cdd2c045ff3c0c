"""What one trial costs and where the time goes: ``python benchmarks/trial_cost.py [STUDY ...]``.

Runs the prepare job of each study and then its default configuration as one trial, in real processes under the local
executor, and prints a table: the time to the first evaluation (start-up, loading and the first steps), training and
evaluation, speed, memory, and the share of the evaluations. Nothing else should run on the machine meanwhile.
"""

from __future__ import annotations

import os
import platform
import sys
import tempfile
import time
from pathlib import Path

from hpsearch.config.definition import StudyDefinition
from hpsearch.config.load import load_definition
from hpsearch.execution.environment import build_environment
from hpsearch.execution.executors.local import LocalExecutor
from hpsearch.execution.job import Finished, Job, Outcome, Report
from hpsearch.execution.outcome import Cause

STUDIES = ("digits-ocr", "digits-ocr-gemma")
HEADINGS = ("study", "total s", "first step s", "train s", "judge s", "judging", "it/s", "tokens/s", "peak MB", "CER")


def run(executor: LocalExecutor, job: Job) -> tuple[Outcome, float, float]:
    """Run a job; its outcome, the seconds to its first report, and the seconds it took."""
    began, first = time.monotonic(), 0.0
    executor.launch(job)
    while True:
        for event in executor.events(60.0):
            if isinstance(event, Report):
                first = first or time.monotonic() - began
                executor.answer(job.id, event.step, False)
            if isinstance(event, Finished):
                return event.outcome, first, time.monotonic() - began


def make_job(kind: str, definition: StudyDefinition, folder: Path) -> Job:
    """A job of the study's default configuration."""
    return Job(
        id=kind,
        kind=kind,
        study="trial-cost",
        command=(sys.executable, "-m", "hpsearch.training"),
        output_dir=str(folder / kind),
        settings=definition.trial_settings({}, definition.seed),
        environment=build_environment(os.environ, (), kind=kind)[0],
        prepared_dir=str(folder / "prepare"),
    )


def measure(study: str, folder: Path) -> list[str]:
    """One line of the table."""
    definition = load_definition(study, None, None, {}, [])
    executor = LocalExecutor()
    try:
        for kind in ("prepare", "trial"):
            outcome, first, seconds = run(executor, make_job(kind, definition, folder))
            if outcome.cause is not Cause.OK:
                raise SystemExit(f"{study}: the {kind} job ended with {outcome.cause.value}\n{outcome.log_tail}")
    finally:
        executor.close()
    found = outcome.metrics
    figures = (seconds, first, found["train_seconds"], found["eval_seconds"])
    share = found["eval_seconds"] / seconds
    rest = (found["it_per_s"], found["tokens_per_s"], found["peak_memory_bytes"] / 1e6, found["eval_cer"])
    return [study, *(f"{value:.1f}" for value in figures), f"{share:.0%}", *(f"{value:.3g}" for value in rest)]


def main() -> None:
    """Measure the studies named on the command line, or the small ones that ship."""
    print(f"{platform.platform()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}")
    print(" | ".join(HEADINGS))
    for study in sys.argv[1:] or STUDIES:
        with tempfile.TemporaryDirectory() as folder:
            print(" | ".join(measure(study, Path(folder))), flush=True)


if __name__ == "__main__":
    main()
