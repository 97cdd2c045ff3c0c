"""The types of a searched setting: what values it may take, and which a grid tries."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import Field, model_validator

from hpsearch.config.conditions import Conditional, Scalar
from hpsearch.config.json import canonical, is_number
from hpsearch.config.problems import BrokenRules, Problem, show
from hpsearch.errors import UsageError

if TYPE_CHECKING:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution


# Comparing values of settings: which are equal, and which is nearest.


def nearest_of(values: Sequence[Any], wanted: Any, is_log: bool) -> Any:
    """The one of ``values`` nearest to ``wanted`` (the first of equals); the first where they cannot be compared."""
    if not is_number(wanted) or not all(map(is_number, values)):
        return next((value for value in values if canonical(value) == canonical(wanted)), values[0])
    if is_log and wanted > 0:
        return min(values, key=lambda value: abs(math.log(value) - math.log(wanted)))
    return min(values, key=lambda value: abs(value - wanted))


MAX_GRID_POINTS = 10_000  # of one axis and of the whole grid
MAX_INTEGER = 2**53  # storages keep numbers as doubles: beyond this, neighbours are the same number
_SIGNIFICANT_DIGITS = 12  # of computed grid values, so that every machine's pow() gives the same points


class _Continuous(Conditional):
    """A range of real numbers, both ends included."""

    low: float = Field(description="Smallest value.")
    high: float = Field(description="Largest value.")
    default: float | None = Field(None, description="Value in the study's default configuration (trial 0).")
    values: Annotated[tuple[float, ...], Field(strict=False, min_length=1)] | None = Field(
        None, description="Values that a grid tries."
    )
    points: int | None = Field(
        None,
        ge=2,
        le=MAX_GRID_POINTS,
        description="Number of values that a grid tries, evenly spaced, both ends included.",
    )

    @property
    def is_log(self) -> bool:
        """Whether ratios matter rather than differences."""
        return False

    def distribution(self) -> FloatDistribution:
        """The range as Optuna knows it."""
        from optuna.distributions import FloatDistribution

        return FloatDistribution(self.low, self.high, log=self.is_log)

    def contains(self, value: Any) -> bool:
        """Whether ``value`` may be tried."""
        return is_number(value) and self.low <= value <= self.high

    def nearest(self, value: float) -> float:
        """The value of the range nearest to ``value``."""
        return float(min(max(value, self.low), self.high))

    def middle(self) -> float:
        """The middle of the range, in logarithms where ratios matter."""
        return _rounded(math.sqrt(self.low) * math.sqrt(self.high)) if self.is_log else (self.low / 2 + self.high / 2)

    def grid_values(self) -> list[Any]:
        """The values a grid tries, in order.

        Raises:
            UsageError: neither ``values`` nor ``points`` is given.
        """
        if self.values is not None:
            return list(self.values)
        if self.points is None:
            raise UsageError(
                f"a grid has finitely many points, but the range {self.low!r}..{self.high!r} is continuous",
                'add "points": 5 or "values": [...] to it, or search with --search-mode bayesian',
            )
        if self.low == self.high:
            return [self.low]
        inner = [_rounded(self._between(index / (self.points - 1))) for index in range(1, self.points - 1)]
        return list(dict.fromkeys([self.low, *map(self.nearest, inner), self.high]))

    def extremes(self) -> list[Any]:
        """Both ends."""
        return [self.low, self.high]

    def _between(self, share: float) -> float:
        if self.is_log:
            return math.exp(math.log(self.low) * (1 - share) + math.log(self.high) * share)
        return self.low * (1 - share) + self.high * share

    def _rules(self) -> Iterable[Problem]:
        yield from _range_rules(self.low, self.high, self.is_log)
        if self.values is not None and self.points is not None:
            yield Problem((), "a grid range has either values or points, but both are given", "delete one of them")
        given = [(("default",), self.default)] + [(("values", i), v) for i, v in enumerate(self.values or ())]
        for path, value in given:
            if value is not None and self.low <= self.high and not self.contains(value):
                yield _outside(path, value, f"{self.low!r}..{self.high!r}")
        yield from _duplicates(self.values or (), "values")


class LogUniform(_Continuous):
    """Real numbers over orders of magnitude: learning rates, weight decay."""

    type: Literal["loguniform"]

    @property
    def is_log(self) -> bool:
        """Ratios matter."""
        return True


class Uniform(_Continuous):
    """Real numbers on a linear scale: ratios, dropout."""

    type: Literal["uniform"]


class IntRange(Conditional):
    """Whole numbers low, low + step, ... high."""

    type: Literal["int"]
    low: int = Field(ge=-MAX_INTEGER, le=MAX_INTEGER, description="Smallest value.")
    high: int = Field(ge=-MAX_INTEGER, le=MAX_INTEGER, description="Largest value.")
    step: int = Field(1, ge=1, description="Distance between values; must divide high - low.")
    log: bool = Field(
        False, description="Whether ratios matter rather than differences; then step is 1 and low at least 1."
    )
    default: int | None = Field(None, description="Value in the study's default configuration (trial 0).")

    @property
    def is_log(self) -> bool:
        """Whether ratios matter rather than differences."""
        return self.log

    def distribution(self) -> IntDistribution:
        """The range as Optuna knows it."""
        from optuna.distributions import IntDistribution

        return IntDistribution(self.low, self.high, log=self.log, step=self.step)

    def contains(self, value: Any) -> bool:
        """Whether ``value`` may be tried."""
        if not is_number(value) or not self.low <= value <= self.high:
            return False
        return value == int(value) and (int(value) - self.low) % self.step == 0

    def nearest(self, value: float) -> int:
        """The value of the range nearest to ``value``."""
        inside = min(max(value, self.low), self.high)
        return self.low + round((inside - self.low) / self.step) * self.step

    def middle(self) -> int:
        """The middle of the range, in logarithms where ratios matter."""
        return self.nearest(math.sqrt(self.low) * math.sqrt(self.high) if self.log else (self.low + self.high) / 2)

    def grid_values(self) -> Sequence[Any]:
        """Every value of the range, in order."""
        return range(self.low, self.high + 1, self.step)

    def extremes(self) -> list[Any]:
        """Both ends."""
        return [self.low, self.high]

    def _rules(self) -> Iterable[Problem]:
        yield from _range_rules(self.low, self.high, self.log)
        if self.log and self.step != 1:
            yield Problem(("step",), f"a log range of {{name}} has step 1, but step={self.step}", "delete step or log")
        elif self.low <= self.high and (self.high - self.low) % self.step:
            high = self.low + (self.high - self.low) // self.step * self.step
            values = f"step={self.step}, low={self.low}, high={self.high}"
            yield Problem(("step",), f"step must divide high - low of {{name}}, but {values}", f'write "high": {high}')
        elif self.default is not None and self.low <= self.high and not self.contains(self.default):
            values = f"{self.low}..{self.high}" + (f" in steps of {self.step}" if self.step > 1 else "")
            yield _outside(("default",), self.default, values)


class Categorical(Conditional):
    """One of some values of one kind: numbers, texts, or true and false."""

    type: Literal["categorical"]
    choices: Annotated[tuple[Scalar, ...], Field(strict=False, min_length=1)] = Field(description="The values.")
    default: Scalar | None = Field(None, description="Value in the study's default configuration (trial 0).")

    @property
    def is_log(self) -> bool:
        """Whether ratios matter: for choices that are all positive numbers."""
        return all(not isinstance(choice, (bool, str)) and choice > 0 for choice in self.choices)

    @model_validator(mode="before")
    @classmethod
    def _one_kind_of_number(cls, data: Any) -> Any:
        """Make 0 and 0.5 both real numbers, so that a choice reads back as it was written."""
        choices = data.get("choices") if isinstance(data, dict) else None
        if not isinstance(choices, (list, tuple)):
            return data
        rule = "a choice is a number, a text, true or false, but is {}"
        wrong = [index for index, choice in enumerate(choices) if not isinstance(choice, (bool, int, float, str))]
        if wrong:
            raise BrokenRules(
                [Problem(("choices", index), rule.format(show(choices[index])), "correct it") for index in wrong]
            )
        if not all(map(is_number, choices)):
            return data
        if any(isinstance(choice, float) for choice in choices) and len(set(choices)) == len(choices):
            return {**data, "choices": [float(choice) for choice in choices]}
        return data

    def distribution(self) -> CategoricalDistribution:
        """The choices as Optuna knows them."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.choices)

    def contains(self, value: Any) -> bool:
        """Whether ``value`` may be tried."""
        return canonical(value) in [canonical(choice) for choice in self.choices]

    def nearest(self, value: Any) -> Any:
        """The choice nearest to ``value``; the first where they cannot be compared."""
        if self.contains(value):
            return next(choice for choice in self.choices if canonical(choice) == canonical(value))
        return nearest_of(self.choices, value, self.is_log)

    def middle(self) -> Any:
        """The middle choice in size; the first where they are no numbers."""
        if not all(map(is_number, self.choices)):
            return self.choices[0]
        return sorted(self.choices)[(len(self.choices) - 1) // 2]

    def grid_values(self) -> list[Any]:
        """Every choice, in order."""
        return list(self.choices)

    def extremes(self) -> list[Any]:
        """Every choice."""
        return list(self.choices)

    def _rules(self) -> Iterable[Problem]:
        kinds = sorted({_kind(choice) for choice in self.choices})
        if len(kinds) > 1:
            mixed = f"{' and '.join(kinds)}: {show(list(self.choices))}"
            rule = f"the choices of {{name}} are of one kind, but these are {mixed}"
            yield Problem(("choices",), rule, "use one kind")
        else:
            yield from _duplicates(self.choices, "choices")
        if self.default is not None and not self.contains(self.default):
            yield _outside(("default",), self.default, show(list(self.choices)))


Parameter = Annotated[LogUniform | Uniform | IntRange | Categorical, Field(discriminator="type")]
PARAMETER_TYPES: dict[str, type[LogUniform] | type[Uniform] | type[IntRange] | type[Categorical]] = {
    "loguniform": LogUniform,
    "uniform": Uniform,
    "int": IntRange,
    "categorical": Categorical,
}


def _range_rules(low: float, high: float, is_log: bool) -> Iterable[Problem]:
    if low > high:
        yield Problem((), f"low <= high must hold for {{name}}, but low={low!r}, high={high!r}", "swap them")
    elif not math.isfinite(high - low):
        yield Problem((), f"high - low of {{name}} must be finite, but low={low!r}, high={high!r}", "narrow the range")
    if is_log and low <= 0:
        remedy = 'give a low above 0, or use type "uniform" (for "int": leave log out)'
        yield Problem(("low",), f"low > 0 must hold for the log range of {{name}}, but low={low!r}", remedy)


def _outside(path: tuple[str | int, ...], value: Any, values: str) -> Problem:
    return Problem(
        path, f"{path[0]} of {{name}} must be one of its values {values}, but is {show(value)}", "move it there"
    )


def _duplicates(values: Sequence[Any], field: str) -> Iterable[Problem]:
    seen: dict[str, int] = {}
    for index, value in enumerate(values):
        first = seen.setdefault(json.dumps(canonical(value)), index)
        if first != index:
            rule = f"the {field} of {{name}} differ, but {show(values[first])} and {show(value)} are equal"
            yield Problem((field, index), rule, "delete one of them")


def _kind(value: Any) -> str:
    return "true/false" if isinstance(value, bool) else "text" if isinstance(value, str) else "numbers"


def _rounded(value: float) -> float:
    return float(f"{value:.{_SIGNIFICANT_DIGITS}g}")
