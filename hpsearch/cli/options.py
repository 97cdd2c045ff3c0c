"""Options that several commands share, and how they are spelled."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from hpsearch.errors import Interrupted
from hpsearch.execution.trainer_python import TRAINER_VARIABLE
from hpsearch.study.options import OUTAGE_S
from hpsearch.study.storage.open import STORAGE_VARIABLE, StorageUrl
from hpsearch.study.storage.postgres import PASSWORD_FILE

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


@contextmanager
def when_stopped(text: str) -> Iterator[None]:
    """Say what a stop signal left of the work, before it ends the command."""
    try:
        yield
    except Interrupted:
        click.echo(f"stopped: {text}", err=True)
        raise


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
        callback=without_password,
        help="Optuna storage: sqlite:///FILE or postgresql://USER@HOST/NAME; by default hpsearch.db in the folder of "
        f"studies. One with a password goes into ${STORAGE_VARIABLE}.",
    )(function)


def without_password(context: click.Context, parameter: click.Parameter, url: str | None) -> str | None:
    """Refuse a password in a command, which everyone on the machine can read."""
    typed = context.get_parameter_source(str(parameter.name)) is ParameterSource.COMMANDLINE
    if url and typed and StorageUrl(url).has_password:
        raise click.BadParameter(
            f"it has a password, which every user of this machine could read: put the URL into {STORAGE_VARIABLE}, or "
            f"the password into ~/.pgpass or a file that {PASSWORD_FILE} names",
            context,
            parameter,
        )
    return url


def limit_options(function: Decorated) -> Decorated:
    """--timeout, --gpu-hours and --storage-timeout."""
    function = click.option(
        "--storage-timeout",
        "storage_timeout_s",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        default=OUTAGE_S,
        help="How long a database server may stay away; then the run ends, and the next one makes up for it.",
    )(function)
    function = click.option(
        "--gpu-hours",
        type=click.FloatRange(min=0, min_open=True),
        metavar="HOURS",
        help="GPU-hours that the study's trials may spend over its life: wall time x GPUs of all attempts; a slot "
        "without a GPU counts as one. Kept with the study; inf lifts it.",
    )(function)
    return click.option(
        "--timeout",
        type=click.FloatRange(min=0, min_open=True),
        metavar="SECONDS",
        help="Stop after this time; what runs is queued again.",
    )(function)


def device_options(function: Decorated) -> Decorated:
    """--gpus, --slots, --gpus-per-trial and --cold."""
    function = click.option(
        "--cold",
        is_flag=True,
        help="Let each trial do its own imports, ahead of its time, rather than start from a process that has done "
        "them for all.",
    )(function)
    at_least_one = click.IntRange(min=1)
    function = click.option(
        "--gpus-per-trial",
        type=at_least_one,
        metavar="N",
        help="GPUs of each trial. [default: 1]",
    )(function)
    function = click.option(
        "--slots",
        type=at_least_one,
        metavar="N",
        help="Trials run at once. [default: as many as the GPUs of --gpus allow, else 1]",
    )(function)
    return click.option(
        "--gpus",
        metavar="LIST",
        callback=_named_gpus,
        help="GPUs to use, as nvidia-smi numbers them: 0,1, or all. [default: the first visible one]",
    )(function)


def _named_gpus(context: click.Context, parameter: click.Parameter, text: str | None) -> str | None:
    if text is not None and not text.strip():
        raise click.BadParameter("it is empty: name GPUs, or leave the option out", context, parameter)
    return text


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
