"""hpsearch plan."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpsearch.cli.options import command, device_options, storage_options, study_option, trainer_option

if TYPE_CHECKING:
    from hpsearch.commands.plan import Outlook, Plan, Range
    from hpsearch.study.options import RunOptions

FILE = click.Path(path_type=Path, dir_okay=False)
LONGEST_S = 1e10
LAYER = ("search_mode", "model_name", "input_data", "instruction")


@command(
    "hpsearch plan --study gemma-ocr",
    "hpsearch plan --study gemma-ocr --input-data pages.json --gpus all --probe",
)
@study_option(required=True)
@click.option("--probe", is_flag=True, help="Run one trial of the study first, which is kept as its trial 0.")
@click.option("--n-trials", type=click.IntRange(min=1), help="Plan for this total of finished trials too.")
@click.option(
    "--gpu-hours",
    type=click.FloatRange(min=0, min_open=True),
    metavar="HOURS",
    help="Say how many trials these GPU-hours allow. [default: the study's]",
)
@click.option("--config", type=FILE, help="As for `hpsearch run`.")
@click.option("--search-space", type=FILE, help="As for `hpsearch run`.")
@click.option("--search-mode", type=click.Choice(["bayesian", "grid", "random"]), help="As for `hpsearch run`.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="As for `hpsearch run`. Repeatable.")
@device_options
@storage_options
@click.option("--model-name", help="Base model: a Hub id, a folder, or asset:NAME.")
@click.option("--input-data", help="Rows of image and text: a file, a folder, hub:OWNER/NAME, or asset:NAME.")
@click.option("--instruction", help="What the model is asked, beside each image.")
@trainer_option
@click.option("--json", "as_json", is_flag=True, help="One JSON object instead of lines.")
def plan(probe: bool, as_json: bool, **given: Any) -> int:
    """Say what a study would cost and when it would be done: GPU-hours and local time for 10, 20 and 40 finished
    trials and its target, each with the range that nine of ten cases stay in.

    Told from the trials the study has. Without --probe nothing is run and nothing is written.
    """
    from hpsearch.commands.plan import as_stored, plan_study
    from hpsearch.study.options import RunOptions

    layer = {name: given.pop(name) for name in LAYER}
    options = RunOptions(options={name: value for name, value in layer.items() if value is not None}, **given)
    options = as_stored(options)
    if probe and (code := _probe(options, quiet=as_json)):
        return code
    made = plan_study(options)
    if as_json:
        click.echo(json.dumps(made.as_json(), indent=2, ensure_ascii=False))
        return 0
    for line in lines(made, datetime.now().astimezone()):
        click.echo(line)
    return 0


def _probe(options: RunOptions, *, quiet: bool) -> int:
    """Run one trial, which changes neither the study's target nor its limit; the exit code."""
    from hpsearch.cli.live import Board, watching
    from hpsearch.study.events import silent
    from hpsearch.study.run import run_study

    one = replace(options, at_most=1, n_trials=None, gpu_hours=None)
    if quiet:
        summary = run_study(one, silent)
    else:
        with watching(Board()) as view:
            summary = run_study(one, view)
    click.echo(f"{summary.study}: {summary.text}", err=quiet)
    return summary.exit_code


def lines(plan: Plan, now: datetime) -> Iterator[str]:
    """The plan as lines for a person; times are local."""
    if plan.note:
        yield f"note: {plan.note}"
    yield f"study: {plan.study}"
    yield f"space: {f'{plan.points:,}' if plan.points is not None else 'infinitely many'} points, {plan.search_mode}"
    gpus = f"{plan.devices.gpus} GPUs each" if plan.devices.gpus > 1 else "1 GPU each"
    each = gpus if plan.devices.named else "no GPU named, each counts as one"
    yield f"slots: {plan.devices.slots} ({each})"
    yield (
        f"so far: {plan.finished} of {plan.target} trials finished, {plan.cut} of them cut short; "
        f"{plan.spent:.3g} GPU-hours spent"
    )
    if plan.trial_s is None or plan.cut_share is None:
        yield "no trial is completed yet, so nothing is known of their time: --probe runs one"
        return
    yield f"a whole trial takes {_span(plan.trial_s)}"
    yield f"cut short, by the pruner or a fault of their own: {_percent(plan.cut_share)} of the trials"
    yield ""
    yield from _table(plan, now)
    if plan.within_limit is not None:
        yield f"{plan.limit:g} GPU-hours allow about {_range(plan.within_limit, '.0f')} finished trials"
    if plan.is_rough:
        seen = "one completed trial" if plan.whole == 1 else f"{plan.whole} completed trials"
        yield f"told from {seen}: how much trials differ is mostly assumed, so the ranges are wide"


def _table(plan: Plan, now: datetime) -> Iterator[str]:
    if not plan.outlooks:
        yield "nothing is left to plan: as many trials are finished"
        return
    rows = [("finished trials", "GPU-hours in all", "done, if begun now"), *(_row(each, now) for each in plan.outlooks)]
    widths = [max(len(row[place]) for row in rows) for place in (0, 1)]
    for trials, hours, done in rows:
        yield f"{trials:<{widths[0]}}  {hours:<{widths[1]}}  {done}"


def _row(outlook: Outlook, now: datetime) -> tuple[str, str, str]:
    seconds = (outlook.seconds.middle, outlook.seconds.low, outlook.seconds.high)
    # Local anew: summer time may begin in between. What is further off than a few lives has no date.
    ends = [(now + timedelta(seconds=min(each, LONGEST_S))).astimezone() for each in seconds]
    middle, low, high = (f"{end:%Y-%m-%d %H:%M}" for end in ends)
    return f"{outlook.trials}", _range(outlook.gpu_hours, ".3g"), f"{middle} ({low} to {high})"


def _range(range_: Range, form: str) -> str:
    return f"{range_.middle:{form}} ({range_.low:{form}} to {range_.high:{form}})"


def _percent(range_: Range) -> str:
    return f"{range_.middle:.0%} ({range_.low:.0%} to {range_.high:.0%})"


def _span(range_: Range) -> str:
    from hpsearch.report.text import duration_text

    return f"{duration_text(range_.middle)} ({duration_text(range_.low)} to {duration_text(range_.high)})"
