"""hpsearch evaluate, hpsearch score, hpsearch ocr: reading with a model, and what its predictions are worth."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpsearch.cli.options import COUNT, FILE, SECONDS, Decorator, command, trainer_option
from hpsearch.data.metrics import NORMALIZATIONS

if TYPE_CHECKING:
    from rich.table import Table

    from hpsearch.commands.evaluate import EvaluationProgress
    from hpsearch.commands.scores import Overall


KEY_VARIABLE = "OPENAI_API_KEY"
INSTRUCTION, MAX_TOKENS = "Read all text in this image.", 4096  # of a model of which nothing is known
PATH = click.Path(path_type=Path)


class _Limit(click.ParamType[int | None]):
    name = "N|None"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """Return a count; None for no limit, spelled None or all."""
        if value is None or str(value).lower() in ("none", "all"):
            return None
        if not str(value).isdecimal() or int(value) < 1:
            self.fail(f"{value!r} is neither a number from 1 nor None", param, ctx)
        return int(value)


def normalization_option(default: str, text: str) -> Decorator:
    """Add --normalization; ``text`` is its help."""
    return click.option("--normalization", type=click.Choice(list(NORMALIZATIONS)), default=default, help=text)


@command(
    "hpsearch evaluate --vllm-url http://localhost:8000/v1 --data-file ocr_test.json --model-name gemma-12b",
    "hpsearch evaluate --url gpu:8000 --data-file table.json --top-k 100 --workers 8 --model-name gemma-12b",
)
@click.option("--vllm-url", "--url", "url", required=True, metavar="URL", help="The server: http://HOST:PORT/v1.")
@click.option("--data-file", required=True, type=PATH, help="Rows of image_path and ocr_text.")
@click.option(
    "--output-file",
    type=FILE,
    default=Path("evaluation.json"),
    help="Scores and predictions. Answers are stored beside it, so a second run asks only for the missing ones.",
)
@click.option("--model-name", required=True, help="The model's name on the server.")
@click.option(
    "--model-dir",
    type=PATH,
    help="Its local folder, merged or adapter, for its trained instruction. [default: --model-name, if a folder]",
)
@click.option("--instruction", help=f"Instruction to the model. [default: the model's own, else: {INSTRUCTION}]")
@click.option("--top-k", type=_Limit(), default=None, help="Only the first rows.")
@click.option("--workers", type=click.IntRange(1, 256), default=4, help="Number of requests at the same time.")
@click.option("--save-interval", type=COUNT, default=50, help="Number of rows after which scores are written.")
@click.option(
    "--max-tokens", type=COUNT, help=f"Maximum tokens of an answer. [default: the model's own, else: {MAX_TOKENS}]"
)
@click.option("--temperature", type=click.FloatRange(0, 2), default=0.0, help="0: the same answer each time.")
@click.option("--timeout", "timeout_s", type=SECONDS, default=300.0, help="Seconds to wait for an answer.")
@click.option("--retries", type=click.IntRange(0, 100), default=4, help="Number of retries for a row.")
@normalization_option("nfc", "Normalisation of both texts before they are compared.")
@click.option("--restart", is_flag=True, help="Ask for all rows again.")
def evaluate(
    model_name: str,
    model_dir: Path | None,
    instruction: str | None,
    max_tokens: int | None,
    temperature: float,
    **options: Any,
) -> int:
    """Evaluate a model behind an OpenAI-compatible server: CER, WER and F1 of its answers.

    The server may be vLLM or `transformers serve`. The key is read from OPENAI_API_KEY. Exit code 4: some rows have no
    answer.
    """
    from hpsearch.commands.evaluate import EvaluateRequest, trained_with
    from hpsearch.commands.evaluate import evaluate as run
    from hpsearch.commands.openai_client import ReadRequest

    own = trained_with(model_name, model_dir)
    instruction, max_tokens = instruction or own.instruction, max_tokens or own.max_tokens
    question = ReadRequest(model_name, instruction or INSTRUCTION, max_tokens or MAX_TOKENS, temperature)
    if own.card is not None:
        asked = f"asked: {question.instruction!r}, at most {question.max_tokens} tokens"
        click.echo(f"{asked} (defaults from {own.card})", err=True)
    request = EvaluateRequest(question=question, **options)
    with _EvaluationBar() as bar:
        result = run(request, os.environ.get(KEY_VARIABLE), bar.show)
    _show_report(result.report, request.output_file)
    if result.exit_code >= 128:
        click.echo("stopped: the same command continues with the rest", err=True)
    elif result.exit_code:
        missing = result.report["failed_samples"]
        click.echo(f"{missing} rows have no answer; the same command asks for them again", err=True)
    return result.exit_code


def _show_report(report: dict[str, Any], file: Path) -> None:
    if report["overall_cer"] is not None:
        for name, key in (("CER", "cer"), ("WER", "wer"), ("F1", "f1"), ("F1, mean of rows", "f1_macro")):
            ends = report["intervals"][key]
            interval = "95 %: {:.4f} to {:.4f}".format(*ends) if ends else "no interval: all rows are of one document"
            click.echo(f"{name}: {report[f'overall_{key}']:.4f} ({interval})")
    click.echo(
        f"rows: {report['total_samples']} answered, {report['failed_samples']} failed, {report['open_samples']} open; "
        f"{report.get('perfect_samples', 0)} perfect, {report['empty_predictions']} empty, "
        f"{report['cut_off_predictions']} cut off"
    )
    errors = dict.fromkeys(sample["error"] for sample in report["samples"] if sample.get("error"))
    for error in list(errors)[:3]:
        click.echo(f"warning: {error}")
    click.echo(f"written: {file}")


class _EvaluationBar:
    """Shows a bar on a terminal; elsewhere prints a line for each twentieth."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._printed = 0

    def __enter__(self) -> _EvaluationBar:
        if sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

            columns = (BarColumn(), MofNCompleteColumn(), TextColumn("{task.description}"), TimeRemainingColumn())
            self._bar = Progress(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task("")
            self._bar.start()
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.stop()

    def show(self, progress: EvaluationProgress) -> None:
        """Show how many rows are done, with the CER so far."""
        failed = f", {progress.failed} failed" if progress.failed else ""
        before = f", {progress.before} answered before" if progress.before else ""
        rate = f"{progress.edits.rate:.4f}" if progress.answered else "-"
        text = f"CER {rate}{failed}{before}"
        if self._bar is not None:
            self._bar.update(self._task, completed=progress.done, total=progress.total, description=text)
        elif progress.done == progress.total or progress.done * 20 // progress.total > self._printed:
            self._printed = progress.done * 20 // progress.total
            click.echo(f"evaluate: {progress.done} of {progress.total}, {text}", err=True)


@command(
    "hpsearch score --input results/gemma.json --output results/gemma_norm.json",
    "hpsearch score --input results/gemma.json --output results/graphemes.json --normalization graphemes",
)
@click.option("--input", "source", required=True, type=FILE, help="The output of an evaluation.")
@click.option("--output", "target", required=True, type=FILE, help="File for the predictions with the new scores.")
@normalization_option(
    "no_punctuation", "Normalisation of both texts before they are compared; the scores of all others are written too."
)
@click.option("--page", type=FILE, help="An HTML file to look at. [default: the output's name with .html]")
def score(source: Path, target: Path, normalization: str, page: Path | None) -> None:
    """Score an evaluation's predictions again, under another normalisation.

    The page shows where the errors are.
    """
    from hpsearch.cli.tables import console
    from hpsearch.commands.rescore import score_file

    page = page or target.with_suffix(".html")
    if len({path.resolve() for path in (source, target, page)}) < 3:
        raise click.UsageError("--input, --output and --page must be different files, so that the predictions are kept")
    scored = score_file(source, target, page, normalization)
    console().print(_score_table(scored.all, normalization))
    click.echo(f"samples: {scored.report['total_samples']} scored, {scored.report['failed_samples']} without an answer")
    click.echo(f"written: {target}, {page}")


def _score_table(scores: Mapping[str, Overall], chosen: str) -> Table:
    """Make a table with a line for each normalisation."""
    from rich.table import Table

    table = Table("normalisation", "CER", "WER", "F1", "F1, mean of rows", "perfect")
    for name, overall in scores.items():
        values = [f"{getattr(overall, key).value:.4f}" for key in ("cer", "wer", "f1", "f1_macro")]
        table.add_row(name + (" *" if name == chosen else ""), *values, str(overall.perfect))
    return table


@command(
    "hpsearch ocr page.png --model studies/gemma-ocr/best",
    "hpsearch ocr scans/*.png --model best-gemma/adapter --json > read.jsonl",
)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=PATH)
@click.option("--model", required=True, help="An adapter's folder, or a model: a folder, a Hub id or asset:NAME.")
@click.option("--instruction", help="Instruction to the model. [default: the one it was trained with]")
@click.option("--max-new-tokens", type=COUNT, help="Maximum tokens of a text.")
@click.option("--longest-edge", type=click.IntRange(min=28), help="Resolution. [default: the one it was trained with]")
@click.option("--batch-size", type=COUNT, default=1, help="Images to read at the same time.")
@click.option("--temperature", type=click.FloatRange(0, 2), default=0.0, help="0: greedy, so the result is repeatable.")
@click.option("--load-in-4bit/--no-load-in-4bit", default=None, help="[default: as it was trained]")
@trainer_option
@click.option("--json", "as_json", is_flag=True, help="Print a JSON line for each image: image_path and ocr_text.")
def ocr(images: tuple[Path, ...], model: str, as_json: bool, trainer_python: str | None, **options: Any) -> None:
    """Read images with a tuned model. Texts go to the standard output, progress to the standard error."""
    from hpsearch.commands.predict import read_pictures
    from hpsearch.report.text import terminal_text

    progress = ""

    def take(row: dict[str, str]) -> None:
        if as_json:
            click.echo(json.dumps(row, ensure_ascii=False))
        else:
            text = terminal_text(row["ocr_text"])
            click.echo(f"== {row['image_path']}\n{text}" if len(images) > 1 else text)

    def view(event: Any) -> None:
        nonlocal progress
        values = getattr(event, "values", {})
        fraction = values.get("fraction")
        line = str(values.get("phase", "")) + (f" {fraction:.0%}" if isinstance(fraction, float) else "")
        if line and line != progress:
            progress = line
            click.echo(f"ocr: {line}", err=True)

    read_pictures(images, model, options, take, view, trainer_python)
