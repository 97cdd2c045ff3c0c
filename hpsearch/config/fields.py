"""The keys of a definition about the search itself, beside the settings of its trials."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

from hpsearch.config.names import VARIABLE_NAME
from hpsearch.config.problems import BrokenRules, Problem, nearest_names, show
from hpsearch.data.metrics.registry import METRICS
from hpsearch.execution.job import CHANNEL_KEYS, MAX_NAME_CHARACTERS
from hpsearch.execution.python_program import parse

# Metrics of the built-in training: the direction in which each is better, and whether it is reported at every
# evaluation (a pruner needs that) or only at the end.
REPORTED_METRICS: dict[str, tuple[Literal["minimize", "maximize"], bool]] = {
    **{f"eval_{name}": (metric.direction, True) for name, metric in METRICS.items()},
    "eval_loss": ("minimize", True),
    "peak_memory_bytes": ("minimize", False),
    "train_seconds": ("minimize", False),
    "eval_seconds": ("minimize", False),
    "it_per_s": ("maximize", False),
    "tokens_per_s": ("maximize", False),
}

# Metrics whose wrong direction is only warned of (``advice``), as stored studies may have it.
_ONLY_WARNED = {"cer", "wer"}

# Which of a pruner's numbers its type reads; the others would do nothing.
PRUNER_NUMBERS: dict[str, tuple[str, ...]] = {
    "auto": ("n_startup_trials", "n_warmup_steps"),
    "curve": ("n_startup_trials", "n_warmup_steps"),
    "median": ("n_startup_trials", "n_warmup_steps"),
    "percentile": ("n_startup_trials", "n_warmup_steps", "percentile"),
    "asha": ("n_warmup_steps",),
    "hyperband": ("n_warmup_steps",),
    "none": (),
}
# Defaults of a pruner's numbers that differ from those of the fields.
_USUAL_NUMBERS: dict[str, dict[str, int | None]] = {"curve": {"n_startup_trials": 2, "n_warmup_steps": None}}

# The search mode of each sampler; "auto" follows the given mode.
MODE_OF_SAMPLER: dict[str, str | None] = {
    "auto": None,
    "tpe": "bayesian",
    "gp": "bayesian",
    "cmaes": "bayesian",
    "qmc": "bayesian",
    "random": "random",
    "grid": "grid",
}

DEFAULT_TRIALS = 20
_USUAL_WARMUP = 0.2  # of a trial's steps: benchmarks/pruning.py, benchmarks/search.py
# Of "auto" as the median pruner: trials completed before one is stopped; with a target below 15 a third of it, but two
# at least, as a median of one is that trial.
_USUAL_STARTUP, _LEAST_STARTUP = 5, 2
# The types whose warm-up may be a share of a trial's steps.
_SHARED_WARMUP = ("auto", "curve", "median")


class _Fields(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


class Objective(_Fields):
    """The metric that decides which trial is best."""

    metric: str = Field(
        "eval_cer", min_length=1, max_length=MAX_NAME_CHARACTERS, description="Name of a reported metric."
    )
    direction: Literal["minimize", "maximize"] = Field(
        "minimize", description="Which way is better. Known for built-in metrics; any other metric names it."
    )

    @model_validator(mode="before")
    @classmethod
    def _direction(cls, data: Any) -> Any:
        """Fill in the direction of a metric that has only one; ask for it elsewhere."""
        if not isinstance(data, dict) or "direction" in data or not isinstance(data.get("metric", "eval_cer"), str):
            return data
        metric = data.get("metric", "eval_cer")
        if metric not in REPORTED_METRICS:
            rule = f"a metric is named with its direction, but {show(metric)} has none"
            raise BrokenRules([Problem((), rule, 'add "direction": "minimize" or "maximize"')])
        return {**data, "direction": REPORTED_METRICS[metric][0]}


class PrunerSettings(_Fields):
    """When a trial is stopped early. A step is one evaluation; a trial makes ``evaluations`` of them."""

    type: Literal["auto", "curve", "median", "percentile", "asha", "hyperband", "none"] = Field(
        "auto",
        description="auto: in a new study median, or curve if it begins with --timeout or --gpu-hours; an existing "
        "study keeps what it began with; curve: its curve does not lead to the best value so far; median: worse than "
        "the median of finished trials at the same step; percentile: not among the best percentile; asha: not among "
        "the best third where steps have tripled; hyperband: the same from several smallest resources; none.",
    )
    n_startup_trials: int = Field(
        5,
        ge=0,
        description="Finished trials before any is stopped (median, percentile; curve: 2 unless given; auto as median: "
        "5; with a target below 15 a third of it, but 2 at least).",
    )
    n_warmup_steps: int | None = Field(
        10,
        ge=0,
        description="Steps a trial makes before it may be stopped; asha, hyperband: its smallest resource. null, with "
        "auto, curve or median: a fifth of a trial's steps, the default of auto and curve.",
    )
    percentile: float = Field(25.0, ge=0, le=100, description="Share of trials that go on, in percent (percentile).")

    @model_validator(mode="before")
    @classmethod
    def _complete(cls, data: Any) -> Any:
        """Take "none" for {"type": "none"}, and fill in the numbers that are usual for the type."""
        values = {"type": data} if isinstance(data, str) else data
        kind = values.get("type") if isinstance(values, dict) else None
        return {**_USUAL_NUMBERS[kind], **values} if isinstance(kind, str) and kind in _USUAL_NUMBERS else values

    @model_validator(mode="after")
    def _numbers_of_the_type(self) -> PrunerSettings:
        idle = sorted(self.model_fields_set - {"type"} - set(PRUNER_NUMBERS[self.type]))
        if idle:
            rule = "{} would do nothing, as a pruner of type {} does not read it"
            problems = [Problem((name,), rule.format(show(name), show(self.type)), "delete it") for name in idle]
            raise BrokenRules(problems)
        if self.n_warmup_steps is None and self.type not in _SHARED_WARMUP:
            rule = f"null leaves the warm-up to the pruner, but one of type {show(self.type)} needs one"
            raise BrokenRules([Problem(("n_warmup_steps",), rule, "write a number of steps, or delete it")])
        return self

    def settled(self, target: int | None, is_limited: bool = False) -> PrunerSettings:
        """Return what "auto" means in a new study of ``target`` trials, or of a budget of time or GPU-hours: of those
        searches that were tried the median pruner lost least where trials are counted, and predicted curves found most
        where time is (docs/performance.md)."""
        if self.type != "auto":
            return self
        startup = _USUAL_STARTUP if not target else max(_LEAST_STARTUP, min(_USUAL_STARTUP, math.ceil(target / 3)))
        median = {"type": "median", "n_startup_trials": startup, "n_warmup_steps": None}
        given = {name: getattr(self, name) for name in self.model_fields_set - {"type"}}
        return PrunerSettings.model_validate({**({"type": "curve"} if is_limited else median), **given})

    def warmup(self, steps: int | None) -> int:
        """Return the steps that a trial of ``steps`` (None: not known) makes before it may be stopped."""
        if self.n_warmup_steps is not None:
            return self.n_warmup_steps
        return math.ceil(_USUAL_WARMUP * (steps or 0))

    def flat(self) -> dict[str, Any]:
        """Return the type and the numbers that it reads; of "auto" those that are given."""
        numbers = PRUNER_NUMBERS[self.type]
        if self.type == "auto":
            numbers = tuple(name for name in numbers if name in self.model_fields_set)
        return {name: getattr(self, name) for name in ("type", *numbers)}


class StudyFields(_Fields):
    """The keys of a definition that are not settings of a trial."""

    objective: Objective = Field(Objective(), description="What is searched for.")
    search_mode: Literal["bayesian", "grid", "random"] = Field(
        "bayesian",
        description="bayesian: learns from the trials so far; grid: every point of the grid once; random.",
    )
    sampler: Literal["auto", "tpe", "gp", "cmaes", "qmc", "random", "grid"] = Field(
        "auto",
        description="How the search mode chooses. auto: what was measured best for it, bayesian as gp after known-good "
        "settings; tpe: tree-structured Parzen estimator; gp: Gaussian process; cmaes: CMA-ES; qmc: evenly spread; "
        "random; grid.",
    )
    try_first: Annotated[tuple[dict[str, bool | int | float | str], ...], Field(strict=False, max_length=20)] | None = (
        Field(
            None,
            description="Configurations tried after the default one: objects of searched settings and values, the "
            "others as in the default one. null: known-good settings of LoRA where they are in the search space, with "
            "the built-in training and sampler auto.",
        )
    )
    n_trials: int | None = Field(
        None, ge=1, description="Finished trials over the study's life; null: all points of a grid, else 20."
    )
    pruner: PrunerSettings = Field(PrunerSettings(), description="When a trial is stopped early.")
    seed: int = Field(3407, ge=0, le=2**32 - 1, description="The study's seed; each trial's is derived from it.")
    command: Annotated[tuple[str, ...], Field(strict=False, min_length=1)] | None = Field(
        None,
        description="Your own program as a list of arguments, in which {name} is filled with a setting, and {seed}, "
        "{output_dir}, {trial}, {study} with what they say; {{ and }} are braces. null: the built-in training.",
    )
    last_step: int | None = Field(
        None,
        ge=1,
        description="With a command: number of the last step that a trial reports; null: not known. The built-in "
        "training numbers its `evaluations` from 1.",
    )
    memory_grows_with: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        (),
        description="With a command: searched settings that alone decide how much device memory it takes, and of which "
        "more never takes less. What then is sure to run out of it is not tried. The built-in training's are known.",
    )
    preload: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        (),
        description="With a command that runs a Python program: modules that it imports, such as torch, which are then "
        "imported once and shared by all trials, so that each starts at once. Importing them may not touch a GPU or "
        "start threads. The built-in training's are known.",
    )
    env_pass: Annotated[tuple[str, ...], Field(strict=False)] = Field(
        (), description="Names of environment variables that trials get beside the usual ones."
    )
    trainer_python: str | None = Field(
        None,
        min_length=1,
        description="Python that runs the built-in training, with its own versions of the libraries (see "
        "`hpsearch setup-trainer`): a program, or the folder of its environment; relative to the definition's file. "
        "null: the one that HPSEARCH_TRAINER_PYTHON names, else the one that runs hpsearch.",
    )
    max_retries: int = Field(
        2, ge=0, le=100, description="How often a trial is run again after a fault of the machine."
    )
    trial_timeout_s: float | None = Field(None, gt=0, description="Seconds a trial may take; null: no limit.")
    stall_timeout_s: float | None = Field(None, gt=0, description="Seconds a trial may report nothing; null: no limit.")
    exit_timeout_s: float = Field(
        60.0,
        gt=0,
        description="Seconds in which a trial's program has to exit after its final metrics. Then it is ended, and its "
        "result counts all the same.",
    )
    keep_adapters: int = Field(
        3, ge=0, description="Number of best trials whose adapters are kept. best/ is always kept."
    )
    description: str = Field("", max_length=10_000, description="A note for people.")

    @model_validator(mode="before")
    @classmethod
    def _mode_of_the_sampler(cls, data: Any) -> Any:
        """Fill in the search mode where the sampler alone is given."""
        sampler = data.get("sampler") if isinstance(data, dict) else None
        mode = MODE_OF_SAMPLER.get(sampler) if isinstance(sampler, str) else None
        return {"search_mode": mode, **data} if mode else data

    @model_validator(mode="after")
    def _hold(self) -> StudyFields:
        broken = [*self._sampler_rules(), *self._command_rules(), *self._variable_rules()]
        if broken:
            raise BrokenRules(broken)
        return self

    def _sampler_rules(self) -> Iterable[Problem]:
        mode = MODE_OF_SAMPLER[self.sampler]
        if mode not in (None, self.search_mode):
            rule = f"the sampler {show(self.sampler)} searches in the mode {show(mode)}, but search_mode is "
            yield Problem(("sampler",), rule + show(self.search_mode), "delete one of them")
        if self.search_mode == "grid" and self.try_first:
            rule = "a grid tries its points in their order, but try_first names others to begin with"
            yield Problem(("try_first",), rule, "delete it")

    def _command_rules(self) -> Iterable[Problem]:
        if self.command is not None and not self.command[0].strip():
            yield Problem(
                ("command", 0), "a command begins with a program, but this one with nothing", "name a program"
            )
        if self.command is None and self.last_step is not None:
            rule = '"last_step" describes a command, but there is none'
            yield Problem(("last_step",), rule, 'write "evaluations" for the built-in training')
        if self.command is None and self.memory_grows_with:
            rule = '"memory_grows_with" describes a command, but there is none'
            yield Problem(("memory_grows_with",), rule, "delete it; the built-in training's settings are known")
        if self.preload and self.command is None:
            rule = '"preload" describes a command, but there is none'
            yield Problem(("preload",), rule, "delete it; what the built-in training imports is known")
        elif self.preload and parse(self.command or ()) is None:
            rule = f"preload is for a Python program, but the command is {show(' '.join(self.command or ()))}"
            yield Problem(("preload",), rule, "write the command as python [options] program.py ..., or delete preload")
        for index, name in enumerate(self.preload):
            if not all(part.isidentifier() for part in name.split(".")):
                rule = f"preload holds names of Python modules, but {show(name)} is none"
                yield Problem(("preload", index), rule, "write it as in an import statement: torch, transformers")
        if self.command is not None and self.trainer_python is not None:
            rule = '"trainer_python" runs the built-in training, which a command replaces'
            yield Problem(("trainer_python",), rule, "delete it; the command itself begins with its program")

    def _variable_rules(self) -> Iterable[Problem]:
        for index, name in enumerate(self.env_pass):
            if not VARIABLE_NAME.fullmatch(name):
                rule = f"env_pass holds names of environment variables, but {show(name)} is none"
                yield Problem(("env_pass", index), rule, "write the name alone, without a value")
            elif name.startswith("HPSEARCH_"):
                rule = f"HPSEARCH_ variables are hpsearch's own, but env_pass names {show(name)}"
                yield Problem(("env_pass", index), rule, "delete it")


STUDY_KEYS = frozenset(StudyFields.model_fields)


def metric_problem(fields: StudyFields) -> Problem | None:
    """Return the problem of an objective that the built-in training, or the command, cannot report, if any."""
    path, metric = ("objective", "metric"), fields.objective.metric
    if fields.command is not None:
        if metric not in CHANNEL_KEYS and metric.isprintable():
            return None
        rule = f"a metric's name is printable and none of {', '.join(CHANNEL_KEYS)}, but is {show(metric)}"
        return Problem(path, rule, "rename it, in the program too")
    if metric.startswith("holdout_"):
        rule = f"held-out rows are never searched on, but the objective is {show(metric)}"
        return Problem(path, rule, f"use {show(metric.replace('holdout_', 'eval_', 1))}")
    if metric not in REPORTED_METRICS:
        rule = f"the built-in training reports no metric {show(metric)}"
        return Problem(path, rule, nearest_names(metric, REPORTED_METRICS))
    better = REPORTED_METRICS[metric][0]
    if fields.objective.direction != better and metric.removeprefix("eval_") in set(METRICS) - _ONLY_WARNED:
        rule = f"the direction of {show(metric)} is {show(better)}, but is given as {show(fields.objective.direction)}"
        return Problem(("objective", "direction"), rule, "delete it")
    return None
