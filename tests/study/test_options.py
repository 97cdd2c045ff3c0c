"""The command that a user is told to type."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpsearch.study.options import command_text

DEFAULT = "sqlite:///studies/hpsearch.db"


@pytest.mark.parametrize(
    ("storage", "base", "variable", "expected"),
    [
        (None, "studies", None, "hpsearch resume --study a"),
        (DEFAULT, "studies", None, "hpsearch resume --study a"),
        (DEFAULT, "studies", "sqlite:///e.db", f"hpsearch resume --study a --storage {DEFAULT}"),
        ("sqlite:///e.db", "studies", "sqlite:///e.db", "hpsearch resume --study a"),
        (
            "sqlite:///my file.db",
            "o t",
            None,
            "hpsearch resume --study a --storage 'sqlite:///my file.db' --base-output-dir 'o t'",
        ),
        ("postgresql://u:canary@h/d", "studies", None, "hpsearch resume --study a --storage 'postgresql://u:***@h/d'"),
    ],
)
def test_defaults_are_left_out_and_passwords_hidden(
    monkeypatch: pytest.MonkeyPatch, storage: str | None, base: str, variable: str | None, expected: str
) -> None:
    if variable is not None:
        monkeypatch.setenv("HPSEARCH_STORAGE", variable)
    assert command_text("resume", "a", storage, Path(base)) == expected
