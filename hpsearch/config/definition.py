"""The definition of one study: searched and fixed settings, the objective, and the search itself."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from hpsearch.config.command import fill
from hpsearch.config.fields import DEFAULT_TRIALS, StudyFields
from hpsearch.config.json import canonical
from hpsearch.config.names import resolved
from hpsearch.config.parameters import Conditional, Parameter
from hpsearch.config.parse import parse
from hpsearch.config.problems import Origin, Origins
from hpsearch.config.setting_rules import complete, defaults, without_idle
from hpsearch.config.space import (
    active_part,
    default_grid_point,
    default_point,
    every_default,
    every_value,
    grid_size,
    inactive_value,
    variations,
)
from hpsearch.settings import WITHOUT_EFFECT, TrainSettings

# Files may move: their contents are in a fingerprint.
FREE_TO_CHANGE = ("input_data", "image_root", *WITHOUT_EFFECT)


class StudyDefinition(StudyFields):
    """A study, completely described. Made by ``from_flat``, which checks it.

    ``settings`` are the fixed settings: every setting of the built-in training that is not searched, defaults included;
    with a ``command``, the values named in the definition's "settings".
    """

    search_space: dict[str, Parameter] = Field(description="Ranges of the searched settings.")
    settings: dict[str, Any] = Field(description="Values of the fixed settings.")

    @classmethod
    def from_flat(
        cls,
        values: Mapping[str, Any],
        *,
        source: str = "definition",
        origins: Origins | None = None,
        searching: bool = True,
    ) -> StudyDefinition:
        """Read a flat definition. ``source`` or ``origins`` name the places of the values in messages.

        With ``searching`` false the definition may search nothing, and has no default search space.

        Raises:
            UsageError: it breaks rules; the message has place, rule, values and remedy of each.
        """
        parsed = parse(values, origins or Origins(Origin(source)), searching=searching)
        fields = {name: getattr(parsed.fields, name) for name in StudyFields.model_fields}
        return cls.model_validate({**fields, "search_space": parsed.search_space, "settings": parsed.settings})

    def with_trainer(self, python: str | None) -> StudyDefinition:
        """Return the same study, run with another ``trainer_python``; unchanged for None.

        Raises UsageError with a ``command``, which the trainer does not run.
        """
        if python is None:
            return self
        values = resolved({**self.flat(), "trainer_python": python}, Path())
        return type(self).from_flat(values, source="--trainer-python")

    def with_pruner(self, target: int | None, is_limited: bool = False) -> StudyDefinition:
        """Return the same study with the pruner that "auto" means in a new one of ``target`` trials, or of a budget of
        time or GPU-hours."""
        return self.model_copy(update={"pruner": self.pruner.settled(target, is_limited)})

    @property
    def steps(self) -> int | None:
        """Number of a trial's last step; the built-in training numbers its evaluations from 1. None: not known."""
        return self.last_step if self.command else int(self.settings.get("evaluations", 0)) or None

    def target(self) -> int | None:
        """Return the number of finished trials the study is to have: ``n_trials``, else 20; None for all of a grid."""
        if self.n_trials is None:
            return None if self.search_mode == "grid" else DEFAULT_TRIALS
        return self.n_trials

    def grid_size(self) -> int:
        """Count the points of the grid. Raises UsageError where a range is continuous, or there are too many."""
        return grid_size(self.search_space)

    def default_params(self) -> dict[str, Any]:
        """Return the default configuration: the searched settings of trial 0.

        For a grid, its nearest point. Raises UsageError where the grid has none, or too many points.
        """
        make = default_grid_point if self.search_mode == "grid" else default_point
        return make(self.search_space, self._defaults())

    def point_of(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return the default configuration with ``values`` in place of its own: the settings that are active then."""
        return active_part(self.search_space, {**every_default(self.search_space, self._defaults()), **values})

    def searched_values(self) -> dict[str, list[Any]]:
        """Return each searched setting's choices, or both ends of its range, and its value while it is inactive."""
        values = {name: parameter.extremes() for name, parameter in self.search_space.items()}
        for name, parameter in self.search_space.items():
            inactive = inactive_value(parameter, self._defaults().get(name))
            if parameter.when and inactive not in values[name]:
                values[name].append(inactive)
        return values

    def variations(self) -> list[dict[str, Any]]:
        """Return the differences from the default configuration of others that cover each choice and both ends of every
        searched setting."""
        start = self.trial_settings({}, 0)
        points = (self.trial_settings(point, 0) for point in variations(self.search_space, self._defaults()))
        changes = [{name: value for name, value in point.items() if value != start[name]} for point in points]
        return [change for change in changes if change]

    def every_default(self) -> dict[str, Any]:
        """Return the default of each searched setting, also of those inactive in the default configuration."""
        return every_default(self.search_space, self._defaults())

    def active_params(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Return those of ``values`` (one for each searched setting) that are active beside each other."""
        return active_part(self.search_space, values)

    def searched_settings(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """Return a value for every searched setting: ``params``, and the values of the inactive ones beside them."""
        return every_value(self.search_space, params, self._defaults())

    def trial_settings(self, params: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """Return all settings of a trial. Searched settings that ``params`` leaves out are as in the default
        configuration; where their condition does not hold, they have their ``otherwise`` or the setting's default.

        ``seed`` is the trial's; a searched seed wins. Raises KeyError for a name that is not searched.
        """
        chosen = {}
        for name, value in params.items():  # in the type of its range: a storage may give 8.0 for 8
            parameter = self.search_space[name]
            chosen[name] = parameter.nearest(value) if parameter.contains(value) else value
        values = {**self.settings, "seed": seed, **self.searched_settings(chosen)}
        return values if self.command else TrainSettings.model_validate(values, strict=True).model_dump()

    def best_config(self, params: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """Return a trial's settings as a flat file from which ``hpsearch train`` repeats it: those that have an
        effect."""
        values = self.trial_settings(params, seed)
        if self.command is None:
            return {**complete(without_idle(values), ()), "seed": values["seed"]}
        own = {name: value for name, value in values.items() if name != "seed"}
        return {"command": list(self.command), "settings": own, "seed": values["seed"]}

    def fill_command(self, values: Mapping[str, Any], *, seed: int, **own: str | int) -> tuple[str, ...]:
        """Return the program's arguments for one trial, never a shell string; ``values`` are from ``trial_settings``,
        ``own`` the other reserved names.

        Raises ValueError without a ``command``.
        """
        if self.command is None:
            raise ValueError("the definition has no command")
        return fill(self.command, {"seed": seed, **values, **own})

    def identity(self) -> dict[str, Any]:
        """Return the part that may not change under an existing study, as JSON. ``diff_identity`` compares two."""
        space = self._flat_space()
        return {
            "search_space": {name: {k: v for k, v in range_.items() if k != "why"} for name, range_ in space.items()},
            "settings": {n: v for n, v in self.settings.items() if self.command or n not in FREE_TO_CHANGE},
            "objective": self.objective.model_dump(),
            "command": None if self.command is None else list(self.command),
            "seed": self.seed,
        }

    def flat(self) -> dict[str, Any]:
        """Return the definition as flat JSON, complete: ``from_flat`` makes the same definition of it."""
        fields = self.model_dump(mode="json", include=set(StudyFields.model_fields), exclude_none=True)
        fields["pruner"] = self.pruner.flat()
        settings = {"settings": dict(self.settings)} if self.command else self.settings
        return {**fields, "search_space": self._flat_space(), **settings}

    def missing(self) -> str:
        """Return the message about values that the study needs before it can run; empty where nothing is missing."""
        if self.command is None and self.settings.get("input_data") is None and "input_data" not in self.search_space:
            return "the study needs data, but input_data is not given; name your rows with --input-data FILE"
        return ""

    def _defaults(self) -> dict[str, Any]:
        """Return the settings' own defaults; those of a command are not known."""
        return {} if self.command else defaults()

    def _flat_space(self) -> dict[str, Any]:
        """Return the ranges with their keys as people write them: the type, the values, the condition and the note."""
        space = {}
        for name, parameter in self.search_space.items():
            keys = parameter.model_dump(mode="json", exclude_none=True)
            last = {key: keys.pop(key) for key in Conditional.model_fields if key in keys}
            space[name] = {"type": keys.pop("type"), **keys, **last}
        return space


_ABSENT = object()


def diff_identity(stored: Any, new: Any, name: str = "") -> list[str]:
    """Compare two identities. Returns a line for each difference: ``search_space.learning_rate.high: 0.0005 ->
    0.001``."""
    if isinstance(stored, Mapping) and isinstance(new, Mapping):
        lines = []
        for key in sorted({*stored, *new}):
            inner = f"{name}.{key}" if name else str(key)
            lines += diff_identity(stored.get(key, _ABSENT), new.get(key, _ABSENT), inner)
        return lines
    if _same(stored, new):
        return []
    old, current = (
        "(not given)" if value is _ABSENT else json.dumps(value, ensure_ascii=False) for value in (stored, new)
    )
    return [f"{name}: {old} -> {current}"]


def _same(value: Any, other: Any) -> bool:
    if isinstance(value, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(value) == len(other) and all(map(_same, value, other))
    return bool(canonical(value) == canonical(other))
