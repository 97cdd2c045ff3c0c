"""A study in memory, and each change of it handed on to be made in its storage.

Who runs a study is the only one to change it. So what is asked for is answered from memory at once, and neither a trial
nor the loop waits for a database that is slow or away.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Container, Iterable, Sequence
from copy import copy
from typing import Any
from uuid import uuid4

from optuna.distributions import BaseDistribution, distribution_to_json
from optuna.storages import BaseStorage, InMemoryStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpsearch.study.storage.bulk import collector_off, read_trials
from hpsearch.study.storage.changes import MARK, Change, trial_to_json

Make = Callable[[Change], None]


class MirroredStorage(BaseStorage):
    """One study of ``backend`` as Optuna reads and changes it; ``make`` is given the changes in their order.

    Only what concerns the study as a whole (making it, deleting it, listing all) is done in the backend at once.
    """

    def __init__(self, backend: BaseStorage, name: str, make: Make) -> None:
        self.backend = backend
        self.name = name
        self._make = make
        self._memory = InMemoryStorage()
        if name in (study.study_name for study in backend.get_all_studies()):
            self._load()

    @property
    def study_id(self) -> int:
        """The study's id in the backend."""
        return self.backend.get_study_id_from_name(self.name)

    def _load(self) -> None:
        theirs = self.study_id
        ours = self._memory.create_new_study(self.backend.get_study_directions(theirs), self.name)
        for key, value in self.backend.get_study_user_attrs(theirs).items():
            self._memory.set_study_user_attr(ours, key, value)
        for key, value in self.backend.get_study_system_attrs(theirs).items():
            self._memory.set_study_system_attr(ours, key, value)
        with collector_off():
            take_over(self._memory, ours, read_trials(self.backend, theirs))

    # The study

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        """Make the study, in the backend at once."""
        self.backend.create_new_study(directions, study_name)
        return self._memory.create_new_study(directions, study_name)

    def delete_study(self, study_id: int) -> None:
        """Delete the study, in the backend at once."""
        self.backend.delete_study(self.study_id)
        self._memory.delete_study(study_id)

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set an attribute of the study."""
        value = _as_stored(value)
        self._memory.set_study_user_attr(study_id, key, value)
        self._make(Change("study user attr", None, {"key": key, "value": value}))

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        """Set an attribute that Optuna keeps of the study."""
        value = _as_stored(value)
        self._memory.set_study_system_attr(study_id, key, value)
        self._make(Change("study system attr", None, {"key": key, "value": value}))

    def get_study_id_from_name(self, study_name: str) -> int:
        """The study's id, which is not that in the backend."""
        return self._memory.get_study_id_from_name(study_name)

    def get_study_name_from_id(self, study_id: int) -> str:
        """The study's name."""
        return self._memory.get_study_name_from_id(study_id)

    def get_study_directions(self, study_id: int) -> list[StudyDirection]:
        """Whether more or less is better."""
        return self._memory.get_study_directions(study_id)

    def get_study_user_attrs(self, study_id: int) -> dict[str, Any]:
        """The study's attributes."""
        return self._memory.get_study_user_attrs(study_id)

    def get_study_system_attrs(self, study_id: int) -> dict[str, Any]:
        """What Optuna keeps of the study."""
        return self._memory.get_study_system_attrs(study_id)

    def get_all_studies(self) -> list[Any]:
        """All studies of the backend."""
        return self.backend.get_all_studies()

    # Its trials

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Make a trial; the backend will give it the same number. It is marked, to be known there as made by this."""
        template = create_trial(state=TrialState.RUNNING) if template_trial is None else copy(template_trial)
        template.system_attrs = {**template.system_attrs, MARK: uuid4().hex}
        trial_id = self._memory.create_new_trial(study_id, template)
        self._changed(trial_id, "trial", template=trial_to_json(template))
        return trial_id

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        """Set a parameter of an unfinished trial."""
        self._memory.set_trial_param(trial_id, param_name, param_value_internal, distribution)
        told = distribution_to_json(distribution)
        self._changed(trial_id, "param", name=param_name, value=param_value_internal, distribution=told)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        """Set a trial's state; whether it could be."""
        done = self._memory.set_trial_state_values(trial_id, state, values)
        if done:
            self._changed(trial_id, "state", state=state.name, values=None if values is None else list(values))
        return done

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        """Set what an unfinished trial reported at a step."""
        self._memory.set_trial_intermediate_value(trial_id, step, intermediate_value)
        self._changed(trial_id, "report", step=step, value=intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute of an unfinished trial."""
        value = _as_stored(value)
        self._memory.set_trial_user_attr(trial_id, key, value)
        self._changed(trial_id, "user attr", key=key, value=value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        """Set an attribute that Optuna keeps of an unfinished trial."""
        value = _as_stored(value)
        self._memory.set_trial_system_attr(trial_id, key, value)
        self._changed(trial_id, "system attr", key=key, value=value)

    def get_trial_id_from_study_id_trial_number(self, study_id: int, trial_number: int) -> int:
        """A trial's id, which is not that in the backend."""
        return self._memory.get_trial_id_from_study_id_trial_number(study_id, trial_number)

    def get_trial(self, trial_id: int) -> FrozenTrial:
        """A trial."""
        return self._memory.get_trial(trial_id)

    def get_all_trials(
        self, study_id: int, deepcopy: bool = True, states: Container[TrialState] | None = None
    ) -> list[FrozenTrial]:
        """The study's trials in order of number."""
        return self._memory.get_all_trials(study_id, deepcopy, states)

    def _changed(self, trial_id: int, kind: str, **values: Any) -> None:
        self._make(Change(kind, self._memory.get_trial_number_from_id(trial_id), values))


def take_over(memory: InMemoryStorage, study_id: int, trials: Iterable[FrozenTrial]) -> None:
    """Put trials into a study in memory without a copy of all their parts, which nobody may change from here on."""
    for trial in trials:
        memory.create_new_trial(study_id, _Taken(trial))


class _Taken(FrozenTrial):
    """A trial whose copy has the same parts: a storage in memory copies what it is given."""

    def __init__(self, trial: FrozenTrial) -> None:
        vars(self).update(vars(trial))

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenTrial:
        taken = FrozenTrial.__new__(FrozenTrial)
        vars(taken).update(vars(self))
        return taken


def _as_stored(value: Any) -> Any:
    """A value as a database gives it back: tuples are lists there, and keys of objects are strings."""
    return json.loads(json.dumps(value))
