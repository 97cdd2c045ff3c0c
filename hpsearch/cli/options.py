"""Options that several commands share, and how they are spelled."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import click

from hpsearch.study.storage import STORAGE_VARIABLE
from hpsearch.study.trainer import TRAINER_VARIABLE

Decorated = TypeVar("Decorated", bound=Callable[..., Any])


SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 110, "show_default": True}


class Command(click.Command):
    """A command whose options answer to both spellings: --study_name is --study-name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Give every option its one spelling, and leave values alone."""
        return super().parse_args(ctx, [_dashed(word) for word in args])


def _dashed(word: str) -> str:
    if not word.startswith("--"):
        return word
    name, equals, value = word.partition("=")
    return name.replace("_", "-") + equals + value


class LazyGroup(click.Group):
    """A group that imports a command's module only when it is asked for, so that --help stays fast."""

    def __init__(self, *args: Any, commands_by_path: Mapping[str, str], **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._paths = dict(commands_by_path)

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names of the commands, in the order a user meets them."""
        return list(self._paths)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and give one command."""
        if cmd_name not in self._paths:
            return None
        module, name = self._paths[cmd_name].split(":")
        command = getattr(import_module(module), name)
        return command if isinstance(command, click.Command) else None


def study_option(required: bool = False) -> Callable[[Decorated], Decorated]:
    """--study NAME."""
    return click.option(
        "--study",
        "--study-name",
        "study",
        metavar="NAME",
        required=required,
        callback=_named,
        help="Name of the study.",
    )


def _named(context: click.Context, parameter: click.Parameter, name: str | None) -> str | None:
    if name == "":
        raise click.BadParameter("it is empty: name a study, or leave the option out", context, parameter)
    return name


def storage_options(function: Decorated) -> Decorated:
    """--storage and --base-output-dir."""
    function = click.option(
        "--base-output-dir",
        type=click.Path(path_type=Path, file_okay=False),
        default=Path("studies"),
        help="Folder of studies: each has a folder of its own in it.",
    )(function)
    return click.option(
        "--storage",
        metavar="URL",
        envvar=STORAGE_VARIABLE,
        help="Optuna storage; by default hpsearch.db in the folder of studies.",
    )(function)


def trainer_option(function: Decorated) -> Decorated:
    """--trainer-python PATH. The variable is read where the study's own value, which it yields to, is known."""
    return click.option(
        "--trainer-python",
        metavar="PATH",
        callback=_named_program,
        help="Python, or its environment's folder, that runs the built-in training. "
        f"[default: the study's, else ${TRAINER_VARIABLE}, else the one that runs hpsearch]",
    )(function)


def _named_program(context: click.Context, parameter: click.Parameter, name: str | None) -> str | None:
    if name is not None and not name.strip():
        raise click.BadParameter("it is empty: name a Python, or leave the option out", context, parameter)
    return name


def command(*examples: str, **kwargs: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """A click command with hpsearch's spelling rules; its help ends with the examples."""
    shown = ["\b", "Examples:" if len(examples) > 1 else "Example:", *(f"  {example}" for example in examples)]
    epilog = "\n".join(shown) if examples else None
    return click.command(cls=kwargs.pop("cls", Command), context_settings=SETTINGS, epilog=epilog, **kwargs)
