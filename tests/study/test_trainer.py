"""Another Python for the training: found, asked, refused; and the environments that are made for it."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import pytest
from packaging.requirements import Requirement

from hpsearch.commands.trainer_env import LOCKS, MARKER, TrainerEnvRequest, default_folder, lock_names, set_up
from hpsearch.config.definition import StudyDefinition
from hpsearch.config.load import load_definition
from hpsearch.errors import UsageError
from hpsearch.execution.trainer_python import TRAINER_VARIABLE, Trainer
from hpsearch.study.folders import study_folders
from hpsearch.study.jobs import job_maker
from hpsearch.study.open import changed_versions
from hpsearch.study.preparation import PreparedInfo


def program(folder: Path, text: str, name: str = "python") -> str:
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def test_without_a_trainer_it_is_this_python() -> None:
    assert Trainer().command == (sys.executable, "-m", "hpsearch.training")
    Trainer().require()


def test_an_environments_folder_means_its_python(tmp_path: Path) -> None:
    inside = program(tmp_path, "exit 1", "bin/python")
    assert Trainer(str(tmp_path)).python == Trainer(inside).python == inside
    name, option, launcher = Trainer(str(tmp_path)).command
    assert (name, option, Path(launcher).name) == (inside, "-P", "launch.py")
    assert Path(launcher).is_file()


def test_an_environments_python_stays_the_link_it_is(tmp_path: Path) -> None:
    link = tmp_path / "python"
    link.symlink_to(sys.executable)
    assert Trainer(str(link)).python == str(link)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("echo hello", "is no Python: it answers 'hello'"),
        ("exit 3", "is no Python: it answers ''"),
        ("echo 'hpsearch: 3.10'", "is Python 3.10, and 3.11 is the oldest"),
        (
            'case "$*" in *launch.py*) echo \'{"versions": {"torch": "2", "trl": null, "peft": null}}\';; '
            "*) echo 'hpsearch: 3.12';; esac",
            "lacks trl, peft",
        ),
    ],
)
def test_what_cannot_train_is_refused_with_the_remedy(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError) as caught:
        Trainer(program(tmp_path, text)).require()
    assert said in str(caught.value)
    assert "`hpsearch setup-trainer`" in str(caught.value)


def test_what_is_not_there_is_refused(tmp_path: Path) -> None:
    for named in (str(tmp_path), str(tmp_path / "none"), "no-such-python"):
        with pytest.raises(UsageError, match="is no program, nor the folder of an environment; make one with"):
            Trainer(named).require()


def definition(**keys: object) -> StudyDefinition:
    return StudyDefinition.from_flat({"input_data": "pages.json", **keys})


def test_the_definition_comes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def python(**keys: object) -> str:
        return job_maker(definition(**keys), study_folders(tmp_path, "a")).train(tmp_path, {}).command[0]

    link = tmp_path / "other"
    link.symlink_to(sys.executable)
    monkeypatch.delenv(TRAINER_VARIABLE, raising=False)
    assert python() == sys.executable
    monkeypatch.setenv(TRAINER_VARIABLE, str(link))
    assert python() == str(link)
    assert python(trainer_python="/usr/bin/env") == "/usr/bin/env"


def test_a_path_leads_from_the_file_that_has_it(tmp_path: Path) -> None:
    path = tmp_path / "mine.json"
    for written, meant in {"env/bin/python": f"{tmp_path}/env/bin/python", "python3.12": "python3.12"}.items():
        path.write_text(json.dumps({"input_data": "pages.json", "trainer_python": written}))
        assert load_definition("mine", path).trainer_python == meant


def test_an_option_changes_the_trainer_and_not_what_the_study_is(tmp_path: Path) -> None:
    plain = definition()
    changed = plain.with_trainer("envs/new/bin/python")
    assert changed.trainer_python == str(Path("envs/new/bin/python").absolute())
    assert changed.identity() == plain.identity()
    assert StudyDefinition.from_flat(changed.flat()) == changed
    assert plain.with_trainer(None) is plain
    with pytest.raises(UsageError, match='"trainer_python" runs the built-in training, which a command replaces'):
        StudyDefinition.from_flat(
            {
                "command": ["a", "{x}"],
                "search_space": {"x": {"type": "uniform", "low": 0, "high": 1}},
                "objective": {"metric": "m", "direction": "minimize"},
            }
        ).with_trainer("python3")


def test_other_versions_than_before_are_said() -> None:
    versions = {"trl": "1.14.2", "torch": "2.13.0", "unsloth": "1"}
    before = PreparedInfo.from_json({"backend": "hf", "versions": versions})
    assert changed_versions(before, before) == changed_versions(PreparedInfo(), before) == ""
    now = PreparedInfo.from_json({"backend": "hf", "versions": {"trl": "1.16.0", "torch": "2.13.0"}})
    assert changed_versions(before, now) == (
        "trials from here on run with other versions than those before, which may change their results: "
        "trl 1.14.2 -> 1.16.0, unsloth 1 -> none"
    )


def pins(name: str) -> dict[str, str]:
    lines = (LOCKS / f"{name}.txt").read_text(encoding="utf-8").splitlines()
    pairs = [line.partition("==") for line in lines if line and not line.startswith("#")]
    assert all(equals for _, equals, _ in pairs)
    return {package.replace("-", "_"): version for package, _, version in pairs}


def test_locks_pin_what_the_project_allows() -> None:
    import tomllib

    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    train = [Requirement(text) for text in project["optional-dependencies"]["train"]]
    assert lock_names() == ["newest", "unsloth"]
    for name in lock_names():
        locked = pins(name) | pins(f"{name}-gpu")
        for need in train:
            assert need.specifier.contains(locked[need.name.replace("-", "_")]), (name, need)
    newest, tested = pins("newest"), (root / "constraints.txt").read_text(encoding="utf-8")
    for package in ("transformers", "trl", "datasets", "torch", "peft", "accelerate"):
        assert re.search(rf"^{package}=={re.escape(newest[package])}$", tested, re.MULTILINE), package


def test_the_gpu_extra_never_goes_back_to_an_unsloth_without_ranges() -> None:
    import tomllib

    root = Path(__file__).parents[2]
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    needs = {need.name: need for need in map(Requirement, project["optional-dependencies"]["gpu"])}
    for name in ("unsloth", "unsloth_zoo"):
        assert needs[name].specifier.contains(pins("unsloth")[name])
        assert not needs[name].specifier.contains("2025.7.2")


def test_a_folder_of_somebody_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("mine")
    with pytest.raises(UsageError, match="is there and holds something else; name another one with --dir"):
        set_up(TrainerEnvRequest("newest", tmp_path), lambda line: None)
    assert (tmp_path / "thesis.txt").read_text() == "mine"


def test_a_complete_environment_is_used_again_and_no_other(tmp_path: Path) -> None:
    setup = TrainerEnvRequest("newest", tmp_path, gpu=False)
    (tmp_path / MARKER).write_text(f'{{"complete": "{setup.stamp}"}}')
    program(tmp_path, "exit 1", "bin/python")
    said: list[str] = []
    assert set_up(setup, said.append) == tmp_path / "bin" / "python"
    assert said == [f"{tmp_path} is complete already"]
    others = (
        TrainerEnvRequest("unsloth", tmp_path, gpu=False),
        TrainerEnvRequest("newest", tmp_path, gpu=True),
        TrainerEnvRequest("newest", tmp_path, "x"),
    )
    assert len({setup.stamp, *(other.stamp for other in others)}) == 4


def test_what_an_interrupted_set_up_left_is_made_again(tmp_path: Path) -> None:
    folder = tmp_path / "env"
    (folder / "bin").mkdir(parents=True)
    (folder / "bin" / "half").touch()
    (folder / MARKER).write_text('{"complete": ""}')
    said: list[str] = []
    with pytest.raises(Exception, match="setup-trainer could not install an environment in"):
        set_up(TrainerEnvRequest("newest", folder, program(tmp_path, "exit 1"), gpu=False), said.append)
    assert said[0] == f"{folder} is unfinished or of another lock file: it is made again"
    assert not (folder / "bin").exists()


def test_environments_are_kept_with_the_users_data(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path))
    assert default_folder("newest") == tmp_path / "hpsearch" / "trainers" / "newest"
