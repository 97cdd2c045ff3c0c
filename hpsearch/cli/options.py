"""Options that several commands share, their spelling, and the classes of commands."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import Any

import click
from click.core import ParameterSource

from hpsearch.errors import Interrupted
from hpsearch.execution.trainer_python import TRAINER_VARIABLE
from hpsearch.study.options import OUTAGE_S, RunOptions
from hpsearch.study.storage.open import STORAGE_VARIABLE, StorageUrl
from hpsearch.study.storage.postgres import PASSWORD_FILE

Decorator = Callable[[Any], Any]

SETTINGS: dict[str, Any] = {"help_option_names": ["-h", "--help"], "max_content_width": 110, "show_default": True}
FILE = click.Path(path_type=Path, dir_okay=False)
FOLDER = click.Path(path_type=Path, file_okay=False)
COUNT = click.IntRange(min=1)
SECONDS = HOURS = click.FloatRange(min=0, min_open=True)


class Command(click.Command):
    """A command that accepts both spellings of an option: --study_name is --study-name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Parse the arguments with every option spelled with dashes; values are left alone."""
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
        """Return the names of the commands, in the order a user meets them."""
        return list(self._paths)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command that the arguments name. Raises UsageError for an unknown one, with the names like it."""
        try:
            return super().resolve_command(ctx, args)
        except click.UsageError as error:
            near = get_close_matches(args[0], self._paths, n=2)
            if near and not args[0].startswith("-"):
                hint = " or ".join(f"`{ctx.command_path} {name}`" for name in near)
                raise click.UsageError(f"there is no command {args[0]!r}: did you mean {hint}?", ctx) from error
            raise

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """Import and return one command."""
        if cmd_name not in self._paths:
            return None
        module, name = self._paths[cmd_name].split(":")
        command = getattr(import_module(module), name)
        return command if isinstance(command, click.Command) else None


def command(*examples: str, **kwargs: Any) -> Callable[[Callable[..., Any]], click.Command]:
    """Make a click command with hpsearch's spelling rules; its help ends with the examples."""
    shown = ["\b", "Examples:" if len(examples) > 1 else "Example:", *(f"  {example}" for example in examples)]
    epilog = "\n".join(shown) if examples else None
    return click.command(cls=kwargs.pop("cls", Command), context_settings=SETTINGS, epilog=epilog, **kwargs)


@contextmanager
def when_stopped(text: str) -> Iterator[None]:
    """Print ``text``, about the work done so far, if a stop signal ends the command."""
    try:
        yield
    except Interrupted:
        click.echo(f"stopped: {text}", err=True)
        raise


def _together(*options: Decorator) -> Decorator:
    """Make one decorator of several; --help lists the options in this order."""

    def decorate(function: Any) -> Any:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


def _not_blank(remedy: str) -> Callable[[click.Context, click.Parameter, str | None], str | None]:
    """Return a callback that refuses a blank value, such as that of an unset shell variable."""

    def check(context: click.Context, parameter: click.Parameter, value: str | None) -> str | None:
        if value is not None and not value.strip():
            raise click.BadParameter(f"it is empty: {remedy}, or leave the option out", context, parameter)
        return value

    return check


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


def study_option(required: bool = False) -> Decorator:
    """Add --study."""
    return click.option(
        "--study",
        "--study-name",
        "study",
        metavar="NAME",
        required=required,
        callback=_not_blank("name a study"),
        help="Name of the study.",
    )


new_option = click.option(
    "--new",
    is_flag=True,
    help="Accept a name that has no definition and differs by one or two letters from one that has.",
)
base_option = click.option(
    "--base-output-dir",
    type=FOLDER,
    default=Path("studies"),
    help="Folder of all studies; each has its own folder in it.",
)
storage_options = _together(
    click.option(
        "--storage",
        metavar="URL",
        envvar=STORAGE_VARIABLE,
        callback=without_password,
        help="Optuna storage: sqlite:///FILE or postgresql://USER@HOST/NAME; by default hpsearch.db in the folder of "
        f"studies. Put a URL with a password in ${STORAGE_VARIABLE}.",
    ),
    base_option,
)

gpu_hours_option = click.option(
    "--gpu-hours",
    type=HOURS,
    metavar="HOURS",
    help="GPU-hours that the study's trials may use: wall time x GPUs of all attempts; a slot without a GPU counts as "
    "one. Stored with the study; inf lifts the limit.",
)
limit_options = _together(
    click.option(
        "--timeout",
        "timeout_s",
        type=SECONDS,
        metavar="SECONDS",
        help="Stop after this time; running trials are queued again.",
    ),
    gpu_hours_option,
    click.option(
        "--storage-timeout",
        "storage_timeout_s",
        type=SECONDS,
        metavar="SECONDS",
        default=OUTAGE_S,
        help="Seconds to wait for an unreachable database; then the run ends, and the next run catches up.",
    ),
)
device_options = _together(
    click.option(
        "--gpus",
        metavar="LIST",
        callback=_not_blank("name GPUs"),
        help="GPUs to use, as nvidia-smi numbers them: 0,1, or all. [default: the first visible one]",
    ),
    click.option(
        "--slots",
        type=COUNT,
        metavar="N",
        help="Trials to run at the same time. [default: as many as the GPUs of --gpus allow, else 1]",
    ),
    click.option("--gpus-per-trial", type=COUNT, metavar="N", help="GPUs of each trial. [default: 1]"),
    click.option(
        "--cold",
        is_flag=True,
        help="Import the libraries again for each trial, instead of starting trials from one process that has imported "
        "them.",
    ),
)
# The variable is read together with the study's own value, which comes before it.
trainer_option = click.option(
    "--trainer-python",
    metavar="PATH",
    callback=_not_blank("name a Python"),
    help="Python, or its environment's folder, that runs the built-in training. "
    f"[default: the study's, else ${TRAINER_VARIABLE}, else the one that runs hpsearch]",
)

_DEFINITION = {
    "config": click.option(
        "--config", type=FILE, help="Definition of the study. [default: studies/NAME.json, here or shipped]"
    ),
    "search_space": click.option(
        "--search-space",
        type=FILE,
        help="File whose search space replaces the definition's; its fixed settings override the definition's.",
    ),
    "search_mode": click.option(
        "--search-mode",
        type=click.Choice(["bayesian", "grid", "random"]),
        help="How to choose trials. [default: bayesian]",
    ),
    "sampler": click.option(
        "--sampler",
        type=click.Choice(["auto", "tpe", "gp", "cmaes", "qmc", "random", "grid"]),
        help="Sampling algorithm, instead of --search-mode. [default: auto, the one that measured best]",
    ),
    "seed": click.option("--seed", type=click.IntRange(0, 2**32 - 1), help="Seed of the study."),
    "model_name": click.option("--model-name", help="Base model: a Hub id, a folder, or asset:NAME."),
    "input_data": click.option(
        "--input-data", help="Rows of image and text: a file, a folder, hub:OWNER/NAME, or asset:NAME."
    ),
    "instruction": click.option("--instruction", help="Instruction to the model, beside each image."),
    "sets": click.option(
        "--set",
        "sets",
        multiple=True,
        metavar="KEY=VALUE",
        help="Fix a setting, over all other sources; VALUE is JSON or text. Repeatable.",
    ),
}


def definition_options(*names: str) -> Decorator:
    """Add the options with these parameter names that say what a study's definition is."""
    return _together(*(_DEFINITION[name] for name in names))


# Options that are settings of the definition, a layer of their own, under these names.
_LAYER = ("search_mode", "sampler", "seed", "model_name", "input_data", "instruction")


def run_options(given: Mapping[str, Any]) -> RunOptions:
    """Make the options of a run from a command's arguments."""
    layer = {name: given[name] for name in _LAYER if given.get(name) is not None}
    return RunOptions(options=layer, **{name: value for name, value in given.items() if name not in _LAYER})


def sets_option(text: str) -> Decorator:
    """Add --set, for settings of something else than a study; ``text`` is its help."""
    return click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help=text)


def model_option(text: str, required: bool = False) -> Decorator:
    """Add --model, also spelled as the setting is; ``text`` is its help."""
    return click.option("--model", "--model-name", "model", required=required, metavar="MODEL", help=text)
