"""The types of a range: its keys and rules, the values that it holds, those that a grid tries, and its condition."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal

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

from hpsearch.config.json import canonical, is_number
from hpsearch.config.problems import BrokenRules, JsonPath, Problem, show
from hpsearch.errors import UsageError

if TYPE_CHECKING:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution


MAX_GRID_POINTS = 10_000  # of one axis and of the whole grid
MAX_INTEGER = 2**53  # storages keep numbers as doubles: beyond this, neighbours are the same number
_SIGNIFICANT_DIGITS = 12  # of computed grid values, so that every machine's pow() gives the same points

Scalar = StrictBool | StrictInt | StrictFloat | StrictStr

_CONDITION_EXAMPLE = 'write {"use_dora": true} or {"lora_r": [32, 64]}'
_SCALAR: JsonDict = {"type": ["boolean", "number", "string"]}
_VALUES: JsonDict = {"anyOf": [_SCALAR, {"type": "array", "minItems": 1, "items": _SCALAR}]}
# For editors: in JSON a single value means a list of one.
_CONDITION_SCHEMA: JsonDict = {
    "anyOf": [{"type": "object", "minProperties": 1, "additionalProperties": _VALUES}, {"type": "null"}]
}


class Conditional(BaseModel):
    """The keys that a range of any type may have: its condition, its value where that does not hold, and a note."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)

    when: dict[str, Annotated[tuple[Scalar, ...], Field(strict=False)]] | None = Field(
        None,
        description="Search it only in trials in which each of these settings has the value given, or one of a list of "
        "them; null: in every trial.",
        json_schema_extra=lambda schema: schema.update(_CONDITION_SCHEMA),
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
        """Make each single value of a condition a list of one."""
        condition = data.get("when") if isinstance(data, dict) else None
        if condition is None:
            return data
        if not isinstance(condition, Mapping) or not condition:
            rule = f'"when" of {{name}} is an object of settings and their values, but is {show(condition)}'
            raise BrokenRules([Problem(("when",), rule, _CONDITION_EXAMPLE)])
        lists = {name: list(own) if isinstance(own, (list, tuple)) else [own] for name, own in condition.items()}
        rule = "a condition names a number, a text, true or false, or several of them, but is {}"
        wrong = [
            Problem(("when", name), rule.format(show(condition[name])), _CONDITION_EXAMPLE)
            for name, values in lists.items()
            if not values or not all(isinstance(value, (bool, int, float, str)) for value in values)
        ]
        if wrong:
            raise BrokenRules(wrong)
        return {**data, "when": lists}

    @field_serializer("when")
    def _write_condition(self, when: dict[str, tuple[Any, ...]] | None) -> dict[str, Any] | None:
        return when and {name: values[0] if len(values) == 1 else values for name, values in when.items()}

    @model_validator(mode="after")
    def _hold(self) -> Conditional:
        broken = [*self._rules()]
        if self.when is None and self.otherwise is not None:
            rule = '"otherwise" of {name} is its value where "when" does not hold, but there is no "when"'
            broken.append(Problem(("otherwise",), rule, 'delete it, or add "when"'))
        if broken:
            raise BrokenRules(broken)
        return self


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

    is_log: ClassVar[bool] = False  # whether ratios matter rather than differences

    def distribution(self) -> FloatDistribution:
        """Return the range as Optuna's distribution."""
        from optuna.distributions import FloatDistribution

        return FloatDistribution(self.low, self.high, log=self.is_log)

    def contains(self, value: Any) -> bool:
        """Return whether ``value`` may be tried."""
        return is_number(value) and self.low <= value <= self.high

    def nearest(self, value: float) -> float:
        """Return the value of the range nearest to ``value``."""
        return float(min(max(value, self.low), self.high))

    def middle(self) -> float:
        """Return the middle of the range, in logarithms where ratios matter."""
        return _rounded(math.sqrt(self.low) * math.sqrt(self.high)) if self.is_log else (self.low / 2 + self.high / 2)

    def grid_values(self) -> list[Any]:
        """Return the values that a grid tries, in order.

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
        inner = []
        for share in (index / (self.points - 1) for index in range(1, self.points - 1)):
            if self.is_log:
                inner.append(_rounded(math.exp(math.log(self.low) * (1 - share) + math.log(self.high) * share)))
            else:
                inner.append(_rounded(self.low * (1 - share) + self.high * share))
        return list(dict.fromkeys([self.low, *map(self.nearest, inner), self.high]))

    def extremes(self) -> list[Any]:
        """Return both ends."""
        return [self.low, self.high]

    def _rules(self) -> Iterable[Problem]:
        yield from _range_rules(self.low, self.high, self.is_log)
        if self.values is not None and self.points is not None:
            yield Problem((), "a grid range has either values or points, but both are given", "delete one of them")
        given: list[tuple[JsonPath, Any]] = [
            (("values", index), value) for index, value in enumerate(self.values or ())
        ]
        for path, value in [(("default",), self.default), *given]:
            if value is not None and self.low <= self.high and not self.contains(value):
                yield _outside(path, value, f"{self.low!r}..{self.high!r}")
        yield from _duplicates(self.values or (), "values")


class LogUniform(_Continuous):
    """Real numbers over orders of magnitude: learning rates, weight decay."""

    type: Literal["loguniform"]
    is_log: ClassVar[bool] = True


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
        """True if ratios matter rather than differences."""
        return self.log

    def distribution(self) -> IntDistribution:
        """Return the range as Optuna's distribution."""
        from optuna.distributions import IntDistribution

        return IntDistribution(self.low, self.high, log=self.log, step=self.step)

    def contains(self, value: Any) -> bool:
        """Return whether ``value`` may be tried."""
        if not is_number(value) or not self.low <= value <= self.high:
            return False
        return value == int(value) and (int(value) - self.low) % self.step == 0

    def nearest(self, value: float) -> int:
        """Return the value of the range nearest to ``value``."""
        inside = min(max(value, self.low), self.high)
        return self.low + round((inside - self.low) / self.step) * self.step

    def middle(self) -> int:
        """Return the middle of the range, in logarithms where ratios matter."""
        return self.nearest(math.sqrt(self.low) * math.sqrt(self.high) if self.log else (self.low + self.high) / 2)

    def grid_values(self) -> Sequence[Any]:
        """Return every value of the range, in order."""
        return range(self.low, self.high + 1, self.step)

    def extremes(self) -> list[Any]:
        """Return both ends."""
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
        """True if ratios matter: for choices that are all positive numbers."""
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
        """Return the choices as Optuna's distribution."""
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution(self.choices)

    def contains(self, value: Any) -> bool:
        """Return whether ``value`` may be tried."""
        return canonical(value) in [canonical(choice) for choice in self.choices]

    def nearest(self, value: Any) -> Any:
        """Return the choice nearest to ``value``; the first where they cannot be compared."""
        if self.contains(value):
            return next(choice for choice in self.choices if canonical(choice) == canonical(value))
        return nearest_of(self.choices, value, self.is_log)

    def middle(self) -> Any:
        """Return the middle choice in size; the first where they are no numbers."""
        if not all(map(is_number, self.choices)):
            return self.choices[0]
        return sorted(self.choices)[(len(self.choices) - 1) // 2]

    def grid_values(self) -> list[Any]:
        """Return every choice, in order."""
        return list(self.choices)

    def extremes(self) -> list[Any]:
        """Return every choice."""
        return list(self.choices)

    def _rules(self) -> Iterable[Problem]:
        kinds = sorted(
            {
                "true/false" if isinstance(choice, bool) else "text" if isinstance(choice, str) else "numbers"
                for choice in self.choices
            }
        )
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


def _outside(path: JsonPath, value: Any, values: str) -> Problem:
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


def _rounded(value: float) -> float:
    return float(f"{value:.{_SIGNIFICANT_DIGITS}g}")


def nearest_of(values: Sequence[Any], wanted: Any, is_log: bool) -> Any:
    """Return the one of ``values`` nearest to ``wanted`` (the first of equals); the first where they cannot be
    compared."""
    if not is_number(wanted) or not all(map(is_number, values)):
        return next((value for value in values if canonical(value) == canonical(wanted)), values[0])
    if is_log and wanted > 0:
        return min(values, key=lambda value: abs(math.log(value) - math.log(wanted)))
    return min(values, key=lambda value: abs(value - wanted))
