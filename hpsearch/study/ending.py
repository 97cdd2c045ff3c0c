"""What is said at the end of a run, and with which exit code."""

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
    """Says how a run of a study ended, and how to go on. ``places`` are where its trials need room."""

    ledger: Ledger
    options: RunOptions
    interruption: Interruption
    places: tuple[Path, ...]

    def stopped_preparing(self) -> tuple[int, str]:
        """Exit code and sentence where no trial was come to."""
        if self.interruption.requested:
            return self.interruption.exit_code, self._resume_text()
        return 0, f"time limit reached while preparing, with 0 new trials; {self._resume_text()}"

    def of(self, ending: LoopEnding, runner: Runner) -> tuple[int, str]:
        """Exit code and sentence for an ending."""
        done, resume = self._so_far(runner.budget), self._resume_text()
        if ending is LoopEnding.INTERRUPTED:
            return self.interruption.exit_code, f"stopped with {done}; {resume}"
        if ending is LoopEnding.TIMEOUT:
            return 0, f"time limit reached with {done}; {resume}"
        if ending in (LoopEnding.SPENT, LoopEnding.SCARCE):
            return 0, f"{ending.value}: {done}; {self._more_hours()}"
        if ending is LoopEnding.FAILURES:
            cause = runner.last_failure.value if runner.last_failure else "failure"
            why = f"stopped: {MAX_ALIKE} trials in a row ended with {cause}"
            return TooManyFailures.exit_code, f"{why}; see `{self.command('logs')}`, then {resume}"
        if ending is LoopEnding.NO_SLOT:
            why = f"stopped with {done}: {ending.value}"
            return TooManyFailures.exit_code, f"{why}; see what holds its memory (nvidia-smi), then {resume}"
        if ending is LoopEnding.NO_ROOM:
            raise no_room(self.places)
        if ending is LoopEnding.STUCK:
            left = len(open_points(self.ledger.trials(), self.ledger.definition))
            return (
                TooManyFailures.exit_code,
                f"{finished(self.ledger.trials())} grid points finished, {left} failed; {resume}",
            )
        if not self.ledger.trials(TrialState.COMPLETE):
            return TooManyFailures.exit_code, f"no trial succeeded; see `{self.command('logs')}`"
        if ending is LoopEnding.TARGET and self.options.at_most is not None:
            return 0, f"as many trials as asked for were run: {done}"
        return 0, f"{ending.value}: {done}"

    def _so_far(self, budget: Budget) -> str:
        trials = self.ledger.trials()
        return f"{finished(trials)} finished trials, {budget.text(spent_hours(trials))}"

    def _more_hours(self) -> str:
        return f"go on with: {self.command('resume', '--gpu-hours', 'N')}"

    def _resume_text(self) -> str:
        return f"go on with: {self.command('resume')}"

    def command(self, verb: str, *words: str) -> str:
        """The command to type for this study."""
        return command_text(
            verb, self.ledger.study.study_name, self.options.storage, self.options.base_output_dir, *words
        )

    def nothing_left(self, budget: Budget) -> str:
        """That all GPU-hours were spent before."""
        return f"nothing to do: {budget.text(spent_hours(self.ledger.trials()))}; {self._more_hours()}"
