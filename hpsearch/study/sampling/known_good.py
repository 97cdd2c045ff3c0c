"""Configurations that are tried after the default one, before a sampler is asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from optuna.trial import FrozenTrial

from hpsearch.config.definition import StudyDefinition
from hpsearch.config.parameters import Parameter, is_number
from hpsearch.config.space import point_key
from hpsearch.study import attributes as attrs

# What fine-tunes that were published used, beside the default configuration's 2e-4 (QLoRA, up to 13B parameters):
# QLoRA for 33B and 65B (arXiv:2305.14314, appendix B), and LoRA for RoBERTa (arXiv:2106.09685, appendix D).
KNOWN_GOOD: tuple[Mapping[str, float], ...] = (
    {"learning_rate": 1e-4, "lora_r": 64},
    {"learning_rate": 5e-4, "lora_r": 8},
)


# In a study of more a sampler was asked, or its retries are past counting.
MOST_TRIALS = 1000
# What a trial that no sampler chose is marked with.
_MARKS = {attrs.IS_DEFAULT, attrs.CARRIED, attrs.TRY_FIRST}


def first_configurations(definition: StudyDefinition, known: bool = True) -> list[dict[str, Any]]:
    """What is tried after the default configuration: what the definition names, else, where ``known``, what is known to
    be good for the built-in training and lies in the search space. None twice, and none that is the default one."""
    if definition.search_mode == "grid" or (definition.try_first is None and not known):
        return []
    default = definition.default_params()
    named = _known_good(definition) if definition.try_first is None else definition.try_first
    found = {point_key(point): point for point in map(definition.point_of, named)}
    found.pop(point_key(default), None)
    return list(found.values())


def why_first(definition: StudyDefinition) -> str:
    """Why they are tried, in the words of ``attrs.FIRST``."""
    return attrs.FIRST[0 if definition.try_first is None else 1]


def next_first(definition: StudyDefinition, trials: Sequence[FrozenTrial], known: bool = True) -> dict[str, Any] | None:
    """The next of them; None where all were tried, or a sampler has been asked."""
    points = first_configurations(definition, known)
    if len(trials) > MOST_TRIALS or not points:
        return None
    asked = [trial for trial in trials if attrs.RETRY_OF not in trial.user_attrs]
    tried = sum(attrs.TRY_FIRST in trial.user_attrs for trial in asked)
    sampled = any(not _MARKS & trial.user_attrs.keys() for trial in asked)
    return None if sampled or tried >= len(points) else points[tried]


def _known_good(definition: StudyDefinition) -> list[dict[str, Any]]:
    space, rates = definition.search_space, [one["learning_rate"] for one in KNOWN_GOOD]
    if definition.command is not None or definition.sampler != "auto" or definition.search_mode != "bayesian":
        return []
    if not min(rates) <= definition.default_params().get("learning_rate", 0.0) <= max(rates):
        return []  # the definition knows better where to begin: its model is not of the usual kind
    return [
        {name: _nearest(space[name], value) for name, value in one.items() if name in space}
        for one in KNOWN_GOOD
        if "learning_rate" in space and space["learning_rate"].contains(one["learning_rate"])
    ]


def _nearest(parameter: Parameter, value: float) -> Any:
    comparable = all(is_number(each) for each in parameter.extremes())
    return parameter.nearest(value) if comparable else parameter.middle()
