"""Make the studies in bb3fe56/ with the code of that commit.

    git worktree add /tmp/begun bb3fe56 && make -C /tmp/begun install
    PYTHONPATH=/tmp/begun /tmp/begun/.venv/bin/python tests/compatibility/make.py

Numbers differ between machines, and the files are meant to be old: do not make them again for a test to pass.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import sqlite3
import subprocess
import sys
import tarfile
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import stored_studies
from stored_studies import FOLDER, HERE, PACKAGE, PYTHON, described, machine, restore, trials

import hpsearch

COMMIT = "bb3fe56c61621abff91ca2022cbf7dcb57c07fa2"
CHECKOUT = Path(hpsearch.__file__).parents[1]
RUN = ("run", "--study", "own", "--config", "own.json")
# Files that each run makes again or deletes, and that no resumed study reads.
LEFT_OUT = re.compile(r"(.*\.arrow|report|.*\.lock|.*\.fifo)$")


def main() -> None:
    """Start the studies, stop each of them, and store their state."""
    _require_commit()
    from tests.postgres import server  # of that commit, as all that is imported from there

    with tempfile.TemporaryDirectory(prefix="begun-") as name, server() as postgres:
        folder = Path(name).resolve()
        (folder / "studies").mkdir()
        for file in ("program.py", "own.json", "digits.json"):
            (folder / file).write_text((HERE / file).read_text().replace(PYTHON, sys.executable))
        _start_own(folder)
        _start_digits(folder)
        with closing(sqlite3.connect(folder / "studies/hpsearch.db")) as connection:
            _write("sqlite.sql", "\n".join(connection.iterdump()) + "\n", folder)
        _pack("own-sqlite", folder, "own")
        _pack("digits", folder, "digits")
        _resume_through_an_outage(folder, postgres)
        _write("postgres.sql", _dumped(postgres), folder)
        _pack("own-postgres", folder, "own")
        after = {
            "machine": machine(),
            "sqlite": _continued("sqlite", None),
            "postgres": _continued("postgres", postgres),
        }
        (HERE / "expected.json").write_text(json.dumps(after, indent=1) + "\n")
    _check()


def _require_commit() -> None:
    asked = ("git", "-C", str(CHECKOUT), "rev-parse", "HEAD")
    head = subprocess.run(asked, capture_output=True, text=True, check=True).stdout.strip()
    changed = subprocess.run(("git", "-C", str(CHECKOUT), "diff", "--quiet", COMMIT, "--", "hpsearch"), check=False)
    if changed.returncode:
        sys.exit(f"hpsearch must be that of commit {COMMIT[:7]}, but {CHECKOUT} is at {head[:7]}")


def _start_own(folder: Path) -> None:
    """Start a warm-started search with a custom program on a stand-in GPU; interrupt it, then kill it before it reports
    the result of a trial."""
    from tests.gpus import Gpus
    from tests.plants import Plants

    values = json.loads((folder / "own.json").read_text())
    points = [{"x": 2.0, "head": "wide", "width": 0.05}, {"x": 3.8}, {"x": 2.6, "layers": 2}]
    source = values | {"seed": 3, "n_trials": 4, "try_first": points}  # good enough for the warm start to be kept
    (folder / "source.json").write_text(json.dumps(source))
    _done(folder, "run", "--study", "source", "--config", "source.json")
    with tempfile.TemporaryDirectory() as planted:
        plants = Plants(Path(planted))
        Gpus(plants, Path(planted) / "gpus", 1)
        path = {"PATH": plants.environment["PATH"]}
        begin = (*RUN, "--warm-start-from", "source", "--gpu-hours", "5", "--gpus", "0")
        _done(folder, *begin, "--n-trials", "12", **path)
        (folder / "hold").touch()
        _until(folder, (*RUN, "--n-trials", "16"), _at_step_2, lambda _: None, signal.SIGINT)
        (folder / "hold").unlink()
        killed = _ran(folder, *RUN, "--n-trials", "16", HPSEARCH_CRASH_AT="end-read", **path)
        assert killed.returncode == -signal.SIGKILL, killed.stdout
    (folder / "source.json").unlink()


def _start_digits(folder: Path) -> None:
    """Start a search with the built-in training, and interrupt it between two evaluations of a trial."""
    checkpoint = folder / "studies/digits/trial_2/checkpoints/checkpoint-6/hpsearch.json"

    def saved(_: object) -> None:
        while not checkpoint.exists():
            time.sleep(0.01)

    words = ("run", "--study", "digits", "--config", "digits.json")
    _until(folder, words, lambda line: "trial 2 step 1" in line, saved, signal.SIGINT)


def _resume_through_an_outage(folder: Path, postgres: Any) -> None:
    """Copy the studies to PostgreSQL, resume one there, stop the server, and kill the runner."""
    for study in ("source", "own", "digits"):
        _done(folder, "storage", "copy", "--study", study, "--to", postgres.url)
    (folder / "hold").touch()

    def cut_off(lines: Callable[[Callable[[str], bool]], None]) -> None:
        postgres.stop("immediate")
        lines(lambda line: "kept_back.jsonl" in line)
        (folder / "hold").unlink()
        lines(lambda line: " ended: " in line)
        (folder / "hold").touch()
        lines(_at_step_2)

    words = ("resume", "--study", "own", "--storage", postgres.url)
    _until(folder, words, _at_step_2, cut_off, signal.SIGKILL)
    (folder / "hold").unlink()
    postgres.start()


def _continued(storage: str, postgres: Any) -> dict[str, Any]:
    """Resume the stored studies with the commit's own code; return the trials that had not ended before."""
    with tempfile.TemporaryDirectory(prefix="gone-on-") as name:
        folder = Path(name).resolve()
        restore(folder, storage)
        url = f"sqlite:///{folder}/studies/hpsearch.db"
        if postgres is not None:
            url = postgres.url
            postgres.empty()
            postgres.ask(stored_studies.dump(folder, "postgres"))
        added = {}
        for study in stored_studies.UNFINISHED:
            before = [trial.number for trial in trials(url, study) if trial.state.is_finished()]
            _done(folder, "resume", "--study", study, "--storage", url)
            added[study] = [described(trial) for trial in trials(url, study) if trial.number not in before]
        return added


def _at_step_2(line: str) -> bool:
    return re.match(r"trial \d+ step 2\b", line) is not None


def _environment(**more: str) -> dict[str, str]:
    own = {name: value for name, value in os.environ.items() if not name.startswith(("HPSEARCH_", "PYTHON"))}
    return {**own, "COLUMNS": "200", "OMP_NUM_THREADS": "1", "BROWSER_PATH": "/no/browser", **more}


def _ran(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        (sys.executable, "-m", "hpsearch", *words),
        cwd=folder,
        env=_environment(**environment),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )


def _done(folder: Path, *words: str, **environment: str) -> None:
    done = _ran(folder, *words, **environment)
    print(done.stdout)
    assert done.returncode == 0, words


def _until(
    folder: Path,
    words: tuple[str, ...],
    wanted: Callable[[str], bool],
    then: Callable[[Callable[[Callable[[str], bool]], None]], None],
    number: signal.Signals,
) -> None:
    """Run until a line of the output is ``wanted``, call ``then``, and send a signal."""
    process = subprocess.Popen(
        (sys.executable, "-m", "hpsearch", *words),
        cwd=folder,
        env=_environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    output = process.stdout

    def lines(found: Callable[[str], bool]) -> None:
        for line in output:
            print(line, end="")
            if found(line):
                return
        raise AssertionError("the run ended before")

    lines(wanted)
    then(lines)
    process.send_signal(number)
    print(process.communicate()[0])


def _dumped(postgres: Any) -> str:
    """Return the database as INSERTs, without statements that only psql or one version of the server understands."""
    words = (str(postgres.programs / "pg_dump"), "--inserts", "--no-owner", "--no-privileges", postgres.url)
    text = subprocess.run(words, capture_output=True, text=True, check=True).stdout
    lines = [line for line in text.splitlines() if not re.match(r"(--|SET |\\|SELECT pg_catalog.set_config|$)", line)]
    return "\n".join(lines) + "\n"


def _write(name: str, text: str, folder: Path) -> None:
    (HERE / name).write_bytes(_without_paths(text.encode(), folder))


def _without_paths(content: bytes, folder: Path) -> bytes:
    """Replace paths by placeholders; the longer ones first, as one may begin with another."""
    places = {str(folder): FOLDER, sys.executable: PYTHON, str(CHECKOUT / "hpsearch"): PACKAGE}
    for path in sorted(places, key=len, reverse=True):
        content = content.replace(path.encode(), places[path].encode())
    return content


def _pack(name: str, folder: Path, study: str) -> None:
    """Store a study's folder with its links and times, without this machine's paths and users."""

    def plain(member: tarfile.TarInfo) -> tarfile.TarInfo | None:
        member.uid = member.gid = 0
        member.uname = member.gname = ""
        return None if LEFT_OUT.fullmatch(Path(member.name).name) else member

    copy = folder / "packed"
    shutil.copytree(folder / "studies" / study, copy / "studies" / study, symlinks=True)
    for path in copy.rglob("*"):
        if path.is_file() and not path.is_symlink():
            status = path.stat()
            path.write_bytes(_without_paths(path.read_bytes(), folder))
            os.utime(path, ns=(status.st_atime_ns, status.st_mtime_ns))
    with tarfile.open(HERE / f"{name}.tar.xz", "w:xz", format=tarfile.PAX_FORMAT) as archive:
        archive.add(copy / "studies" / study, f"studies/{study}", filter=plain)
    shutil.rmtree(copy)


def _check() -> None:
    """Print attributes that are missing, paths of this machine that are there, and sizes."""
    from hpsearch.study import attributes

    names = {value for value in vars(attributes).values() if isinstance(value, str) and value.startswith("hps:")}
    for storage in ("sqlite", "postgres"):
        text = (HERE / f"{storage}.sql").read_text()
        print(storage, "lacks", sorted(name for name in names if name not in text))
    for path in HERE.iterdir():
        contents = {path.name: path.read_bytes()}
        if path.suffix == ".xz":
            with tarfile.open(path) as archive:
                files = {member.name: archive.extractfile(member) for member in archive if member.isfile()}
                contents = {name: file.read() for name, file in files.items() if file is not None}
        for name, content in contents.items():
            for part in (tempfile.gettempdir(), str(CHECKOUT), str(Path(sys.prefix).resolve()), str(Path.home())):
                at = content.find(part.encode())
                if at >= 0:
                    print(f"{path.name} {name} names {content[max(at - 40, 0) : at + 80]!r}")
        print(path.name, path.stat().st_size, "bytes")


if __name__ == "__main__":
    main()
