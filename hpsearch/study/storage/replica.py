"""A study in memory: its trials as they were read, and each change of it handed on to be made in its storage.

Only the runner that holds the lease writes to a study. So the replica answers every read at once, and neither a trial
nor the loop waits for a database that is slow or away.
"""

from __future__ import annotations

import gc
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from datetime import UTC, datetime
from functools import cache
from itertools import chain
from typing import Any
from uuid import uuid4

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.exceptions import StorageInternalError
from optuna.storages import BaseStorage, InMemoryStorage, RDBStorage
from optuna.study import StudyDirection
from optuna.trial import FrozenTrial, TrialState, create_trial
from sqlalchemy import Connection, DateTime, column, select, table

from hpsearch.study.storage.changes import MARK, Change

# Revisions of Optuna's tables (alembic's, as in the table alembic_version) that ``read_trials`` reads itself.
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


class StudyReplica(InMemoryStorage):
    """The study ``name`` of ``backend`` as Optuna reads and changes it; ``make`` is given the changes in their order.

    Only what concerns the study as a whole (making it, deleting it, listing all) is done in the backend at once. The
    ids of study and trials are not those in the backend; their numbers are.
    """

    def __init__(self, backend: BaseStorage, name: str, make: Callable[[Change], None]) -> None:
        super().__init__()
        self.backend, self.name = backend, name
        self._make = make
        with damage_explained(f"study {name!r}"):
            self._read_study(backend, name)

    def _read_study(self, backend: BaseStorage, name: str) -> None:
        if name not in (study.study_name for study in backend.get_all_studies()):
            return
        theirs = self.study_id
        ours = super().create_new_study(backend.get_study_directions(theirs), name)
        for key, value in backend.get_study_user_attrs(theirs).items():
            super().set_study_user_attr(ours, key, value)
        for key, value in backend.get_study_system_attrs(theirs).items():
            super().set_study_system_attr(ours, key, value)
        with collector_off():
            adopt_trials(self, ours, read_trials(backend, theirs))

    @property
    def study_id(self) -> int:
        """The study's id in the backend."""
        return self.backend.get_study_id_from_name(self.name)

    def create_new_study(self, directions: Sequence[StudyDirection], study_name: str | None = None) -> int:
        self.backend.create_new_study(directions, study_name)
        return super().create_new_study(directions, study_name)

    def delete_study(self, study_id: int) -> None:
        self.backend.delete_study(self.study_id)
        super().delete_study(study_id)

    def get_all_studies(self) -> list[Any]:
        return self.backend.get_all_studies()

    def create_new_trial(self, study_id: int, template_trial: FrozenTrial | None = None) -> int:
        """Make a trial; the backend will give it the same number. It is marked, so that it is known there as made by
        this runner."""
        template = create_trial(state=TrialState.RUNNING) if template_trial is None else copy(template_trial)
        template.system_attrs = {**template.system_attrs, MARK: uuid4().hex}
        trial_id = super().create_new_trial(study_id, template)
        self._make(Change.of("trial", self.get_trial_number_from_id(trial_id), template))
        return trial_id

    def set_study_user_attr(self, study_id: int, key: str, value: Any) -> None:
        self._change("study user attr", study_id, key, value)

    def set_study_system_attr(self, study_id: int, key: str, value: Any) -> None:
        self._change("study system attr", study_id, key, value)

    def set_trial_param(
        self, trial_id: int, param_name: str, param_value_internal: float, distribution: BaseDistribution
    ) -> None:
        self._change("param", trial_id, param_name, param_value_internal, distribution)

    def set_trial_state_values(self, trial_id: int, state: TrialState, values: Sequence[float] | None = None) -> bool:
        return bool(self._change("state", trial_id, state, values))

    def set_trial_intermediate_value(self, trial_id: int, step: int, intermediate_value: float) -> None:
        self._change("report", trial_id, step, intermediate_value)

    def set_trial_user_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._change("user attr", trial_id, key, value)

    def set_trial_system_attr(self, trial_id: int, key: str, value: Any) -> None:
        self._change("system attr", trial_id, key, value)

    def _change(self, kind: str, owner_id: int, *arguments: Any) -> Any:
        """Make a change in memory, and hand it on, unless the state of a trial could not be set. Returns the answer."""
        number = None if kind.startswith("study ") else self.get_trial_number_from_id(owner_id)
        change = Change.of(kind, number, *arguments)
        answer = change.call(super(), owner_id)
        if answer is not False:
            self._make(change)
        return answer


@contextmanager
def damage_explained(where: str) -> Iterator[None]:
    """Turn what reading a damaged value raises into an error of the storage."""
    try:
        yield
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        what = f"malformed value in {where}: {type(error).__name__}: {error}"
        raise StorageInternalError(what) from None


def adopt_trials(memory: InMemoryStorage, study_id: int, trials: Iterable[FrozenTrial]) -> None:
    """Put trials into a study in memory without a copy of all their parts, which nobody may change from here on."""
    for trial in trials:
        InMemoryStorage.create_new_trial(memory, study_id, _SharedTrial(trial))  # a replica would hand them on


class _SharedTrial(FrozenTrial):
    """A trial whose copy has the same parts: a storage in memory copies what it is given."""

    def __init__(self, trial: FrozenTrial) -> None:
        vars(self).update(vars(trial))

    def __deepcopy__(self, memo: dict[int, Any]) -> FrozenTrial:
        shared = FrozenTrial.__new__(FrozenTrial)
        vars(shared).update(vars(self))
        return shared


def read_trials(storage: BaseStorage, study_id: int) -> list[FrozenTrial]:
    """Return the study's trials in order of number, as ``storage.get_all_trials`` does, but the caller's own.

    Optuna builds an object for each row and asks for the trials by the hundred: of 10,000 trials that took 6 s, and one
    query for each of Optuna's tables takes a tenth of it. The tables are Optuna's own, so this is done only where their
    revision is a known one; anywhere else Optuna itself is asked.
    """
    if not isinstance(storage, RDBStorage) or storage.get_current_version() not in KNOWN_REVISIONS:
        return storage.get_all_trials(study_id)
    with collector_off(), storage.engine.connect() as connection:
        return _read(connection, study_id)


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
    rows = connection.execute(order).all()  # before the rest: a trial that is finished here has its values there
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
            values=[value for _, value in sorted(values[trial_id].items())] if trial_id in values else None,
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
    """Read parameters and their distributions by trial, in the order in which they were set. Equal distributions are
    one object."""
    distribution: Callable[[str], BaseDistribution] = cache(json_to_distribution)
    params: ByTrial = defaultdict(dict)
    distributions: ByTrial = defaultdict(dict)
    columns = ("param_id", "param_name", "param_value", "distribution_json")
    rows = _rows(connection, study_id, "trial_params", columns)
    for trial_id, _, name, value, text in sorted(rows, key=lambda row: row[:2]):
        distributions[trial_id][name] = distribution(text)
        params[trial_id][name] = distribution(text).to_external_repr(value)
    return params, distributions


def _grouped(
    connection: Connection, study_id: int, name: str, columns: Sequence[str], read: Callable[..., Any]
) -> ByTrial:
    """Read a table by trial: the first of ``columns`` is the key, ``read`` makes the value of the others."""
    grouped: ByTrial = defaultdict(dict)
    for trial_id, key, *stored in _rows(connection, study_id, name, columns):
        grouped[trial_id][key] = read(*stored)
    return grouped


def _rows(connection: Connection, study_id: int, name: str, columns: Sequence[str]) -> Iterable[Any]:
    rows = table(name, column("trial_id"), *map(column, columns))
    own = select(_TRIALS.c.trial_id).where(_TRIALS.c.study_id == study_id)
    return chain.from_iterable(connection.execute(select(*rows.c).where(rows.c.trial_id.in_(own))).partitions(_AT_ONCE))


def _number(value: float | None, kind: str) -> float:
    """Return a number as Optuna stores it: one that is not finite is a word."""
    return _NOT_FINITE[kind] if value is None else value


def _local(moment: datetime | None) -> datetime | None:
    """Return a time in UTC as Optuna gives it: in local time, without a zone."""
    return None if moment is None else moment.replace(tzinfo=UTC).astimezone().replace(tzinfo=None)
