"""hpsearch run, hpsearch resume."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpsearch.cli.options import (
    command,
    device_options,
    limit_options,
    storage_options,
    study_option,
    trainer_option,
    without_password,
)

if TYPE_CHECKING:
    from hpsearch.study.options import RunOptions

FILE = click.Path(path_type=Path, dir_okay=False)
# Options of `run` that are a layer of the definition of their own, under their names there.
LAYER = ("search_mode", "sampler", "seed", "model_name", "input_data", "instruction")


@command(
    "hpsearch run --study gemma-ocr --input-data pages.json --n-trials 20",
    "hpsearch run --study gemma-ocr --input-data pages.json --search-space grid_search_small --search-mode grid",
    "hpsearch run --study mine --config mine.json --set lora_dropout=0.05 --set pruner.type=none --dry-run",
)
@study_option()
@click.option(
    "--n-trials",
    type=click.IntRange(min=1),
    help="Finished trials the study is after over its life. [default: the study's, else 20; a grid: all points]",
)
@click.option("--add-trials", type=click.IntRange(min=1), help="Finished trials to add to those there are.")
@click.option(
    "--search-mode",
    type=click.Choice(["bayesian", "grid", "random"]),
    help="How trials are chosen. [default: bayesian]",
)
@click.option(
    "--sampler",
    type=click.Choice(["auto", "tpe", "gp", "cmaes", "qmc", "random", "grid"]),
    help="By which algorithm, instead of --search-mode. [default: auto, the one measured best]",
)
@click.option("--config", type=FILE, help="Definition of the study. [default: studies/NAME.json, here or shipped]")
@click.option(
    "--search-space",
    type=FILE,
    help="File whose search space replaces the definition's, and whose fixed settings overlay it.",
)
@click.option(
    "--set",
    "sets",
    multiple=True,
    metavar="KEY=VALUE",
    help="Fix a setting, over all else; VALUE is JSON or text. Repeatable.",
)
@device_options
@storage_options
@limit_options
@click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Seed of the study.")
@click.option(
    "--resume",
    "must_exist",
    is_flag=True,
    help="Go on with an existing study, as `hpsearch resume` does; refuse to start a new one.",
)
@click.option(
    "--warm-start-from",
    metavar="NAME",
    help="Study whose best points are tried first, and whose values teach the sampler where they hold here too; given "
    "up by itself where it does not help.",
)
@click.option(
    "--warm-start-storage",
    metavar="URL",
    callback=without_password,
    help="Storage of that study. [default: that of --storage]",
)
@click.option("--dry-run", is_flag=True, help="Show what would be run; write nothing.")
@click.option("--model-name", help="Base model: a Hub id, a folder, or asset:NAME.")
@click.option("--input-data", help="Rows of image and text: a file, a folder, hub:OWNER/NAME, or asset:NAME.")
@click.option("--instruction", help="What the model is asked, beside each image.")
@trainer_option
def run(dry_run: bool, **given: Any) -> int:
    """Search: run trials of a study until its target is reached.

    After any interruption, run the same command again, or `hpsearch resume` (which adds no more trials, and knows the
    name of a study that was given none): the search goes on where it stood.
    """
    options = _options(given)
    if dry_run:
        return _show_plan(options)
    return _watch(options, resume=False)


@command("hpsearch resume", "hpsearch resume --study gemma-ocr --add-trials 10")
@study_option()
@click.option("--n-trials", type=click.IntRange(min=1), help="A new total of finished trials.")
@click.option("--add-trials", type=click.IntRange(min=1), help="Finished trials to add to those there are.")
@device_options
@limit_options
@storage_options
@trainer_option
def resume(**given: Any) -> int:
    """Go on with a study after any interruption, as its stored definition says.

    Without --study: the only unfinished one.
    """
    return _watch(_options(given), resume=True)


def _options(given: dict[str, Any]) -> RunOptions:
    from hpsearch.study.options import RunOptions

    layer = {name: given.pop(name) for name in LAYER if name in given}
    return RunOptions(
        options={name: value for name, value in layer.items() if value is not None},
        timeout_s=given.pop("timeout"),
        **given,
    )


def _watch(options: RunOptions, *, resume: bool) -> int:
    from hpsearch.cli.analyze import show_report
    from hpsearch.cli.live import Board, watching
    from hpsearch.study.run import resume_study, run_study

    with watching(Board()) as view:
        summary = (resume_study if resume else run_study)(options, view)
    click.echo()
    if summary.exit_code <= 128:  # not stopped by a signal, whose sender wants the terminal back
        show_report(summary)
    click.echo(f"{summary.study}: {summary.text}")
    return summary.exit_code


def _show_plan(options: RunOptions) -> int:
    from hpsearch.config.advice import advice
    from hpsearch.study.resolve import planned_target, resolve
    from hpsearch.study.run import shares_of
    from hpsearch.study.warm_start_source import find_source

    resolved = resolve(options)
    name, definition = resolved.study, resolved.definition
    source = find_source(options, name, definition)
    target, shares = planned_target(options, name, definition), shares_of(options, definition)
    click.echo(json.dumps(definition.flat(), indent=2, ensure_ascii=False))
    click.echo(f"study: {name}")
    click.echo(f"searched: {', '.join(definition.search_space) or 'nothing'}")
    if definition.search_mode == "grid":
        click.echo(f"grid: {definition.grid_size()} points")
    click.echo(
        f"target: {target} finished trials" + (f", {options.gpu_hours:g} GPU-hours" if options.gpu_hours else "")
    )
    click.echo(f"slots: {len(shares.slots)} ({'; '.join(dict.fromkeys(map(str, shares.slots)))})")
    if source is not None:
        click.echo(f"warm start: from {source.name}, {len(source.trials)} completed trials")
    for prefix, lines in (
        ("note", [resolved.note]),
        ("warning", (*shares.notes, *advice(definition, target))),
        ("missing", [definition.missing()]),
    ):
        for line in filter(None, lines):
            click.echo(f"{prefix}: {line}")
    click.echo("nothing was written")
    return 0
