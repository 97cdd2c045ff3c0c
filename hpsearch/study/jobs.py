"""Turning a study's definition into the jobs that cross the door."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpsearch.definitions.definition import StudyDefinition
from hpsearch.errors import UsageError
from hpsearch.study.folders import StudyFolders
from hpsearch.study.sampling import trial_seed
from hpsearch.trials.environment import build_environment
from hpsearch.trials.job import Job

TRAINING_PROGRAM = (sys.executable, "-m", "hpsearch.training")
_TRACKER_VARIABLES = ("WANDB_*", "WANDB_API_KEY")  # a secret is passed by its full name only


@dataclass(frozen=True)
class JobMaker:
    """Makes the jobs of one study.

    ``environ`` is what the allow-list chooses from; a command's relative words lead from ``working_dir``, by default
    this process's. ``resolved`` is what settings left open came to when the study began: it stands for all its trials.
    """

    definition: StudyDefinition
    folders: StudyFolders
    environ: Mapping[str, str]
    working_dir: Path | None = None
    resolved: Mapping[str, Any] = field(default_factory=dict)

    def preflight(self, folder: Path) -> Job:
        """The job that checks what can be checked before a weight is loaded, and leaves what it found in ``folder``."""
        settings = self.definition.trial_settings({}, 0)
        return self._job("preflight", "preflight", folder, settings, searched=self.definition.searched_values())

    def prepare(self) -> Job:
        """The job that makes data and model ready, once per study."""
        return self._job(
            "prepare",
            "prepare",
            self.folders.prepared,
            self.definition.trial_settings({}, 0),
            searched=self.definition.searched_values(),
            resolved=dict(self.resolved),
        )

    def trial(self, number: int, root: int, attempt: int, params: Mapping[str, Any]) -> Job:
        """The job of one attempt at a trial."""
        folder = self.folders.attempt(root, attempt)
        settings = closed(self.definition.trial_settings(params, trial_seed(self.definition, root)), self.resolved)
        job_id = f"trial_{root}" if attempt == 1 else f"trial_{root}.attempt-{attempt}"
        return self._job(job_id, "trial", folder, settings, number=number, root=root, attempt=attempt)

    def train(self, output_dir: Path, settings: Mapping[str, Any]) -> Job:
        """The job of one fine-tune outside a search."""
        return self._job("train", "train", output_dir, dict(settings))

    def finds_program(self) -> bool:
        """Whether the command's program can be found, as far as that can be said before its placeholders are filled."""
        if self.definition.command is None or "{" in self.definition.command[0]:
            return True
        program, path = self.definition.command[0], self._environment("trial")[0].get("PATH", os.defpath)
        place = str((self.working_dir or Path.cwd()) / program) if "/" in program else program
        return shutil.which(place, path=path) is not None

    def withheld(self) -> list[str]:
        """Names of variables with meaning for a program that a trial does not get."""
        return self._environment("trial")[1]

    def _job(
        self,
        job_id: str,
        kind: str,
        folder: Path,
        settings: dict[str, Any],
        **fields: Any,
    ) -> Job:
        definition = self.definition
        output_dir = folder.absolute()
        seed = int(settings.get("seed", definition.seed))
        return Job(
            id=job_id,
            kind=kind,
            study=self.folders.study,
            command=self._command(settings, seed, output_dir, fields.get("number")),
            output_dir=str(output_dir),
            settings=settings,
            environment=self._environment(kind, settings)[0],
            working_dir=str(self.working_dir) if self.working_dir else None,
            seed=seed,
            metric=definition.objective.metric,
            steps=definition.steps,
            prepared_dir=None if definition.command else str(self.folders.prepared.absolute()),
            timeout_s=definition.trial_timeout_s if kind == "trial" else None,
            stall_s=definition.stall_timeout_s if kind == "trial" else None,
            **fields,
        )

    def _command(self, settings: dict[str, Any], seed: int, output_dir: Path, number: int | None) -> tuple[str, ...]:
        if self.definition.command is None:
            return TRAINING_PROGRAM
        return self.definition.fill_command(
            settings, seed=seed, output_dir=str(output_dir), trial=number or 0, study=self.folders.study
        )

    def _environment(self, kind: str, settings: Mapping[str, Any] | None = None) -> tuple[dict[str, str], list[str]]:
        tracked = _TRACKER_VARIABLES if (settings or {}).get("report_to") == "wandb" else ()
        return build_environment(self.environ, (*self.definition.env_pass, *tracked), kind=kind, extra={})


def closed(settings: Mapping[str, Any], resolved: Mapping[str, Any]) -> dict[str, Any]:
    """Settings with what they leave open (null) as it was resolved for the study."""
    return {name: resolved.get(name) if value is None else value for name, value in settings.items()}


def job_maker(
    definition: StudyDefinition,
    folders: StudyFolders,
    working_dir: Path | None = None,
    resolved: Mapping[str, Any] | None = None,
) -> JobMaker:
    """A ``JobMaker`` with this process's environment."""
    return JobMaker(definition, folders, dict(os.environ), working_dir, resolved or {})


def require_program(jobs: JobMaker) -> None:
    """Refuse a command whose program is not there, before trials are spent on it.

    Raises:
        UsageError: it is neither on PATH nor a path to an executable.
    """
    if not jobs.finds_program():
        command = jobs.definition.command or ("",)
        raise UsageError(
            f"a command begins with a program on PATH or a path to one, but {command[0]!r} is neither",
            "correct the definition's command; relative paths lead from the working folder",
        )
