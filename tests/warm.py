"""Commands from a process that has hpsearch's imports done: each runs in a fork of it, without waiting for them again.

A command is a process of its own as ever, with its own environment, folder and output; only the interpreter is not
started anew. What an interpreter reads when it starts (PYTHONPATH and the like) needs a fresh one.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

SERVER = """
import atexit, gc, json, os, pkgutil, importlib, runpy, sqlite3, sys, threading, traceback
import hpsearch
rooms = ("cli", "commands", "report", "study", "config", "data", "execution")
for module in pkgutil.walk_packages(hpsearch.__path__, "hpsearch."):
    if module.name.split(".")[1] in rooms:
        importlib.import_module(module.name)
import alembic.command, optuna, rich.table
optuna.storages.RDBStorage("sqlite://").engine.dispose()  # imports what it uses, and has its tables mapped
gc.collect(); gc.freeze()
for line in sys.stdin:
    asked = json.loads(line)
    if pid := os.fork():
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)
        continue
    for number, path in ((0, os.devnull), (1, asked["stdout"]), (2, asked["stderr"])):
        os.dup2(os.open(path, os.O_RDWR | os.O_CREAT, 0o600), number)
    os.chdir(asked["folder"])
    if asked["umask"] is not None:
        os.umask(asked["umask"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    sys.argv = ["hpsearch", *asked["words"]]
    code = 0
    try:
        runpy.run_module("hpsearch", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        code = ended.code
        if code is not None and not isinstance(code, int):
            print(code, file=sys.stderr)
            code = 1
    except BaseException:
        traceback.print_exc()
        code = 1
    threading._shutdown()
    atexit._run_exitfuncs()
    for thing in gc.get_objects():  # a database is closed at an interpreter's end too, and takes its -wal file with it
        if isinstance(thing, sqlite3.Connection):
            thing.close()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code or 0)
"""


class Warm:
    """The process, started with the first command."""

    def __init__(self) -> None:
        self._process: subprocess.Popen[str] | None = None

    def run(
        self, folder: Path, words: tuple[str, ...], environment: Mapping[str, str], umask: int | None = None
    ) -> subprocess.CompletedProcess[str]:
        """Run a command in a folder, to its end, under the tests' own umask or another."""
        process = self._process = self._process or self._start()
        assert process.stdin is not None
        assert process.stdout is not None
        with tempfile.TemporaryDirectory() as files:
            out, err = Path(files, "out"), Path(files, "err")
            asked = {"words": words, "folder": str(folder), "environment": dict(environment), "umask": umask}
            process.stdin.write(json.dumps({**asked, "stdout": str(out), "stderr": str(err)}) + "\n")
            process.stdin.flush()
            code = process.stdout.readline()
            assert code, "the process that runs the tests' commands has ended"
            return subprocess.CompletedProcess(words, int(code), out.read_text(), err.read_text())

    def close(self) -> None:
        """End it."""
        if self._process is not None:
            self._process.communicate()
            self._process = None

    def _start(self) -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", SERVER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=os.environ
        )


warm = Warm()
