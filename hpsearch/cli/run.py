"""hpsearch run, hpsearch resume."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import click

from hpsearch.cli.options import (
    COUNT,
    command,
    definition_options,
    device_options,
    limit_options,
    new_option,
    run_options,
    storage_options,
    study_option,
    trainer_option,
    without_password,
)

if TYPE_CHECKING:
    from hpsearch.study.options import RunOptions

add_trials_option = click.option("--add-trials", type=COUNT, help="Finished trials to add to the existing ones.")


@command(
    "hpsearch run --study gemma-ocr --input-data pages.json --n-trials 20",
    "hpsearch run --study gemma-ocr --input-data pages.json --search-space grid_search_small --search-mode grid",
    "hpsearch run --study mine --config mine.json --set lora_dropout=0.05 --set pruner.type=none --dry-run",
)
@study_option()
@click.option(
    "--n-trials",
    type=COUNT,
    help="Total finished trials to reach. [default: the study's, else 20; a grid: all points]",
)
@add_trials_option
@definition_options("search_mode", "sampler", "config", "search_space", "sets")
@device_options
@storage_options
@limit_options
@definition_options("seed")
@click.option(
    "--resume",
    "must_exist",
    is_flag=True,
    help="Continue an existing study, as `hpsearch resume` does; refuse to start a new one.",
)
@new_option
@click.option(
    "--warm-start-from",
    metavar="NAME",
    help="Study whose best points are tried first, and whose values inform the sampler as far as they hold here too; "
    "dropped automatically if it does not help.",
)
@click.option(
    "--warm-start-storage",
    metavar="URL",
    callback=without_password,
    help="Storage of that study. [default: that of --storage]",
)
@click.option(
    "--confirm",
    is_flag=True,
    help="Once the target is reached, confirm the best configurations, as `hpsearch confirm` does.",
)
@click.option("--dry-run", is_flag=True, help="Show the study that would run; write nothing.")
@definition_options("model_name", "input_data", "instruction")
@trainer_option
def run(dry_run: bool, confirm: bool, **given: Any) -> int:
    """Search: run trials of a study until its target is reached.

    After any interruption, run the same command again, or `hpsearch resume` (which adds no trials, and finds the name
    of a study that was given none): the search continues from where it stopped.
    """
    options = run_options(given)
    return _show_plan(options) if dry_run else _watch(options, resume=False, confirm=confirm)


@command("hpsearch resume", "hpsearch resume --study gemma-ocr --add-trials 10")
@study_option()
@click.option("--n-trials", type=COUNT, help="A new total of finished trials.")
@add_trials_option
@device_options
@limit_options
@storage_options
@trainer_option
def resume(**given: Any) -> int:
    """Continue a study after any interruption, by its stored definition.

    Without --study: the only unfinished one.
    """
    return _watch(run_options(given), resume=True)


def _watch(options: RunOptions, *, resume: bool, confirm: bool = False) -> int:
    from hpsearch.cli.analyze import show_report
    from hpsearch.cli.board import Board
    from hpsearch.cli.confirm import then_confirm
    from hpsearch.cli.live import watching
    from hpsearch.cli.tables import say
    from hpsearch.report.refresh import refreshed
    from hpsearch.study.run import resume_study, run_study

    began = time.monotonic()
    with watching(Board()) as shown, refreshed(options.url, options.base_output_dir, shown) as view:
        summary = (resume_study if resume else run_study)(options, view)
    click.echo()
    if summary.exit_code <= 128:  # not stopped by a signal, whose sender wants the terminal back
        show_report(summary)
    say(f"{summary.study}: {summary.text}")
    if summary.exit_code == 0 and confirm:
        left = None if options.timeout_s is None else options.timeout_s - (time.monotonic() - began)
        return then_confirm(summary, options, left)
    if summary.next_step:
        say(summary.next_step)
    return summary.exit_code


def _show_plan(options: RunOptions) -> int:
    from hpsearch.config.advice import advice
    from hpsearch.study.budget import hours_word
    from hpsearch.study.pruning import pruner_text
    from hpsearch.study.resolve import existing, planned_target, resolve, with_pruner
    from hpsearch.study.run import shares_of
    from hpsearch.study.warm_start_source import find_source

    resolved = resolve(options)
    name, definition = resolved.study, resolved.definition
    if resolved.note:
        click.echo(f"warning: {resolved.note}")
    source = find_source(options, name, definition)
    target, shares = planned_target(options, name, definition), shares_of(options, definition)
    definition, why = with_pruner(definition, existing(options, name), options)
    click.echo(json.dumps(definition.flat(), indent=2, ensure_ascii=False))
    click.echo(f"study: {name}")
    click.echo(f"searched: {', '.join(definition.search_space) or 'nothing'}")
    if definition.search_mode == "grid":
        click.echo(f"grid: {definition.grid_size()} points")
    click.echo(
        f"target: {target} finished trials"
        + (f", {options.gpu_hours:g} {hours_word(bool(shares.slots[0].gpus))}" if options.gpu_hours else "")
    )
    click.echo(f"slots: {len(shares.slots)} ({'; '.join(dict.fromkeys(map(str, shares.slots)))})")
    click.echo(pruner_text(definition, why))
    if source is not None:
        click.echo(f"warm start: from {source.name}, {len(source.trials)} completed trials")
    for prefix, lines in (
        ("warning", (*shares.notes, *advice(definition, target))),
        ("missing", [definition.missing()]),
    ):
        for line in filter(None, lines):
            click.echo(f"{prefix}: {line}")
    click.echo("nothing was written")
    return 0
