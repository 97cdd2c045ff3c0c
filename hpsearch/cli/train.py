"""hpsearch train: every setting of a fine-tune is an option, made from the settings' own model."""

from __future__ import annotations

import os
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin

import click

from hpsearch.cli.live import Board, shown
from hpsearch.cli.options import command, trainer_option
from hpsearch.cli.spellings import spelled, spelling_options
from hpsearch.settings import TrainSettings


def _click_type(annotation: Any) -> Any:
    """The click type for a setting's annotation."""
    if get_origin(annotation) is Annotated:
        return _click_type(get_args(annotation)[0])
    if isinstance(annotation, UnionType):
        return _click_type(next(part for part in get_args(annotation) if part is not NoneType))
    if get_origin(annotation) is Literal:
        return click.Choice([str(choice) for choice in get_args(annotation)])
    return {int: int, float: float, bool: bool}.get(annotation, str)


def _setting_options(function: Any) -> Any:
    for name, info in reversed(TrainSettings.model_fields.items()):
        kind = _click_type(info.annotation)
        spelled = f"--{name.replace('_', '-')}"
        if kind is bool:
            spelled = f"{spelled}/--no-{name.replace('_', '-')}"
        default = "" if info.default is None else f" [default: {info.default}]"
        extra = {"is_flag": True, "default": None} if kind is bool else {"type": kind}
        function = click.option(spelled, name, help=f"{info.description}{default}", show_default=False, **extra)(
            function
        )
    return function


@command(
    "hpsearch train --config studies/gemma-ocr/gemma-ocr_best_config.json --output-dir best-gemma",
    "hpsearch train --model-name google/gemma-3-4b-it --input-data pages.json --lora-r 32 --output-dir gemma-4b",
    "hpsearch train --study chandra-ocr --dataset-name unsloth/LaTeX_OCR --max-steps 500 --output-dir latex",
)
@click.option(
    "--config",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Settings as flat JSON, such as NAME_best_config.json.",
)
@click.option(
    "--study", metavar="NAME", help="Begin with the default configuration of this study, such as chandra-ocr."
)
@click.option(
    "--output-dir",
    "--lora-output-dir",
    "output_dir",
    type=click.Path(path_type=Path, file_okay=False),
    required=True,
    help="Folder for the adapter, metrics, log and predictions.",
)
@click.option(
    "--hf-token", metavar="TOKEN", help="Token of the Hub, for this command alone; better in the variable HF_TOKEN."
)
@click.option("-v", "--verbose", is_flag=True, help="Print the log of the fine-tune at the end.")
@trainer_option
@_setting_options
@spelling_options
def train(
    config: Path | None, study: str | None, output_dir: Path, hf_token: str | None, verbose: bool, **given: Any
) -> int:
    """Fine-tune once; with a study's best config, repeat its best trial exactly."""
    from hpsearch.cli.views import watching
    from hpsearch.commands.train import train_once
    from hpsearch.config.load import load_settings
    from hpsearch.execution.job import LOG_FILE

    if hf_token is not None:
        os.environ["HF_TOKEN"] = hf_token  # the job that downloads gets it, and nothing is written of it
    definition = load_settings(config, spelled(given), study=study)
    with watching(Board()) as view:
        summary = train_once(definition, output_dir, view)
    if verbose and summary.metrics:  # else it may have been stopped before it began
        click.echo((output_dir / LOG_FILE).read_text(encoding="utf-8", errors="replace"), nl=False)
    for name, value in sorted(summary.metrics.items()):
        untuned = f" (untuned {shown(summary.untuned[name])})" if name in summary.untuned else ""
        click.echo(f"{name}: {shown(value)}{untuned}")
    stopped = "stopped: the same command goes on from the last checkpoint, if there is one"
    click.echo(f"files: {output_dir}" if summary.exit_code == 0 else stopped)
    return summary.exit_code
