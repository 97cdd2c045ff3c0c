"""One fine-tune outside a search: `hpsearch train`, most often with a study's best configuration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch.definitions.definition import StudyDefinition
from hpsearch.errors import HpsearchError, UsageError
from hpsearch.study.folders import StudyFolders, write_json
from hpsearch.study.interruption import Interruption
from hpsearch.study.jobs import job_maker
from hpsearch.study.opening import require_complete
from hpsearch.study.preparing import failure_text, prepare, run_job, show_prepared
from hpsearch.study.results import versions
from hpsearch.study.view import View, silent
from hpsearch.trials.causes import Cause
from hpsearch.trials.executors import EXECUTORS
from hpsearch.trials.job import Outcome, encode_values


@dataclass(frozen=True)
class TrainSummary:
    """How a fine-tune ended: final metrics by name, and where its files are."""

    exit_code: int
    metrics: dict[str, float]
    output_dir: Path


def train_once(
    definition: StudyDefinition, output_dir: Path, view: View = silent, executor: str = "local"
) -> TrainSummary:
    """Prepare data and model and run one fine-tune with the definition's fixed settings.

    Raises:
        UsageError: a setting, the data or the model is refused, or something is still searched.
        HpsearchError: the fine-tune failed; the message has the end of its log.
    """
    if definition.search_space:
        searched = ", ".join(definition.search_space)
        raise UsageError(
            f"train runs one configuration, but these are searched: {searched}", "fix them, or use `hpsearch run`"
        )
    require_complete(definition)
    output_dir = output_dir.absolute()
    jobs = job_maker(definition, StudyFolders(output_dir, output_dir.name))
    output_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    runner = EXECUTORS[executor](1)
    try:
        with Interruption() as interruption:
            interruption.wake = runner.wake
            info = {} if definition.command else prepare(jobs.prepare(), runner, interruption, view)
            if info:
                show_prepared(view, info)
            if not interruption.requested:
                job = jobs.train(output_dir, definition.trial_settings({}, definition.seed))
                outcome = run_job(job, runner, interruption, view)
            if interruption.requested:
                return TrainSummary(interruption.exit_code, {}, output_dir)
        _refuse_failure(job.kind, failure_text(job, outcome), outcome)
        _write_results(output_dir, job.settings, outcome)
        return TrainSummary(0, outcome.metrics, output_dir)
    finally:
        runner.close()


def _refuse_failure(kind: str, text: str, outcome: Outcome) -> None:
    if outcome.cause is Cause.INVALID:
        raise UsageError(outcome.message)
    values = [value for name, value in outcome.metrics.items() if name.startswith("eval_")]
    if outcome.cause is not Cause.OK or not all(map(math.isfinite, values)):
        raise HpsearchError(text, "mend what the log says, then run the same command again")


def _write_results(output_dir: Path, settings: Mapping[str, Any], outcome: Outcome) -> None:
    results = {
        "cause": outcome.cause.value,
        "metrics": encode_values(outcome.metrics),
        "settings": dict(settings),
        "duration_s": round(outcome.duration_s, 3),
        "versions": versions(),
    }
    write_json(output_dir / "train_results.json", results)
