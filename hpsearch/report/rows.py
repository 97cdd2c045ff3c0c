"""Read an Optuna study into frozen rows, whether hpsearch or another script made it, with words for trials' endings.

Missing values (a default, held-out scores, a cause) are None; a value that is not finite is never a value. A retried
trial is several rows with one ``root``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, TypeVar

from hpsearch.errors import UsageError
from hpsearch.execution.outcome import Cause
from hpsearch.study import attributes as attrs
from hpsearch.study.preparation import PreparedInfo
from hpsearch.study.records import attempt_label, is_counted, is_finite, rank, value_of

if TYPE_CHECKING:
    from optuna import Study
    from optuna.distributions import BaseDistribution
    from optuna.trial import FrozenTrial

T = TypeVar("T")

_TITLES = {"cer": "CER", "wer": "WER", "loss": "Loss", "f1": "F1", "accuracy": "Accuracy"}


@dataclass(frozen=True)
class TrialEnding:
    """The ending of a trial in words. ``group`` is "complete", "pruned", "failed", "interrupted" or "open"; ``remedy``
    is "" if nothing is wrong."""

    word: str
    group: str
    remedy: str = ""


ENDINGS: dict[str, TrialEnding] = {
    Cause.OK.value: TrialEnding("completed", "complete"),
    Cause.PRUNED.value: TrialEnding("pruned", "pruned"),
    Cause.DIVERGED.value: TrialEnding(
        "diverged",
        "failed",
        "The loss or the metric was not a finite number. Lower the top of the learning_rate range, lengthen the "
        "warm-up, or lower max_grad_norm.",
    ),
    Cause.CUDA_OOM.value: TrialEnding(
        "out of GPU memory",
        "failed",
        "Lower per_device_train_batch_size and raise gradient_accumulation_steps by the same factor, set "
        "gradient_checkpointing, or lower the top of lora_r.",
    ),
    # Stored as out of GPU memory, without having been launched
    "not_tried": TrialEnding(
        "not tried, too large for the GPU memory",
        "failed",
        "By the memory use of earlier trials it was certain to run out of GPU memory, and it cost no time. You need do "
        "nothing; to try larger trials, use a GPU with more memory; to have fewer suggested, narrow the range.",
    ),
    Cause.INVALID.value: TrialEnding(
        "refused settings",
        "failed",
        "The program does not accept this combination of settings. Narrow the search space to exclude it.",
    ),
    Cause.TIMEOUT.value: TrialEnding(
        "over its time limit",
        "failed",
        "Raise trial_timeout_s, or lower the top of num_train_epochs or of another setting that makes trials long.",
    ),
    Cause.STALLED.value: TrialEnding(
        "stopped reporting",
        "failed",
        "Nothing was reported for stall_timeout_s. See the end of the trial's log; raise the limit if it was slow.",
    ),
    Cause.HOST_OOM.value: TrialEnding(
        "out of host memory",
        "failed",
        "The kernel killed it because memory ran out. Run fewer trials at once, or use a machine with more memory.",
    ),
    Cause.CRASH.value: TrialEnding(
        "crashed", "failed", "The program ended with an error. Its last lines are in the trial's log.txt."
    ),
    Cause.SIGNAL.value: TrialEnding(
        "killed by a signal", "failed", "Another program or person on this machine killed it; see the machine's log."
    ),
    Cause.PROTOCOL.value: TrialEnding(
        "did not report the objective",
        "failed",
        "The program must report the objective's metric before it ends, with hpsearch.sdk.finish or a final line.",
    ),
    Cause.LAUNCH.value: TrialEnding(
        "could not be started",
        "failed",
        "Check that the command exists and is executable, and that the disk is not full.",
    ),
    Cause.INTERRUPTED.value: TrialEnding("interrupted, queued again", "interrupted"),
    Cause.LOST.value: TrialEnding(
        "lost with its runner, queued again",
        "interrupted",
    ),
    # In studies of other scripts, which record no cause
    "not_finite": TrialEnding(
        "value not finite", "failed", "The script reported inf or nan as the value; such a trial is never ranked."
    ),
    "failed": TrialEnding("failed", "failed", "The script that ran this trial recorded no reason; see its own log."),
    "running": TrialEnding("running", "open"),
    "waiting": TrialEnding("waiting", "open"),
}


@dataclass(frozen=True)
class StudyObjective:
    """The metric that a study optimises, and its ``direction``: "minimize" or "maximize"."""

    metric: str
    direction: str

    @property
    def title(self) -> str:
        """The metric as a person writes it."""
        return _TITLES.get(self.metric.removeprefix("eval_"), self.metric)

    @property
    def wish(self) -> str:
        """Which direction is good, in words."""
        return "lower is better" if self.direction == "minimize" else "higher is better"

    @property
    def holdout_metric(self) -> str:
        """The same metric on held-out rows."""
        return f"holdout_{self.metric.removeprefix('eval_')}"

    def rank(self, value: float) -> float:
        """Return a number that is lower for a better ``value``."""
        return rank(value, self.direction)


@dataclass(frozen=True)
class Parameter:
    """A searched parameter. ``scale`` is "log", "linear" or "choice"; ``low`` and ``high`` are None for choices."""

    name: str
    scale: str
    low: float | None
    high: float | None
    choices: tuple[Any, ...]
    varies: bool  # more than one value among the finished trials

    @property
    def span(self) -> str:
        """The range in words."""
        if self.scale == "choice":
            return "{" + ", ".join(str(choice) for choice in self.choices) + "}"
        return f"{self.low:g} … {self.high:g}" + (" (log)" if self.scale == "log" else "")


@dataclass(frozen=True)
class TrialRow:
    """One attempt at one configuration.

    ``value`` is the final, finite value of a completed trial and None otherwise: the last report of a pruned trial
    comes from the small subset and is not comparable. ``steps`` are the finite reports in order. Durations are in
    seconds.
    """

    number: int
    state: str  # Optuna's: COMPLETE, PRUNED, FAIL, RUNNING, WAITING
    cause: str  # a key of ENDINGS
    message: str
    value: float | None
    params: Mapping[str, Any]
    metrics: Mapping[str, float] = field(default_factory=dict)
    holdout_value: float | None = None
    duration_s: float | None = None
    gpus: int = 1  # of its slot; 1 if it names none, and if unknown
    repeats: int | None = None  # the trial whose configuration it runs with a fresh seed
    start: datetime | None = None
    end: datetime | None = None
    seed: int | None = None
    root: int = 0
    attempt: int = 1
    is_default: bool = False
    first: str = ""  # why it was tried before the sampler was asked, one of attributes.FIRST; else ""
    steps: tuple[tuple[int, float], ...] = ()
    folder: str | None = None  # relative to the study's folder
    counts: bool = False  # towards the study's target

    @property
    def ending(self) -> TrialEnding:
        """Its ending, in words."""
        return ENDINGS[self.cause]

    @property
    def last_value(self) -> float | None:
        """Its final value; of a pruned trial the last report, which comes from the small subset and is not quite
        comparable. None if there is neither."""
        return self.steps[-1][1] if self.cause == "pruned" and self.steps else self.value

    @property
    def label(self) -> str:
        """The number as people read it: that of the first attempt, and which attempt it is."""
        return attempt_label(self.root, self.attempt) if self.attempt > 1 else str(self.number)

    @property
    def tag(self) -> str:
        """Its origin if the sampler did not choose it: the default configuration, or why it was tried first."""
        return "default" if self.is_default else self.first


def objective_of(study: Study) -> StudyObjective:
    """Return the metric that ``study`` minimises or maximises.

    Raises:
        UsageError: the study has several objectives.
    """
    if len(study.directions) != 1:
        raise UsageError(
            f"analysis reads studies with one objective, but {study.study_name!r} has {len(study.directions)}",
            "look at it with `hpsearch dashboard`, which draws Pareto fronts",
        )
    direction = "maximize" if study.direction.name == "MAXIMIZE" else "minimize"
    defined = definition_of(study).get("objective")
    named = defined.get("metric") if isinstance(defined, dict) else defined
    metric = named if isinstance(named, str) else (study.metric_names or ["value"])[0]
    return StudyObjective(metric, direction)


def definition_of(study: Study) -> dict[str, Any]:
    """Return the definition stored with the study; empty if there is none."""
    return _mapping(study.user_attrs.get(attrs.DEFINITION))


def prepared_of(study: Study) -> PreparedInfo:
    """Return the result of the prepare job; without values if there is none."""
    return PreparedInfo.from_json(_mapping(study.user_attrs.get(attrs.PREPARED)))


def read_rows(study: Study, objective: StudyObjective) -> tuple[TrialRow, ...]:
    """Read all trials of ``study`` as rows, by number."""
    return tuple(_row(trial, objective) for trial in study.get_trials(deepcopy=False))


def read_parameters(study: Study) -> tuple[Parameter, ...]:
    """Read the parameters of all trials, by name."""
    trials = [trial for trial in study.get_trials(deepcopy=False) if trial.distributions]
    names = sorted({name for trial in trials for name in trial.distributions})
    return tuple(_parameter(name, [trial for trial in trials if name in trial.distributions]) for name in names)


def groups(rows: Sequence[TrialRow]) -> dict[int, tuple[TrialRow, ...]]:
    """Group the attempts of each trial, by the number of the first one."""
    attempts: dict[int, list[TrialRow]] = {}
    for row in rows:
        attempts.setdefault(row.root, []).append(row)
    return {root: tuple(group) for root, group in sorted(attempts.items())}


def ranked(rows: Sequence[TrialRow], objective: StudyObjective) -> tuple[TrialRow, ...]:
    """Return the completed rows, best first; the earlier of two equal ones first."""
    complete = [row for row in rows if row.value is not None]
    return tuple(sorted(complete, key=lambda row: (objective.rank(row.value or 0.0), row.number)))


def evenly(rows: Sequence[T], most: int) -> list[T]:
    """Return at most ``most`` of ``rows``, spread evenly over their order, including the first and the last."""
    if len(rows) <= most:
        return list(rows)
    return [rows[round(place * (len(rows) - 1) / (most - 1))] for place in range(most)]


def best_and_evenly(order: Sequence[T], best: int, others: int) -> list[T]:
    """Return the first ``best`` of a ranking, and at most ``others`` more, spread evenly over the rest."""
    return [*order[:best], *evenly(order[best:], others)]


def finite(value: object) -> float | None:
    """Return ``value`` as a float if it is a finite number, or the text of one; else None.

    Beyond 1e300 it means infinite in some scripts (sums of such values overflow), so that is None too.
    """
    if isinstance(value, bool) or not isinstance(value, (int, float, str)):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if is_finite(number) else None


def _row(trial: FrozenTrial, objective: StudyObjective) -> TrialRow:
    own = trial.user_attrs
    value = value_of(trial)
    metrics = {
        name: number for name, item in _mapping(own.get(attrs.METRICS)).items() if (number := finite(item)) is not None
    }
    message = own.get(attrs.MESSAGE, trial.system_attrs.get("fail_reason"))
    duration_s = finite(own.get(attrs.DURATION))
    if duration_s is None and trial.duration is not None:
        duration_s = trial.duration.total_seconds()
    return TrialRow(
        number=trial.number,
        state=trial.state.name,
        cause=_cause(trial, value),
        message=message if isinstance(message, str) else "",
        value=value,
        params=trial.params or _mapping(trial.system_attrs.get("fixed_params")),
        metrics=metrics,
        holdout_value=metrics.get(objective.holdout_metric) if value is not None else None,
        duration_s=duration_s,
        gpus=_whole(own.get(attrs.GPUS), 1),
        repeats=_whole(own.get(attrs.REPEATS), None),
        start=_utc(trial.datetime_start),
        end=_utc(trial.datetime_complete),
        seed=_whole(own.get(attrs.SEED), None),
        root=_whole(own.get(attrs.ROOT), _whole(trial.system_attrs.get("failed_trial"), trial.number)),
        attempt=_whole(own.get(attrs.ATTEMPT), 1 + len(trial.system_attrs.get("retry_history") or ())),
        is_default=own.get(attrs.IS_DEFAULT) is True,
        first=own[attrs.TRY_FIRST] if own.get(attrs.TRY_FIRST) in attrs.FIRST else "",
        steps=tuple(item for item in sorted(trial.intermediate_values.items()) if finite(item[1]) is not None),
        folder=own[attrs.FOLDER] if isinstance(own.get(attrs.FOLDER), str) else None,
        counts=is_counted(trial),
    )


def _cause(trial: FrozenTrial, value: float | None) -> str:
    recorded = trial.user_attrs.get(attrs.OUTCOME)
    if isinstance(recorded, str) and recorded in ENDINGS and trial.state.is_finished():
        return "not_tried" if trial.state.name == "PRUNED" and attrs.NOT_TRIED in trial.user_attrs else recorded
    if trial.state.name == "COMPLETE":
        return "ok" if value is not None else "not_finite"
    return {"PRUNED": "pruned", "FAIL": "failed", "RUNNING": "running"}.get(trial.state.name, "waiting")


def _utc(moment: datetime | None) -> datetime | None:
    """Return the moment without its time zone, converted to UTC if it has one, so that all can be compared."""
    return moment.astimezone(UTC).replace(tzinfo=None) if moment and moment.tzinfo else moment


def _parameter(name: str, trials: Sequence[FrozenTrial]) -> Parameter:
    distributions = [trial.distributions[name] for trial in trials]
    values = {repr(trial.params[name]) for trial in trials if trial.state.is_finished()}
    choices = _choices(distributions, [trial.params[name] for trial in trials])
    if choices:
        return Parameter(name, "choice", None, None, choices, len(values) > 1)
    low = min(float(getattr(distribution, "low", 0.0)) for distribution in distributions)
    high = max(float(getattr(distribution, "high", 0.0)) for distribution in distributions)
    log = all(getattr(distribution, "log", False) for distribution in distributions)
    return Parameter(name, "log" if log else "linear", low, high, (), len(values) > 1)


def _choices(distributions: Sequence[BaseDistribution], values: Sequence[Any]) -> tuple[Any, ...]:
    """Return all choices, with values that an older range of the parameter allowed; empty if there are no choices."""
    listed = [choice for distribution in distributions for choice in getattr(distribution, "choices", ())]
    choices: dict[str, Any] = {}
    for choice in [*listed, *values] if listed else ():
        choices.setdefault(f"{type(choice).__name__}:{choice}", choice)
    numbers = all(isinstance(choice, (int, float)) and not isinstance(choice, bool) for choice in choices.values())
    return tuple(sorted(choices.values()) if numbers else choices.values())


def _mapping(value: object) -> dict[str, Any]:
    """Return ``value`` as a dict, also if it was stored as JSON text; empty for anything else."""
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except ValueError:
            return {}
    return {str(key): item for key, item in value.items()} if isinstance(value, dict) else {}


def _whole(value: object, otherwise: Any) -> Any:
    return value if isinstance(value, int) and not isinstance(value, bool) and value >= 0 else otherwise
