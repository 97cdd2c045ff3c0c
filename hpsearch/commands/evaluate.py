"""Evaluating a served model on rows of picture and text: `hpsearch evaluate`."""

from __future__ import annotations

import hashlib
import json
import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hpsearch.commands.answers import AnsweredRow, Journal, results
from hpsearch.commands.openai_client import Endpoint, NoAnswer, ReadRequest, ServerAnswer
from hpsearch.data.metrics import Edits
from hpsearch.data.rows import Layout, Sample, read_splits
from hpsearch.errors import HpsearchError, JobFailed, UsageError
from hpsearch.execution.files import write_json
from hpsearch.execution.job import ADAPTER_CARD
from hpsearch.execution.signals import Interruption

LOOK_S = 0.1  # how often a signal is looked for while answers are awaited
IN_A_ROW = 3  # failures for each worker, one after the other: nobody is there any more


@dataclass(frozen=True)
class EvaluateRequest:
    """What is evaluated: rows of ``data_file`` (the first ``top_k``, None: all) by the model behind ``url``."""

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


Shown = Callable[[EvaluationProgress], None]


@dataclass(frozen=True)
class EvaluateResult:
    """What came of it: what was written, and the exit code (0; 4: rows without an answer; that of an interruption)."""

    report: dict[str, Any]
    exit_code: int


def evaluate(wanted: EvaluateRequest, key: str | None = None, show: Shown = lambda _: None) -> EvaluateResult:
    """Ask for every row's text, and write predictions and scores.

    Raises:
        UsageError: the rows, the server's address, the model's name or the key is wrong.
        JobFailed: the server is gone. Answers that came before are kept, here and when it is interrupted: the same
            command goes on with the rest.
    """
    samples = _samples(wanted)
    if wanted.output_file.exists() and wanted.output_file.samefile(wanted.data_file):
        raise UsageError("an evaluation does not replace its data, but both files are the same", "mend --output-file")
    with Endpoint(wanted.url, wanted.question, key, wanted.timeout_s, wanted.retries) as endpoint:
        journal = Journal(_answers(wanted), wanted.question)
        work = _Work(samples, wanted, journal, show)
        try:
            with Interruption() as interruption:
                work.run(endpoint, interruption)
        except JobFailed:
            work.write()
            raise
        finally:
            journal.close()
        report = work.write()
    if interruption.requested:
        return EvaluateResult(report, interruption.exit_code)
    return EvaluateResult(report, 4 if report["failed_samples"] else 0)


def _answers(wanted: EvaluateRequest) -> Path:
    """The file beside the output in which answers are kept."""
    path = wanted.output_file.with_name(wanted.output_file.name + ".answers.jsonl")
    if wanted.restart:
        path.unlink(missing_ok=True)
    return path


def _samples(wanted: EvaluateRequest) -> list[Sample]:
    found = [each for split in read_splits(wanted.data_file, wanted.layout).values() for each in split]
    found = found[: wanted.top_k]
    if not found:
        raise UsageError(f"an evaluation needs rows, but {wanted.data_file} has none", "name another --data-file")
    return found


class _Work:
    """The rows, and threads that ask for them."""

    def __init__(self, samples: Sequence[Sample], wanted: EvaluateRequest, journal: Journal, show: Shown) -> None:
        self._wanted, self._journal, self._show = wanted, journal, show
        self._rows = [AnsweredRow(each) for each in samples]
        self._open: queue.SimpleQueue[int] = queue.SimpleQueue()
        for number in range(len(self._rows)):
            self._open.put(number)
        self._came: queue.SimpleQueue[tuple[int, ServerAnswer | HpsearchError | NoAnswer, bool]] = queue.SimpleQueue()
        self._standing = EvaluationProgress(len(self._rows))
        self._failed_in_a_row = self._refused = 0
        self._stopped = threading.Event()

    def run(self, endpoint: Endpoint, interruption: Interruption) -> None:
        """Ask until every row is done, or a stop is asked for."""
        for _ in range(min(self._wanted.workers, len(self._rows))):
            # Not joined: one that waits for an answer need not be waited for.
            threading.Thread(target=self._ask, args=(endpoint,), daemon=True).start()
        try:
            while self._standing.done < len(self._rows) and not interruption.requested:
                try:
                    number, came, before = self._came.get(timeout=LOOK_S)
                except queue.Empty:
                    continue
                self._take(number, came, before)
        finally:
            self._stopped.set()
            self._take_what_came()

    def write(self) -> dict[str, Any]:
        """Write what there is; what was written."""
        file = self._wanted.output_file
        report = results(self._rows, self._wanted.question.model, self._wanted.normalization, file.parent)
        write_json(file, report)
        return report

    def _refuse_refused(self, came: NoAnswer) -> None:
        """End it where the server refuses every row from the first on: what is wrong is the question."""
        self._refused = self._refused + 1 if came.refused and self._standing.answered == 0 else 0
        if self._refused >= IN_A_ROW * self._wanted.workers:
            raise UsageError(
                f"the server refuses all of the first {self._refused} rows, the last one: {came}",
                "mend --model-name, --max-tokens or the server; GET .../v1/models lists what is served",
            )

    def _take_what_came(self) -> None:
        """Take the answers that came while it ended."""
        while True:
            try:
                number, came, before = self._came.get_nowait()
            except queue.Empty:
                return
            if isinstance(came, ServerAnswer):
                self._take(number, came, before)

    def _ask(self, endpoint: Endpoint) -> None:
        while not self._stopped.is_set():
            try:
                number = self._open.get_nowait()
            except queue.Empty:
                return
            came, before = self._answer(endpoint, self._rows[number].sample)
            self._came.put((number, came, before))

    def _answer(self, endpoint: Endpoint, sample: Sample) -> tuple[ServerAnswer | HpsearchError | NoAnswer, bool]:
        """An answer, or why there is none; and whether it was there before."""
        try:
            if sample.fault:
                return NoAnswer(sample.fault, lasting=True), False
            try:
                picture = sample.read()
            except (OSError, ValueError) as error:
                return NoAnswer(f"its picture cannot be read: {error}", lasting=True), False
            digest = hashlib.sha256(picture).hexdigest()
            known = self._journal.get(digest)
            if known is not None:
                return known, True
            answer = endpoint.read(picture)
            self._journal.add(digest, answer)
        except (NoAnswer, HpsearchError) as error:
            return error, False
        except Exception as error:  # noqa: BLE001 - a row that nobody waits for any more would be waited for for ever
            return NoAnswer(f"{type(error).__name__}: {error}", lasting=True), False
        return answer, False

    def _take(self, number: int, came: ServerAnswer | HpsearchError | NoAnswer, before: bool) -> None:
        row, standing = self._rows[number], self._standing
        if isinstance(came, HpsearchError):
            raise came
        standing.done += 1
        standing.before += before
        if isinstance(came, NoAnswer):
            row.error = str(came)
            standing.failed += 1
            self._refuse_refused(came)
            self._failed_in_a_row += not came.lasting
            if self._failed_in_a_row >= IN_A_ROW * self._wanted.workers:
                raise JobFailed(
                    f"the server answers no more: {self._failed_in_a_row} rows in a row have no answer, the last one: "
                    f"{came}",
                    "see to it, then run the same command again: what it has answered is kept",
                )
        else:
            row.answer = came
            standing.edits += row.compare(self._wanted.normalization).characters
            self._failed_in_a_row = 0
        self._show(standing)
        if not standing.done % self._wanted.save_interval:
            self.write()


# What a tuned model was taught with: its folder says so, where it is on this machine.


@dataclass(frozen=True)
class TrainedWith:
    """The instruction that it was taught to follow, and the limit in tokens for its answers; None where that is not
    known. ``card`` is the file that says so."""

    instruction: str | None = None
    max_tokens: int | None = None
    card: Path | None = None


def taught(model_name: str, folder: Path | None) -> TrainedWith:
    """What is known of the model in ``folder``, or else of that in the folder called as the model is on its server.

    Raises:
        UsageError: a folder was given, and is none of a model that hpsearch made.
    """
    place = Path(model_name) if folder is None else folder
    card = place.expanduser() / ADAPTER_CARD
    try:
        settings = json.loads(card.read_text(encoding="utf-8"))["settings"]
        instruction, tokens = settings.get("instruction"), settings.get("max_new_tokens")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        if folder is None:
            return TrainedWith()
        raise UsageError(
            f"--model-dir must be an adapter's folder or a merged model's, but {card} cannot be read: {error}",
            "name another folder, or say --instruction",
        ) from error
    return TrainedWith(str(instruction) if instruction else None, int(tokens) if tokens else None, card)
