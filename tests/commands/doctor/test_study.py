"""What a study needs: its model on the Hub or in a folder, its memory, its data, its program, its storage."""

from __future__ import annotations

import json
import shutil
import socket
import sqlite3
import struct
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from hpsearch.assets import asset_path
from hpsearch.commands.doctor import DoctorContext, ask, machine, study
from hpsearch.config.load import load_definition
from hpsearch.execution.doctor_question import DoctorQuestion, Finding, Level
from hpsearch.execution.gpu import Driver, read_smi
from hpsearch.execution.trainer_python import Trainer
from hpsearch.execution.units import bytes_text
from hpsearch.study.options import RunOptions
from hpsearch.training.doctor import run_check
from tests.commands.doctor.conftest import Doctor
from tests.plants import Plants, smi_answer
from tests.study.played import open_storage
from tests.training.hub import TOKEN, hub_of

MODEL = asset_path("digits/gemma3")
DEMO = ("--study", "digits-ocr-gemma")


def test_the_demo_is_ready_and_nothing_is_written(doctor: Doctor, tmp_path: Path) -> None:
    report = doctor(*DEMO)
    assert report.exit_code == 0, report.output
    assert report.reds() == set()
    expected = {"python", "hpsearch", "driver", "training", "torch", "model", "settings", "memory", "disk"}
    assert expected | {"study", "data", "storage", "browser"} <= {finding.check for finding in report.findings}
    assert report.of("model").text.startswith("asset:digits/gemma3 is complete: gemma3, 0.")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def hub() -> Iterator[str]:
    """The address of a Hub that has a small model, open and gated."""
    with hub_of(MODEL) as (address, _):
        yield address


def test_a_model_that_may_be_fetched_is_ok_and_is_not_fetched(doctor: Doctor, plants: Plants, hub: str) -> None:
    report = doctor(*DEMO, "--model-name", "tiny/open", HF_ENDPOINT=hub)
    assert report.of("model").level is Level.OK
    assert "tiny/open can be fetched from the Hub" in report.of("model").text
    assert report.of("token").level is Level.WARNING
    assert "for the Hub's cache" in report.of("hub cache").text
    assert f"about {bytes_text((MODEL / 'model.safetensors').stat().st_size)} needed" in report.of("hub cache").text
    assert not list(plants.folder.glob("hub/**/*.safetensors"))


def of_the_hub(plants: Plants, name: str, revision: str | None = None, **environment: str) -> Finding:
    """Ask the training side about a model, in a process of its own."""
    question = DoctorQuestion(checks=("token", "model"), settings={"model_name": name, "model_revision": revision})
    answer = ask(question, Trainer(), {**plants.environment, **environment})
    assert answer.ended == ["token", "model"]
    (finding,) = [finding for finding in answer.findings if finding.check == "model"]
    return finding


@pytest.mark.parametrize(
    ("name", "token", "text", "remedy"),
    [
        ("tiny/gated", "", "tiny/gated is gated, and there is no token", "then: export HF_TOKEN="),
        (
            "tiny/gated",
            "hf_other",
            "tiny/gated is gated, and the token gives no access",
            "accept its terms on https://",
        ),
        (
            "tiny/missing",
            "",
            "tiny/missing is not on the Hub, or is private, and there is no token",
            "correct model_name",
        ),
        ("not an id", "", "but 'not an id' is none of them", "write the id as owner/name"),
    ],
)
def test_each_refusal_of_the_hub_has_its_own_line(
    plants: Plants, hub: str, name: str, token: str, text: str, remedy: str
) -> None:
    environment = {"HF_TOKEN": token} if token else {}
    finding = of_the_hub(plants, name, HF_ENDPOINT=hub, **environment)
    assert finding.level is Level.RED
    assert text in finding.text
    assert remedy in finding.remedy
    assert not token or token not in finding.text + finding.remedy


def test_a_token_with_access_is_used_and_never_shown(doctor: Doctor, hub: str) -> None:
    report = doctor(*DEMO, "--model-name", "tiny/gated", HF_ENDPOINT=hub, HF_TOKEN=TOKEN)
    assert report.of("model").level is Level.OK
    assert report.of("token").level is Level.OK
    assert TOKEN not in report.output


def test_a_revision_that_is_not_there_is_named(plants: Plants, hub: str) -> None:
    finding = of_the_hub(plants, "tiny/open", "no-such", HF_ENDPOINT=hub)
    assert finding.text == "tiny/open has no revision 'no-such'"


def test_no_network_is_a_line_of_its_own(plants: Plants) -> None:
    with socket.socket() as closed:
        closed.bind(("127.0.0.1", 0))  # and nobody listens there
        address = f"http://127.0.0.1:{closed.getsockname()[1]}"
        finding = of_the_hub(plants, "tiny/open", HF_ENDPOINT=address)
    assert f"the Hub at {address} cannot be asked" in finding.text
    assert "connect the network" in finding.remedy
    finding = of_the_hub(plants, "tiny/open", HF_HUB_OFFLINE="1")
    assert finding.text == "tiny/open is not downloaded, and HF_HUB_OFFLINE forbids to fetch it"


def whole_model(folder: Path) -> Path:
    """A copy of a small model."""
    return Path(shutil.copytree(MODEL, folder))


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        ("tokenizer.json", None, "has no tokenizer"),
        ("preprocessor_config.json processor_config.json", None, "has no processor (for its pictures)"),
        ("chat_template.jinja", None, "has no chat template"),
        ("model.safetensors", None, "has no weights as *.safetensors"),
        ("model.safetensors", b"\x08\0\0\0\0\0\0\0{}", "cannot be read: it is cut off"),
        ("model.safetensors.index.json", b'{"weight_map": {"a": "model-00002.safetensors"}}', "lacks 1 of the weights"),
        ("config.json", b"{", "must hold a readable config.json"),
        ("config.json", b'{"model_type": "bert"}', "must be of a known family"),
    ],
)
def test_a_folder_that_lacks_something_is_red(tmp_path: Path, name: str, content: bytes | None, text: str) -> None:
    folder = whole_model(tmp_path / "model")
    for file in name.split():
        (folder / file).unlink(missing_ok=True)
        if content is not None:
            (folder / file).write_bytes(content)
    results, _ = run_check("model", DoctorQuestion(settings={"model_name": str(folder), "family": "auto"}))
    reds = [finding for finding in results if isinstance(finding, Finding) and finding.level is Level.RED]
    assert text in reds[0].text
    assert reds[0].remedy


def test_a_broken_folder_is_a_red_line_of_the_command(doctor: Doctor, tmp_path: Path) -> None:
    folder = whole_model(tmp_path / "model")
    (folder / "tokenizer.json").unlink()
    report = doctor(*DEMO, "--model-name", str(folder))
    assert (report.exit_code, report.reds()) == (2, {"model"})
    settings = {"model_name": str(folder), "model_revision": "main"}
    (finding,), _ = run_check("model", DoctorQuestion(settings=settings))
    assert isinstance(finding, Finding)
    assert "model_revision names a revision of a Hub model" in finding.text


def grown(folder: Path, parameters: int) -> Path:
    """Make a model whose weights are one tensor of ``parameters`` numbers, in a file with a hole."""
    whole_model(folder)
    entry = {"dtype": "BF16", "shape": [parameters], "data_offsets": [0, 2 * parameters]}
    header = json.dumps({"weights": entry}).encode()
    with (folder / "model.safetensors").open("wb") as target:
        target.write(struct.pack("<Q", len(header)) + header)
        target.truncate(8 + len(header) + 2 * parameters)
    return folder


def test_the_models_parameters_are_counted_and_do_not_fit(doctor: Doctor, plants: Plants, tmp_path: Path) -> None:
    plants.smi(smi_answer({"name": "NVIDIA L4", "total": 23034, "free": 22500}))
    report = doctor(*DEMO, "--model-name", str(grown(tmp_path / "large", 12_200_000_000)))
    finding = report.of("gpu 0")
    assert finding.level is Level.RED
    assert "the model's weights alone need about 24.4 GB" in finding.text
    assert "load_in_4bit=true" in finding.remedy
    assert "12,200.0 million parameters" in report.of("model").text


def test_who_holds_a_gpu_is_named_and_another_one_offered() -> None:
    busy = {"name": "NVIDIA H200", "total": 143771, "free": 10000, "pid": 4711, "program": "/usr/bin/python3"}
    driver = read_smi(smi_answer(busy, busy | {"free": 100000}, {"name": "NVIDIA H200", "total": 143771, "free": 9000}))
    context = DoctorContext(
        RunOptions(), driver, definition=load_definition("digits-ocr"), facts={"parameters": 12.2e9}
    )
    first, second, third = machine.gpus(context)
    assert "held by pid 4711 python3 (140 GB)" in first.text
    assert (first.level, first.remedy) == (
        Level.RED, "kill 4711, or take another GPU: export CUDA_VISIBLE_DEVICES=1"
    )  # fmt: skip
    assert second.level is Level.WARNING
    assert "held by processes that cannot be seen from here" in third.text
    four_bits = load_definition("gemma-ocr")
    first, _, _ = machine.gpus(DoctorContext(RunOptions(), driver, definition=four_bits, facts={"parameters": 12.2e9}))
    assert first.level is Level.WARNING  # 8.5 GB


def test_too_little_shared_memory_is_a_warning_where_a_gpu_would_wait(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    driver = read_smi(smi_answer({"name": "NVIDIA L4", "total": 23034, "free": 22500}))
    for free, level in ((64 * 2**20, Level.WARNING), (8 * 2**30, Level.OK)):
        monkeypatch.setattr(shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=free))
        (finding,) = machine.shared_memory(DoctorContext(RunOptions(), driver), tmp_path)
        assert (finding.check, finding.level) == ("shared memory", level)
    assert "--shm-size" not in finding.remedy
    assert list(machine.shared_memory(DoctorContext(RunOptions(), Driver()), tmp_path)) == []


def test_a_model_too_large_for_the_host_is_red(doctor: Doctor, tmp_path: Path) -> None:
    report = doctor(*DEMO, "--model-name", str(grown(tmp_path / "huge", 2_000_000_000_000)))
    assert report.of("memory").level is Level.RED
    assert report.of("disk").level is Level.RED
    assert "--base-output-dir" in report.of("disk").remedy


def test_settings_that_this_machine_cannot_honour_are_red(doctor: Doctor) -> None:
    finding = doctor(*DEMO, "--set", "load_in_4bit=true").of("settings")
    assert finding.level is Level.RED
    assert "load_in_4bit needs a CUDA GPU" in finding.text


def test_settings_are_checked_by_the_models_family_where_it_is_known(doctor: Doctor) -> None:
    anyones = doctor(*DEMO, "--set", "longest_edge=512").of("settings")
    assert anyones.level is Level.OK, "some family takes an edge"
    squares = doctor(*DEMO, "--model-name", "google/gemma-3-4b-it", "--set", "longest_edge=512").of("settings")
    assert (squares.level, "gemma3 makes each one the same square" in squares.text) == (Level.RED, True)


def test_data_that_is_not_there_is_red(tmp_path: Path) -> None:
    def look_at(data: Path | str | None) -> Finding:
        given: dict[str, Any] = {} if data is None else {"input_data": str(data)}
        definition = load_definition("gemma-ocr", options=given)
        (finding,) = study.data(DoctorContext(RunOptions(), Driver(), definition=definition))
        return finding

    finding = look_at(tmp_path / "pages.json")
    assert (finding.level, finding.text) == (Level.RED, f"{tmp_path / 'pages.json'} does not exist")
    assert look_at(tmp_path).text == f"{tmp_path} is empty"
    assert look_at("hub:owner/pages").level is Level.OK
    (tmp_path / "saved" / "train").mkdir(parents=True)
    assert "of another form" in look_at(tmp_path / "saved").text
    assert look_at(None).remedy == "name your rows with --input-data FILE"
    (tmp_path / "broken" / "train.json").mkdir(parents=True)
    assert "train.json cannot be read: Is a directory" in look_at(tmp_path / "broken").text


def storage(**options: Any) -> Finding:
    """Check a storage."""
    (finding,) = study.storage(DoctorContext(RunOptions(**options), Driver()))
    return finding


def test_a_storage_that_cannot_be_used_is_red(tmp_path: Path) -> None:
    (tmp_path / "broken.db").write_bytes(b"not a database, but long enough to be read as one" * 100)
    finding = storage(storage=f"sqlite:///{tmp_path / 'broken.db'}")
    assert (finding.level, "this file is not a database" in finding.text) == (Level.RED, True)
    (tmp_path / "file").write_text("")
    finding = storage(base_output_dir=tmp_path / "file" / "studies")
    assert (finding.level, "cannot be made" in finding.text) == (Level.RED, True)


def test_a_storage_can_be_made_or_written_and_is_not_changed(tmp_path: Path) -> None:
    assert storage(base_output_dir=tmp_path / "studies").level is Level.OK
    assert list(tmp_path.iterdir()) == []
    path = tmp_path / "there.db"
    open_storage(path)
    assert storage(storage=f"sqlite:///{path}").text == f"{path} can be opened and written"
    with closing(sqlite3.connect(path)) as other:
        other.execute("BEGIN IMMEDIATE")
        finding = storage(storage=f"sqlite:///{path}")
    assert (finding.level, "another program" in finding.text) == (Level.WARNING, True)


def test_a_program_of_ones_own_needs_no_training_side(doctor: Doctor, tmp_path: Path) -> None:
    definition = {
        "command": ["no-such-program", "{x}"],
        "search_space": {"x": {"type": "uniform", "low": 0, "high": 1}},
        "objective": {"metric": "score", "direction": "minimize"},
    }
    (tmp_path / "own.json").write_text(json.dumps(definition))
    report = doctor("--config", "own.json", "--study", "own")
    assert report.reds() == {"program"}
    assert not {"torch", "training"} & {finding.check for finding in report.findings}


def test_a_broken_definition_is_a_red_line_and_the_machine_is_looked_at(doctor: Doctor, tmp_path: Path) -> None:
    (tmp_path / "bad.json").write_text('{"lora_r": "many"}')
    report = doctor("--config", "bad.json")
    assert report.reds() == {"study"}
    assert "lora_r" in report.of("study").text
    assert report.of("torch").level is Level.OK
