"""The checks of what a study needs besides the machine: its definition, its data, its program, its storage."""

from __future__ import annotations

import os
import sqlite3
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

from hpsearch.assets import PREFIX, asset_path
from hpsearch.commands.doctor.machine import DoctorContext, nearest
from hpsearch.data.places import hub_id
from hpsearch.data.rows import data_files
from hpsearch.errors import HpsearchError, UsageError
from hpsearch.execution.doctor_question import Finding, ok, red, warning
from hpsearch.study.jobs import JobMaker, require_program
from hpsearch.study.storage.open import StorageUrl
from hpsearch.study.storage.postgres import connect, query
from hpsearch.study.storage.sqlite import network_warning, require_sound

LOCK_WAIT_S = 2.0


def definition(context: DoctorContext) -> Iterator[Finding]:
    """Report how the study was resolved."""
    if context.complaint:
        what, remedy = context.complaint
        yield red("study", what, remedy or "correct the definition")
    elif context.definition is not None:
        searched = ", ".join(context.definition.search_space) or "nothing"
        model = f", model {context.settings['model_name']}" if context.settings else ", a program of its own"
        yield ok("study", f"{context.study}: searches {searched}{model}")


def program(context: DoctorContext) -> Iterator[Finding]:
    """Check the program of a study that runs its own."""
    if context.definition is None or context.definition.command is None:
        return
    try:
        require_program(JobMaker(context.definition, context.folders, dict(os.environ)))
    except UsageError as error:
        yield red("program", error.what, error.remedy)
    else:
        yield ok("program", f"{context.definition.command[0]} is there")


def data(context: DoctorContext) -> Iterator[Finding]:
    """Check that the study's rows are there. The run itself looks at what they hold."""
    if context.settings is None:
        return
    named = context.settings["input_data"]
    if named is None:
        yield red("data", "input_data is not given", "name your rows with --input-data FILE")
        return
    try:
        if hub_id(named):
            yield ok("data", f"{named}: a dataset on the Hub; the run will fetch it")
            return
        place = asset_path(named) if named.startswith(PREFIX) else Path(named).expanduser()
        files = data_files(place)
        for path in files:
            path.open("rb").close()
    except UsageError as error:
        yield red("data", error.what, error.remedy)
    except OSError as error:
        yield red("data", f"{error.filename} cannot be read: {error.strerror}", f"chmod u+r {error.filename}")
    else:
        yield _check_files(named, place, files)


def _check_files(named: str, place: Path, files: list[Path]) -> Finding:
    if not place.exists():
        return red("data", f"{place} does not exist", "correct the path, or name your rows with --input-data FILE")
    if not files and any(place.iterdir()):
        return ok("data", f"{named}: a folder of another form; the run will read it")
    if not files:
        remedy = "name the files by split, like train.parquet, or name one file with --input-data FILE"
        return red("data", f"{place} is empty", remedy)
    return ok("data", f"{named}: {len(files)} file{'s' if len(files) > 1 else ''}")


def storage(context: DoctorContext) -> Iterator[Finding]:
    """Check that the storage can be opened and written, or made. Nothing is changed."""
    url = context.options.url
    try:
        path = url.sqlite_path
        if url.is_postgres:
            yield _check_server(url)
        elif path is None:
            remedy = "name sqlite:///FILE or postgresql://USER@HOST/NAME"
            yield red("storage", f"{url} cannot be searched on", remedy)
        else:
            if shared := network_warning(path):
                yield warning("storage", *shared)
            if path.exists():
                with url.errors():
                    require_sound(path, url.patience)
                url.open()
                yield _check_writable(path)
            else:
                yield _check_can_be_made(path)
    except HpsearchError as error:
        yield red("storage", error.what, error.remedy or "choose another --storage")


def _check_server(url: StorageUrl) -> Finding:
    with url.errors(), connect(url.full) as connection:
        ((there, may_make),) = query(
            connection,
            "SELECT to_regclass('studies') IS NOT NULL, has_schema_privilege(current_schema(), 'CREATE')",
        )
    if there or may_make:
        return ok("storage", f"{url} {'holds studies' if there else 'is empty, and studies can be made in it'}")
    remedy = "let its owner run: GRANT CREATE ON SCHEMA public TO your user"
    return red("storage", f"in {url} this user may not make tables", remedy)


def _check_can_be_made(path: Path) -> Finding:
    place = nearest(path.parent)
    try:
        tempfile.TemporaryFile(dir=place).close()
    except OSError as error:
        text = f"{path} is not there yet, and cannot be made: {place}: {error.strerror}"
        return red("storage", text, "make the folder writable, or choose another --storage and --base-output-dir")
    return ok("storage", f"{path} will be made by the first run")


def _check_writable(path: Path) -> Finding:
    try:
        tempfile.TemporaryFile(dir=path.parent).close()  # SQLite writes files beside it
        with closing(sqlite3.connect(path, timeout=LOCK_WAIT_S)) as connection:
            connection.execute("BEGIN IMMEDIATE")
            connection.rollback()
    except sqlite3.OperationalError as error:
        if "locked" in str(error):
            return warning("storage", f"{path} is being written by another program right now", "wait until it is done")
        return red("storage", f"{path} cannot be written: {error}", f"chmod u+w {path}, or choose another --storage")
    except (OSError, sqlite3.DatabaseError) as error:
        return red("storage", f"{path} cannot be written: {error}", "make it writable, or choose another --storage")
    return ok("storage", f"{path} can be opened and written")
