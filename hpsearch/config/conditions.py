"""When a searched setting is searched: conditions on the other settings of the same trial.

A range with ``when`` is searched in those trials alone in which every setting that it names is itself searched or fixed
there and has one of the values given. In any other trial the setting is inactive: it has its ``otherwise``, and the
sampler never hears of it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    field_serializer,
    model_validator,
)
from pydantic.config import JsonDict

from hpsearch.config.json import canonical
from hpsearch.config.problems import BrokenRules, JsonPath, Problem, nearest_names, show

if TYPE_CHECKING:
    from hpsearch.config.parameters import Parameter

Space = Mapping[str, "Parameter"]
Scalar = StrictBool | StrictInt | StrictFloat | StrictStr

_EXAMPLE = 'write {"use_dora": true} or {"lora_r": [32, 64]}'
_SCALAR: JsonDict = {"type": ["boolean", "number", "string"]}
_VALUES: JsonDict = {"anyOf": [_SCALAR, {"type": "array", "minItems": 1, "items": _SCALAR}]}
# For editors: in JSON a value alone stands for a list of one.
_SCHEMA: JsonDict = {
    "anyOf": [{"type": "object", "minProperties": 1, "additionalProperties": _VALUES}, {"type": "null"}]
}


class Conditional(BaseModel):
    """The keys that a range of any type may have: when it is searched, what holds otherwise, and why it is so."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    when: dict[str, Annotated[tuple[Scalar, ...], Field(strict=False)]] | None = Field(
        None,
        description="Search it only in trials in which each of these settings has the value given, or one of a list of "
        "them; null: in every trial.",
        json_schema_extra=lambda schema: schema.update(_SCHEMA),
    )
    otherwise: Scalar | None = Field(
        None,
        description="Its value in trials in which it is not searched; null: the setting's default. A command's setting "
        "has none, so it is named here.",
    )
    why: str | None = Field(
        None, max_length=1_000, description="A note for people: why this range. It may change under a study."
    )

    def _rules(self) -> Iterable[Problem]:
        return ()

    @model_validator(mode="before")
    @classmethod
    def _read_condition(cls, data: Any) -> Any:
        return {**data, "when": _read(data["when"])} if isinstance(data, dict) and "when" in data else data

    @field_serializer("when")
    def _write_condition(self, when: dict[str, tuple[Any, ...]] | None) -> dict[str, Any] | None:
        return when and {name: values[0] if len(values) == 1 else values for name, values in when.items()}

    @model_validator(mode="after")
    def _hold(self) -> Conditional:
        broken = [*self._rules(), *self._idle_otherwise()]
        if broken:
            raise BrokenRules(broken)
        return self

    def _idle_otherwise(self) -> Iterable[Problem]:
        if self.when is None and self.otherwise is not None:
            rule = '"otherwise" of {name} is its value where "when" does not hold, but there is no "when"'
            yield Problem(("otherwise",), rule, 'delete it, or add "when"')


def _read(condition: Any) -> Any:
    """A condition with each single value as a list of one.

    Raises:
        BrokenRules: it is no object of values, or of lists of them.
    """
    if condition is None:
        return None
    if not isinstance(condition, Mapping) or not condition:
        rule = f'"when" of {{name}} is an object of settings and their values, but is {show(condition)}'
        raise BrokenRules([Problem(("when",), rule, _EXAMPLE)])
    read = {name: list(each) if isinstance(each, (list, tuple)) else [each] for name, each in condition.items()}
    wrong = [name for name, values in read.items() if not values or not all(map(_is_scalar, values))]
    if wrong:
        rule = "a condition names a number, a text, true or false, or several of them, but is {}"
        raise BrokenRules([Problem(("when", name), rule.format(show(condition[name])), _EXAMPLE) for name in wrong])
    return read


def in_order(space: Space) -> list[str]:
    """The searched settings, each after those that its condition names; else in the order of the space.

    Names on a cycle, and what hangs on them, are left out.
    """
    done: dict[str, None] = {}
    waiting = list(space)
    while waiting:
        ready = [
            name for name in waiting if all(parent in done or parent not in space for parent in parents(space, name))
        ]
        if not ready:
            break
        done |= dict.fromkeys(ready)
        waiting = [name for name in waiting if name not in done]
    return list(done)


def parents(space: Space, name: str) -> Collection[str]:
    """The settings that the condition of a searched one names; none where it has no condition."""
    return (space[name].when or {}).keys()


def conditions(space: Space) -> dict[str, Mapping[str, Collection[Any]]]:
    """The conditions of those that have one, in that order."""
    return {name: when for name in in_order(space) if (when := space[name].when)}


def is_active(parameter: Parameter, chosen: Mapping[str, Any]) -> bool:
    """Whether a range is searched beside the values ``chosen`` of the active settings before it."""
    return all(name in chosen and _among(chosen[name], values) for name, values in (parameter.when or {}).items())


def active(space: Space, params: Mapping[str, Any]) -> list[str]:
    """The settings that a configuration with these searched values searches, each after those it depends on."""
    chosen: dict[str, Any] = {}
    names = []
    for name in in_order(space):
        if is_active(space[name], chosen):
            names.append(name)
            chosen |= {name: params[name]} if name in params else {}
    return names


def needs(space: Space) -> dict[str, dict[str, list[Any]]]:
    """For each searched setting what must hold for it to be active: the values that each one above it may have then.

    Those on a cycle are left out.
    """
    found: dict[str, dict[str, list[Any]]] = {}
    for name in in_order(space):
        allowed: dict[str, list[Any]] = {}
        for parent, values in (space[name].when or {}).items():
            for each, possible in [(parent, list(values)), *found.get(parent, {}).items()]:
                allowed[each] = [value for value in possible if _among(value, allowed.get(each, possible))]
        found[name] = allowed
    return found


def settled(space: Space, fixed: Mapping[str, Any]) -> tuple[dict[str, Parameter], dict[str, Any]]:
    """The space without conditions on ``fixed`` settings, and without the ranges that those rule out.

    Returns:
        The ranges that are left, and what is fixed by those that are not: their ``otherwise``, where they have one.
    """
    kept: dict[str, Parameter] = {}
    gone: dict[str, Any] = {}
    for name in in_order(space):
        when = space[name].when or {}
        open_ = {parent: values for parent, values in when.items() if parent in space}
        ruled_out = any(not _among(fixed.get(parent), when[parent]) for parent in when if parent not in space)
        if ruled_out or any(parent in gone for parent in open_):
            gone[name] = space[name].otherwise
        else:
            kept[name] = _with_condition(space[name], open_)
    return {name: kept[name] for name in space if name in kept}, {n: v for n, v in gone.items() if v is not None}


def condition_problems(
    space: Space, fixed: Mapping[str, Any] | None, path: JsonPath = ("search_space",)
) -> list[Problem]:
    """What is wrong with conditions: names that are neither searched nor ``fixed`` (None: not known here), values that
    are not tried, cycles, and conditions that no trial can meet."""
    found = [
        Problem((*path, name, "when", parent), *broken)
        for name, parameter in space.items()
        for parent, values in (parameter.when or {}).items()
        for broken in _broken(parent, values, space, fixed)
    ]
    rule = "a condition leads to what is searched without it, but {} leads back to itself or to such a one"
    on_cycles = [name for name in space if name not in in_order(space)]
    found += [Problem((*path, name, "when"), rule.format(show(name)), "delete one condition") for name in on_cycles]
    return found or list(_never(space, path))


def without_otherwise(space: Space) -> list[Problem]:
    """Settings of a command for which nothing says what they are where their condition does not hold."""
    rule = "a command gets a value for each setting, but nothing says what {} is where its condition does not hold"
    return [
        Problem(("search_space", name), rule.format(show(name)), 'add "otherwise"')
        for name, parameter in space.items()
        if parameter.when is not None and parameter.otherwise is None
    ]


def _broken(
    parent: str, values: Sequence[Any], space: Space, fixed: Mapping[str, Any] | None
) -> Iterable[tuple[str, str]]:
    """The rule that a condition on one setting breaks, and the remedy."""
    if parent not in space:
        if fixed is not None and parent not in fixed:
            rule = f"a condition names another setting of the trial, but {show(parent)} is neither searched nor fixed"
            yield rule, nearest_names(parent, {*space, *fixed})
        return
    if space[parent].type in ("loguniform", "uniform"):
        rule = f"a condition names values that are tried exactly, but {show(parent)} has a continuous range"
        yield rule, 'make it "categorical" or "int", or delete the condition'
        return
    for value in values:
        if not space[parent].contains(value):
            rule = f"a condition names values that are tried, but {show(value)} is none of {show(parent)}'s"
            yield rule, f"use some of {show(space[parent].extremes())}, or add it there"


def _never(space: Space, path: JsonPath) -> Iterable[Problem]:
    """Settings for which the conditions on the way to them rule each other out."""
    for name, allowed in needs(space).items():
        for parent in [parent for parent, values in allowed.items() if not values][:1]:
            rule = f"{show(name)} is never searched: what it depends on asks for different values of {show(parent)}"
            yield Problem((*path, name, "when"), rule, "delete one condition")


def _with_condition(parameter: Parameter, when: Mapping[str, Any]) -> Parameter:
    if when:
        return parameter.model_copy(update={"when": dict(when)})
    return parameter.model_copy(update={"when": None, "otherwise": None})


def _among(value: Any, values: Iterable[Any]) -> bool:
    return any(canonical(value) == canonical(each) for each in values)


def _is_scalar(value: Any) -> bool:
    return isinstance(value, (bool, int, float, str))
