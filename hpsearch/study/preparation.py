"""The prepare job, which makes data and model ready once a study, and prepared.json, in which it says what it found."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.errors import Interrupted
from hpsearch.execution.events import JobView
from hpsearch.execution.executors import Executor
from hpsearch.execution.job import Job
from hpsearch.execution.outcome import Cause
from hpsearch.execution.run_job import job_error, run_job
from hpsearch.execution.signals import Interruption
from hpsearch.study import attributes as attrs

if TYPE_CHECKING:
    from optuna import Study


@dataclass(frozen=True)
class PreparedInfo:
    """prepared.json: what the searching side reads of it. What an older release did not write has the default here; one
    without any value means a study without a prepare job.

    ``values`` is the whole file, as it is stored with the study. ``resolved`` holds the values of settings that the
    definition left open, for all trials of the study; ``base`` the untuned model's metrics; ``rows`` the number of rows
    by split; ``lines`` facts as (what, text).
    """

    values: Mapping[str, Any] = field(default_factory=dict, repr=False)
    fingerprint: str | None = None  # of the data
    data_revision: str | None = None  # commit of a dataset on the Hub
    model_fingerprint: str | None = None
    model_path: str | None = None
    family: str = ""
    backend: str = ""
    backend_reason: str = ""
    device: str = ""
    precision: str = ""
    resolved: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    base: Mapping[str, float] = field(default_factory=dict)
    lines: Sequence[Sequence[str]] = ()
    warnings: Sequence[str] = ()
    figures: Mapping[str, Any] = field(default_factory=dict, repr=False)

    @property
    def adapter_bytes(self) -> int:
        """Bytes of one adapter; 0 where they were not written."""
        return int(self.figures.get("bytes", {}).get("adapter", 0))

    @property
    def evaluations(self) -> int | None:
        """Evaluations of a trial of the default configuration; None where they were not written."""
        return self.figures.get("evaluations")

    @staticmethod
    def from_json(values: object) -> PreparedInfo:
        """Read the content of prepared.json; anything but an object counts as an empty one."""
        known = values if isinstance(values, Mapping) else {}
        names = {item.name for item in fields(PreparedInfo)} - {"values"}
        return PreparedInfo(known, **{key: known[key] for key in names if known.get(key) is not None})

    @staticmethod
    def read(path: Path) -> PreparedInfo:
        """Read prepared.json.

        Raises:
            OSError: it is not there.
            ValueError: it holds no JSON.
        """
        return PreparedInfo.from_json(json.loads(path.read_text(encoding="utf-8")))

    @staticmethod
    def stored(study: Study) -> PreparedInfo:
        """Read what was stored with ``study``; without values where no prepare job has run."""
        return PreparedInfo.from_json(study.user_attrs.get(attrs.PREPARED))


def prepare(
    job: Job, executor: Executor, interruption: Interruption, view: JobView, deadline: float = math.inf
) -> PreparedInfo:
    """Run the prepare job and read its result.

    Raises:
        Interrupted: a stop signal or the deadline came.
        UsageError: it refused the data, the model or a setting.
        JobFailed: it failed for another reason.
    """
    outcome = run_job(job, executor, interruption, view, deadline)
    if outcome.cause is Cause.INTERRUPTED:
        raise Interrupted(0)
    if outcome.cause is not Cause.OK:
        raise job_error(job, outcome)
    return PreparedInfo.read(Path(job.output_dir) / "prepared.json")
