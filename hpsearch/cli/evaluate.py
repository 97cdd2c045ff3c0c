"""hpsearch evaluate."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpsearch.cli.options import command
from hpsearch.data.metrics import NORMALIZATIONS

if TYPE_CHECKING:
    from hpsearch.commands.evaluate import Standing

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
    from hpsearch.commands.evaluate import Wanted, taught
    from hpsearch.commands.evaluate import evaluate as run
    from hpsearch.commands.openai_client import Question

    own = taught(model_name, model_dir)
    instruction, max_tokens = instruction or own.instruction, max_tokens or own.max_tokens
    question = Question(model_name, instruction or INSTRUCTION, max_tokens or MAX_TOKENS, temperature)
    if own.card is not None:
        asked = f"asked: {question.instruction!r}, at most {question.max_tokens} tokens"
        click.echo(f"{asked} (what no option says is as in {own.card})", err=True)
    wanted = Wanted(question=question, **options)
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

    def show(self, standing: Standing) -> None:
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
