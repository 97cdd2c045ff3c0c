"""hpsearch train and hpsearch setup-trainer.

Every setting of a fine-tune is an option of `train`, made from the settings' own model; ``SPELLINGS`` are the options
that users of other programs know some of them by.
"""

from __future__ import annotations

import os
import shlex
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, get_args, get_origin

import click

from hpsearch.cli.options import FILE, FOLDER, command, trainer_option, when_stopped
from hpsearch.data.places import HUB
from hpsearch.errors import UsageError
from hpsearch.settings import TrainSettings


@dataclass(frozen=True)
class Spelling:
    """An option that sets a setting under another name. ``convert`` makes the setting's value of the text; with
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


def _folder(value: str) -> str:
    """Return a path, never a name on the Hub."""
    return str(Path(value).expanduser().absolute())


def _dataset(value: str) -> str:
    """Return a name on the Hub, unless there is such a path."""
    return value if value.startswith(HUB) or Path(value).expanduser().exists() else HUB + value


SPELLINGS = (
    Spelling("--dataset-dir", "input_data", "A folder of data.", _folder),
    Spelling("--dataset-name", "input_data", "A dataset on the Hub.", _dataset),
    Spelling("--dataset-split", "train_split", "Rows to train on."),
    Spelling("--model-id", "model_name", "Base model."),
    Spelling("--num-epochs", "num_train_epochs", "Passes over the training rows.", float),
    Spelling("--ocr-instruction", "instruction", "Instruction to the model."),
    Spelling("--no-4bit", "load_in_4bit", "Load the base in 16 bits.", flag=False),
    Spelling("--finetune-vision", "finetune_vision_layers", "Adapt the vision tower.", flag=True),
    Spelling("--no-finetune-vision", "finetune_vision_layers", "Do not adapt the vision tower.", flag=False),
    Spelling("--no-cer-wer", "compute_cer_wer", "Measure eval_loss only.", flag=False),
)


def _dashed(setting: str) -> str:
    return setting.replace("_", "-")


def spelled(given: Mapping[str, Any]) -> dict[str, Any]:
    """Return the settings given in a command's arguments, each under its own name.

    Raises:
        UsageError: one setting is given by two spellings.
    """
    settings = {name: value for name, value in given.items() if value is not None}
    options = {name: f"--{_dashed(name)}" for name in settings}
    for spelling in SPELLINGS:
        value = settings.pop(spelling.parameter, None)
        if value is None:
            continue
        name = spelling.setting
        if name in settings:
            raise UsageError(
                f"a setting may be given once, but {options[name]} and {spelling.option} both give {name}",
                "leave one of them out",
            )
        settings[name] = spelling.convert(value) if spelling.flag is None else spelling.flag
        options[name] = spelling.option
    return settings


def _setting_options(function: Any) -> Any:
    """Add an option for each setting, then the other spellings."""
    for spelling in reversed(SPELLINGS):
        setting = f"--{'no-' * (spelling.flag is False)}{_dashed(spelling.setting)}"
        flag: dict[str, Any] = (
            {} if spelling.flag is None else {"is_flag": True, "default": None, "show_default": False}
        )
        text = f"{spelling.help} Another spelling of {setting}."
        function = click.option(spelling.option, spelling.parameter, help=text, **flag)(function)
    for name, info in reversed(TrainSettings.model_fields.items()):
        kind = _click_type(info.annotation)
        option = f"--{_dashed(name)}" + (f"/--no-{_dashed(name)}" if kind is bool else "")
        extra: dict[str, Any] = {"is_flag": True, "default": None} if kind is bool else {"type": kind}
        text = f"{info.description}{'' if info.default is None else f' [default: {info.default}]'}"
        function = click.option(option, name, help=text, show_default=False, **extra)(function)
    return function


def _click_type(annotation: Any) -> Any:
    """Return the click type for a setting's annotation."""
    if get_origin(annotation) is Annotated:
        return _click_type(get_args(annotation)[0])
    if isinstance(annotation, UnionType):
        return _click_type(next(part for part in get_args(annotation) if part is not NoneType))
    if get_origin(annotation) is Literal:
        return click.Choice([str(choice) for choice in get_args(annotation)])
    return {int: int, float: float, bool: bool}.get(annotation, str)


@command(
    "hpsearch train --config studies/gemma-ocr/gemma-ocr_best_config.json --output-dir best-gemma",
    "hpsearch train --model-name google/gemma-3-4b-it --input-data pages.json --lora-r 32 --output-dir gemma-4b",
    "hpsearch train --study chandra-ocr --dataset-name unsloth/LaTeX_OCR --max-steps 500 --output-dir latex",
)
@click.option("--config", type=FILE, help="Settings as flat JSON, such as NAME_best_config.json.")
@click.option(
    "--study", metavar="NAME", help="Start from the default configuration of this study, such as chandra-ocr."
)
@click.option(
    "--output-dir",
    "--lora-output-dir",
    "output_dir",
    type=FOLDER,
    required=True,
    help="Folder for the adapter, metrics, log and predictions.",
)
@click.option("--hf-token", metavar="TOKEN", help="Hub token for this command only; the variable HF_TOKEN is safer.")
@click.option("-v", "--verbose", is_flag=True, help="Print the log of the fine-tune at the end.")
@trainer_option
@_setting_options
def train(
    config: Path | None, study: str | None, output_dir: Path, hf_token: str | None, verbose: bool, **given: Any
) -> None:
    """Fine-tune once; with a study's best config, repeat its best trial exactly."""
    from hpsearch.cli.board import Board
    from hpsearch.cli.live import watching
    from hpsearch.cli.tables import shown
    from hpsearch.commands.train import train_once
    from hpsearch.config.load import load_settings
    from hpsearch.execution.names import LOG_FILE
    from hpsearch.report.text import terminal_text

    if hf_token is not None:
        os.environ["HF_TOKEN"] = hf_token  # for the job that downloads; it is written nowhere
    definition = load_settings(config, spelled(given), study=study)
    stopped = "the same command continues from the last checkpoint, if there is one"
    with when_stopped(stopped), watching(Board()) as view:
        summary = train_once(definition, output_dir, view)
    if verbose:
        click.echo(terminal_text((output_dir / LOG_FILE).read_text(encoding="utf-8", errors="replace")), nl=False)
    for name, value in sorted(summary.metrics.items()):
        untuned = f" (untuned {shown(summary.untuned[name])})" if name in summary.untuned else ""
        click.echo(f"{name}: {shown(value)}{untuned}")
    click.echo(f"files: {output_dir}")


@command(
    "hpsearch setup-trainer --name unsloth",
    "hpsearch setup-trainer --name newest --dir trainers/newest --python python3.12",
    name="setup-trainer",
)
@click.option("--name", type=click.Choice(["newest", "unsloth"]), default="unsloth", help="Set of versions.")
@click.option(
    "--dir",
    "folder",
    type=FOLDER,
    help="Folder of the environment. [default: hpsearch/trainers/NAME in the user's data folder]",
)
@click.option(
    "--python", metavar="PY", help="Python 3.11 or newer for the environment. [default: the one that runs hpsearch]"
)
@click.option(
    "--gpu/--cpu", "gpu", default=None, help="With or without the GPU packages. [default: as this machine needs]"
)
def setup_trainer(name: str, folder: Path | None, python: str | None, gpu: bool | None) -> None:
    """Make an environment that trains with other versions of the libraries, for --trainer-python.

    unsloth: unsloth 2026.10.7 and the versions it needs; without a GPU they serve the hf backend. newest: the newest
    versions that hpsearch is tested with. After an interruption, the same command makes it from scratch.
    """
    from hpsearch.commands.trainer_env import TrainerEnvRequest, default_folder, require_python, set_up

    target = (folder or default_folder(name)).expanduser().absolute()
    request = TrainerEnvRequest(name, target, python or sys.executable, gpu)
    require_python(request.python)
    made = set_up(request, lambda line: click.echo(line))
    click.echo(
        f"ready; to train with it, add this to run, resume or train:\n  --trainer-python {shlex.quote(str(made))}"
    )
