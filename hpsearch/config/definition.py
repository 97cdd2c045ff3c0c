"""The definition of one study: what is searched, what is fixed, what is best, and how the search goes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import Field

from hpsearch.config.command import fill
from hpsearch.config.conditions import Conditional
from hpsearch.config.fields import DEFAULT_TRIALS, StudyFields
from hpsearch.config.json import canonical
from hpsearch.config.names import resolved
from hpsearch.config.parameters import Parameter
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

# Files may move: what they hold shows in a fingerprint.
FREE_TO_CHANGE = ("input_data", "image_root", *WITHOUT_EFFECT)


class StudyDefinition(StudyFields):
    """A study, completely described. Made by ``from_flat``, which checks it.

    ``settings`` are the fixed settings: every setting of the built-in training that is not searched, defaults included;
    with a ``command``, the values named in the definition's "settings".
    """

    search_space: dict[str, Parameter] = Field(description="What is searched.")
    settings: dict[str, Any] = Field(description="What is fixed.")

    @classmethod
    def from_flat(
        cls,
        values: Mapping[str, Any],
        *,
        source: str = "definition",
        origins: Origins | None = None,
        searching: bool = True,
    ) -> StudyDefinition:
        """Read a flat definition. ``source`` or ``origins`` say in messages where the values were given.

        With ``searching`` false the definition may search nothing, and has no default search space.

        Raises:
            UsageError: it breaks a rule; the message has place, rule, values and remedy of each.
        """
        parsed = parse(values, origins or Origins(Origin(source)), searching=searching)
        fields = {name: getattr(parsed.fields, name) for name in StudyFields.model_fields}
        return cls.model_validate({**fields, "search_space": parsed.search_space, "settings": parsed.settings})

    def with_trainer(self, python: str | None) -> StudyDefinition:
        """The same study, run with another ``trainer_python``; unchanged for None.

        Raises UsageError with a ``command``, which the trainer would not run.
        """
        if python is None:
            return self
        values = resolved({**self.flat(), "trainer_python": python}, Path())
        return type(self).from_flat(values, source="--trainer-python")

    @property
    def steps(self) -> int | None:
        """Number of a trial's last step: the built-in training numbers its evaluations from 1; None: not known."""
        return self.last_step if self.command else int(self.settings.get("evaluations", 0)) or None

    def target(self) -> int | None:
        """Finished trials the study is after: ``n_trials``, else 20; None for all points of a grid."""
        if self.n_trials is None:
            return None if self.search_mode == "grid" else DEFAULT_TRIALS
        return self.n_trials

    def grid_size(self) -> int:
        """How many points the grid has. Raises UsageError where a range is continuous, or there are too many."""
        return grid_size(self.search_space)

    def default_params(self) -> dict[str, Any]:
        """The default configuration: the searched settings of trial 0.

        For a grid, its nearest point. Raises UsageError where the grid has none, or too many points.
        """
        make = default_grid_point if self.search_mode == "grid" else default_point
        return make(self.search_space, self._defaults())

    def point_of(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """The default configuration with some ``values`` in place of its own: what is active then."""
        return active_part(self.search_space, {**every_default(self.search_space, self._defaults()), **values})

    def searched_values(self) -> dict[str, list[Any]]:
        """Each searched setting's choices, or both ends of its range; and what it has where it is not searched."""
        found = {name: parameter.extremes() for name, parameter in self.search_space.items()}
        for name, parameter in self.search_space.items():
            inactive = inactive_value(parameter, self._defaults().get(name))
            if parameter.when and inactive not in found[name]:
                found[name].append(inactive)
        return found

    def variations(self) -> list[dict[str, Any]]:
        """What differs from the default configuration in others that have, between them, each choice and both ends of
        every searched setting."""
        start = self.trial_settings({}, 0)
        points = (self.trial_settings(point, 0) for point in variations(self.search_space, self._defaults()))
        changes = [{name: value for name, value in point.items() if value != start[name]} for point in points]
        return [change for change in changes if change]

    def every_default(self) -> dict[str, Any]:
        """The default of each searched setting, of those too that are inactive in the default configuration."""
        return every_default(self.search_space, self._defaults())

    def active_params(self, values: Mapping[str, Any]) -> dict[str, Any]:
        """Of a value for each searched setting those that are active beside each other."""
        return active_part(self.search_space, values)

    def searched_settings(self, params: Mapping[str, Any]) -> dict[str, Any]:
        """A value for every searched setting: ``params``, and what those have that are not searched beside them."""
        return every_value(self.search_space, params, self._defaults())

    def trial_settings(self, params: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """All settings of a trial. Searched settings that ``params`` leaves out are as in the default configuration;
        where their condition does not hold, they have their ``otherwise`` or the setting's default.

        ``seed`` is the trial's; a searched seed wins. Raises KeyError for a name that is not searched.
        """
        chosen = {name: self._as_written(name, value) for name, value in params.items()}
        values = {**self.settings, "seed": seed, **self.searched_settings(chosen)}
        return values if self.command else TrainSettings.model_validate(values, strict=True).model_dump()

    def best_config(self, params: Mapping[str, Any], seed: int) -> dict[str, Any]:
        """A trial's settings as a flat file that ``hpsearch train`` repeats it from: without what has no effect."""
        values = self.trial_settings(params, seed)
        if self.command is None:
            return {**complete(without_idle(values), ()), "seed": values["seed"]}
        own = {name: value for name, value in values.items() if name != "seed"}
        return {"command": list(self.command), "settings": own, "seed": values["seed"]}

    def fill_command(self, values: Mapping[str, Any], *, seed: int, **own: str | int) -> tuple[str, ...]:
        """The program's arguments for one trial, never a shell string; ``values`` are from ``trial_settings``, ``own``
        what else is reserved.

        Raises ValueError without a ``command``.
        """
        if self.command is None:
            raise ValueError("the definition has no command")
        return fill(self.command, {"seed": seed, **values, **own})

    def identity(self) -> dict[str, Any]:
        """What may not change under an existing study, as JSON. ``identity.diff_identity`` compares two of them."""
        return {
            "search_space": {
                name: {key: value for key, value in each.items() if key != "why"}
                for name, each in self._flat_space().items()
            },
            "settings": self._settings_of_identity(),
            "objective": self.objective.model_dump(),
            "command": None if self.command is None else list(self.command),
            "seed": self.seed,
        }

    def flat(self) -> dict[str, Any]:
        """The definition as flat JSON, complete: ``from_flat`` makes the same definition of it."""
        fields = self.model_dump(mode="json", include=set(StudyFields.model_fields), exclude_none=True)
        fields["pruner"] = self.pruner.flat()
        settings = {"settings": dict(self.settings)} if self.command else self.settings
        return {**fields, "search_space": self._flat_space(), **settings}

    def missing(self) -> str:
        """What has to be given before the study can run, and how; empty where nothing is missing."""
        if self.command is None and self.settings.get("input_data") is None and "input_data" not in self.search_space:
            return "the study needs data, but input_data is not given; name your rows with --input-data FILE"
        return ""

    def _settings_of_identity(self) -> dict[str, Any]:
        """The fixed settings, without those that may change under a study."""
        return {name: value for name, value in self.settings.items() if self.command or name not in FREE_TO_CHANGE}

    def _defaults(self) -> dict[str, Any]:
        """The settings' own defaults; a command's have none that are known."""
        return {} if self.command else defaults()

    def _as_written(self, name: str, value: Any) -> Any:
        """The value in the type its range has: a storage may give 8.0 for 8."""
        parameter = self.search_space[name]
        return parameter.nearest(value) if parameter.contains(value) else value

    def _flat_space(self) -> dict[str, Any]:
        ranges = {name: each.model_dump(mode="json", exclude_none=True) for name, each in self.search_space.items()}
        return {name: _in_writing_order(each) for name, each in ranges.items()}


def _in_writing_order(keys: Mapping[str, Any]) -> dict[str, Any]:
    """A range's keys as people write them: its type first, then its values, then when it is searched and why."""
    last = {name: keys[name] for name in Conditional.model_fields if name in keys}
    return {"type": keys["type"], **{name: value for name, value in keys.items() if name not in last}, **last}


# Comparing what may not change under an existing study: ``StudyDefinition.identity`` of two definitions.

_ABSENT = object()


def diff_identity(stored: Any, new: Any, name: str = "") -> list[str]:
    """One line for each difference: ``search_space.learning_rate.high: 0.0005 -> 0.001``."""
    if isinstance(stored, Mapping) and isinstance(new, Mapping):
        lines = []
        for key in sorted({*stored, *new}):
            inner = f"{name}.{key}" if name else str(key)
            lines += diff_identity(stored.get(key, _ABSENT), new.get(key, _ABSENT), inner)
        return lines
    return [] if _same(stored, new) else [f"{name}: {_shown(stored)} -> {_shown(new)}"]


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, (list, tuple)) and isinstance(other, (list, tuple)):
        return len(one) == len(other) and all(map(_same, one, other))
    return bool(canonical(one) == canonical(other))


def _shown(value: Any) -> str:
    return "(not given)" if value is _ABSENT else json.dumps(value, ensure_ascii=False)
