"""Which trials' adapters and checkpoints stay on the disk while a search goes on."""

from __future__ import annotations

import heapq
import shutil
from collections.abc import Sequence

from optuna.trial import FrozenTrial, TrialState

from hpsearch.study.folders import StudyFolders
from hpsearch.study.ledger import Ledger
from hpsearch.study.records import attempt_of, is_finite, root_of


class Keeper:
    """Keeps the adapters of the best ``keep_adapters`` trials. The folders of all trials are looked at once in a run,
    for what a dead runner left; then those of the trials that ended, and of those that others took the place of."""

    def __init__(self, ledger: Ledger, folders: StudyFolders) -> None:
        self._ledger, self._folders = ledger, folders
        self._kept: Sequence[FrozenTrial] | None = None

    def after(self, number: int) -> None:
        """Delete what is not kept now that a trial has ended: adapters, and checkpoints unless another attempt is to go
        on from them."""
        if self._kept is None:
            done = [trial for trial in self._ledger.trials() if trial.state.is_finished()]
        else:
            done = [*self._kept, self._ledger.trial(number)]
        self._kept = self._best(done)
        kept = {trial.number for trial in self._kept}
        open_roots = {root_of(trial) for trial in self._ledger.tally.open}
        for trial in done:
            if trial.number not in kept:
                self._drop(trial, checkpoints=root_of(trial) not in open_roots)
            elif attempt_of(trial) > 1:  # what its earlier attempts went on from
                shutil.rmtree(self._folders.checkpoints(root_of(trial)), ignore_errors=True)

    def _best(self, done: Sequence[FrozenTrial]) -> list[FrozenTrial]:
        definition = self._ledger.definition
        sign = -1.0 if definition.objective.direction == "maximize" else 1.0
        complete = [trial for trial in done if trial.state == TrialState.COMPLETE and is_finite(trial.value)]
        ranked = ((sign * float(trial.value or 0.0), trial.number, trial) for trial in complete)
        return [trial for *_, trial in heapq.nsmallest(definition.keep_adapters, ranked)]

    def _drop(self, trial: FrozenTrial, *, checkpoints: bool) -> None:
        folder = self._folders.attempt(root_of(trial), attempt_of(trial))
        shutil.rmtree(folder / "adapter", ignore_errors=True)
        if checkpoints:
            shutil.rmtree(self._folders.checkpoints(root_of(trial)), ignore_errors=True)
