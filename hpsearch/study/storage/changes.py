"""Changes of a study as data: made in a storage once, however often that is tried, and kept in a file meanwhile.

A connection that breaks leaves open whether the last change was made. So each can be made again without harm: values
are set, not added to, and a trial is made only where its number is not there yet; a mark tells whether it is this one,
or that of a program which does not ask for the study's lease.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any

from optuna.distributions import distribution_to_json, json_to_distribution
from optuna.exceptions import UpdateFinishedTrialError
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpsearch.errors import StorageError

MARK = "hps:mark"  # system attribute of a trial: tells who made it


@dataclass(frozen=True)
class StoredStudy:
    """A study in its storage, which knows trials by ids; those that were asked for once are kept, because the storage
    looks through all trials for a number."""

    storage: BaseStorage
    study_id: int
    _ids: dict[int, int] = field(default_factory=dict)

    def trial_id(self, number: int) -> int:
        """The id of the trial with this number. Raises KeyError where there is none."""
        if number not in self._ids:
            self._ids[number] = self.storage.get_trial_id_from_study_id_trial_number(self.study_id, number)
        return self._ids[number]

    def add(self, number: int, trial_id: int) -> None:
        """Know a trial that was made."""
        self._ids[number] = trial_id


@dataclass(frozen=True)
class Change:
    """One change: its ``kind`` is a key of ``KINDS``, ``number`` the trial's (None: of the study itself), and
    ``values`` are fit for JSON."""

    kind: str
    number: int | None
    values: dict[str, Any]

    def with_what_follows(self, others: Sequence[Change]) -> tuple[Change, int]:
        """Where this makes a trial: one change that makes it with those of the ``others`` that follow at once and fill
        it, in one transaction, and the number of them; else itself."""
        if self.kind != "trial":
            return self, 0
        template, count = dict(self.values["template"]), 0
        for other in others:
            if other.number != self.number or other.kind not in _FILLS:
                break
            _FILLS[other.kind](template, other.values)
            count += 1
        return Change(self.kind, self.number, {"template": template}), count

    @property
    def point(self) -> str:
        """Its kind in the name of a crash point."""
        return self.kind.replace(" ", "-")

    def to_json(self) -> str:
        """The change as one line."""
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> Change:
        """Read back what ``to_json`` wrote.

        Raises:
            ValueError, TypeError: it is something else.
        """
        return Change(**json.loads(text))

    def make(self, study: StoredStudy) -> None:
        """Make the change in a study, or find it made.

        Raises:
            StorageError: another program has added a trial to the study.
            Exception: what the storage raises where it cannot be used.
        """
        try:
            KINDS[self.kind](study, self)
        except UpdateFinishedTrialError:
            return  # its trial was told after it, so it was made then


def _study_user_attr(study: StoredStudy, change: Change) -> None:
    study.storage.set_study_user_attr(study.study_id, **change.values)


def _study_system_attr(study: StoredStudy, change: Change) -> None:
    study.storage.set_study_system_attr(study.study_id, **change.values)


def _trial(study: StoredStudy, change: Change) -> None:
    template, number = trial_from_json(change.values["template"]), change.number or 0
    try:
        trial_id = study.trial_id(number)
    except KeyError:
        trial_id = study.storage.create_new_trial(study.study_id, template)
    there = study.storage.get_trial(trial_id)
    if there.number != number or there.system_attrs.get(MARK) != template.system_attrs[MARK]:
        raise StorageError(
            f"only the study's runner adds trials, but another program made trial {number}",
            "end that program, then run the same command again",
        )
    study.add(number, trial_id)


def _param(study: StoredStudy, change: Change) -> None:
    values = change.values
    distribution = json_to_distribution(values["distribution"])
    study.storage.set_trial_param(_id(study, change), values["name"], values["value"], distribution)


def _user_attr(study: StoredStudy, change: Change) -> None:
    study.storage.set_trial_user_attr(_id(study, change), **change.values)


def _system_attr(study: StoredStudy, change: Change) -> None:
    study.storage.set_trial_system_attr(_id(study, change), **change.values)


def _report(study: StoredStudy, change: Change) -> None:
    study.storage.set_trial_intermediate_value(_id(study, change), change.values["step"], change.values["value"])


def _state(study: StoredStudy, change: Change) -> None:
    state = TrialState[change.values["state"]]
    study.storage.set_trial_state_values(_id(study, change), state, change.values["values"])


def _id(study: StoredStudy, change: Change) -> int:
    return study.trial_id(change.number or 0)


KINDS: dict[str, Callable[[StoredStudy, Change], None]] = {
    "study user attr": _study_user_attr,
    "study system attr": _study_system_attr,
    "trial": _trial,
    "param": _param,
    "user attr": _user_attr,
    "system attr": _system_attr,
    "report": _report,
    "state": _state,
}


def _fill(place: str) -> Callable[[dict[str, Any], dict[str, Any]], None]:
    def fill(template: dict[str, Any], values: dict[str, Any]) -> None:
        template[place] = template[place] | {values["key"]: values["value"]}

    return fill


def _fill_param(template: dict[str, Any], values: dict[str, Any]) -> None:
    distribution = json_to_distribution(values["distribution"])
    external = distribution.to_external_repr(values["value"])
    template["params"] = template["params"] | {values["name"]: external}
    template["distributions"] = template["distributions"] | {values["name"]: values["distribution"]}


# What a trial may be made with, and how that is put into its template.
_FILLS: dict[str, Callable[[dict[str, Any], dict[str, Any]], None]] = {
    "param": _fill_param,
    "user attr": _fill("user_attrs"),
    "system attr": _fill("system_attrs"),
}


def trial_to_json(trial: FrozenTrial) -> dict[str, Any]:
    """A trial as a new one is made like it."""
    return {
        "state": trial.state.name,
        "values": trial.values,
        "params": trial.params,
        "distributions": {name: distribution_to_json(each) for name, each in trial.distributions.items()},
        "user_attrs": trial.user_attrs,
        "system_attrs": trial.system_attrs,
        "intermediate_values": {str(step): value for step, value in trial.intermediate_values.items()},
        "started": trial.datetime_start and trial.datetime_start.isoformat(),
        "ended": trial.datetime_complete and trial.datetime_complete.isoformat(),
    }


def trial_from_json(values: dict[str, Any]) -> FrozenTrial:
    """Read back what ``trial_to_json`` wrote; number and id are the storage's to give."""
    trial = create_trial(
        state=TrialState[values["state"]],
        values=values["values"],
        params=values["params"],
        distributions={name: json_to_distribution(each) for name, each in values["distributions"].items()},
        user_attrs=values["user_attrs"],
        system_attrs=values["system_attrs"],
        intermediate_values={int(step): value for step, value in values["intermediate_values"].items()},
    )
    trial.datetime_start = values["started"] and datetime.fromisoformat(values["started"])
    trial.datetime_complete = values["ended"] and datetime.fromisoformat(values["ended"])
    return trial
