"""Machines with things planted in them: drivers, libraries and models that are broken for real."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from hpsearch.trials.diagnosis import Finding
from tests.conftest import CommandLine

ROOT = Path(__file__).parents[2]

# The parts of a driver's answer to `nvidia-smi -q -x` that are read, with others around them.
SMI = """<?xml version="1.0" ?>
<!DOCTYPE nvidia_smi_log SYSTEM "nvsmi_device_v12.dtd">
<nvidia_smi_log>
	<timestamp>Fri Nov 20 18:24:09 2026</timestamp>
	<driver_version>{driver}</driver_version>
	<cuda_version>{cuda}</cuda_version>
	<attached_gpus>{count}</attached_gpus>
	{gpus}
</nvidia_smi_log>
"""
GPU = """<gpu id="00000000:{number:02}:00.0">
		<product_name>{name}</product_name>
		<product_brand>NVIDIA</product_brand>
		<mig_mode><current_mig>N/A</current_mig><pending_mig>N/A</pending_mig></mig_mode>
		<fb_memory_usage>
			<total>{total} MiB</total>
			<reserved>417 MiB</reserved>
			<used>{used} MiB</used>
			<free>{free} MiB</free>
		</fb_memory_usage>
		<bar1_memory_usage><total>32768 MiB</total><used>1 MiB</used><free>32767 MiB</free></bar1_memory_usage>
		<processes>{processes}</processes>
	</gpu>"""
PROCESS = """
			<process_info>
				<gpu_instance_id>N/A</gpu_instance_id>
				<compute_instance_id>N/A</compute_instance_id>
				<pid>{pid}</pid>
				<type>C</type>
				<process_name>{name}</process_name>
				<used_memory>{used} MiB</used_memory>
			</process_info>
		"""


def smi_answer(*gpus: Mapping[str, Any], driver: str = "580.95.05", cuda: str = "13.0") -> str:
    """An answer of nvidia-smi that shows these GPUs: name, total and free MiB, and maybe pid and program."""
    shown = [
        GPU.format(
            number=number,
            name=gpu["name"],
            total=gpu["total"],
            free=gpu["free"],
            used=gpu["total"] - gpu["free"],
            processes=PROCESS.format(pid=gpu["pid"], name=gpu["program"], used=gpu["total"] - gpu["free"])
            if "pid" in gpu
            else "",
        )
        for number, gpu in enumerate(gpus)
    ]
    return SMI.format(driver=driver, cuda=cuda, count=len(gpus), gpus="\n\t".join(shown))


@dataclass
class Plants:
    """Puts programs on PATH and packages on PYTHONPATH; ``environment`` is what a command needs to meet them."""

    folder: Path

    def program(self, name: str, text: str) -> None:
        """A shell script on PATH."""
        path = self.folder / "bin" / name
        path.parent.mkdir(exist_ok=True)
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)

    def smi(self, answer: str) -> None:
        """An nvidia-smi that gives this answer."""
        (self.folder / "smi.xml").write_text(answer)
        self.program("nvidia-smi", f"cat '{self.folder / 'smi.xml'}'")

    def package(self, name: str, version: str, *, code: str | None = None, asks: tuple[str, ...] = ()) -> None:
        """A package found before those that are installed; without ``code`` only its metadata."""
        place = self.folder / "site"
        metadata = place / f"{name}-{version}.dist-info" / "METADATA"
        metadata.parent.mkdir(parents=True)
        lines = [f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}", *(f"Requires-Dist: {ask}" for ask in asks)]
        metadata.write_text("\n".join(lines) + "\n")
        if code is not None:
            (place / f"{name}.py").write_text(code)

    @property
    def environment(self) -> dict[str, str]:
        """PATH and PYTHONPATH with what was planted."""
        paths = (str(self.folder / "site"), str(ROOT))
        return {
            "PATH": f"{self.folder / 'bin'}:{os.environ['PATH']}",
            "PYTHONPATH": os.pathsep.join(paths),
            "HF_HOME": str(self.folder / "hub"),
        }


@pytest.fixture
def plants(tmp_path_factory: pytest.TempPathFactory) -> Plants:
    """Nothing planted yet."""
    return Plants(tmp_path_factory.mktemp("planted"))


@dataclass(frozen=True)
class Report:
    """What `hpsearch doctor --json` said."""

    exit_code: int
    findings: list[Finding]
    output: str

    def of(self, check: str) -> Finding:
        """The one finding of a check."""
        found = [finding for finding in self.findings if finding.check == check]
        assert len(found) == 1, (check, self.output)
        return found[0]

    def reds(self) -> set[str]:
        """The checks with a red line."""
        return {finding.check for finding in self.findings if finding.level.value == "red"}


Doctor = Callable[..., Report]


@pytest.fixture
def doctor(command_line: CommandLine, plants: Plants) -> Doctor:
    """Runs the real command where things are planted."""

    def examine(*words: str, **environment: str) -> Report:
        done = command_line("doctor", "--json", *words, **{**plants.environment, **environment})
        assert done.returncode in (0, 2), done.stderr
        said = json.loads(done.stdout)
        findings = [Finding.from_json(each) for each in said["findings"]]
        return Report(done.returncode, findings, done.stdout + done.stderr)

    return examine


@pytest.fixture(scope="session")
def empty_python(tmp_path_factory: pytest.TempPathFactory) -> str:
    """An interpreter with no packages at all."""
    folder = tmp_path_factory.mktemp("empty")
    subprocess.run(["python3", "-m", "venv", "--without-pip", str(folder)], check=True, timeout=120)
    return str(folder / "bin" / "python")
