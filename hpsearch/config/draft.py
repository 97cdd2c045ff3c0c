"""A study and its search space, drafted for this machine, a model and rows, with the reason of each part."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from math import ceil, log10
from typing import Any

from hpsearch.config.fit import FEW_ROWS, GB, MANY_ROWS, Resources, gigabytes
from hpsearch.config.lora_advice import usual_rate
from hpsearch.config.setting_rules import DECIDED_BY
from hpsearch.execution.survey_result import Survey

# From what data, model and machine are like to settings and ranges, each with its reason.
#
# Every number that is not the data's own is somebody's: measured here (docs/studies.md), or published, and then named.
# They are where a search begins, not what is right: that is what the search is for.


@dataclass(frozen=True)
class Decision:
    """A setting's ``value``, or its range where ``is_range``; and why."""

    name: str
    value: Any
    why: str
    is_range: bool = False


def decide(sight: Resources) -> Iterator[Decision]:
    """Every decision, in the order in which people read them."""
    yield from _memory(sight)
    yield from _pictures(sight)
    yield from _rate(sight)
    yield from _length(sight)
    yield from _lora(sight)


def _memory(sight: Resources) -> Iterator[Decision]:
    survey, memory = sight.survey, gigabytes(sight.survey.memory)
    whole, small = gigabytes(survey.weights), gigabytes(survey.weights_4bit)
    passes = "rows in a forward pass, halved where memory runs out"
    if not survey.memory:
        yield Decision("load_in_4bit", False, "there is no GPU: the base is loaded as it is")
        yield Decision("per_device_train_batch_size", sight.rows_a_pass, passes)
        return
    fits = f"of the GPU's {memory}, {whole} of weights in 16 bits leave room for a trial"
    short = (
        f"of the GPU's {memory}, {whole} of weights in 16 bits leave too little for a trial, {small} in 4 bits do not"
    )
    yield Decision("load_in_4bit", sight.four_bit, short if sight.four_bit else fits)
    kept, taken = (gigabytes(sight.activations(sight.largest, each)) for each in (False, sight.recompute))
    yield Decision("gradient_checkpointing", sight.recompute, f"kept, the longest row's activations take about {kept}")
    yield Decision("per_device_train_batch_size", sight.rows_a_pass, f"{passes}; about {taken} of activations each")


def _pictures(sight: Resources) -> Iterator[Decision]:
    survey, own = sight.survey, sight.survey.sizings[0]
    if len(sight.sizings) > 1 or (sight.largest.setting and sight.largest.row != own.row):
        yield _size(sight)
    elif sight.largest.pan_and_scan:
        why = f"{survey.answer} tokens of text on {own.picture} visual ones"
        yield Decision("pan_and_scan", True, f"{why}: with crops there are {sight.largest.picture}")
    limit = sight.largest.row
    room = 256 * ceil(limit * 1.02 / 256)
    yield Decision("max_seq_length", room, f"the longest row has {limit} tokens; nothing is ever cut")


def _size(sight: Resources) -> Decision:
    """The sizes of pictures to compare: the largest of those that fit and keep their text."""
    largest = sight.sizings[-3:]
    name = "max_pixels" if largest[0].max_pixels else "longest_edge"
    values = [getattr(each, name) for each in largest]
    tokens = ", ".join(f"{each.picture} tokens at {getattr(each, name)}" for each in largest)
    why = f"the largest picture is {sight.survey.edge} pixels square; the usual one has {tokens}"
    if len(values) == 1:
        return Decision(name, values[0], f"{why}; no other size both fits and keeps its text readable")
    return Decision(name, _choices(values, values[-1]), why, is_range=True)


def _rate(sight: Resources) -> Iterator[Decision]:
    batches, train = sight.batches, sight.train
    default = batches[len(batches) // 2]
    steps = " or ".join(str(ceil(train / size)) for size in batches)
    why = f"{train:,} training rows: {steps} steps an epoch"
    if len(batches) > 1:
        yield Decision("effective_batch_size", _choices(batches, default), why, is_range=True)
    else:
        yield Decision("effective_batch_size", batches[0], f"{why}; more rows a step would leave too few steps")
    if sight.is_small:
        low, high, start = 1e-4, 5e-2, 1e-3
        why = f"{sight.survey.parameters:,} parameters: so small a model learns at greater rates (docs/studies.md)"
    else:
        low, high, start = (
            _rounded(usual_rate(batches[0]) / 10), _rounded(usual_rate(batches[-1]) * 5), _rounded(usual_rate(default))
        )  # fmt: skip
        why = "2e-4 at a batch of 16 (arXiv:2305.14314), by the batch's square root (arXiv:2205.10287), / 10 to x 5"
    yield Decision(
        "learning_rate", {"type": "loguniform", "low": low, "high": high, "default": start}, why, is_range=True
    )


def _length(sight: Resources) -> Iterator[Decision]:
    low, high = sight.epochs
    longest = high * ceil(sight.train / sight.batches[0])
    why = f"{sight.train:,} training rows: at most {longest:,} steps; few rows take more passes, until learned by heart"
    yield Decision("num_train_epochs", {"type": "int", "low": low, "high": high}, why, is_range=True)
    if sight.train < MANY_ROWS:
        dropout = {"type": "uniform", "low": 0.0, "high": 0.1, "default": 0.0}
        why = f"{sight.train:,} training rows are few: dropout keeps them from being learned by heart"
        yield Decision("lora_dropout", dropout, why, is_range=True)


def _lora(sight: Resources) -> Iterator[Decision]:
    ranks, survey = sight.ranks, sight.survey
    why = (
        f"{ranks[0] * sight.per_rank:,} to {ranks[-1] * sight.per_rank:,} trained parameters; quality hardly depends "
        "on the rank (arXiv:2305.14314, appendix A), memory does"
    )
    if len(ranks) > 1:
        yield Decision("lora_r", _choices(ranks, 16 if 16 in ranks else ranks[-1]), why, is_range=True)
    else:
        yield Decision("lora_r", ranks[0], why)
    yield Decision(
        "lora_alpha_ratio", 1, "lora_alpha = lora_r: the update's scale stays as it is while the rank changes"
    )
    if sight.tunes_vision:
        why = f"{sight.train:,} training rows can teach the vision tower; it helps where pages look unlike its own"
        yield Decision("finetune_vision_layers", _choices([False, True], False), why, is_range=True)
        if "merger" in survey.towers and survey.towers["merger"].per_rank:
            condition = _choices([False, True], False) | {"when": {"finetune_vision_layers": True}}
            why = "the layers between the towers, where what comes out of the vision tower changes"
            yield Decision("finetune_merger_layers", condition, why, is_range=True)
    else:
        few = f"{sight.train:,} training rows are too few to teach the vision tower"
        why = (
            few
            if sight.train < FEW_ROWS
            else "what the vision tower keeps for its gradients does not fit beside the rest"
        )
        yield Decision("finetune_vision_layers", False, why)


def _choices(choices: list[Any], default: Any) -> dict[str, Any]:
    return {"type": "categorical", "choices": choices, "default": default}


def _rounded(rate: float) -> float:
    """The rate with one digit, as people write it."""
    digits = -int(log10(rate)) + 1
    return round(rate, digits)


EVALUATIONS = 20  # of a trial, where it has as many steps
FEWEST_TRIALS, MOST_TRIALS, TRIALS_A_SETTING = 20, 40, 6
SLOW_ON_CPU = 1e9  # parameters

_PARTNERS = {**DECIDED_BY, **{second: first for first, second in DECIDED_BY.items()}}


@dataclass(frozen=True)
class Draft:
    """``decisions`` in the order in which people read them, the ``facts`` they follow from as (what, text), and
    ``notes`` on what no setting can mend."""

    facts: tuple[tuple[str, str], ...]
    decisions: tuple[Decision, ...]
    notes: tuple[str, ...]

    def space(self) -> dict[str, Any]:
        """The search space as a file has it, each range with its reason."""
        return {each.name: {**each.value, "why": each.why} for each in self.decisions if each.is_range}

    def study(self, space: str) -> dict[str, Any]:
        """The definition as a file has it; ``space`` is what it calls its search space. The reasons of what is fixed
        are in its description, as JSON has no comments."""
        fixed = [each for each in self.decisions if not each.is_range]
        reasons = "; ".join(f"{each.name}: {each.why}" for each in fixed if each.why != "given")
        return {"description": reasons, "search_space": space, **{each.name: each.value for each in fixed}}


def draft(survey: Survey, given: Mapping[str, Any]) -> Draft:
    """Draft a study. What is ``given`` stays as it is, and what another name of it would decide is left out.

    Raises:
        UsageError: the model does not fit in the device.
    """
    sight = Resources(survey)
    kept = [Decision(name, value, "given") for name, value in given.items()]
    made = [each for each in decide(sight) if not _is_given(each.name, given)]
    searched = [each.name for each in made if each.is_range]
    search = [each for each in _search(sight, searched) if each.name not in given]
    return Draft(tuple(_facts(survey)), (*kept, *made, *search), tuple(_notes(survey)))


def _is_given(name: str, given: Collection[str]) -> bool:
    return name in given or _PARTNERS.get(name) in given


def _search(sight: Resources, searched: Collection[str]) -> Iterator[Decision]:
    """How the search goes: trials, evaluations, and where none of them can stop a trial."""
    trials = min(MOST_TRIALS, max(FEWEST_TRIALS, TRIALS_A_SETTING * len(searched)))
    yield Decision("n_trials", trials, f"{len(searched)} settings are searched")
    evaluations = min(EVALUATIONS, sight.steps)
    yield Decision("evaluations", evaluations, f"the shortest trial has {sight.steps} steps")
    if evaluations < 3:
        yield Decision("pruner", "none", "so short a trial cannot be stopped early")


def _facts(survey: Survey) -> Iterator[tuple[str, str]]:
    memory = f", {gigabytes(survey.memory)}" if survey.memory else ""
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
        yield f"only {survey.rows['validation']} rows judge the trials: differences between them will mostly be chance"
