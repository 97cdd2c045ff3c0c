"""The protocol between searching and training: a job in; reports and one outcome out. Standard library only.

A job is a JSON file whose path the job's program finds in ``HPSEARCH_JOB``. The program writes JSON lines to the FIFO
named in ``HPSEARCH_REPORT``, and reads the answer to its last step from the file named in ``HPSEARCH_ANSWER``. The
addresses are in the environment because inherited descriptors do not survive torchrun or a plain subprocess.

Lines a program may write (one JSON object each, at most 64 kB, UTF-8):

    {"step": 3, "eval_cer": 0.4, "loss": 1.2}            metrics at an evaluation; step is an int in 0..2**31-1
    {"eval_cer": 0.06, "eval_wer": 0.3}                   no "step": the final metrics; a later such line is merged
    {"progress": {"fraction": 0.4, "loss": 1.1, ...}}     shown live only, never stored as a metric
    {"fault": "cuda_oom", "message": "..."}               the program knows why it ends: a value of ``Cause``

Metric values are numbers; NaN and the infinities are accepted as such (they mean the trial diverged), also as the
strings "nan", "inf", "-inf", because strict JSON has no way to write them.
"""

from __future__ import annotations

import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from hpsearch.execution.outcome import Cause

# Beside an adapter, and in a merged model: how pictures were sized, and what the model was asked.
ADAPTER_CARD = "hpsearch.json"

# What a fine-tune outside a search ends with, beside its adapter.
TRAIN_RESULTS_FILE = "train_results.json"
# The rows of the final evaluations, with what was read of each: of a trial, and of the untuned base.
PREDICTIONS_FILE = "predictions.jsonl"
BASE_PREDICTIONS_FILE = "base_predictions.jsonl"
RESULT_FILES = (PREDICTIONS_FILE, TRAIN_RESULTS_FILE)

WHOLE = ".whole"  # in an output folder: a result that is whole, and to be put in the place of an earlier one
CHECKPOINTS = "checkpoints"  # the folder of the checkpoints that a fine-tune goes on from

# What jobs of other kinds leave in their folders for the searching side.
PREFLIGHT_FILE = "preflight.json"
SURVEY_FILE = "survey.json"
LEFT_OUT_FILE = "left_out.jsonl"
TEXTS_FILE = "texts.jsonl"

MAX_LINE_BYTES = 64 * 1024
MAX_STEP = 2**31 - 1
MAX_DEPTH = 8
MAX_METRICS = 256
MAX_NAME_CHARACTERS = 128
LARGEST = 1e300  # sums of greater values overflow: beyond it a metric counts as infinite
CHANNEL_KEYS = ("step", "progress", "fault")  # mean something on the channel, so no metric has such a name


class BadLine(ValueError):
    """A line on the report channel that breaks the rules above; the message says which."""


@dataclass(frozen=True)
class Job:
    """One piece of work for a program behind the protocol.

    ``id`` names the job and its processes; ``kind`` is survey, preflight, prepare, trial, train, ocr, convert, stats,
    join, merge, gguf, publish or doctor.
    ``command`` is the argv of the program, never a shell string. ``output_dir`` is where the program writes; the
    supervisor keeps its own files (log.txt, metrics.jsonl, outcome.json) there too. ``settings`` are JSON values.
    ``steps`` is the number of the last step that the program will report, None where that is unknown. ``environment``
    is the whole environment of the program. Limits are in seconds; None means no limit. ``preload`` names what jobs
    with this Python program share: modules, or functions (``module:function``) that import and do nothing else, and are
    given ``prepared_dir``; None: the program is started by itself. Not to ``fork`` means that each such job does its
    imports itself, though ahead of its time.
    """

    id: str
    kind: str
    study: str
    command: tuple[str, ...]
    output_dir: str
    settings: dict[str, Any]
    environment: dict[str, str] = field(default_factory=dict)
    preload: tuple[str, ...] | None = None
    fork: bool = True
    working_dir: str | None = None  # of the program; None: the executor's
    number: int | None = None  # Optuna's trial number
    root: int | None = None  # the trial this one is a retry of, or itself
    attempt: int = 1
    seed: int = 0
    metric: str = "eval_cer"  # the objective's name
    steps: int | None = None
    checkpoint_dir: str | None = None  # for checkpoints from which a later attempt at the same configuration goes on
    prepared_dir: str | None = None  # the prepare job's folder
    variations: list[dict[str, Any]] = field(default_factory=list)  # prepare: other settings that a trial may have
    resolved: dict[str, Any] = field(default_factory=dict)  # prepare: the values of open settings when the study began
    timeout_s: float | None = None
    stall_s: float | None = None
    exit_timeout_s: float | None = None  # for its program to exit after its final metrics
    log_limit_bytes: int = 50 * 1024 * 1024
    gpus: tuple[int, ...] = ()  # of its slot, as nvidia-smi numbers them; none: its program chooses

    def to_json(self) -> str:
        """Encode the job as one JSON object (``command`` as a list)."""
        return json.dumps(asdict(self), indent=1, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> Job:
        """Decode the result of ``to_json``.

        Raises:
            ValueError: the text is not a job.
        """
        fields = json.loads(text)
        if not isinstance(fields, dict):
            raise ValueError("a job is a JSON object")
        try:
            preload = fields.get("preload")
            lists = {"command": tuple(fields["command"]), "gpus": tuple(fields.get("gpus", ()))}
            return Job(**{**fields, **lists, "preload": None if preload is None else tuple(preload)})
        except (KeyError, TypeError) as error:
            raise ValueError(f"not a job: {error}") from error

    @staticmethod
    def load(path: Path | str) -> Job:
        """Read a job file."""
        return Job.from_json(Path(path).read_text(encoding="utf-8"))


@dataclass(frozen=True)
class Outcome:
    """The end of a job.

    ``metrics`` are the final ones; ``message`` says why in one line; ``log_tail`` is the end of the program's output;
    ``bad_lines`` counts the lines on the report channel that broke its rules, ``first_bad`` names the first's.
    """

    cause: Cause
    metrics: dict[str, float] = field(default_factory=dict)
    message: str = ""
    exit_code: int | None = None
    signal: str | None = None
    duration_s: float = 0.0
    log_tail: str = ""
    bad_lines: int = 0
    first_bad: str = ""

    @property
    def refusals(self) -> str:
        """The number of refused reports, and the reason of the first; empty where none was refused."""
        count = f"{self.bad_lines} reports were" if self.bad_lines > 1 else "a report was"
        return f"{count} refused: {self.first_bad}" if self.bad_lines else ""

    def to_json(self) -> str:
        """Encode the outcome as one JSON object; non-finite metrics as strings."""
        fields = asdict(self) | {"cause": self.cause.value, "metrics": encode_values(self.metrics)}
        return json.dumps(fields, indent=1, sort_keys=True)

    @staticmethod
    def from_json(text: str) -> Outcome:
        """Decode the result of ``to_json``."""
        fields = json.loads(text)
        return Outcome(**{**fields, "cause": Cause(fields["cause"]), "metrics": decode_values(fields["metrics"])})


@dataclass(frozen=True)
class Report:
    """Metrics that a program reported at a step."""

    job_id: str
    step: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class Progress:
    """Progress that a program shows while it works. Known keys: ``fraction`` (0..1), ``phase`` (a word), ``step`` of
    ``steps``, ``loss``, ``it_per_s``, ``tokens_per_s``, ``memory_bytes``, ``reference`` and ``prediction`` (the latest
    sample's texts)."""

    job_id: str
    values: dict[str, Any]


@dataclass(frozen=True)
class Finished:
    """The job and all its processes are gone, with this outcome."""

    job_id: str
    outcome: Outcome


@dataclass(frozen=True)
class Notice:
    """A text about the executor itself for the user."""

    text: str


Event = Report | Progress | Finished | Notice


@dataclass(frozen=True)
class StepLine:
    """A valid line with a step."""

    step: int
    metrics: dict[str, float]


@dataclass(frozen=True)
class FinalLine:
    """A valid line with final metrics."""

    metrics: dict[str, float]


@dataclass(frozen=True)
class ProgressLine:
    """A valid progress line."""

    values: dict[str, Any]


@dataclass(frozen=True)
class FaultLine:
    """A valid fault line."""

    cause: Cause
    message: str


Line = StepLine | FinalLine | ProgressLine | FaultLine

# Causes that a program may name itself; the others are observed from outside.
_FAULTS_A_PROGRAM_MAY_NAME = {Cause.DIVERGED, Cause.CUDA_OOM, Cause.HOST_OOM, Cause.INVALID, Cause.CRASH, Cause.PRUNED}


def parse_line(raw: bytes) -> Line:
    """Read one line of the report channel.

    Raises:
        BadLine: the line breaks a rule of the channel.
    """
    message = _load_object(raw)
    if "progress" in message:
        values = message["progress"]
        if len(message) != 1 or not isinstance(values, dict):
            raise BadLine('a progress line is {"progress": {...}} and nothing else')
        return ProgressLine(values)
    if "fault" in message:
        return _fault(message)
    step = message.pop("step", None)
    metrics = _metrics(message)
    if step is None:
        return FinalLine(metrics)
    if isinstance(step, bool) or not isinstance(step, int) or not 0 <= step <= MAX_STEP:
        raise BadLine(f"step must be a whole number in 0..{MAX_STEP}, but is {step!r:.60}")
    return StepLine(step, metrics)


def encode_values(metrics: dict[str, float]) -> dict[str, float | str]:
    """Encode metrics for strict JSON: values that are not finite become "nan", "inf" or "-inf"."""
    return {name: value if math.isfinite(value) else str(value) for name, value in metrics.items()}


def decode_values(metrics: dict[str, float | str]) -> dict[str, float]:
    """Decode the result of ``encode_values``."""
    return {name: float(value) for name, value in metrics.items()}


def _load_object(raw: bytes) -> dict[str, Any]:
    if len(raw) > MAX_LINE_BYTES:
        raise BadLine(f"a line holds at most {MAX_LINE_BYTES} bytes, this one {len(raw)}")
    try:
        message = json.loads(raw.decode("utf-8"), object_pairs_hook=_no_duplicates)
        json.dumps(message, ensure_ascii=False).encode("utf-8")  # fails for halves of surrogate pairs
        depth = _depth(message)
    except (UnicodeError, ValueError, RecursionError) as error:
        raise BadLine(f"not a JSON object: {error}"[:200]) from error
    if not isinstance(message, dict):
        raise BadLine("a line holds one JSON object")
    if depth > MAX_DEPTH:
        raise BadLine(f"nested deeper than {MAX_DEPTH}")
    return message


def _no_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    keys = [key for key, _ in pairs]
    if len(set(keys)) != len(keys):
        raise BadLine(f"a key occurs twice: {keys!r:.100}")
    return dict(pairs)


def _depth(value: Any) -> int:
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return 1 + max((_depth(item) for item in inner), default=0)


def _metrics(message: dict[str, Any]) -> dict[str, float]:
    if not message:
        raise BadLine("a line of metrics names at least one")
    if len(message) > MAX_METRICS:
        raise BadLine(f"a line names at most {MAX_METRICS} metrics")
    for name in message:
        if not name or len(name) > MAX_NAME_CHARACTERS or not name.isprintable():
            raise BadLine(f"a metric's name has 1..{MAX_NAME_CHARACTERS} printable characters, not {name!r:.60}")
    return {name: _number(name, value) for name, value in message.items()}


def _number(name: str, value: Any) -> float:
    if isinstance(value, str) and value in ("nan", "inf", "-inf"):
        return float(value)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise BadLine(f"{name!r} must be a number, but is {value!r:.60}")
    try:
        return float(value)
    except OverflowError as error:
        raise BadLine(f"{name!r} is too large") from error


def _fault(message: dict[str, Any]) -> FaultLine:
    try:
        cause = Cause(message["fault"])
    except ValueError:
        cause = Cause.PROTOCOL
    text = message.get("message", "")
    if cause not in _FAULTS_A_PROGRAM_MAY_NAME or set(message) - {"fault", "message"} or not isinstance(text, str):
        known = sorted(cause.value for cause in _FAULTS_A_PROGRAM_MAY_NAME)
        raise BadLine(f'a fault line is {{"fault": one of {known}, "message": text}}')
    return FaultLine(cause, text[:2000])
