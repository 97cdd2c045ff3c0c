"""Other spellings of settings in `hpsearch train`: the options that users of other programs know them by."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import click

from hpsearch.data.places import HUB
from hpsearch.errors import UsageError


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
