"""`hpsearch evaluate`: the answers of a served model for rows of picture and text, with scores."""

from __future__ import annotations

import hashlib
import queue
import threading
from collections.abc import Callable, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpsearch.commands.answers import AnsweredRow, Journal, results
from hpsearch.commands.openai_client import Endpoint, NoAnswer, ReadRequest, ServerAnswer
from hpsearch.data.metrics import Edits
from hpsearch.data.rows import Layout, Sample, read_splits
from hpsearch.errors import HpsearchError, JobFailed, UsageError
from hpsearch.execution.adapter_card import AdapterCard
from hpsearch.execution.files import write_json
from hpsearch.execution.job import ADAPTER_CARD
from hpsearch.execution.signals import Interruption

LOOK_S = 0.1  # how often a signal is looked for while answers are awaited
IN_A_ROW = 3  # failures for each worker, one after the other: the server is gone


@dataclass(frozen=True)
class EvaluateRequest:
    """Rows of ``data_file`` (the first ``top_k``, None: all), and the question for the model behind ``url``."""

    url: str
    data_file: Path
    output_file: Path
    question: ReadRequest
    top_k: int | None = None
    workers: int = 4
    save_interval: int = 50
    timeout_s: float = 300.0
    retries: int = 4
    normalization: str = "nfc"
    restart: bool = False
    layout: Layout = field(default_factory=Layout)


@dataclass
class EvaluationProgress:
    """How far an evaluation is: rows that are done of ``total``, those answered before it began, those without an
    answer, and the edits so far."""

    total: int
    done: int = 0
    before: int = 0
    failed: int = 0
    edits: Edits = field(default_factory=Edits)

    @property
    def answered(self) -> int:
        """Rows that have an answer."""
        return self.done - self.failed


@dataclass(frozen=True)
class EvaluateResult:
    """The report that was written, and the exit code (0; 4: rows without an answer; that of an interruption)."""

    report: dict[str, Any]
    exit_code: int


ShowProgress = Callable[[EvaluationProgress], None]


def evaluate(request: EvaluateRequest, key: str | None = None, show: ShowProgress = lambda _: None) -> EvaluateResult:
    """Ask for every row's text, and write predictions and scores.

    Raises:
        UsageError: the rows, the server's address, the model's name or the key is wrong.
        JobFailed: the server is gone. Earlier answers are kept, here and after an interruption: the same command goes
            on with the rest.
    """
    splits = read_splits(request.data_file, request.layout)
    samples = [sample for rows in splits.values() for sample in rows][: request.top_k]
    if not samples:
        raise UsageError(f"an evaluation needs rows, but {request.data_file} has none", "name another --data-file")
    output = request.output_file
    if output.exists() and output.samefile(request.data_file):
        raise UsageError(
            "an evaluation does not replace its data, but both files are the same", "name another --output-file"
        )
    with Endpoint(request.url, request.question, key, request.timeout_s, request.retries) as endpoint:
        answers = output.with_name(output.name + ".answers.jsonl")
        if request.restart:
            answers.unlink(missing_ok=True)
        with closing(Journal(answers, request.question)) as journal:
            evaluation = _Evaluation(samples, request, endpoint, journal, show)
            try:
                with Interruption() as interruption:
                    evaluation.run(interruption)
            except JobFailed:
                evaluation.write()
                raise
        report = evaluation.write()
    if interruption.requested:
        return EvaluateResult(report, interruption.exit_code)
    return EvaluateResult(report, 4 if report["failed_samples"] else 0)


@dataclass(frozen=True)
class _Reply:
    """The answer for a row, or the error in its place; ``before``: the journal had it."""

    number: int
    answer: ServerAnswer | HpsearchError | NoAnswer
    before: bool = False


class _Evaluation:
    """The rows, and the threads that ask for them."""

    def __init__(
        self,
        samples: Sequence[Sample],
        request: EvaluateRequest,
        endpoint: Endpoint,
        journal: Journal,
        show: ShowProgress,
    ) -> None:
        self._request, self._endpoint, self._journal, self._show = request, endpoint, journal, show
        self._rows = [AnsweredRow(sample) for sample in samples]
        self._open: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(len(self._rows)):
            self._open.put(number)
        self._replies: queue.SimpleQueue[_Reply] = queue.SimpleQueue()
        self._progress = EvaluationProgress(len(self._rows))
        self._failed_in_a_row = self._refused = 0
        self._stopped = threading.Event()

    def run(self, interruption: Interruption) -> None:
        """Ask until every row is done, or a stop is requested."""
        for _ in range(min(self._request.workers, len(self._rows))):
            # Not joined: one that waits for an answer need not be waited for.
            threading.Thread(target=self._ask, daemon=True).start()
        try:
            while self._progress.done < len(self._rows) and not interruption.requested:
                try:
                    self._take(self._replies.get(timeout=LOOK_S))
                except queue.Empty:
                    continue
        finally:
            self._stopped.set()
            self._take_last_answers()

    def write(self) -> dict[str, Any]:
        """Write the report so far, and return it."""
        request = self._request
        report = results(self._rows, request.question.model, request.normalization, request.output_file.parent)
        write_json(request.output_file, report)
        return report

    def _ask(self) -> None:
        """Ask for open rows, in a thread."""
        while not self._stopped.is_set():
            try:
                number = self._open.get_nowait()
            except queue.Empty:
                return
            try:
                reply = self._reply(number)
            except (NoAnswer, HpsearchError) as error:
                reply = _Reply(number, error)
            except Exception as error:  # noqa: BLE001 - without a reply the row would be awaited for ever
                reply = _Reply(number, NoAnswer(f"{type(error).__name__}: {error}", lasting=True))
            self._replies.put(reply)

    def _reply(self, number: int) -> _Reply:
        sample = self._rows[number].sample
        if sample.fault:
            raise NoAnswer(sample.fault, lasting=True)
        try:
            picture = sample.read()
        except (OSError, ValueError) as error:
            raise NoAnswer(f"its picture cannot be read: {error}", lasting=True) from error
        digest = hashlib.sha256(picture).hexdigest()
        known = self._journal.get(digest)
        if known is not None:
            return _Reply(number, known, before=True)
        answer = self._endpoint.read(picture)
        self._journal.add(digest, answer)
        return _Reply(number, answer)

    def _take(self, reply: _Reply) -> None:
        row, answer, progress = self._rows[reply.number], reply.answer, self._progress
        if isinstance(answer, HpsearchError):
            raise answer
        progress.done += 1
        progress.before += reply.before
        if isinstance(answer, NoAnswer):
            row.error = str(answer)
            progress.failed += 1
            self._check_server(answer)
        else:
            row.answer = answer
            progress.edits += row.compare(self._request.normalization).characters
            self._failed_in_a_row = 0
        self._show(progress)
        if not progress.done % self._request.save_interval:
            self.write()

    def _check_server(self, failure: NoAnswer) -> None:
        """Stop where the server refuses every row from the first on, for then the question is wrong, and where it
        answers no more."""
        limit = IN_A_ROW * self._request.workers
        self._refused = self._refused + 1 if failure.refused and self._progress.answered == 0 else 0
        if self._refused >= limit:
            raise UsageError(
                f"the server refuses all of the first {self._refused} rows, the last one: {failure}",
                "correct --model-name, --max-tokens or the server; GET .../v1/models lists what is served",
            )
        self._failed_in_a_row += not failure.lasting
        if self._failed_in_a_row >= limit:
            raise JobFailed(
                f"the server answers no more: {self._failed_in_a_row} rows in a row have no answer, the last one: "
                f"{failure}",
                "check the server, then run the same command again: what it has answered is kept",
            )

    def _take_last_answers(self) -> None:
        """Take the answers that came while the evaluation ended."""
        while True:
            try:
                reply = self._replies.get_nowait()
            except queue.Empty:
                return
            if isinstance(reply.answer, ServerAnswer):
                self._take(reply)


@dataclass(frozen=True)
class TrainedWith:
    """The instruction that a tuned model was trained with, and the limit in tokens for its answers; None where that is
    not known. ``card`` is the file that names them."""

    instruction: str | None = None
    max_tokens: int | None = None
    card: Path | None = None


def trained_with(model_name: str, folder: Path | None) -> TrainedWith:
    """Read the card of the model in ``folder``, or else in the folder called as the model is on its server.

    Raises:
        UsageError: a folder was given, and is none of a model that hpsearch made.
    """
    place = (Path(model_name) if folder is None else folder).expanduser()
    file = place / ADAPTER_CARD
    try:
        settings = AdapterCard.read(place).settings
        if not settings:
            raise ValueError("it has no settings")
    except (OSError, ValueError) as error:
        if folder is None:
            return TrainedWith()
        raise UsageError(
            f"--model-dir must be an adapter's folder or a merged model's, but {file} cannot be read: {error}",
            "name another folder, or give --instruction",
        ) from error
    instruction, tokens = settings.get("instruction"), settings.get("max_new_tokens")
    return TrainedWith(str(instruction) if instruction else None, int(tokens) if tokens else None, file)
