"""Warnings about a definition: allowed, but probably not meant."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from hpsearch.config.command import placeholders
from hpsearch.config.definition import StudyDefinition
from hpsearch.config.fields import REPORTED_METRICS
from hpsearch.config.lora_advice import lora_advice
from hpsearch.config.parameters import Uniform
from hpsearch.config.problems import show
from hpsearch.config.setting_rules import ADAPTED
from hpsearch.config.space import space_size
from hpsearch.errors import UsageError

DEAR_POINTS = 144  # of a grid: at ten minutes a trial, a day


def advice(definition: StudyDefinition, target: int | None = None) -> list[str]:
    """Return warnings about a definition, each one sentence with its remedy. ``target`` is the number of trials where
    an option gives it instead of the definition."""
    if not target:
        target = definition.target()
        target = _points(definition) if target is None else target
    definition = definition.with_pruner(target)
    return [
        *_size(definition, target),
        *_pruner(definition, target),
        *_objective(definition),
        *_space(definition),
        *_rest(definition),
        *(lora_advice(definition, target) if definition.command is None else ()),
    ]


def _size(definition: StudyDefinition, wanted: int | None) -> Iterator[str]:
    points = _points(definition)
    if points is None or wanted is None:
        return
    if definition.search_mode != "grid":
        if points < wanted:
            yield (
                f"the search space has only {points} different points, fewer than the {wanted} trials: "
                "some will repeat others; search with --search-mode grid to try each once"
            )
    elif wanted < points:
        yield f"the grid has {points} points, but n_trials is {wanted}: {points - wanted} of them will not be tried"
    elif wanted > points:
        yield f"the grid has {points} points: the search ends there, before n_trials={wanted}"
    elif points > DEAR_POINTS:
        yield (
            f"the grid has {points:,} points, all of them to be tried: {points / 144:.2g} days at ten minutes a trial; "
            "use fewer values, or --search-mode bayesian with as many trials as you can pay for"
        )


def _points(definition: StudyDefinition) -> int | None:
    """Count the different points of the space; None for infinitely many, or too many to matter."""
    try:
        return space_size(definition.search_space, grid=definition.search_mode == "grid")
    except UsageError:
        return None


def _pruner(definition: StudyDefinition, target: int | None) -> Iterator[str]:
    pruner = definition.pruner
    if pruner.type == "none":
        return
    if definition.steps is not None:
        yield from too_long_warmup(definition, definition.steps)
    if pruner.type in ("curve", "median", "percentile") and target and 1 < target <= pruner.n_startup_trials:
        fewer = max(1, target // 4)
        yield (
            f"the {pruner.type} pruner can never stop a trial: n_startup_trials={pruner.n_startup_trials}, "
            f"but the study ends after {target} trials; use {fewer} (--set pruner.n_startup_trials={fewer})"
        )
    metric = definition.objective.metric
    if definition.command is None and not REPORTED_METRICS.get(metric, ("", True))[1]:
        yield (
            f'the {pruner.type} pruner can never stop a trial: "{metric}" is reported at the end only; '
            "say so with --set pruner=none"
        )


def too_long_warmup(definition: StudyDefinition, steps: int) -> list[str]:
    """Warn that trials of this number of steps end before the pruner may stop them; empty where they do not."""
    pruner = definition.pruner.settled(None)
    if pruner.type == "none" or (pruner.warmup(steps) < steps and steps > 1):
        return []
    if steps < 2:
        why = "a trial reports no more than its last step"
        return [f"the {pruner.type} pruner can never stop a trial: {why}; report more, or say --set pruner=none"]
    fifth = max(1, steps // 5)
    return [
        f"the {pruner.type} pruner can never stop a trial: n_warmup_steps={pruner.warmup(steps)}, but a trial has "
        f"{steps} steps; use {fifth} (--set pruner.n_warmup_steps={fifth})"
    ]


def _objective(definition: StudyDefinition) -> Iterator[str]:
    metric, direction = definition.objective.metric, definition.objective.direction
    usual = REPORTED_METRICS.get(metric, (direction, True))[0]
    if direction != usual:
        yield f'the search will {direction} "{metric}", which is better the other way; is "{usual}" meant?'


def _space(definition: StudyDefinition) -> Iterator[str]:
    for name, parameter in definition.search_space.items():
        if len(set(map(repr, parameter.extremes()))) == 1 and definition.search_mode != "grid":
            yield f"{show(name)} is searched, but has one value, {show(parameter.extremes()[0])}: fix it"
        if not isinstance(parameter, Uniform) or parameter.low <= 0:
            continue
        if name == "learning_rate" or parameter.high / parameter.low >= 100:
            yield (
                f'"{name}" goes from {parameter.low:g} to {parameter.high:g} on a linear scale, '
                'where small values are hardly tried; use "type": "loguniform"'
            )


def _rest(definition: StudyDefinition) -> Iterator[str]:
    if definition.command is not None:
        unused = sorted(set(definition.search_space) - placeholders(definition.command))
        for name in unused:
            yield (
                f'"{name}" is searched, but the command has no {{{name}}}: the program gets it only in the job file '
                "(hpsearch.sdk.job().settings)"
            )
        return
    data = definition.settings["input_data"]
    if data is not None and Path(data).is_absolute() and not Path(data).exists():
        yield f"there is nothing at input_data {data} on this machine"
    values = {name: [value] for name, value in definition.settings.items()} | definition.searched_values()
    for group in ADAPTED:
        if all(False in values.get(name, ()) for name in group) and set(group) & set(definition.search_space):
            yield f"{', '.join(group)} may all be false: such trials adapt nothing and end as invalid; fix one"
    steps, evaluations = definition.settings.get("max_steps"), definition.settings.get("evaluations")
    if steps is not None and evaluations is not None and steps < evaluations:  # eval_steps leaves evaluations out
        yield f"max_steps={steps} is fewer than the {evaluations} evaluations a trial should make"
