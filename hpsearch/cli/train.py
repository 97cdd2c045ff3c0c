"""hpsearch train: every setting of a fine-tune is an option, made from the settings' own model."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin

import click

from hpsearch.cli.live import Board
from hpsearch.cli.options import command, trainer_option, when_stopped
from hpsearch.cli.tables import shown
from hpsearch.data.places import HUB
from hpsearch.errors import UsageError
from hpsearch.settings import TrainSettings

# Other spellings of settings in `hpsearch train`: the options that users of other programs know them by.


def _folder(value: str) -> str:
    """A path, and never a name on the Hub."""
    return str(Path(value).expanduser().absolute())


def _dataset(value: str) -> str:
    """A name on the Hub, unless there is such a path."""
    return value if value.startswith(HUB) or Path(value).expanduser().exists() else HUB + value


@dataclass(frozen=True)
class Spelling:
    """An option that gives a setting by another name; ``convert`` makes the setting's value of what was written. With
    ``flag`` the option takes no value and means this one."""

    option: str
    setting: str
    help: str
    convert: Callable[[str], Any] = str
    flag: bool | None = None

    @property
    def parameter(self) -> str:
        """The name of the option's value among a command's arguments."""
        return "spelled_" + self.option.removeprefix("--").replace("-", "_")


SPELLINGS = (
    Spelling("--dataset-dir", "input_data", "A folder of data.", _folder),
    Spelling("--dataset-name", "input_data", "A dataset on the Hub.", _dataset),
    Spelling("--dataset-split", "train_split", "Rows to train on."),
    Spelling("--model-id", "model_name", "Base model."),
    Spelling("--num-epochs", "num_train_epochs", "Passes over the training rows.", float),
    Spelling("--ocr-instruction", "instruction", "What the model is asked."),
    Spelling("--no-4bit", "load_in_4bit", "Load the base in 16 bits.", flag=False),
    Spelling("--finetune-vision", "finetune_vision_layers", "Adapt the vision tower.", flag=True),
    Spelling("--no-finetune-vision", "finetune_vision_layers", "Leave the vision tower alone.", flag=False),
    Spelling("--no-cer-wer", "compute_cer_wer", "Measure eval_loss only.", flag=False),
)


def spelling_options(function: Any) -> Any:
    """Add the options."""
    for each in reversed(SPELLINGS):
        shown = f"{each.help} Another spelling of --{'no-' * (each.flag is False)}{each.setting.replace('_', '-')}."
        extra: dict[str, Any] = {} if each.flag is None else {"is_flag": True, "default": None, "show_default": False}
        function = click.option(each.option, each.parameter, help=shown, **extra)(function)
    return function


def spelled(given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings in a command's arguments, each under its own name; those that were not given are left out.

    Raises:
        UsageError: one setting is given by two spellings.
    """
    settings = {name: value for name, value in given.items() if value is not None}
    options = {name: f"--{name.replace('_', '-')}" for name in settings}
    for each in SPELLINGS:
        value = settings.pop(each.parameter, None)
        if value is None:
            continue
        if each.setting in settings:
            raise UsageError(
                f"a setting may be given once, but {options[each.setting]} and {each.option} both give {each.setting}",
                "leave one of them out",
            )
        settings[each.setting] = each.convert(value) if each.flag is None else each.flag
        options[each.setting] = each.option
    return settings


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
    from hpsearch.cli.live import watching
    from hpsearch.commands.train import train_once
    from hpsearch.config.load import load_settings
    from hpsearch.execution.names import LOG_FILE

    if hf_token is not None:
        os.environ["HF_TOKEN"] = hf_token  # the job that downloads gets it, and nothing is written of it
    definition = load_settings(config, spelled(given), study=study)
    stopped = "the same command goes on from the last checkpoint, if there is one"
    with when_stopped(stopped), watching(Board()) as view:
        summary = train_once(definition, output_dir, view)
    if verbose:
        click.echo((output_dir / LOG_FILE).read_text(encoding="utf-8", errors="replace"), nl=False)
    for name, value in sorted(summary.metrics.items()):
        untuned = f" (untuned {shown(summary.untuned[name])})" if name in summary.untuned else ""
        click.echo(f"{name}: {shown(value)}{untuned}")
    click.echo(f"files: {output_dir}")
    return 0


# hpsearch setup-trainer.


@command(
    "hpsearch setup-trainer --name unsloth",
    "hpsearch setup-trainer --name newest --dir trainers/newest --python python3.12",
    name="setup-trainer",
)
@click.option("--name", type=click.Choice(["newest", "unsloth"]), default="unsloth", help="Which versions.")
@click.option(
    "--dir",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    help="Folder of the environment. [default: hpsearch/trainers/NAME in the user's data folder]",
)
@click.option(
    "--python", metavar="PY", help="Python 3.11 or newer that makes it. [default: the one that runs hpsearch]"
)
@click.option(
    "--gpu/--cpu", "gpu", default=None, help="With or without what only a GPU needs. [default: as this machine is]"
)
def setup_trainer(name: str, folder: Path | None, python: str | None, gpu: bool | None) -> int:
    """Make an environment that trains with other versions of the libraries, for --trainer-python.

    unsloth: unsloth 2026.10.7 and the versions it takes; without a GPU they serve the hf backend. newest: the newest
    versions hpsearch is tested with. After an interruption the same command makes it again.
    """
    import sys

    from hpsearch.commands.trainer_env import TrainerEnvRequest, default_folder, require_python, set_up

    setup = TrainerEnvRequest(
        name, (folder or default_folder(name)).expanduser().absolute(), python or sys.executable, gpu
    )
    require_python(setup.python)
    made = set_up(setup, lambda line: click.echo(line))
    click.echo(
        f"ready; to train with it, add this to run, resume or train:\n  --trainer-python {shlex.quote(str(made))}"
    )
    return 0
