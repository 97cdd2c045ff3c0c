"""Fixtures that every room's tests may use."""

from __future__ import annotations

import difflib
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

CommandLine = Callable[..., "subprocess.CompletedProcess[str]"]
GOLDEN = Path(__file__).parent / "golden"


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--accept-golden``."""
    parser.addoption("--accept-golden", action="store_true", help="run only tests with golden files, and rewrite these")


def pytest_configure() -> None:
    """Forget what the desk or CI was started with that a user's command would obey."""
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # under nohup it is ignored, and so would it be in every process below
    for name in [name for name in os.environ if name.startswith("HPSEARCH_") and not name.startswith("HPSEARCH_TEST_")]:
        del os.environ[name]


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """With ``--accept-golden``, leave out the tests that have no golden file."""
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


@pytest.fixture
def command_line(tmp_path: Path) -> CommandLine:
    """Runs the real command line in an empty folder; its five minutes only guard against hanging."""

    def run(*words: str, cwd: Path = tmp_path, **environment: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "hpsearch", *words],
            cwd=cwd,
            env={**os.environ, "COLUMNS": "200", **environment},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )

    return run
