"""How a run ended: the sentence that says it, and the exit code."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from optuna.trial import TrialState

from hpsearch.errors import TooManyFailures
from hpsearch.execution.signals import Interruption
from hpsearch.study.budget import Budget, spent_hours
from hpsearch.study.folders import no_room
from hpsearch.study.ledger import Ledger
from hpsearch.study.loop import MAX_ALIKE, LoopEnding, Runner
from hpsearch.study.options import RunOptions, command_text
from hpsearch.study.records import finished
from hpsearch.study.sampling.planner import open_points


@dataclass(frozen=True)
class RunEnding:
    """Says how a run of a study ended, and how to go on. In ``places`` its trials need room; ``confirms`` is the study
    whose fresh runs they are, if any."""

    ledger: Ledger
    options: RunOptions
    interruption: Interruption
    places: tuple[Path, ...]
    confirms: str = ""

    def stopped_preparing(self) -> tuple[int, str]:
        """Return exit code and sentence for a run that stopped before its first trial."""
        resume = f"continue with: {self.command('resume')}"
        if self.interruption.requested:
            return self.interruption.exit_code, resume
        return 0, f"time limit reached while preparing, with 0 new trials; {resume}"

    def nothing_left(self, budget: Budget) -> str:
        """Say that all hours were spent before."""
        return f"nothing to do: {budget.text(spent_hours(self.ledger.trials()))}; {self._more_hours()}"

    def of(self, ending: LoopEnding, runner: Runner) -> tuple[int, str]:
        """Return exit code and sentence for an ending of the loop.

        Raises:
            StorageError: no space is left on a disk.
        """
        trials, failed = self.ledger.trials(), TooManyFailures.exit_code
        done = f"{finished(trials)} finished trials, {runner.budget.text(spent_hours(trials))}"
        resume, logs = f"continue with: {self.command('resume')}", f"see `{self.command('logs')}`"
        if ending is LoopEnding.INTERRUPTED:
            return self.interruption.exit_code, f"stopped with {done}; {resume}"
        if ending is LoopEnding.TIMEOUT:
            return 0, f"time limit reached with {done}; {resume}"
        if ending in (LoopEnding.SPENT, LoopEnding.SCARCE):
            why = ending.value.replace("hours", runner.budget.unit)
            return 0, f"{why}: {done}; {self._more_hours()}"
        if ending is LoopEnding.FAILURES:
            cause = runner.last_failure.value if runner.last_failure else "failure"
            then = resume
            if self.ledger.definition.command and self.ledger.counts.best is None:  # resume has the stored command
                then = "correct the program, or the command in the definition, and run the same command again"
            return failed, f"stopped: {MAX_ALIKE} trials in a row ended with {cause}; {logs}, then {then}"
        if ending is LoopEnding.NO_SLOT:
            holder = "see what holds its memory (nvidia-smi)"
            return failed, f"stopped with {done}: {ending.value}; {holder}, then {resume}"
        if ending is LoopEnding.NO_ROOM:
            raise no_room(self.places)
        if ending is LoopEnding.STUCK:
            left = len(open_points(trials, self.ledger.definition))
            return failed, f"{finished(trials)} grid points finished, {left} failed; {resume}"
        if not self.ledger.trials(TrialState.COMPLETE):
            return failed, f"no trial succeeded; {logs}"
        if ending is LoopEnding.TARGET and self.options.at_most is not None:
            return 0, f"as many trials as asked for were run: {done}"
        return 0, f"{ending.value}: {done}"

    def command(self, verb: str, *words: str) -> str:
        """Return the command to type for this study."""
        study, options = self.ledger.study.study_name, self.options
        if verb == "resume" and self.confirms:
            verb, study = "confirm", self.confirms
        return command_text(verb, study, options.storage, options.base_output_dir, *words)

    def _more_hours(self) -> str:
        return f"continue with: {self.command('resume', '--gpu-hours', 'N')}"
