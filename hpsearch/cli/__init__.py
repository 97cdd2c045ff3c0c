"""The command line: parse, call one function of a room, print. The only place that ends the process."""

from __future__ import annotations

import errno
import io
import os
import sys
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, TextIO

import click

from hpsearch.cli.options import SETTINGS, LazyGroup
from hpsearch.errors import HpsearchError, Interrupted, StorageError, UsageError
from hpsearch.execution.signals import Unwinding

COMMANDS = {
    "init": "hpsearch.cli.check:init",
    "run": "hpsearch.cli.run:run",
    "resume": "hpsearch.cli.run:resume",
    "plan": "hpsearch.cli.plan:plan",
    "confirm": "hpsearch.cli.confirm:confirm",
    "status": "hpsearch.cli.status:status",
    "logs": "hpsearch.cli.status:logs",
    "stop": "hpsearch.cli.status:stop",
    "delete": "hpsearch.cli.status:delete",
    "analyze": "hpsearch.cli.analyze:analyze",
    "export": "hpsearch.cli.analyze:export",
    "storage": "hpsearch.cli.storage:storage",
    "dashboard": "hpsearch.cli.analyze:dashboard",
    "validate": "hpsearch.cli.check:validate",
    "data": "hpsearch.cli.data:data",
    "train": "hpsearch.cli.train:train",
    "ocr": "hpsearch.cli.evaluate:ocr",
    "merge": "hpsearch.cli.merge:merge",
    "evaluate": "hpsearch.cli.evaluate:evaluate",
    "score": "hpsearch.cli.evaluate:score",
    "setup-trainer": "hpsearch.cli.train:setup_trainer",
    "doctor": "hpsearch.cli.check:doctor",
}

EPILOG = """\b
Exit codes: 0 done; 1 internal error; 2 bad arguments or definition; 3 storage unusable; 4 trials, a fine-tune or a
server failed; 5 the study is owned by another runner; 6 the definition differs from the stored one; 130, 143, 129 or
138 stopped by a signal."""


@click.group(
    cls=LazyGroup,
    context_settings=SETTINGS,
    commands_by_path=COMMANDS,
    epilog=EPILOG,
    no_args_is_help=False,
    invoke_without_command=True,
)
@click.version_option(package_name="hpsearch", message="hpsearch %(version)s")
@click.option("--debug", is_flag=True, expose_value=False, help="Show the traceback of an error; accepted anywhere.")
@click.pass_context
def app(context: click.Context) -> None:
    """Find the best hyperparameters for LoRA fine-tunes of OCR vision-language models."""
    if context.invoked_subcommand is None:
        click.echo(context.get_help())


# Options of other programs' fine-tunes that are separate commands here.
MOVED = {
    "--save-merged-16bit": "hpsearch merge --lora-dir DIR/adapter --output-dir merged",
    "--save-gguf": "hpsearch merge --save-gguf q8_0",
    "--push-to-hub": "hpsearch merge --push-to-hub OWNER/NAME",
}


_LEAST_FREE_BYTES = 2**20


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command line and end the process with its exit code."""
    sys.stdout, sys.stderr = _usable(sys.stdout), _usable(sys.stderr)
    words = list(sys.argv[1:] if arguments is None else arguments)
    debug = "--debug" in words
    sys.exit(_run([word for word in words if word != "--debug"], debug))


def _usable(stream: TextIO | None) -> TextIO:
    """Return a stream that accepts every text, so that a closed one or a narrow encoding ends no search."""
    if stream is None:
        return Path(os.devnull).open("w", encoding="utf-8")
    if isinstance(stream, io.TextIOWrapper):
        stream.reconfigure(errors="backslashreplace")
        if stream.isatty():
            stream.flush()
            raw = io.BufferedWriter(_Terminal(stream.fileno()))
            return io.TextIOWrapper(raw, stream.encoding, "backslashreplace", line_buffering=True)
    return stream


class _Terminal(io.RawIOBase):
    """Writes to a terminal. Once that is closed (EIO), what is written is dropped: the work goes on, or is ended in
    order by the SIGHUP that came with it."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def writable(self) -> bool:
        """Return True."""
        return True

    def isatty(self) -> bool:
        """Return True while it is there."""
        return os.isatty(self._descriptor)

    def fileno(self) -> int:
        """Return its descriptor."""
        return self._descriptor

    def write(self, data: Any) -> int:
        """Write what the terminal takes."""
        try:
            return os.write(self._descriptor, data)
        except OSError as error:
            if error.errno != errno.EIO:
                raise
            return len(data)


def _run(words: list[str], debug: bool) -> int:
    with Unwinding() as unwinding:
        code = _answer(words, debug)
    return unwinding.exit_code if code is None else code


def _answer(words: list[str], debug: bool) -> int | None:
    """Run a command; returns its exit code, None if a signal ended it."""
    try:
        code = app.main(args=words, prog_name="hpsearch", standalone_mode=False)
    except click.exceptions.Abort:
        return None
    except click.ClickException as error:
        return _fail(UsageError(error.format_message().rstrip("."), _help_hint(error)), debug)
    except HpsearchError as error:
        return _fail(error, debug)
    except Interrupted as stop:
        return stop.exit_code
    except KeyboardInterrupt:
        return None
    except BrokenPipeError:
        sys.stderr.close()
        return 0
    except SystemExit:  # click's exit when the reader closed the pipe: not a failure
        return 0
    except (NotADirectoryError, FileExistsError, IsADirectoryError, PermissionError) as error:
        return _fail(UsageError(f"{error.filename}: {error.strerror}", "name another path"), debug)
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            return _fail(_no_space(error, words), debug)
        if error.errno in (errno.ENAMETOOLONG, errno.ELOOP):
            return _fail(UsageError(f"{error.filename}: {error.strerror}", "name another path"), debug)
        named = f"{error.filename}: " if error.filename else ""
        too_many = error.errno in (errno.EMFILE, errno.ENFILE)
        remedy = "allow more open files (ulimit -n 1024)" if too_many else "make it usable, or name another path"
        return _fail(HpsearchError(f"{named}{error.strerror or error}", remedy), debug)
    except Exception as error:  # noqa: BLE001 - the last resort: one line for the user, the rest with --debug
        return _fail(
            HpsearchError(
                f"internal error: {type(error).__name__}: {error}", "run it again with --debug and report it"
            ),
            debug,
        )
    return code if isinstance(code, int) else 0


def _no_space(error: OSError, words: Sequence[str]) -> StorageError:
    """Return the error for a full disk. Where the system names no file, it names what is full among the folders that a
    command writes to."""
    import shutil
    import tempfile

    named = (Path(word.rpartition("=")[2]).absolute() for word in words)
    there = (next(place for place in (path, *path.parents) if place.exists()) for path in named)
    places = dict.fromkeys([Path.cwd(), Path(tempfile.gettempdir()), *there])
    full = [str(place) for place in places if shutil.disk_usage(place).free < _LEAST_FREE_BYTES]
    where = error.filename or ", ".join(full)
    what = f"no space left on the disk{f' of {where}' if where else ''}: {error.strerror}"
    return StorageError(what, "free some space, then run the same command again")


def _help_hint(error: click.ClickException) -> str:
    if isinstance(error, click.NoSuchOption) and error.option_name in MOVED:
        return f"use {MOVED[error.option_name]}"
    context = getattr(error, "ctx", None)
    return f"see `{context.command_path} --help`" if context is not None else "see `hpsearch --help`"


def _fail(error: HpsearchError, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    from hpsearch.report.text import visible

    shown = visible(error, keep="\n")  # it may quote names with any characters
    click.echo(f"hpsearch: error[{error.exit_code}]: {shown}", err=True)
    return error.exit_code
