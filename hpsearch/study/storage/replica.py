"""A study in memory, and each change of it handed on to be made in its storage.

Who runs a study is the only one to change it. So what is asked for is answered from memory at once, and neither a trial
nor the loop waits for a database that is slow or away.
"""

from __future__ import annotations

import gc
import json
import math
from collections import defaultdict
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from datetime import UTC, datetime
from functools import cache
from itertools import chain
from typing import Any
from uuid import uuid4

from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import Connection, DateTime, Select, TableClause, column, select, table

from hpsearch.study.storage.changes import MARK, Change, trial_to_json

# All trials of a study, read by one query for each of Optuna's tables.
#
# Optuna builds an object for each row and asks for the trials by the hundred: of 10,000 trials that took 6 s, and this
# takes a tenth of it. The tables are Optuna's own, so this is done only where their version is one that this module
# knows; anywhere else Optuna itself is asked, and says the same.

# Revisions of Optuna's tables (alembic's, as in the table alembic_version) that this module reads.
KNOWN_REVISIONS = frozenset({"v3.2.0.a"})

_TRIALS = table(
    "trials",
    column("trial_id"),
    column("study_id"),
    column("number"),
    column("state"),
    column("datetime_start", DateTime()),
    column("datetime_complete", DateTime()),
)
_AT_ONCE = 10_000  # rows fetched: one by one they took twice as long
_NOT_FINITE = {"NAN": math.nan, "INF_POS": math.inf, "INF_NEG": -math.inf}

ByTrial = dict[int, dict[Any, Any]]


def read_trials(storage: BaseStorage, study_id: int) -> list[FrozenTrial]:
    """The study's trials in order of number, as ``storage.get_all_trials`` has them; they are the caller's own."""
    if not isinstance(storage, RDBStorage) or not is_known(storage):
        return storage.get_all_trials(study_id)
    with collector_off(), storage.engine.connect() as connection:
        return _read(connection, study_id)


def is_known(storage: RDBStorage) -> bool:
    """Whether the tables of ``storage`` are of a revision that is read here."""
    return storage.get_current_version() in KNOWN_REVISIONS


@contextmanager
def collector_off() -> Iterator[None]:
    """Keep Python from looking for garbage among objects that all stay: that was a third of the time."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _read(connection: Connection, study_id: int) -> list[FrozenTrial]:
    order = select(*_TRIALS.c).where(_TRIALS.c.study_id == study_id).order_by(_TRIALS.c.number, _TRIALS.c.trial_id)
    rows = connection.execute(order).all()  # before the rest: what is finished here has its values there
    params, distributions = _params(connection, study_id)
    decode = json.JSONDecoder().raw_decode
    user, system = (
        _grouped(connection, study_id, f"trial_{kind}_attributes", ("key", "value_json"), lambda text: decode(text)[0])
        for kind in ("user", "system")
    )
    values = _grouped(connection, study_id, "trial_values", ("objective", "value", "value_type"), _number)
    reported = ("step", "intermediate_value", "intermediate_value_type")
    reports = _grouped(connection, study_id, "trial_intermediate_values", reported, _number)
    return [
        FrozenTrial(
            number=number,
            state=TrialState[state],
            value=None,
            values=[told[objective] for objective in sorted(told)] if (told := values.get(trial_id)) else None,
            datetime_start=_local(start),
            datetime_complete=_local(end),
            params=params.get(trial_id, {}),
            distributions=distributions.get(trial_id, {}),
            user_attrs=user.get(trial_id, {}),
            system_attrs=system.get(trial_id, {}),
            intermediate_values=reports.get(trial_id, {}),
            trial_id=trial_id,
        )
        for trial_id, _, number, state, start, end in rows
    ]


def _params(connection: Connection, study_id: int) -> tuple[ByTrial, ByTrial]:
    """Parameters and their distributions by trial, in the order in which they were set. Equal ones are one object."""
    distribution: Callable[[str], BaseDistribution] = cache(json_to_distribution)
    params: ByTrial = defaultdict(dict)
    distributions: ByTrial = defaultdict(dict)
    rows = _table("trial_params", "param_id", "param_name", "param_value", "distribution_json")
    for trial_id, _, name, value, told in sorted(_of_study(connection, study_id, rows), key=lambda row: row[:2]):
        distributions[trial_id][name] = of = distribution(told)
        params[trial_id][name] = of.to_external_repr(value)
    return params, distributions


def _grouped(
    connection: Connection, study_id: int, name: str, columns: Sequence[str], read: Callable[..., Any]
) -> ByTrial:
    """By trial, what stands under the first of ``columns``: the rest as ``read`` has it."""
    grouped: ByTrial = defaultdict(dict)
    for trial_id, key, *stored in _of_study(connection, study_id, _table(name, *columns)):
        grouped[trial_id][key] = read(*stored)
    return grouped


def _table(name: str, *columns: str) -> TableClause:
    return table(name, column("trial_id"), *map(column, columns))


def _of_study(connection: Connection, study_id: int, rows: TableClause) -> Iterable[Any]:
    own: Select[Any] = select(_TRIALS.c.trial_id).where(_TRIALS.c.study_id == study_id)
    found = connection.execute(select(*rows.c).where(rows.c.trial_id.in_(own)))
    return chain.from_iterable(found.partitions(_AT_ONCE))


def _number(value: float | None, kind: str) -> float:
    """A number as Optuna stores it: what is not finite is a word."""
    return _NOT_FINITE[kind] if value is None else value


def _local(moment: datetime | None) -> datetime | None:
    """A time in UTC as Optuna gives it: in local time, without a zone."""
    return None if moment is None else moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)


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
