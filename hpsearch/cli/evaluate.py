"""hpsearch evaluate."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpsearch.cli.options import command, trainer_option
from hpsearch.data.metrics import NORMALIZATIONS

if TYPE_CHECKING:
    from rich.table import Table

    from hpsearch.commands.evaluate import EvaluationProgress
    from hpsearch.commands.scores import Overall


KEY_VARIABLE = "OPENAI_API_KEY"
INSTRUCTION, MAX_TOKENS = "Read all text in this image.", 4096  # of a model of which nothing is known


class _Count(click.ParamType[int | None]):
    name = "N|None"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int | None:
        """A count, or None or all for no limit."""
        if value is None or str(value).lower() in ("none", "all"):
            return None
        if not str(value).isdecimal() or int(value) < 1:
            self.fail(f"{value!r} is neither a number from 1 nor None", param, ctx)
        return int(value)


@command(
    "hpsearch evaluate --vllm-url http://localhost:8000/v1 --data-file ocr_test.json --model-name gemma-12b",
    "hpsearch evaluate --url gpu:8000 --data-file table.json --top-k 100 --workers 8 --model-name gemma-12b",
)
@click.option("--vllm-url", "--url", "url", required=True, metavar="URL", help="The server: http://HOST:PORT/v1.")
@click.option("--data-file", required=True, type=click.Path(path_type=Path), help="Rows of image_path and ocr_text.")
@click.option(
    "--output-file",
    type=click.Path(path_type=Path, dir_okay=False),
    default=Path("evaluation.json"),
    help="Scores and predictions. Answers are kept beside it, and a second run asks only for what is missing.",
)
@click.option("--model-name", required=True, help="The model's name on the server.")
@click.option(
    "--model-dir",
    type=click.Path(path_type=Path),
    help="Its folder here, merged or an adapter's: it is asked what it was trained with. "
    "[default: --model-name, if that is one]",
)
@click.option("--instruction", help=f"What is asked. [default: the model's own, else: {INSTRUCTION}]")
@click.option("--top-k", type=_Count(), default=None, help="The first rows only.")
@click.option("--workers", type=click.IntRange(1, 256), default=4, help="Rows asked for at once.")
@click.option("--save-interval", type=click.IntRange(min=1), default=50, help="Rows after which scores are written.")
@click.option(
    "--max-tokens",
    type=click.IntRange(min=1),
    help=f"Limit in tokens for an answer. [default: the model's own, else: {MAX_TOKENS}]",
)
@click.option("--temperature", type=click.FloatRange(0, 2), default=0.0, help="0: the same answer each time.")
@click.option(
    "--timeout", "timeout_s", type=click.FloatRange(min=0, min_open=True), default=300.0, help="Seconds for an answer."
)
@click.option("--retries", type=click.IntRange(0, 100), default=4, help="How often a row is asked for again.")
@click.option(
    "--normalization", type=click.Choice(list(NORMALIZATIONS)), default="nfc", help="What is done to both texts first."
)
@click.option("--restart", is_flag=True, help="Ask for everything again.")
def evaluate(
    model_name: str,
    model_dir: Path | None,
    instruction: str | None,
    max_tokens: int | None,
    temperature: float,
    **options: Any,
) -> int:
    """Evaluate a model behind an OpenAI-compatible server (vLLM, transformers serve): CER, WER and F1 of its answers.

    A key is taken from OPENAI_API_KEY. Exit code 4: rows are left without an answer.
    """
    from hpsearch.commands.evaluate import EvaluateRequest, trained_with
    from hpsearch.commands.evaluate import evaluate as run
    from hpsearch.commands.openai_client import ReadRequest

    own = trained_with(model_name, model_dir)
    instruction, max_tokens = instruction or own.instruction, max_tokens or own.max_tokens
    question = ReadRequest(model_name, instruction or INSTRUCTION, max_tokens or MAX_TOKENS, temperature)
    if own.card is not None:
        asked = f"asked: {question.instruction!r}, at most {question.max_tokens} tokens"
        click.echo(f"{asked} (what no option says is as in {own.card})", err=True)
    wanted = EvaluateRequest(question=question, **options)
    with _Progress() as progress:
        done = run(wanted, os.environ.get(KEY_VARIABLE), progress.show)
    _report(done.report, wanted.output_file)
    if done.exit_code >= 128:
        click.echo("stopped: the same command goes on with the rest", err=True)
    elif done.exit_code:
        click.echo(
            f"{done.report['failed_samples']} rows have no answer; the same command asks for them again", err=True
        )
    return done.exit_code


def _report(report: dict[str, Any], file: Path) -> None:
    if report["overall_cer"] is not None:
        for name, key in (("CER", "cer"), ("WER", "wer"), ("F1", "f1"), ("F1, mean of rows", "f1_macro")):
            ends = report["intervals"][key]
            share = "95 %: {:.4f} to {:.4f}".format(*ends) if ends else "no interval: all rows are of one document"
            click.echo(f"{name}: {report[f'overall_{key}']:.4f} ({share})")
    click.echo(
        f"rows: {report['total_samples']} answered, {report['failed_samples']} failed, {report['open_samples']} open; "
        f"{report.get('perfect_samples', 0)} perfect, {report['empty_predictions']} empty, "
        f"{report['cut_off_predictions']} cut off"
    )
    for reason in list(dict.fromkeys(each["error"] for each in report["samples"] if each.get("error")))[:3]:
        click.echo(f"warning: {reason}")
    click.echo(f"written: {file}")


class _Progress:
    """A bar on a terminal; elsewhere a line now and then."""

    def __init__(self) -> None:
        self._bar: Any = None
        self._task: Any = None
        self._said = 0

    def __enter__(self) -> _Progress:
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

    def show(self, standing: EvaluationProgress) -> None:
        """Show how far it is, with the CER so far."""
        failed = f", {standing.failed} failed" if standing.failed else ""
        before = f", {standing.before} answered before" if standing.before else ""
        rate = f"{standing.edits.rate:.4f}" if standing.answered else "-"
        text = f"CER {rate}{failed}{before}"
        if self._bar is not None:
            self._bar.update(self._task, completed=standing.done, total=standing.total, description=text)
        elif standing.done == standing.total or standing.done * 20 // standing.total > self._said:
            self._said = standing.done * 20 // standing.total
            click.echo(f"evaluate: {standing.done} of {standing.total}, {text}", err=True)


# hpsearch score.

FILE = click.Path(path_type=Path, dir_okay=False)


@command(
    "hpsearch score --input results/gemma.json --output results/gemma_norm.json",
    "hpsearch score --input results/gemma.json --output results/graphemes.json --normalization graphemes",
)
@click.option("--input", "source", required=True, type=FILE, help="The output of an evaluation.")
@click.option("--output", "target", required=True, type=FILE, help="The same with the scores made anew.")
@click.option(
    "--normalization",
    type=click.Choice(list(NORMALIZATIONS)),
    default="no_punctuation",
    help="What is done to both texts first; the scores of all others stand beside.",
)
@click.option("--page", type=FILE, help="An HTML file to look at. [default: the output's name with .html]")
def score(source: Path, target: Path, normalization: str, page: Path | None) -> int:
    """Score an evaluation's predictions anew, under another normalisation, and show where the errors are."""
    from hpsearch.cli.tables import console
    from hpsearch.commands.rescore import score_file

    page = page or target.with_suffix(".html")
    if len({each.resolve() for each in (source, target, page)}) < 3:
        raise click.UsageError("--input, --output and --page are different files: the predictions are kept as they are")
    scored = score_file(source, target, page, normalization)
    console().print(_table(scored.all, normalization))
    click.echo(f"samples: {scored.report['total_samples']} scored, {scored.report['failed_samples']} without an answer")
    click.echo(f"written: {target}, {page}")
    return 0


def _table(found: Mapping[str, Overall], chosen: str) -> Table:
    """Every normalisation's figures, a line for each."""
    from rich.table import Table

    table = Table("normalisation", *("CER", "WER", "F1", "F1, mean of rows", "perfect"))
    for name, whole in found.items():
        values = [f"{getattr(whole, key).value:.4f}" for key in ("cer", "wer", "f1", "f1_macro")]
        table.add_row(name + (" *" if name == chosen else ""), *values, str(whole.perfect))
    return table


# hpsearch ocr.


@command(
    "hpsearch ocr page.png --model studies/gemma-ocr/best",
    "hpsearch ocr scans/*.png --model best-gemma/adapter --json > read.jsonl",
)
@click.argument("images", nargs=-1, required=True, metavar="IMAGE...", type=click.Path(path_type=Path))
@click.option("--model", required=True, help="An adapter's folder, or a model: a folder, a Hub id or asset:NAME.")
@click.option("--instruction", help="What the model is asked. [default: what it was trained with]")
@click.option("--max-new-tokens", type=click.IntRange(min=1), help="Limit in tokens for a text.")
@click.option("--longest-edge", type=click.IntRange(min=28), help="Resolution. [default: what it was trained with]")
@click.option("--batch-size", type=click.IntRange(min=1), default=1, help="Pictures read at once.")
@click.option("--temperature", type=click.FloatRange(0, 2), default=0.0, help="0: greedy, so that reading repeats.")
@click.option("--load-in-4bit/--no-load-in-4bit", default=None, help="[default: as it was trained]")
@trainer_option
@click.option("--json", "as_json", is_flag=True, help="A JSON line for each picture: image_path and ocr_text.")
def ocr(images: tuple[Path, ...], model: str, as_json: bool, trainer_python: str | None, **options: Any) -> int:
    """Read pictures with a tuned model. Texts go to the standard output, progress to the standard error."""
    from hpsearch.commands.predict import read_pictures

    def take(row: dict[str, str]) -> None:
        if as_json:
            click.echo(json.dumps(row, ensure_ascii=False))
        else:
            click.echo(f"== {row['image_path']}\n{row['ocr_text']}" if len(images) > 1 else row["ocr_text"])

    read_pictures(images, model, options, take, _ReadingProgress().take, trainer_python)
    return 0


class _ReadingProgress:
    """Shows phases and how far reading is, on the standard error."""

    def __init__(self) -> None:
        self._shown = ""

    def take(self, happening: Any) -> None:
        """Show one happening."""
        values = getattr(happening, "values", {})
        fraction = values.get("fraction")
        line = str(values.get("phase", "")) + (f" {fraction:.0%}" if isinstance(fraction, float) else "")
        if line and line != self._shown:
            self._shown = line
            click.echo(f"ocr: {line}", err=True)
