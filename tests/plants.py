"""What a test plants on a machine: programs, packages, and an NVIDIA driver's answers."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[1]

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
		<uuid>{uuid}</uuid>
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
            uuid=f"GPU-{number:08x}-ce2e-4b1f-8f5c-6a1d2c3b4a59",
            name=gpu["name"],
            total=gpu["total"],
            free=gpu["free"],
            used=gpu["used"] if "used" in gpu else gpu["total"] - gpu["free"],
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
