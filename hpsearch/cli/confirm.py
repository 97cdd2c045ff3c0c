"""hpsearch confirm."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import click

from hpsearch.cli.options import (
    COUNT,
    command,
    device_options,
    limit_options,
    run_options,
    sets_option,
    storage_options,
    study_option,
    trainer_option,
)

if TYPE_CHECKING:
    from hpsearch.study.confirm import ConfirmOptions
    from hpsearch.study.run import RunSummary

_OWN = ("top", "seeds", "indifference", "prefer")


@command(
    "hpsearch confirm --study gemma-ocr",
    "hpsearch confirm --study gemma-ocr --top 5 --seeds 5 --gpu-hours 6",
    "hpsearch confirm --study gemma-ocr --set lora_r=64 --prefer cheap",
)
@study_option(required=True)
@click.option(
    "--top", type=COUNT, metavar="N", help="Configurations that are run again, the best of the search. [default: 3]"
)
@click.option(
    "--seeds",
    type=click.IntRange(min=2),
    metavar="N",
    help="Fresh seeds that each is run with at most, the same for all. [default: 3]",
)
@sets_option("Run each configuration with this value too, beside its own. VALUE is JSON or text. Repeatable.")
@click.option(
    "--indifference",
    type=click.FloatRange(0, 1, max_open=True),
    metavar="SHARE",
    help="Difference from the best mean, as a share of it, that is not worth more runs. [default: 0.02]",
)
@click.option(
    "--prefer",
    type=click.Choice(["best", "cheap"]),
    help="Of those that cannot be told apart take the best mean, or the smallest adapter and then the fastest. "
    "[default: best]",
)
@device_options
@limit_options
@storage_options
@trainer_option
def confirm(**given: Any) -> int:
    """Run the best configurations of a study again with fresh seeds, and take the one that holds up.

    They race on validation rows: one that is surely worse than another leaves. Then the one that is taken is scored
    on held-out rows, which chose nothing, and best/ is its fresh adapter. After any interruption, run the same command
    again. The fresh runs are a study of their own, NAME-confirm, with --gpu-hours of its own.
    """
    from hpsearch.study.confirm import ConfirmOptions

    own = {name: given.pop(name) for name in _OWN}
    return watch_confirm(ConfirmOptions(run_options(given), **own))


def watch_confirm(options: ConfirmOptions) -> int:
    """Confirm a study, show it as a run is shown, and print the result."""
    from hpsearch.cli.analyze import written_report
    from hpsearch.cli.board import Board
    from hpsearch.cli.live import watching
    from hpsearch.cli.tables import say
    from hpsearch.report.refresh import refreshed
    from hpsearch.study.confirm import confirm_study
    from hpsearch.study.folders import study_folders

    run = options.run
    with watching(Board()) as shown, refreshed(run.url, run.base_output_dir, shown) as view:
        summary = confirm_study(options, view)
    if summary.confirmed is not None:  # its first verdict is this one
        written_report(summary.study, run.url, study_folders(run.base_output_dir.absolute(), summary.study).root)
    click.echo()
    for line in summary.lines:
        say(line)
    return summary.exit_code


def then_confirm(summary: RunSummary, run: Any, seconds: float | None) -> int:
    """Confirm a study whose search has reached its target, in the ``seconds`` that are left of the run's time."""
    from hpsearch.study.confirm import ConfirmOptions

    if summary.finished < summary.target or summary.best_number is None:
        return summary.exit_code
    kept = ("storage", "base_output_dir", "storage_timeout_s", "trainer_python", "gpus", "slots", "gpus_per_trial")
    plain = type(run)(study=summary.study, cold=run.cold, **{name: getattr(run, name) for name in kept})
    return watch_confirm(ConfirmOptions(replace(plain, timeout_s=seconds and max(seconds, 1.0))))
