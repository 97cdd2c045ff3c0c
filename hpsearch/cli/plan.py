"""hpsearch plan."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import click

from hpsearch.cli.options import (
    COUNT,
    HOURS,
    command,
    definition_options,
    device_options,
    new_option,
    run_options,
    storage_options,
    study_option,
    trainer_option,
)

if TYPE_CHECKING:
    from hpsearch.commands.plan import Outlook, Plan, Range
    from hpsearch.study.options import RunOptions

LONGEST_S = 1e10


@command(
    "hpsearch plan --study gemma-ocr",
    "hpsearch plan --study gemma-ocr --input-data pages.json --gpus all --probe",
)
@study_option(required=True)
@new_option
@click.option("--probe", is_flag=True, help="First run one trial of the study; it is kept as its trial 0.")
@click.option("--n-trials", type=COUNT, help="Also plan for this total of finished trials.")
@click.option(
    "--gpu-hours",
    type=HOURS,
    metavar="HOURS",
    help="Show how many trials these GPU-hours allow. [default: the study's limit]",
)
@definition_options("config", "search_space", "search_mode", "sets")
@device_options
@storage_options
@definition_options("model_name", "input_data", "instruction")
@trainer_option
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object instead of lines.")
def plan(probe: bool, as_json: bool, **given: Any) -> int:
    """Estimate the cost and the finishing time of a study.

    Shows GPU-hours and local time for 10, 20 and 40 finished trials and for the study's target, each with the range
    that holds in nine of ten cases. Estimated from the trials the study has. Without --probe nothing is run and nothing
    is written.
    """
    from hpsearch.commands.plan import as_stored, plan_study

    options = as_stored(run_options(given))
    if probe and (code := _probe(options, quiet=as_json)):
        return code
    estimate = plan_study(options)
    if as_json:
        click.echo(json.dumps(estimate.as_json(), indent=2, ensure_ascii=False))
        return 0
    for line in lines(estimate, datetime.now().astimezone()):
        click.echo(line)
    return 0


def _probe(options: RunOptions, *, quiet: bool) -> int:
    """Run one trial, which changes neither the study's target nor its limit; return the exit code."""
    from hpsearch.cli.board import Board
    from hpsearch.cli.live import watching
    from hpsearch.study.events import silent
    from hpsearch.study.run import run_study

    single = replace(options, at_most=1, n_trials=None, gpu_hours=None)
    if quiet:
        summary = run_study(single, silent)
    else:
        with watching(Board()) as view:
            summary = run_study(single, view)
    click.echo(f"{summary.study}: {summary.text}", err=quiet)
    return summary.exit_code


def lines(plan: Plan, now: datetime) -> Iterator[str]:
    """Yield the plan as lines for a person; times are local."""
    from hpsearch.execution.units import duration_text
    from hpsearch.study.budget import hours_word

    unit = hours_word(plan.devices.named)
    if plan.note:
        yield f"note: {plan.note}"
    yield f"study: {plan.study}"
    yield f"space: {f'{plan.points:,}' if plan.points is not None else 'infinitely many'} points, {plan.search_mode}"
    gpus = f"{plan.devices.gpus} GPUs each" if plan.devices.gpus > 1 else "1 GPU each"
    yield f"slots: {plan.devices.slots} ({gpus if plan.devices.named else 'no GPU named'})"
    yield (
        f"so far: {plan.finished} of {plan.target} trials finished, {plan.cut} of them cut short; "
        f"{plan.spent:.3g} {unit} spent"
    )
    if plan.trial_s is None or plan.cut_share is None:
        yield "no trial has completed yet, so their duration is unknown: --probe runs one"
        return
    low, middle, high = (duration_text(value) for value in (plan.trial_s.low, plan.trial_s.middle, plan.trial_s.high))
    yield f"a whole trial takes {middle} ({low} to {high})"
    yield f"cut short, by the pruner or a fault of their own: {_range(plan.cut_share, '.0%')} of the trials"
    yield ""
    yield from _table(plan, now, unit)
    if plan.within_limit is not None:
        yield f"{plan.limit:g} {unit} allow about {_range(plan.within_limit, '.0f')} finished trials"
    if plan.is_rough:
        seen = "one completed trial" if plan.whole == 1 else f"{plan.whole} completed trials"
        yield f"estimated from {seen}: how much trials differ is mostly assumed, so the ranges are wide"


def _table(plan: Plan, now: datetime, unit: str) -> Iterator[str]:
    if not plan.outlooks:
        yield "nothing is left to plan: that number of trials is finished"
        return
    head = ("finished trials", f"{unit} in all", "done, if begun now")
    rows = [head, *(_row(outlook, now) for outlook in plan.outlooks)]
    widths = [max(len(row[place]) for row in rows) for place in (0, 1)]
    for trials, hours, done in rows:
        yield f"{trials:<{widths[0]}}  {hours:<{widths[1]}}  {done}"


def _row(outlook: Outlook, now: datetime) -> tuple[str, str, str]:
    durations = (outlook.seconds.middle, outlook.seconds.low, outlook.seconds.high)
    # Converted to local time again, as summer time may begin in between; capped, as dates end with the year 9999.
    ends = [(now + timedelta(seconds=min(seconds, LONGEST_S))).astimezone() for seconds in durations]
    middle, low, high = (f"{end:%Y-%m-%d %H:%M}" for end in ends)
    return f"{outlook.trials}", _range(outlook.gpu_hours, ".3g"), f"{middle} ({low} to {high})"


def _range(range_: Range, form: str) -> str:
    return f"{range_.middle:{form}} ({range_.low:{form}} to {range_.high:{form}})"
