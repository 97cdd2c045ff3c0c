"""When a searched setting is searched: conditions on the other settings of the same trial.

A range with ``when`` is searched only in trials in which every setting that it names is active or fixed and has one of
the values given. In any other trial the setting is inactive: it has its ``otherwise``, and the sampler does not see it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from hpsearch.config.json import canonical
from hpsearch.config.parameters import Parameter
from hpsearch.config.problems import JsonPath, Problem, nearest_names, show

Space = Mapping[str, Parameter]


def in_order(space: Space) -> list[str]:
    """Return the searched settings, each after those that its condition names, else in the order of the space; without
    those on a cycle and their dependents."""
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
    """Return the settings that the condition of a searched one names; none where it has no condition."""
    return (space[name].when or {}).keys()


def conditions(space: Space) -> dict[str, Mapping[str, Collection[Any]]]:
    """Return the conditions of the settings that have one, in the order of ``in_order``."""
    return {name: when for name in in_order(space) if (when := space[name].when)}


def is_active(parameter: Parameter, chosen: Mapping[str, Any]) -> bool:
    """Return whether a range is searched beside the values ``chosen`` of the active settings before it."""
    return all(name in chosen and _among(chosen[name], values) for name, values in (parameter.when or {}).items())


def active(space: Space, params: Mapping[str, Any]) -> list[str]:
    """Return the settings that are active in a configuration of these values, each after those it depends on."""
    chosen: dict[str, Any] = {}
    names = []
    for name in in_order(space):
        if is_active(space[name], chosen):
            names.append(name)
            chosen |= {name: params[name]} if name in params else {}
    return names


def needs(space: Space) -> dict[str, dict[str, list[Any]]]:
    """Return for each searched setting the values that those above it may have while it is active; without the settings
    on a cycle."""
    needed: dict[str, dict[str, list[Any]]] = {}
    for name in in_order(space):
        allowed: dict[str, list[Any]] = {}
        for parent, values in (space[name].when or {}).items():
            for above, possible in [(parent, list(values)), *needed.get(parent, {}).items()]:
                allowed[above] = [value for value in possible if _among(value, allowed.get(above, possible))]
        needed[name] = allowed
    return needed


def settled(space: Space, fixed: Mapping[str, Any]) -> tuple[dict[str, Parameter], dict[str, Any]]:
    """Remove the conditions on ``fixed`` settings, and the ranges that those rule out.

    Returns:
        The ranges that are left, and the ``otherwise`` of those that are not, where they have one.
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
            kept[name] = space[name].model_copy(update={"when": open_} if open_ else {"when": None, "otherwise": None})
    return {name: kept[name] for name in space if name in kept}, {n: v for n, v in gone.items() if v is not None}


def condition_problems(
    space: Space, fixed: Mapping[str, Any] | None, path: JsonPath = ("search_space",)
) -> list[Problem]:
    """Find the problems of conditions: names that are neither searched nor ``fixed`` (None: not known here), values
    that are not tried, cycles, and conditions that no trial can meet."""
    problems = [
        Problem((*path, name, "when", parent), *broken)
        for name, parameter in space.items()
        for parent, values in (parameter.when or {}).items()
        for broken in _broken(parent, values, space, fixed)
    ]
    rule = "conditions form no cycle, but that of {} leads back to itself or to a cycle"
    on_cycles = [name for name in space if name not in in_order(space)]
    problems += [Problem((*path, name, "when"), rule.format(show(name)), "delete one condition") for name in on_cycles]
    for name, allowed in needs(space).items() if not problems else ():
        above = next((parent for parent, values in allowed.items() if not values), None)
        if above is not None:
            rule = f"{show(name)} is never searched: its conditions ask for different values of {show(above)}"
            problems.append(Problem((*path, name, "when"), rule, "delete one condition"))
    return problems


def without_otherwise(space: Space) -> list[Problem]:
    """Find a command's settings without a value for trials in which their condition does not hold."""
    rule = "a command gets a value for each setting, but nothing says what {} is where its condition does not hold"
    return [
        Problem(("search_space", name), rule.format(show(name)), 'add "otherwise"')
        for name, parameter in space.items()
        if parameter.when is not None and parameter.otherwise is None
    ]


def _broken(
    parent: str, values: Sequence[Any], space: Space, fixed: Mapping[str, Any] | None
) -> Iterable[tuple[str, str]]:
    """Return the rules that a condition on one setting breaks, with their remedies."""
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


def _among(value: Any, values: Iterable[Any]) -> bool:
    return any(canonical(value) == canonical(other) for other in values)
