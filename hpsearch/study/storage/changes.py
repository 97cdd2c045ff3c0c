"""Changes of a study as data: one table of the calls by which Optuna changes it, in a storage, in memory and as JSON.

A connection that breaks leaves open whether the last change was made. So each can be made again without harm: values
are set, not added to, and a trial is made only if its number is not there yet; a mark tells whether it is this one,
or that of a program which does not ask for the study's lease.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import lru_cache
from typing import Any

from optuna.distributions import BaseDistribution, distribution_to_json, json_to_distribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpsearch.errors import StorageError

MARK = "hps:mark"  # system attribute of a trial: identifies the runner's own

Values = dict[str, Any]


def trial_to_json(trial: FrozenTrial) -> Values:
    """Return a trial as a template for a new one like it."""
    return {
        "state": trial.state.name,
        "values": trial.values,
        "params": trial.params,
        "distributions": {name: distribution_to_json(value) for name, value in trial.distributions.items()},
        "user_attrs": trial.user_attrs,
        "system_attrs": trial.system_attrs,
        "intermediate_values": {str(step): value for step, value in trial.intermediate_values.items()},
        "started": trial.datetime_start and trial.datetime_start.isoformat(),
        "ended": trial.datetime_complete and trial.datetime_complete.isoformat(),
    }


def trial_from_json(values: Values) -> FrozenTrial:
    """Read back what ``trial_to_json`` wrote; the storage gives number and id."""
    trial = create_trial(
        state=TrialState[values["state"]],
        values=values["values"],
        params=values["params"],
        distributions={name: json_to_distribution(text) for name, text in values["distributions"].items()},
        user_attrs=values["user_attrs"],
        system_attrs=values["system_attrs"],
        intermediate_values={int(step): value for step, value in values["intermediate_values"].items()},
    )
    trial.datetime_start = values["started"] and datetime.fromisoformat(values["started"])
    trial.datetime_complete = values["ended"] and datetime.fromisoformat(values["ended"])
    return trial


@dataclass(frozen=True)
class Argument:
    """An argument of a call: its ``key`` in JSON, and the way there and back."""

    key: str
    to_json: Callable[[Any], Any] = lambda value: value
    from_json: Callable[[Any], Any] = lambda value: value


@dataclass(frozen=True)
class ChangeKind:
    """One of the calls: the ``method`` of Optuna's storages, and its arguments after the id of study or trial.
    ``fills`` returns the parts of a new trial's template into which the change can be folded."""

    method: str
    arguments: tuple[Argument, ...]
    fills: Callable[[Values], dict[str, Values]] | None = None


def _fill_param(values: Values) -> dict[str, Values]:
    name, distribution = values["name"], values["distribution"]
    external = _distribution(distribution).to_external_repr(values["value"])
    return {"params": {name: external}, "distributions": {name: distribution}}


@lru_cache(maxsize=1024)
def _distribution(text: str) -> BaseDistribution:
    return json_to_distribution(text)


# An attribute's value is as a database gives it back: tuples are lists there, and keys of objects are strings.
_ATTRIBUTE = (Argument("key"), Argument("value", lambda value: json.loads(json.dumps(value))))
_PARAM = (Argument("name"), Argument("value"), Argument("distribution", distribution_to_json, _distribution))
_STATE = Argument("state", lambda state: state.name, lambda name: TrialState[name])
_VALUES = Argument("values", lambda values: None if values is None else list(values))

KINDS = {
    "study user attr": ChangeKind("set_study_user_attr", _ATTRIBUTE),
    "study system attr": ChangeKind("set_study_system_attr", _ATTRIBUTE),
    "trial": ChangeKind("create_new_trial", (Argument("template", trial_to_json, trial_from_json),)),
    "param": ChangeKind("set_trial_param", _PARAM, _fill_param),
    "user attr": ChangeKind("set_trial_user_attr", _ATTRIBUTE, lambda v: {"user_attrs": {v["key"]: v["value"]}}),
    "system attr": ChangeKind("set_trial_system_attr", _ATTRIBUTE, lambda v: {"system_attrs": {v["key"]: v["value"]}}),
    "report": ChangeKind("set_trial_intermediate_value", (Argument("step"), Argument("value"))),
    "state": ChangeKind("set_trial_state_values", (_STATE, _VALUES)),
}


@dataclass(frozen=True)
class Change:
    """One change: its ``kind`` is a key of ``KINDS``, ``number`` the trial's (None: of the study itself), and
    ``values`` are fit for JSON."""

    kind: str
    number: int | None
    values: Values

    @staticmethod
    def of(kind: str, number: int | None, *arguments: Any) -> Change:
        """Return the change that a call with these arguments makes."""
        pairs = zip(KINDS[kind].arguments, arguments, strict=True)
        return Change(kind, number, {argument.key: argument.to_json(value) for argument, value in pairs})

    def call(self, storage: Any, owner_id: int) -> Any:
        """Make the call. ``storage`` is one of Optuna's, or ``super()`` in one; ``owner_id`` the id there of the trial
        or study. Returns what the call returns."""
        kind = KINDS[self.kind]
        arguments = (argument.from_json(self.values[argument.key]) for argument in kind.arguments)
        return getattr(storage, kind.method)(owner_id, *arguments)

    def fold(self, others: Sequence[Change]) -> tuple[Change, int]:
        """Fold the parameter and attribute changes that follow a trial's creation into it, so that one transaction
        makes them. Returns the change and how many were folded."""
        if self.kind != "trial":
            return self, 0
        template, count = dict(self.values["template"]), 0
        for other in others:
            fills = KINDS[other.kind].fills
            if other.number != self.number or fills is None:
                break
            for part, values in fills(other.values).items():
                template[part] = template[part] | values
            count += 1
        return Change(self.kind, self.number, {"template": template}), count

    @property
    def ends_trial(self) -> bool:
        """True if a trial is finished by it."""
        return self.kind == "state" and TrialState[self.values["state"]].is_finished()

    @property
    def point(self) -> str:
        """Its kind in the name of a crash point."""
        return self.kind.replace(" ", "-")

    def to_json(self) -> str:
        """Return the change as one line."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Change:
        """Read back what ``to_json`` wrote.

        Raises:
            ValueError, TypeError: it is something else.
        """
        return Change(**json.loads(text))


class StoredStudy:
    """A study in its storage, in which changes are made. Trials have ids there; they are looked up once, because the
    storage looks through all trials for a number."""

    def __init__(self, storage: BaseStorage, study_id: int) -> None:
        self.storage, self.study_id = storage, study_id
        self._ids: dict[int, int] = {}

    def make(self, change: Change) -> None:
        """Make a change, or find it made.

        Raises:
            StorageError: another program has added a trial to the study.
            Exception: the storage cannot be used.
        """
        try:
            if change.number is None:
                change.call(self.storage, self.study_id)
            elif change.kind == "trial":
                self._make_trial(change, change.number)
            else:
                change.call(self.storage, self._trial_id(change.number))
        except UpdateFinishedTrialError:
            return  # its trial ended after it, so it was made then

    def _make_trial(self, change: Change, number: int) -> None:
        try:
            trial_id = self._trial_id(number)
        except KeyError:
            trial_id = change.call(self.storage, self.study_id)
        stored = self.storage.get_trial(trial_id)
        if stored.number != number or stored.system_attrs.get(MARK) != change.values["template"]["system_attrs"][MARK]:
            raise StorageError(
                f"only the study's runner adds trials, but another program made trial {number}",
                "end that program, then run the same command again",
            )
        self._ids[number] = trial_id

    def _trial_id(self, number: int) -> int:
        """Return the id of the trial with this number. Raises KeyError if there is none."""
        if number not in self._ids:
            self._ids[number] = self.storage.get_trial_id_from_study_id_trial_number(self.study_id, number)
        return self._ids[number]
