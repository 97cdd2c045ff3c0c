"""A draft of a study and its search space for a machine, a model and rows, with the reason of each part.

Every number that is not the data's own has a source: measured here (docs/studies.md), or published, and then named.
They are the beginning of a search, not its result.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import ceil, log10
from typing import Any

from hpsearch.config.fit import FEW_ROWS, GB, MANY_ROWS, Resources
from hpsearch.config.lora_advice import usual_rate
from hpsearch.config.setting_rules import DECIDED_BY
from hpsearch.execution.survey_result import Survey
from hpsearch.execution.units import bytes_text

EVALUATIONS = 20  # of a trial, where it has enough steps
FEWEST_TRIALS, MOST_TRIALS, TRIALS_A_SETTING = 20, 40, 6
SLOW_ON_CPU = 1e9  # parameters

_PARTNERS = {**DECIDED_BY, **{second: first for first, second in DECIDED_BY.items()}}


@dataclass(frozen=True)
class Decision:
    """A setting's ``value``, or its range where ``is_range``; and the reason."""

    name: str
    value: Any
    why: str
    is_range: bool = False


@dataclass(frozen=True)
class Draft:
    """``decisions`` in reading order, the ``facts`` they follow from as (name, text), and ``notes`` on problems that no
    setting can fix."""

    facts: tuple[tuple[str, str], ...]
    decisions: tuple[Decision, ...]
    notes: tuple[str, ...]

    def space(self) -> dict[str, Any]:
        """Return the search space for a file, each range with its reason."""
        ranges = [decision for decision in self.decisions if decision.is_range]
        return {decision.name: {**decision.value, "why": decision.why} for decision in ranges}

    def study(self, space: str) -> dict[str, Any]:
        """Return the definition for a file; ``space`` names its search space. The reasons of the fixed settings are in
        its description, as JSON has no comments."""
        fixed = [decision for decision in self.decisions if not decision.is_range]
        reasons = "; ".join(f"{decision.name}: {decision.why}" for decision in fixed if decision.why != "given")
        values = {decision.name: decision.value for decision in fixed}
        return {"description": reasons, "search_space": space, **values}


def draft(survey: Survey, given: Mapping[str, Any]) -> Draft:
    """Draft a study. Settings that are ``given`` stay as they are, and their other names are left out.

    Raises:
        UsageError: the model does not fit in the device.
    """
    resources = Resources(survey)
    kept = [Decision(name, value, "given") for name, value in given.items()]
    made = [
        decision
        for part in (_memory, _pictures, _rate, _length, _lora)
        for decision in part(resources)
        if decision.name not in given and _PARTNERS.get(decision.name) not in given
    ]
    searched = [decision.name for decision in made if decision.is_range]
    search = [decision for decision in _search(resources, searched) if decision.name not in given]
    return Draft(tuple(_facts(survey)), (*kept, *made, *search), tuple(_notes(survey)))


def _facts(survey: Survey) -> Iterator[tuple[str, str]]:
    memory = f", {bytes_text(survey.memory)}" if survey.memory else ""
    yield "machine", f"{survey.gpu}{memory}" if survey.device != "cpu" else "no GPU"
    yield "model", f"{survey.family}, {survey.parameters:,} parameters"
    yield "rows", ", ".join(f"{count:,} {split}" for split, count in survey.rows.items())
    own = survey.sizings[0]
    yield "pictures", f"up to {survey.edge} pixels square, {own.picture} tokens of the usual one"
    yield "texts", f"{survey.answer} tokens of the usual one, {survey.longest_answer} of the longest"


def _notes(survey: Survey) -> Iterator[str]:
    yield from survey.warnings
    if survey.device == "cpu" and survey.parameters > SLOW_ON_CPU:
        yield (
            f"there is no GPU, and a step of a model of {survey.parameters / GB:.2g} billion parameters takes minutes "
            "on a CPU: run hpsearch init again where the search will run"
        )
    if survey.memory and not survey.bitsandbytes:
        yield "bitsandbytes is not installed, so 4-bit weights and 8-bit optimisers cannot be used: pip install it"
    if survey.rows["validation"] < 20:
        yield f"only {survey.rows['validation']} rows judge the trials: differences between them will mostly be random"


def _memory(resources: Resources) -> Iterator[Decision]:
    survey, memory = resources.survey, bytes_text(resources.survey.memory)
    whole, small = bytes_text(survey.weights), bytes_text(survey.weights_4bit)
    passes = "rows in a forward pass, halved where memory runs out"
    if not survey.memory:
        yield Decision("load_in_4bit", False, "there is no GPU: the base is loaded as it is")
        yield Decision("per_device_train_batch_size", resources.rows_a_pass, passes)
        return
    fits = f"of the GPU's {memory}, {whole} of weights in 16 bits leave room for a trial"
    short = (
        f"of the GPU's {memory}, {whole} of weights in 16 bits leave too little for a trial, {small} in 4 bits do not"
    )
    yield Decision("load_in_4bit", resources.four_bit, short if resources.four_bit else fits)
    kept, taken = (
        bytes_text(resources.activations(resources.largest, again)) for again in (False, resources.recompute)
    )
    yield Decision(
        "gradient_checkpointing", resources.recompute, f"kept, the longest row's activations take about {kept}"
    )
    yield Decision("per_device_train_batch_size", resources.rows_a_pass, f"{passes}; about {taken} of activations each")


def _pictures(resources: Resources) -> Iterator[Decision]:
    survey, own = resources.survey, resources.survey.sizings[0]
    if len(resources.sizings) > 1 or (resources.largest.setting and resources.largest.row != own.row):
        yield _size(resources)
    elif resources.largest.pan_and_scan:
        why = f"{survey.answer} tokens of text on {own.picture} visual ones"
        yield Decision("pan_and_scan", True, f"{why}: with crops there are {resources.largest.picture}")
    limit = resources.largest.row
    room = 256 * ceil(limit * 1.02 / 256)
    yield Decision("max_seq_length", room, f"the longest row has {limit} tokens; nothing is ever cut")


def _size(resources: Resources) -> Decision:
    """Decide the sizes of pictures to compare: the largest of those that fit and keep their text."""
    largest = resources.sizings[-3:]
    name = "max_pixels" if largest[0].max_pixels else "longest_edge"
    values = [getattr(sizing, name) for sizing in largest]
    tokens = ", ".join(f"{sizing.picture} tokens at {getattr(sizing, name)}" for sizing in largest)
    why = f"the largest picture is {resources.survey.edge} pixels square; the usual one has {tokens}"
    if len(values) == 1:
        return Decision(name, values[0], f"{why}; no other size both fits and keeps its text readable")
    return Decision(name, _choices(values, values[-1]), why, is_range=True)


def _rate(resources: Resources) -> Iterator[Decision]:
    batches, train = resources.batches, resources.train
    default = batches[len(batches) // 2]
    steps = " or ".join(str(ceil(train / size)) for size in batches)
    why = f"{train:,} training rows: {steps} steps an epoch"
    if len(batches) > 1:
        yield Decision("effective_batch_size", _choices(batches, default), why, is_range=True)
    else:
        yield Decision("effective_batch_size", batches[0], f"{why}; more rows a step would leave too few steps")
    if resources.is_small:
        low, high, start = 1e-4, 5e-2, 1e-3
        why = f"{resources.survey.parameters:,} parameters: so small a model learns at greater rates (docs/studies.md)"
    else:
        low, high, start = (
            _rounded(usual_rate(batches[0]) / 10), _rounded(usual_rate(batches[-1]) * 5), _rounded(usual_rate(default))
        )  # fmt: skip
        why = "2e-4 at a batch of 16 (arXiv:2305.14314), by the batch's square root (arXiv:2205.10287), / 10 to x 5"
    yield Decision(
        "learning_rate", {"type": "loguniform", "low": low, "high": high, "default": start}, why, is_range=True
    )


def _length(resources: Resources) -> Iterator[Decision]:
    low, high = resources.epochs
    train, longest = resources.train, high * ceil(resources.train / resources.batches[0])
    why = f"{train:,} training rows: at most {longest:,} steps; few rows take more passes, until learned by heart"
    yield Decision("num_train_epochs", {"type": "int", "low": low, "high": high}, why, is_range=True)
    if resources.train < MANY_ROWS:
        dropout = {"type": "uniform", "low": 0.0, "high": 0.1, "default": 0.0}
        why = f"{resources.train:,} training rows are few: dropout keeps them from being learned by heart"
        yield Decision("lora_dropout", dropout, why, is_range=True)


def _lora(resources: Resources) -> Iterator[Decision]:
    ranks, survey = resources.ranks, resources.survey
    least, most = (rank * resources.per_rank for rank in (ranks[0], ranks[-1]))
    why = (
        f"{least:,} to {most:,} trained parameters; quality hardly depends on the rank (arXiv:2305.14314, appendix A), "
        "memory does"
    )
    if len(ranks) > 1:
        yield Decision("lora_r", _choices(ranks, 16 if 16 in ranks else ranks[-1]), why, is_range=True)
    else:
        yield Decision("lora_r", ranks[0], why)
    yield Decision(
        "lora_alpha_ratio", 1, "lora_alpha = lora_r: the update's scale stays as it is while the rank changes"
    )
    if resources.tunes_vision:
        why = f"{resources.train:,} training rows can teach the vision tower; it helps where pages look unlike its own"
        yield Decision("finetune_vision_layers", _choices([False, True], False), why, is_range=True)
        if "merger" in survey.towers and survey.towers["merger"].per_rank:
            condition = _choices([False, True], False) | {"when": {"finetune_vision_layers": True}}
            why = "the layers between the towers, where the output of the vision tower changes"
            yield Decision("finetune_merger_layers", condition, why, is_range=True)
    else:
        few = f"{resources.train:,} training rows are too few to teach the vision tower"
        why = few if resources.train < FEW_ROWS else "the vision tower's activations do not fit beside the rest"
        yield Decision("finetune_vision_layers", False, why)


def _choices(choices: list[Any], default: Any) -> dict[str, Any]:
    return {"type": "categorical", "choices": choices, "default": default}


def _rounded(rate: float) -> float:
    """Round a rate to one digit, as people write it."""
    return round(rate, -int(log10(rate)) + 1)


def _search(resources: Resources, searched: Collection[str]) -> Iterator[Decision]:
    """Decide the trials, the evaluations, and no pruner where none of them can stop a trial."""
    trials = min(MOST_TRIALS, max(FEWEST_TRIALS, TRIALS_A_SETTING * len(searched)))
    yield Decision("n_trials", trials, f"{len(searched)} settings are searched")
    evaluations = min(EVALUATIONS, resources.steps)
    yield Decision("evaluations", evaluations, f"the shortest trial has {resources.steps} steps")
    if evaluations < 3:
        yield Decision("pruner", "none", "so short a trial cannot be stopped early")
