"""Names that could lead elsewhere, planted links, and who may read what a search leaves."""

from __future__ import annotations

import os
import stat
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import optuna
import pytest

import hpsearch
from hpsearch.errors import UsageError
from hpsearch.study import attributes as attrs
from hpsearch.study.storage.sqlite import network_file_system
from tests.conftest import CommandLine
from tests.e2e.conftest import definition
from tests.warm import warm

HOSTILE = {
    "above": "../../etc/x",
    "beside": "../x",
    "rooted": "/etc/x",
    "empty": "",
    "long": "a" * 129,
    "hidden": ".x",
    "option": "-x",
    "dots": "a..b",
    "look-alike": "gemmа-ocr",
    "wide": "ａbc",
    "line": "x\n",
    "blank": "a b",
    "escape": "\x1b[2J",
    "database": "hpsearch.db-wal",
    "comparison": "comparison",
}
COMMANDS: dict[str, tuple[str, ...]] = {
    "init": ("init", "--data", "asset:digits/data", "--model", "asset:digits/qwen3_vl"),
    "run": ("run", "--config", "study.json"),
    "dry-run": ("run", "--config", "study.json", "--dry-run"),
    "resume": ("resume",),
    "status": ("status",),
    "logs": ("logs",),
    "stop": ("stop",),
    "analyze": ("analyze",),
    "compare": ("analyze", "--compare", "quad"),
    "export": ("export",),
    "copy": ("storage", "copy", "--to", "sqlite:///other.db"),
    "rebuild": ("storage", "rebuild"),
    "validate": ("validate",),
    "doctor": ("doctor",),
    "train": ("train", "--output-dir", "out"),
}


def files(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a study that has run, deep enough for names to lead out of it."""
    from tests.conftest import run_command

    folder = tmp_path_factory.mktemp("home") / "a" / "b"
    folder.mkdir(parents=True)
    definition(folder)
    assert run_command(folder, "run", "--study", "quad", "--config", "study.json", "--n-trials", "1").returncode == 0
    return folder


@pytest.mark.parametrize("words", COMMANDS.values(), ids=COMMANDS.keys())
def test_every_command_refuses_a_hostile_name_and_writes_nothing(
    home: Path, command_line: CommandLine, words: tuple[str, ...]
) -> None:
    before = files(home.parents[1])
    kinds = HOSTILE if words[0] == "run" and len(words) == 3 else ("above", "look-alike")  # each takes a while
    for kind in kinds:
        name = HOSTILE[kind]
        refused = command_line(*words, f"--study={name}", cwd=home)
        assert refused.returncode == 2, (kind, refused.stdout + refused.stderr)
        assert "\x1b" not in refused.stdout + refused.stderr
    assert files(home.parents[1]) == before


@pytest.mark.parametrize("name", [*HOSTILE.values(), "a\0b"])
def test_python_refuses_a_hostile_name_too(home: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.chdir(home)
    for call in (hpsearch.run, hpsearch.resume):
        with pytest.raises(UsageError):
            call(study=name)


def test_a_study_that_a_stranger_gave_a_hostile_name_is_read_and_never_run(
    tmp_path: Path, command_line: CommandLine
) -> None:
    folder = tmp_path / "a" / "b"
    folder.mkdir(parents=True)
    definition(folder)
    assert (
        command_line("run", "--study", "quad", "--config", "study.json", "--n-trials", "1", cwd=folder).returncode == 0
    )
    url = f"sqlite:///{folder / 'studies' / 'hpsearch.db'}"
    optuna.copy_study(from_study_name="quad", from_storage=url, to_storage=url, to_study_name="../../x")
    theirs = optuna.load_study(study_name="../../x", storage=url)
    assert attrs.DEFINITION in theirs.user_attrs
    optuna.delete_study(study_name="quad", storage=url)
    for words in (("resume",), ("resume", "--study", "../../x"), ("resume", "--add-trials", "1")):
        refused = command_line(*words, cwd=folder)
        assert refused.returncode == 2, refused.stdout + refused.stderr
    for words in (
        ("status",),
        ("analyze",),
        ("export",),
        ("storage", "copy", "--study", "../../x", "--to", "sqlite:///o.db"),
    ):
        done = command_line(*words, cwd=folder)
        assert done.returncode == 0, done.stdout + done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["a"]
    assert [path.name for path in (tmp_path / "a").iterdir()] == ["b"]


def test_a_link_in_a_studys_place_is_not_followed_elsewhere(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path)
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "studies").mkdir()
    (tmp_path / "studies" / "quad").symlink_to(tmp_path / "elsewhere")
    for words in (("run", "--config", "study.json"), ("validate",)):
        refused = command_line(*words, "--study", "quad")
        assert refused.returncode == 2, refused.stdout + refused.stderr
        assert f"a study's folder lies in the folder of studies, but studies/quad leads to {tmp_path}/elsewhere" in (
            refused.stderr.replace(f"{tmp_path}/studies", "studies")
        )
    assert files(tmp_path / "elsewhere") == set()


def test_the_folder_of_studies_may_be_a_link(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path)
    (tmp_path / "disk").mkdir()
    (tmp_path / "studies").symlink_to(tmp_path / "disk")
    assert command_line("run", "--study", "quad", "--config", "study.json", "--n-trials", "1").returncode == 0
    assert (tmp_path / "disk" / "quad" / "best").is_dir()


@pytest.mark.parametrize(
    ("planted", "code"), [("hpsearch.db.quad.lock", 3), ("hpsearch.db.tables", 3), ("quad/.study", 2)]
)
def test_a_link_in_the_place_of_a_file_of_ours_is_not_followed(
    tmp_path: Path, command_line: CommandLine, planted: str, code: int
) -> None:
    definition(tmp_path)
    link = tmp_path / "studies" / planted
    link.parent.mkdir(parents=True)
    link.symlink_to(tmp_path / "victim")
    (tmp_path / "victim").write_text("mine")
    if planted.endswith(".study"):
        (tmp_path / "victim").unlink()
    refused = command_line("run", "--study", "quad", "--config", "study.json", "--n-trials", "1")
    assert refused.returncode == code, refused.stdout + refused.stderr
    assert planted.endswith(".study") or (tmp_path / "victim").read_text() == "mine"
    assert not planted.endswith(".study") or not (tmp_path / "victim").exists()


def test_no_studys_lease_is_the_lock_of_the_tables(tmp_path: Path, command_line: CommandLine) -> None:
    definition(tmp_path)
    for name in ("schema", "tables"):
        assert command_line("run", "--study", name, "--config", "study.json", "--n-trials", "1").returncode == 0
    assert len(list((tmp_path / "studies").glob("hpsearch.db.*"))) == 3


def loose(umask: int, folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """A command under a umask."""
    return warm.run(folder, words, {**os.environ, "COLUMNS": "200", "BROWSER_PATH": "/no/browser"}, umask)


def open_to_others(folder: Path) -> Iterator[str]:
    """What others may read, write or pass through, from this folder down; behind a closed folder nothing is."""
    for path in sorted(folder.iterdir()):
        mode = path.lstat().st_mode
        if not stat.S_ISLNK(mode) and mode & 0o077:
            yield f"{path.name} {mode & 0o777:o}"


LOOK = "import os, pathlib, sys; from hpsearch import sdk; here = pathlib.Path('studies')\n" + (
    "print(*('%s %o' % (path.name, path.stat().st_mode & 0o777) for path in here.iterdir()), sep='\\n')\n"
    "sdk.finish(score=1.0)"
)


@pytest.mark.parametrize("made", [True, False], ids=["by-the-user", "by-hpsearch"])
def test_under_umask_0_nobody_else_may_read_what_a_search_leaves(tmp_path: Path, made: bool) -> None:
    space = {"x": {"type": "categorical", "choices": [1]}}
    definition(tmp_path, command=[sys.executable, "-c", LOOK], search_space=space, env_pass=["PYTHONPATH"])
    studies = tmp_path / "studies"
    if made:
        studies.mkdir()
        studies.chmod(0o777)
    for words in (
        ("run", "--study", "quad", "--config", "study.json", "--n-trials", "2"),
        ("analyze", "--study", "quad", *(("--compare", "quad") if made else ())),
    ):
        done = loose(0, tmp_path, *words)
        assert done.returncode == 0, done.stdout + done.stderr
    assert studies.stat().st_mode & 0o777 == (0o777 if made else 0o700)
    assert list(open_to_others(studies)) == []
    names = {path.name for path in studies.iterdir()}
    assert {"hpsearch.db", "hpsearch.db.tables", "hpsearch.db.quad.lock", "quad"} <= names
    assert ("comparison" in names) is made
    folders = [path for path in (studies / "quad").iterdir() if path.is_dir()]
    assert {"trial_0", "trial_1", "best", "report"} <= {path.name for path in folders}
    assert [path.name for path in folders if path.stat().st_mode & 0o077] == []
    during = (studies / "quad" / "trial_0" / "log.txt").read_text().splitlines()
    assert "hpsearch.db 600" in during
    if not network_file_system(tmp_path):
        assert {"hpsearch.db-wal 600", "hpsearch.db-shm 600"} <= set(during)
    assert [line for line in during if not line.endswith(("600", "700"))] == []


def test_what_is_named_to_be_given_on_follows_the_umask(tmp_path: Path) -> None:
    definition(tmp_path)
    assert loose(0o022, tmp_path, "run", "--study", "quad", "--config", "study.json", "--n-trials", "1").returncode == 0
    words = ("--study", "quad", "--output-dir", "given")
    assert loose(0o022, tmp_path, "export", *words, "--archive", "quad.zip").returncode == 0
    assert loose(0o022, tmp_path, "analyze", *words).returncode == 0
    assert (tmp_path / "quad.zip").stat().st_mode & 0o777 == 0o600  # it has the logs
    for name in ("given/quad_best_config.json", "given/index.html"):
        assert (tmp_path / name).stat().st_mode & 0o777 == 0o644, name
    assert (tmp_path / "given").stat().st_mode & 0o777 == 0o755


def test_an_upgraded_and_a_copied_storage_are_private_too(tmp_path: Path, command_line: Callable[..., object]) -> None:
    definition(tmp_path)
    assert loose(0, tmp_path, "run", "--study", "quad", "--config", "study.json", "--n-trials", "1").returncode == 0
    assert loose(0, tmp_path, "storage", "copy", "--study", "quad", "--to", "sqlite:///new/copy.db").returncode == 0
    assert (tmp_path / "new").stat().st_mode & 0o777 == 0o700
    assert list(open_to_others(tmp_path / "new")) == []
