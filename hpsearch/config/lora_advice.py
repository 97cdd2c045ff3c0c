"""Common mistakes in a search for LoRA settings: each is allowed, and has cost somebody a night."""

from __future__ import annotations

from collections.abc import Iterator
from math import sqrt
from typing import Any

from hpsearch.assets import PREFIX
from hpsearch.config.conditions import needs
from hpsearch.config.definition import StudyDefinition
from hpsearch.config.fields import REPORTED_METRICS
from hpsearch.config.problems import show
from hpsearch.config.setting_rules import defaults

# The scale of the update, lora_alpha / lora_r, that is published: 16 / 64 in QLoRA (arXiv:2305.14314) to 32 / 4 in LoRA
# (arXiv:2106.09685, table 11); a factor beyond on both sides.
LEAST_SCALE, MOST_SCALE = 1 / 16, 16
# QLoRA's learning rate for models up to 13B and its batch. With Adam the best rate goes with the square root of the
# batch (arXiv:2205.10287).
USUAL_RATE, USUAL_BATCH = 2e-4, 16
FAR_BELOW, FAR_ABOVE = 20, 10  # times the usual rate: below it LoRA hardly moves, above it most trainings diverge
BATCHES_APART = 4  # times: from there on the best learning rates differ by 2
SELDOM = 4  # trials with a conditional setting, under which nothing is learned of it

# Settings that change time and memory, but not the result.
IDLE = {
    "max_seq_length": "it is a limit that is checked, and nothing is ever cut",
    "eval_batch_size": "it is how many rows are read at once",
    "cpu_threads": "it changes the time alone",
    "gradient_checkpointing": "it trades time for memory",
}


def lora_advice(definition: StudyDefinition, target: int | None) -> Iterator[str]:
    """Return warnings about a search of the built-in training for ``target`` finished trials, each one sentence."""
    yield from _scale(definition)
    yield from _same_thing_twice(definition)
    yield from _rate(definition)
    yield from _compared_at_one_rate(definition)
    yield from _idle(definition)
    yield from _seldom(definition, target)


def _scale(definition: StudyDefinition) -> Iterator[str]:
    """Warn of an alpha that does not suit the rank."""
    if definition.search_space.keys() & {"lora_alpha", "lora_alpha_ratio"}:
        return  # then the corners of the space are the search's to leave
    for rank in (min(_values(definition, "lora_r")), max(_values(definition, "lora_r"))):
        ratio = definition.settings.get("lora_alpha_ratio")
        alpha = definition.settings["lora_alpha"] if ratio is None else ratio * rank
        with_root = _values(definition, "use_rslora") == [True]
        scale = alpha / (sqrt(rank) if with_root else rank)
        if not LEAST_SCALE <= scale <= MOST_SCALE:
            by = "the square root of lora_r" if with_root else "lora_r"
            yield (
                f"lora_alpha={alpha:g} with lora_r={rank} multiplies the update by {scale:.3g} (lora_alpha / {by}), "
                "where 0.25 to 8 is usual; "
                + ("lower lora_alpha" if with_root else "write lora_alpha_ratio, 1 or 2, instead of lora_alpha")
            )
            return


def _same_thing_twice(definition: StudyDefinition) -> Iterator[str]:
    """Warn of settings searched together that have nearly the same effect."""
    searched = definition.search_space.keys()
    scale = next((name for name in ("lora_alpha_ratio", "lora_alpha") if name in searched), None)
    if scale and "learning_rate" in searched and (scale == "lora_alpha_ratio" or "lora_r" not in searched):
        yield (
            f"{scale} and learning_rate are both searched, but with Adam they do nearly the same "
            f"(arXiv:2106.09685, 4.1): fix {scale}, and the trials go to the other settings"
        )
    if {"per_device_train_batch_size", "gradient_accumulation_steps"} <= searched:
        yield (
            "per_device_train_batch_size and gradient_accumulation_steps are both searched, but only their product "
            "changes the result: search effective_batch_size instead"
        )


def _rate(definition: StudyDefinition) -> Iterator[str]:
    """Warn of learning rates that are far from the usual ones for LoRA at these batches."""
    smallest, largest = _effective_batches(definition)
    if str(definition.settings["model_name"]).startswith(PREFIX) or "sgd" in _values(definition, "optim"):
        return  # a model of a few layers learns at rates that would ruin a large one
    rates, least, most = _values(definition, "learning_rate"), usual_rate(smallest), usual_rate(largest)
    at = f"at an effective batch of {smallest}" + (f" to {largest}" if largest > smallest else "")
    if max(rates) < least / FAR_BELOW:
        yield (
            f"every learning_rate is at most {max(rates):g}, as for training all weights: LoRA needs about ten times "
            f"as much, around {least:.1g} {at}"
        )
    if min(rates) > most * FAR_ABOVE:
        yield (
            f"every learning_rate is at least {min(rates):g}, where most trainings diverge {at}: "
            f"around {most:.1g} is usual"
        )


def usual_rate(batch: int) -> float:
    """Return the usual learning rate for LoRA at an effective batch of ``batch`` rows."""
    return USUAL_RATE * sqrt(batch / USUAL_BATCH)


def _compared_at_one_rate(definition: StudyDefinition) -> Iterator[str]:
    """Warn of batches or optimisers compared at learning rates that suit one of them."""
    smallest, largest = _effective_batches(definition)
    if largest >= BATCHES_APART * smallest and "learning_rate" not in definition.search_space:
        yield (
            f"effective batches of {smallest} to {largest} are compared at one learning_rate, which suits one of them "
            "(with Adam the best goes with the square root of the batch, arXiv:2205.10287): search learning_rate too"
        )
    optimisers = _values(definition, "optim")
    if "sgd" in optimisers and len(optimisers) > 1 and "learning_rate" in definition.search_space:
        yield (
            "sgd is compared with other optimisers over the same learning rates, but needs far greater ones: "
            "search it in a study of its own"
        )


def _idle(definition: StudyDefinition) -> Iterator[str]:
    """Warn of searched settings that change no result, where the objective is a result."""
    if not REPORTED_METRICS.get(definition.objective.metric, ("", False))[1]:
        return  # the objective is time or memory
    known = dict(IDLE)
    if _values(definition, "effective_batch_size") != [None]:
        known["per_device_train_batch_size"] = "with effective_batch_size it is how many rows go through at once"
    for name in definition.search_space:
        if name in known:
            yield f"{show(name)} is searched, but changes no result: {known[name]}; fix it"
    if "seed" in definition.search_space:
        yield '"seed" is searched: the best one is the luckiest, and no better on other rows; fix it'


def _seldom(definition: StudyDefinition, target: int | None) -> Iterator[str]:
    """Warn of settings whose conditions too few trials meet for the search to learn of them."""
    for name, allowed in needs(definition.search_space).items():
        share = 1.0
        for parent, values in allowed.items():
            share *= len(values) / len(definition.search_space[parent].grid_values())
        if allowed and target is not None and definition.search_mode != "grid" and share * target < SELDOM:
            condition = " and ".join(f"{above} is {' or '.join(map(show, own))}" for above, own in allowed.items())
            yield (
                f"{show(name)} is searched where {condition}, which about {share * target:.0f} of {target} trials "
                "meet by chance: too few to learn from; make its condition wider, or n_trials greater"
            )


def _values(definition: StudyDefinition, name: str) -> list[Any]:
    """Return the extremes or choices of a searched setting, or the value of any other."""
    return definition.searched_values().get(name) or [definition.settings.get(name, defaults()[name])]


def _effective_batches(definition: StudyDefinition) -> tuple[int, int]:
    """Return the smallest and the largest number of rows in an optimiser step."""
    given = _values(definition, "effective_batch_size")
    sizes = [size for size in given if size is not None]
    if None in given:
        rows, passes = (
            _values(definition, name) for name in ("per_device_train_batch_size", "gradient_accumulation_steps")
        )
        sizes += [min(rows) * min(passes), max(rows) * max(passes)]
    return min(sizes), max(sizes)
