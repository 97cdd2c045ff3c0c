"""Fixtures that every room's tests may use."""

from __future__ import annotations

import compileall
import difflib
import gc
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.warm import warm

if TYPE_CHECKING:
    from tests.postgres import Server

CommandLine = Callable[..., "subprocess.CompletedProcess[str]"]
GOLDEN = Path(__file__).parent / "golden"
LONG = ("tests/benchmarks/", "tests/e2e/test_train", "tests/e2e/test_demo", "tests/e2e/test_stored")


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--accept-golden``."""
    parser.addoption("--accept-golden", action="store_true", help="run only tests with golden files, and rewrite these")


def pytest_configure(config: pytest.Config) -> None:
    """Forget what the desk or CI was started with that a user's command would obey, and compile hpsearch."""
    if not hasattr(config, "workerinput"):
        # Under PYTHONDONTWRITEBYTECODE, common in containers, each command would do it again, for half a second.
        compileall.compile_dir(Path(__file__).parents[1] / "hpsearch", quiet=2)
    # What ignores them, nohup and a shell's "&", would let every process below ignore them too.
    signal.signal(signal.SIGHUP, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)
    for name in [name for name in os.environ if name.startswith("HPSEARCH_") and not name.startswith("HPSEARCH_TEST_")]:
        del os.environ[name]


def pytest_collection_finish() -> None:
    """Look for garbage only among what tests make: looking among all that is imported takes a third of a second."""
    gc.freeze()


def pytest_unconfigure() -> None:
    """End what runs the commands."""
    warm.close()


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``--accept-golden``, leave out the tests that have no golden file; begin with the long ones.

    What takes long must not come last: the other workers would have nothing to do meanwhile.
    """
    items.sort(key=lambda item: not item.nodeid.startswith(LONG))
    if config.getoption("--accept-golden"):
        others = [item for item in items if "golden" not in getattr(item, "fixturenames", ())]
        config.hook.pytest_deselected(items=others)
        items[:] = [item for item in items if item not in others]


class Golden:
    """Compares texts with the files under tests/golden, or rewrites these."""

    def __init__(self, accept: bool) -> None:
        self._accept = accept

    def check(self, name: str, text: str) -> None:
        """Fail the test unless ``text`` is what tests/golden/``name`` holds."""
        path = GOLDEN / name
        if self._accept:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8")
        elif not path.exists():
            pytest.fail(f"tests/golden/{name} does not exist; to make it: make golden", pytrace=False)
        elif (before := path.read_text(encoding="utf-8")) != text:
            lines = difflib.unified_diff(before.splitlines(), text.splitlines(), f"golden/{name}", "now", lineterm="")
            pytest.fail("\n".join([*lines, "If this is meant: make golden, and read the diff."]), pytrace=False)


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Golden:
    """Golden files: ``golden.check("help/run.txt", text)``."""
    return Golden(accept=request.config.getoption("--accept-golden"))


@pytest.fixture(autouse=True)
def unchanged_environment() -> Iterator[None]:
    """No test may leave variables to the next one: these reach every command that it starts."""
    before = dict(os.environ)
    yield
    left = {name for name in before.keys() | os.environ.keys() if before.get(name) != os.environ.get(name)}
    os.environ.clear()
    os.environ.update(before)
    told = ("HF_HUB_", "HF_HOME", "HF_TOKEN", "HPSEARCH_", "TRANSFORMERS_", "CUDA_", "WANDB_")
    ours = [name for name in left if name.startswith(told)]
    assert not ours, f"left in the environment: {sorted(ours)}"


def run_command(folder: Path, *words: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Run the real command line in a folder; its five minutes only guard against hanging.

    It finds no browser: drawing PNGs takes one some seconds, which tests/report/test_report.py spends.
    """
    environment = {"COLUMNS": "200", "BROWSER_PATH": "/no/browser", **environment}
    if not any(name.startswith("PYTHON") for name in environment):
        return warm.run(folder, words, {**os.environ, **environment})
    return subprocess.run(
        [sys.executable, "-m", "hpsearch", *words],
        cwd=folder,
        env={**os.environ, **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )


@pytest.fixture
def command_line(tmp_path: Path) -> CommandLine:
    """Runs the real command line in an empty folder."""

    def run(*words: str, cwd: Path = tmp_path, **environment: str) -> subprocess.CompletedProcess[str]:
        return run_command(cwd, *words, **environment)

    return run


@pytest.fixture(scope="session")
def running() -> Iterator[Server]:
    """A PostgreSQL server for all tests of a worker: each empties it first."""
    from tests.postgres import server

    with server() as found:
        yield found


@pytest.fixture(scope="session")
def chromium() -> str:
    """A browser, or a skip that says what is missing."""
    found = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    if found is None:
        pytest.skip("no Chromium or Chrome on this machine, so the page is not rendered here")
    return found
