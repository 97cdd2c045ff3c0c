"""All trials of a study, read by one query for each of Optuna's tables.

Optuna builds an object for each row and asks for the trials by the hundred: of 10,000 trials that took 6 s, and this
takes a tenth of it. The tables are Optuna's own, so this is done only where their version is one that this module
knows; anywhere else Optuna itself is asked, and says the same.
"""

from __future__ import annotations

import gc
import json
import math
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from functools import cache
from itertools import chain
from typing import Any

from optuna.distributions import BaseDistribution, json_to_distribution
from optuna.storages import BaseStorage, RDBStorage
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy import Connection, DateTime, Select, TableClause, column, select, table

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
