"""The checks of the training side, made by its interpreter in a job: a check that hangs or kills the job becomes a red
line, and the rest is asked in a new job."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hpsearch.execution.doctor_question import FINDINGS_FILE, DoctorQuestion, Finding, red
from hpsearch.execution.executors import EXECUTORS
from hpsearch.execution.gpu_slots import without_gpus
from hpsearch.execution.job import Outcome
from hpsearch.execution.outcome import Cause
from hpsearch.execution.run_job import job_folder, run_job, standalone_job
from hpsearch.execution.signals import Interruption
from hpsearch.execution.trainer_python import Trainer
from hpsearch.study.events import silent

_INTERPRETER = "name a Python of 3.11 or newer, with torch; and see that the temporary folder can be written"


@dataclass
class DoctorAnswer:
    """Findings, facts by name, and the checks that were to be made, begun and ended."""

    findings: list[Finding] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    checks: tuple[str, ...] = ()
    begun: list[str] = field(default_factory=list)
    ended: list[str] = field(default_factory=list)

    @property
    def broken(self) -> str:
        """The check that was begun and not ended; empty where there is none."""
        return next((name for name in self.begun if name not in self.ended), "")

    def read(self, file: Path) -> None:
        """Add what a job wrote; its last line may be broken off."""
        lines = file.read_text(encoding="utf-8").split("\n") if file.exists() else [""]
        for text in lines[:-1]:
            line = json.loads(text)
            if "checks" in line:
                self.checks = tuple(line["checks"])
            elif "begin" in line:
                self.begun.append(line["begin"])
            elif "end" in line:
                self.ended.append(line["end"])
            elif "finding" in line:
                self.findings.append(Finding.from_json(line["finding"]))
            else:
                self.facts[line["fact"]] = line["value"]


def ask(
    question: DoctorQuestion, trainer: Trainer, environment: Mapping[str, str], timeout_s: float = 60.0
) -> DoctorAnswer:
    """Have ``trainer`` answer the question, in as many jobs as it takes; one check may take ``timeout_s`` seconds.

    Raises:
        Interrupted: a stop signal came.
    """
    answer = DoctorAnswer()
    executor = EXECUTORS["local"](without_gpus(1))
    try:
        with job_folder() as folder, Interruption() as interruption:
            interruption.wake = executor.wake
            while True:
                job = standalone_job("doctor", question.to_settings(), folder / str(len(answer.begun)), trainer)
                job = replace(job, environment=dict(environment), stall_s=timeout_s)
                outcome = run_job(job, executor, interruption, silent)
                answer.read(Path(job.output_dir) / FINDINGS_FILE)
                broken = answer.broken
                if not broken:
                    if outcome.cause is not Cause.OK:
                        text = f"the training interpreter {trainer.python} cannot be asked: {outcome.message}"
                        answer.findings.append(red("training", text, _INTERPRETER))
                    return answer
                answer.findings.append(_broken_check(broken, outcome, timeout_s, question.pip))
                answer.ended.append(broken)
                left = answer.checks[answer.checks.index(broken) + 1 :]
                if not left:
                    return answer
                question = replace(question, checks=left, failed=(*question.failed, broken))
    finally:
        executor.close()


def _broken_check(check: str, outcome: Outcome, timeout_s: float, pip: str) -> Finding:
    """Describe a check that did not end: it hung, or its process died."""
    if outcome.cause is Cause.STALLED:
        text = f"this check did not end within {timeout_s:g} s"
    else:
        text = f"this check's process {outcome.message or 'ended without a result'}"
    if check in ("torch", "torchvision", "bitsandbytes"):
        remedy = f"see what it does: python -v -c 'import {check}'; or {pip} install --force-reinstall {check}"
    else:
        remedy = "run hpsearch doctor again, with --timeout 300 where the disk or the network is slow"
    return red(check, text, remedy)
