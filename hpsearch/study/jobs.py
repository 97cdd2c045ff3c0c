"""The jobs of a study, made from its definition: what crosses the door to the training."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hpsearch.config.definition import StudyDefinition
from hpsearch.errors import UsageError
from hpsearch.execution.environment import build_environment, has_gpu
from hpsearch.execution.job import CHECKPOINTS, Job
from hpsearch.execution.trainer_python import Trainer, named_python
from hpsearch.study.folders import StudyFolders

# Imports of the built-in training's trials: those of all of them, and then the model's own.
BUILT_IN_PRELOAD = ("hpsearch.training.preload:libraries", "hpsearch.training.preload:model")
UNSLOTH_PRELOAD = ("hpsearch.training.preload:before_unsloth",)
_SHARED_ENVIRONMENT = {"OPENBLAS_NUM_THREADS": "1"}  # numpy would start threads while it is imported
_TRACKER_VARIABLES = ("WANDB_*", "WANDB_API_KEY")  # a secret is passed by its full name only


@dataclass(frozen=True)
class JobMaker:
    """Makes the jobs of one study.

    ``environ`` holds the variables that the allow-list chooses from; a command's relative paths lead from
    ``working_dir``, by default this process's. ``resolved`` holds the values of settings that the definition leaves
    open, for all trials of the study. ``trainer`` runs the built-in training, in ``ranks`` processes with a GPU each;
    its ``backend`` is empty while it is not known. Trials share their imports unless they start ``cold``.
    """

    definition: StudyDefinition
    folders: StudyFolders
    environ: Mapping[str, str]
    working_dir: Path | None = None
    resolved: Mapping[str, Any] = field(default_factory=dict)
    trainer: Trainer = field(default_factory=Trainer)
    ranks: int = 1
    backend: str = ""
    cold: bool = False

    def survey(self, folder: Path) -> Job:
        """Make the job that surveys data, model and machine, and leaves its result in ``folder``."""
        return self._job("survey", "survey", folder, self.definition.trial_settings({}, 0))

    def preflight(self, folder: Path) -> Job:
        """Make the job that checks what can be checked before a weight is loaded; its result lies in ``folder``."""
        settings = self.definition.trial_settings({}, 0)
        return self._job("preflight", "preflight", folder, settings, variations=self.definition.variations())

    def prepare(self) -> Job:
        """Make the job that makes data and model ready, once per study."""
        settings, variations = self.definition.trial_settings({}, 0), self.definition.variations()
        resolved = dict(self.resolved)
        return self._job(
            "prepare", "prepare", self.folders.prepared, settings, variations=variations, resolved=resolved
        )

    def trial(self, number: int, root: int, attempt: int, params: Mapping[str, Any], seed: int) -> Job:
        """Make the job of one attempt at a trial; ``seed`` is used where the settings have none."""
        folder = self.folders.attempt(root, attempt)
        settings = with_resolved(self.definition.trial_settings(params, seed), self.resolved)
        job_id = f"trial_{root}" if attempt == 1 else f"trial_{root}.attempt-{attempt}"
        return self._job(
            job_id,
            "trial",
            folder,
            settings,
            number=number,
            root=root,
            attempt=attempt,
            checkpoint_dir=str(self.folders.checkpoints(root).absolute()),
        )

    def expected(self) -> Job:
        """Make a job like those of the trials to come, as far as it is known before the first: what they may share."""
        job = self.trial(0, 0, 1, self.definition.default_params(), 0)
        return replace(job, prepared_dir=None, preload=self._preload("trial", BUILT_IN_PRELOAD[:1]))

    def train(self, output_dir: Path, settings: Mapping[str, Any]) -> Job:
        """Make the job of one fine-tune outside a search."""
        return self._job(
            "train", "train", output_dir, dict(settings), checkpoint_dir=str(output_dir.absolute() / CHECKPOINTS)
        )

    def finds_program(self) -> bool:
        """Return True if the command's program can be found, as far as is known before its placeholders are filled."""
        if self.definition.command is None or "{" in self.definition.command[0]:
            return True
        program, path = self.definition.command[0], self._environment("trial")[0].get("PATH", os.defpath)
        place = str((self.working_dir or Path.cwd()) / program) if "/" in program else program
        return shutil.which(place, path=path) is not None

    def withheld(self) -> list[str]:
        """Return the names of variables with meaning for a program that trials do not get."""
        return self._environment("trial")[1]

    def _job(self, job_id: str, kind: str, folder: Path, settings: dict[str, Any], **fields: Any) -> Job:
        definition = self.definition
        output_dir = folder.absolute()
        seed = int(settings.get("seed", definition.seed))
        preload = self._preload(kind, BUILT_IN_PRELOAD)
        if definition.command is None:
            command = self.trainer.command_of(self.ranks if kind == "trial" else 1)
        else:
            command = definition.fill_command(
                settings,
                study=self.folders.study,
                seed=seed,
                output_dir=str(output_dir),
                checkpoint_dir=fields.get("checkpoint_dir", ""),
                trial=fields.get("number", 0),
            )
        return Job(
            id=job_id,
            kind=kind,
            study=self.folders.study,
            command=command,
            output_dir=str(output_dir),
            settings=settings,
            environment=(_SHARED_ENVIRONMENT if preload else {})
            | self._environment(kind, settings)[0]
            | self.trainer.environment,
            working_dir=str(self.working_dir) if self.working_dir else None,
            seed=seed,
            metric=definition.objective.metric,
            steps=definition.steps,
            preload=preload,
            fork=not self.cold and self._backend() != "unsloth",
            prepared_dir=None if definition.command else str(self.folders.prepared.absolute()),
            timeout_s=definition.trial_timeout_s if kind == "trial" else None,
            stall_s=definition.stall_timeout_s if kind == "trial" else None,
            exit_timeout_s=definition.exit_timeout_s if kind == "trial" else None,
            **fields,
        )

    def _preload(self, kind: str, built_in: tuple[str, ...]) -> tuple[str, ...] | None:
        if kind != "trial" or self.ranks > 1:
            return None
        if self.definition.command is not None:
            return self.definition.preload or None
        return built_in if self._backend() == "hf" else (UNSLOTH_PRELOAD if self._backend() == "unsloth" else None)

    def _backend(self) -> str:
        """Return the backend, as far as it is known; without a GPU there is only one."""
        named = self.backend or str(self.definition.settings.get("backend", "auto"))
        return "hf" if named == "auto" and not has_gpu() else named

    def _environment(self, kind: str, settings: Mapping[str, Any] | None = None) -> tuple[dict[str, str], list[str]]:
        tracked = _TRACKER_VARIABLES if (settings or {}).get("report_to") == "wandb" else ()
        return build_environment(self.environ, (*self.definition.env_pass, *tracked), kind=kind, extra={})


def with_resolved(settings: Mapping[str, Any], resolved: Mapping[str, Any]) -> dict[str, Any]:
    """Return settings with the values that were resolved for the study in the place of those left open (null)."""
    return {name: resolved.get(name) if value is None else value for name, value in settings.items()}


def job_maker(
    definition: StudyDefinition,
    folders: StudyFolders,
    working_dir: Path | None = None,
    resolved: Mapping[str, Any] | None = None,
) -> JobMaker:
    """Make a ``JobMaker`` with this process's environment."""
    trainer = Trainer(named_python(definition.trainer_python, os.environ))
    return JobMaker(definition, folders, dict(os.environ), working_dir, resolved or {}, trainer)


def require_program(jobs: JobMaker) -> None:
    """Refuse a command whose program does not exist, or a trainer that cannot train, before trials are spent on it.

    Raises:
        UsageError: it is neither on PATH nor a path to an executable, or not a Python with the training's libraries.
    """
    if jobs.definition.command is None:
        jobs.trainer.require()
    if not jobs.finds_program():
        command = jobs.definition.command or ("",)
        raise UsageError(
            f"a command begins with a program on PATH or a path to one, but {command[0]!r} is neither",
            "correct the definition's command; relative paths lead from the working folder",
        )
