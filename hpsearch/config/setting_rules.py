"""Rules of the built-in training's settings, alone and together."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from functools import cache
from typing import Any

from pydantic import ValidationError

from hpsearch.assets import PREFIX, asset_path
from hpsearch.config.parameters import Categorical, IntRange, Parameter
from hpsearch.config.problems import JsonPath, Problem, from_pydantic, show
from hpsearch.data.metrics.registry import METRICS
from hpsearch.data.places import hub_id
from hpsearch.data.slices import Slice, searched_slice
from hpsearch.errors import UsageError
from hpsearch.settings import UNSEARCHABLE, TrainSettings, setting_names

# Two names of one thing: where the first is given (not null), the second has no effect.
DECIDED_BY = {
    "max_steps": "num_train_epochs",
    "warmup_steps": "warmup_ratio",
    "val_split": "val_ratio",
    "holdout_split": "holdout_fraction",
    "lora_alpha_ratio": "lora_alpha",
    "effective_batch_size": "gradient_accumulation_steps",
    "longest_edge": "max_pixels",
    "eval_steps": "evaluations",
}

# Of each group, one at least is true.
ADAPTED = (
    ("finetune_vision_layers", "finetune_language_layers", "finetune_merger_layers"),
    ("finetune_attention_modules", "finetune_mlp_modules"),
)

# Metrics that need generated text.
GENERATED = tuple(f"eval_{name}" for name in METRICS)

# The readers of settings' texts, which refuse wrong ones.
_CHECKS: dict[str, Callable[[str], object]] = {
    "train_split": searched_slice,
    "val_split": searched_slice,
    "holdout_split": Slice.parse,
}

_KINDS = {
    "string": "a text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "null",
}
_BOUNDS = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}


def fixed_problems(settings: Mapping[str, Any]) -> list[Problem]:
    """Find the problems of fixed settings, each by itself."""
    checks = [*_CHECKS.items(), ("model_name", _check_asset), ("input_data", _check_asset), ("input_data", hub_id)]
    problems = [problem for name, check in checks for problem in _refused(check, name, settings.get(name))]
    try:
        TrainSettings.model_validate(dict(settings), strict=True)
    except ValidationError as error:
        problems += from_pydantic(error, known=lambda _: setting_names(), expected=_expected)
    return problems


def searched_problems(name: str, parameter: Parameter) -> list[Problem]:
    """Find the problems of searching a setting over a range: every choice and both ends must be values of the
    setting."""
    path: JsonPath = ("search_space", name)
    if name in UNSEARCHABLE:
        return [Problem(path, f"{show(name)} cannot be searched: {UNSEARCHABLE[name]}", "fix it to one value")]
    if name == "seed" and parameter.when is not None:
        rule = '"seed" is searched in every trial or in none, but has a condition'
        return [Problem((*path, "when"), rule, "delete it")]
    if not isinstance(parameter, (Categorical, IntRange)) and "integer" in kinds(name):
        rule = f'{show(name)} takes whole numbers, but its range has type "{parameter.type}"'
        return [
            Problem((*path, "type"), rule, 'write "type": "int"' + (' with "log": true' if parameter.is_log else ""))
        ]
    places: list[tuple[JsonPath, Any]] = [(("low",), parameter.extremes()[0]), (("high",), parameter.extremes()[-1])]
    if isinstance(parameter, Categorical):
        places = [(("choices", index), choice) for index, choice in enumerate(parameter.choices)]
    if parameter.otherwise is not None:
        places.append((("otherwise",), parameter.otherwise))
    return [
        Problem((*path, *place), problem.rule, problem.remedy)
        for place, value in places
        for problem in fixed_problems({name: value})
    ]


def together_problems(fixed: Mapping[str, Any], searched: Collection[str]) -> list[Problem]:
    """Find settings given together of which one would have no effect, and settings that leave nothing to train."""
    given = {name for name, value in fixed.items() if value is not None} | set(searched)
    problems = [
        Problem(
            (second,) if second in fixed else ("search_space", second),
            f"{show(first)} decides alone, but {show(second)} is given too and would do nothing",
            "delete one of them",
        )
        for first, second in DECIDED_BY.items()
        if {first, second} <= given
    ]
    for group in ADAPTED:
        if not any(name in searched or fixed.get(name, defaults()[name]) for name in group):
            rule = f"something must be adapted, but {', '.join(group)} are all false"
            problems.append(Problem((group[-1],), rule, "set one of them to true"))
    value = {**defaults(), **fixed}
    metric = value["metric_for_best_model"]
    stops = "early_stopping_patience" in searched or value["early_stopping_patience"] > 0
    needs_metric = stops or value["load_best_model_at_end"]
    if needs_metric and metric in GENERATED and not value["compute_cer_wer"]:
        rule = f"without compute_cer_wer there is no {show(metric)} to find the best evaluation by"
        problems.append(Problem(("metric_for_best_model",), rule, 'set it to "eval_loss"'))
    return problems


def complete(fixed: Mapping[str, Any], searched: Iterable[str]) -> dict[str, Any]:
    """Return every fixed setting with its value, defaults included, without those that have no effect and the seed."""
    names = set(searched)
    everything = TrainSettings.model_validate(dict(fixed), strict=True).model_dump()
    idle = {second for first, second in DECIDED_BY.items() if first in names or everything[first] is not None}
    return {name: value for name, value in everything.items() if name not in names | idle | {"seed"}}


def without_idle(settings: Mapping[str, Any]) -> dict[str, Any]:
    """Remove the settings that have no effect beside others and are at their defaults, as in a complete list."""
    idle = {
        second
        for first, second in DECIDED_BY.items()
        if settings.get(first) is not None and settings.get(second) == defaults()[second]
    }
    return {name: value for name, value in settings.items() if name not in idle}


@cache
def defaults() -> dict[str, Any]:
    """Return every setting's default."""
    return TrainSettings().model_dump()


@cache
def schemas() -> dict[str, dict[str, Any]]:
    """Return the JSON schema of each setting."""
    properties: dict[str, dict[str, Any]] = TrainSettings.model_json_schema()["properties"]
    return properties


def kinds(name: str) -> set[str]:
    """Return the JSON types that a setting takes."""
    schema = schemas()[name]
    return {part["type"] for part in schema.get("anyOf", [schema])}


def takes(name: str) -> str:
    """Describe the values that a setting takes: "a number > 0 and <= 10"."""
    kinds = []
    for schema in schemas()[name].get("anyOf", [schemas()[name]]):
        if "enum" in schema:
            kinds.append("one of " + ", ".join(map(show, schema["enum"])))
        else:
            bounds = [f"{sign} {show(schema[key])}" for key, sign in _BOUNDS.items() if key in schema]
            kinds.append(" ".join([_KINDS[schema["type"]], " and ".join(bounds)]).rstrip())
    return " or ".join(kinds)


def _refused(check: Callable[[str], object], name: str, value: Any) -> list[Problem]:
    """Return the problem that ``check`` has with a text, if any."""
    try:
        if isinstance(value, str):
            check(value)
    except UsageError as error:
        return [Problem((name,), f"{show(name)}: {error.what}", error.remedy)]
    return []


def _check_asset(value: str) -> None:
    if value.startswith(PREFIX):
        asset_path(value)


def _expected(place: JsonPath) -> str:
    name = str(place[-1])
    if name not in setting_names():
        return ""
    default = defaults()[name]
    return f"write {takes(name)}" + ("" if default is None else f", such as {show(default)}")
