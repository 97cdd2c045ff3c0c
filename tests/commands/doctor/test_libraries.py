"""Libraries that are missing, broken, hanging, or of versions that do not go together: planted for real."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from hpsearch.commands.doctor import ask, examine
from hpsearch.execution.doctor_question import DoctorQuestion, Level
from hpsearch.execution.trainer_python import Trainer
from hpsearch.study.options import RunOptions
from hpsearch.training.doctor_libraries import unsloth
from tests.commands.doctor.conftest import Doctor
from tests.plants import Plants, smi_answer

H200 = {"name": "NVIDIA H200", "total": 143771, "free": 143354}


def test_a_torchvision_made_for_another_torch_is_red(doctor: Doctor, plants: Plants) -> None:
    plants.package("torchvision", "0.28.0", code="raise RuntimeError('operator torchvision::nms does not exist')")
    report = doctor()
    finding = report.of("torchvision")
    assert (report.exit_code, finding.level) == (2, Level.RED)
    assert "operator torchvision::nms does not exist" in finding.text
    assert "pip uninstall torchvision" in finding.remedy
    assert report.of("torch").level is Level.OK
    assert report.of("storage").level is Level.OK


def test_a_hanging_torch_is_red_and_the_rest_goes_on(doctor: Doctor, plants: Plants) -> None:
    plants.package("torch", "2.13.0", code="import time; time.sleep(1000)")
    report = doctor("--study", "digits-ocr", "--timeout", "2")
    finding = report.of("torch")
    assert finding.level is Level.RED
    assert finding.text == "this check did not end within 2 s"
    assert "--force-reinstall torch" in finding.remedy
    assert report.of("model").level is Level.OK
    assert report.of("settings").level is Level.WARNING


def test_a_torch_that_kills_its_process_is_red(doctor: Doctor, plants: Plants) -> None:
    plants.package("torch", "2.13.0", code="import os; os.abort()")
    finding = doctor().of("torch")
    assert finding.level is Level.RED
    assert "SIGABRT" in finding.text


def test_a_torch_that_cannot_be_imported_is_red(doctor: Doctor, plants: Plants) -> None:
    plants.package("torch", "2.13.0", code="raise OSError('libcudart.so.13: cannot open shared object file')")
    report = doctor("--study", "digits-ocr")
    finding = report.of("torch")
    assert finding.level is Level.RED
    assert "2.13.0 cannot be imported: libcudart.so.13: cannot open" in finding.text
    assert "pip install --force-reinstall torch==2.13.0" in finding.remedy
    assert report.reds() == {"torch"}


def test_a_cpu_build_beside_a_gpu_is_red_and_names_the_index(doctor: Doctor, plants: Plants) -> None:
    plants.smi(smi_answer(H200))
    plants.package("torch", "2.13.0", code=CPU_TORCH)
    report = doctor("--study", "gemma-ocr", "--model-name", "asset:digits/gemma3")
    assert report.of("settings").level is Level.WARNING
    finding = report.of("torch")
    assert finding.level is Level.RED
    assert "a CPU build, beside NVIDIA H200" in finding.text
    assert "--index-url https://download.pytorch.org/whl/cu130" in finding.remedy


def test_a_driver_of_cuda_12_gets_wheels_of_cuda_12(doctor: Doctor, plants: Plants) -> None:
    plants.smi(smi_answer(H200, driver="550.54.15", cuda="12.4"))
    plants.package("torch", "2.13.0", code=CPU_TORCH)
    report = doctor()
    assert report.of("torch").remedy.endswith("/whl/cu126")
    assert report.of("driver").level is Level.OK


def test_a_driver_too_old_for_torch_is_red(doctor: Doctor, plants: Plants) -> None:
    plants.smi(smi_answer(H200, driver="470.82.01", cuda="11.4"))
    plants.package("torch", "2.13.0", code=OLD_DRIVER_TORCH)
    report = doctor()
    assert "too old for torch" in report.of("driver").text
    assert "found version 11040" in report.of("torch").text
    assert "update the NVIDIA driver" in report.of("torch").remedy


def test_hidden_gpus_are_red(doctor: Doctor, plants: Plants) -> None:
    plants.smi(smi_answer(H200))
    plants.package("torch", "2.13.0", code=OLD_DRIVER_TORCH)
    finding = doctor(CUDA_VISIBLE_DEVICES="").of("torch")
    assert (finding.level, finding.remedy) == (Level.RED, "unset CUDA_VISIBLE_DEVICES")


def test_a_gpu_that_computes_is_ok_and_one_without_bf16_is_a_warning(doctor: Doctor, plants: Plants) -> None:
    plants.smi(smi_answer(H200))
    plants.package("torch", "2.13.0", code=GPU_TORCH)
    report = doctor()
    assert report.of("torch").text == "2.13.0, a CUDA 13.0 build, sees Tesla T4 and 1 more, and computes on it"
    assert report.of("precision").level is Level.WARNING


def test_versions_out_of_their_ranges_are_red(doctor: Doctor, plants: Plants) -> None:
    plants.package("trl", "9.9")
    plants.package("rapidfuzz", "1.0")
    report = doctor()
    assert "trl 9.9 (<1.17 wanted)" in report.of("training").text
    assert "rapidfuzz 1.0 (>=3.13 wanted)" in report.of("hpsearch").text
    assert "install" in report.of("training").remedy
    assert report.exit_code == 2


def test_what_unsloth_does_not_take_is_named(doctor: Doctor, plants: Plants) -> None:
    asks = ("transformers<=5.17.0,!=5.0.0", "trl<=1.15.0", "torch>=2.4,<2.99", "tyro", "wheel ; extra == 'triton'")
    plants.package("unsloth", "2026.10.7", asks=asks)
    finding = doctor().of("unsloth")
    assert finding.level is Level.WARNING
    assert finding.text.startswith("2026.10.7 does not take transformers 5.")
    assert "trl 1." in finding.text
    assert "tyro" not in finding.text
    assert finding.text.endswith("the hf backend trains")
    assert finding.remedy.startswith("`hpsearch setup-trainer --name unsloth` makes an environment")


def test_an_unsloth_that_the_study_names_must_be_there_and_fit(plants: Plants, monkeypatch: pytest.MonkeyPatch) -> None:
    question = DoctorQuestion(settings={"backend": "unsloth"}, pip="pip")
    (finding,) = unsloth(question)
    assert (finding.level, finding.text) == (Level.RED, "the study names it, but it is not installed")
    plants.package("unsloth", "2026.10.7", asks=("trl<=1.0",))
    monkeypatch.syspath_prepend(str(plants.folder / "site"))
    (finding,) = unsloth(question)
    assert finding.level is Level.RED
    assert "(<=1.0 wanted)" in finding.text
    assert "pip" not in finding.remedy, "this environment would be made one of older versions"


def test_a_missing_training_side_is_red_with_the_command(empty_python: str, tmp_path: Path) -> None:
    environ = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    options = RunOptions(study="digits-ocr", base_output_dir=tmp_path)
    findings = examine(options, python=empty_python, environ=environ)
    by_check = {finding.check: finding for finding in findings}
    assert by_check["training"].level is Level.RED
    assert by_check["training"].text.startswith("the training side is not installed here: torch, transformers")
    assert by_check["training"].remedy.startswith(f"{empty_python} -m pip install")
    assert "[train]" in by_check["training"].remedy
    assert by_check["data"].level is Level.OK


def test_an_interpreter_that_cannot_be_started_is_red(tmp_path: Path) -> None:
    (finding,) = ask(DoctorQuestion(), Trainer("/no/such/python"), {}).findings
    assert (finding.check, finding.level) == ("training", Level.RED)
    assert "/no/such/python" in finding.text
    assert "No such file or directory" in finding.text
    old = tmp_path / "python"
    old.write_text("#!/bin/sh\necho 'Unknown option: -P' >&2\nexit 2\n")
    old.chmod(0o755)
    (finding,) = ask(DoctorQuestion(), Trainer(str(old)), {"PATH": os.environ["PATH"]}).findings
    assert (finding.check, finding.level) == ("training", Level.RED)
    assert "exited with code 2: Unknown option: -P" in finding.text


# As much of torch as is asked on machines that are not here.
CPU_TORCH = """
__version__ = "2.13.0+cpu"
class version: cuda = None
class cuda:
    def is_available(): return False
"""
OLD_DRIVER_TORCH = """
__version__ = "2.13.0"
class version: cuda = "13.0"
class cuda:
    def is_available(): return False
    def init(): raise RuntimeError(
        "The NVIDIA driver on your system is too old (found version 11040). Please update your GPU driver")
"""
GPU_TORCH = """
__version__ = "2.13.0"
class version: cuda = "13.0"
class cuda:
    def is_available(): return True
    def get_device_name(number): return "Tesla T4"
    def device_count(): return 2
    def is_bf16_supported(including_emulation): return False
class ones:
    def __init__(self, *size, device): assert device == "cuda"
    def square(self): return self
    def sum(self): return self
    def item(self): return 1.0
"""
