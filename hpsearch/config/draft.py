"""A study and its search space, drafted for this machine, a model and rows, with the reason of each part."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hpsearch.config.draft_rules import Decision, decide
from hpsearch.config.fit import GB, Sight, gigabytes
from hpsearch.config.setting_rules import DECIDED_BY
from hpsearch.execution.survey_result import Survey

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
    sight = Sight(survey)
    kept = [Decision(name, value, "given") for name, value in given.items()]
    made = [each for each in decide(sight) if not _is_given(each.name, given)]
    searched = [each.name for each in made if each.is_range]
    search = [each for each in _search(sight, searched) if each.name not in given]
    return Draft(tuple(_facts(survey)), (*kept, *made, *search), tuple(_notes(survey)))


def _is_given(name: str, given: Collection[str]) -> bool:
    return name in given or _PARTNERS.get(name) in given


def _search(sight: Sight, searched: Collection[str]) -> Iterator[Decision]:
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
