"""Finding the driver: by nvidia-smi, by its library, by /proc, by the PCI bus; and when it is broken."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from hpsearch.commands.doctor import DoctorContext, machine
from hpsearch.execution.doctor_question import Finding, Level
from hpsearch.execution.gpu import Driver, find_driver
from hpsearch.study.options import RunOptions
from tests.plants import Plants, smi_answer

GIB = 1024**3
H200 = {"name": "NVIDIA H200", "total": 143771, "free": 143354}
RTX = {"name": "NVIDIA GeForce RTX 4090", "total": 24564, "free": 9000, "pid": 4711, "program": "/usr/bin/python3"}

# As much of the driver's library as is asked, with two GPUs, one of which is held.
LIBRARY = r"""
#include <string.h>
typedef struct { unsigned long long total, free, used; } memory_t;
typedef struct { unsigned int pid; unsigned long long used; unsigned int gi, ci; } process_t;
static int numbers[2] = {0, 1};
int nvmlInit_v2(void) { return INIT; }
const char *nvmlErrorString(int code) { return code == 9 ? "Driver Not Loaded" : "Success"; }
int nvmlSystemGetCudaDriverVersion_v2(int *version) { *version = 12080; return 0; }
int nvmlSystemGetDriverVersion(char *text, unsigned int size) { strncpy(text, "570.124.06", size); return 0; }
int nvmlDeviceGetCount_v2(unsigned int *count) { *count = 2; return 0; }
int nvmlDeviceGetHandleByIndex_v2(unsigned int index, void **device) { *device = &numbers[index]; return 0; }
int nvmlDeviceGetName(void *device, char *text, unsigned int size) { strncpy(text, "NVIDIA L4", size); return 0; }
int nvmlDeviceGetUUID(void *device, char *text, unsigned int size) {
  strncpy(text, *(int *)device ? "GPU-1b" : "GPU-0a", size); return 0;
}
int nvmlDeviceGetMemoryInfo(void *device, memory_t *memory) {
  memory->total = 24ULL << 30; memory->free = 20ULL << 30; memory->used = 4ULL << 30; return 0;
}
int nvmlDeviceGetComputeRunningProcesses_v3(void *device, unsigned int *count, process_t *found) {
  *count = *(int *)device;
  if (*count) { found[0].pid = PID; found[0].used = 4ULL << 30; }
  return 0;
}
"""


@pytest.fixture
def look(plants: Plants, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Plants:
    """Plants on this process's own PATH, with no other nvidia-smi there."""
    (plants.folder / "bin").mkdir()
    for name in ("cat", "sleep"):
        path = shutil.which(name)
        assert path is not None
        (plants.folder / "bin" / name).symlink_to(path)
    monkeypatch.setenv("PATH", str(plants.folder / "bin"))
    return plants


def find(tmp_path: Path, timeout_s: float = 60.0) -> Driver:
    """Find the driver, where /proc and the PCI bus are folders of the test."""
    return find_driver(timeout_s, tmp_path / "version", tmp_path / "pci")


def test_nvidia_smi_tells_version_memory_and_holders(look: Plants, tmp_path: Path) -> None:
    look.smi(smi_answer(H200, RTX))
    driver = find(tmp_path)
    assert (driver.version, driver.cuda, driver.source, driver.problem) == ("580.95.05", "13.0", "nvidia-smi", "")
    assert [gpu.name for gpu in driver.gpus] == ["NVIDIA H200", "NVIDIA GeForce RTX 4090"]
    assert driver.gpus[0].total == 143771 * 1024**2
    assert driver.gpus[0].holders == ()
    (holder,) = driver.gpus[1].holders
    assert (holder.pid, holder.name, holder.used) == (4711, "/usr/bin/python3", (24564 - 9000) * 1024**2)


@pytest.mark.parametrize(
    ("script", "timeout_s", "problem"),
    [
        (
            "echo 'NVIDIA-SMI has failed because it couldn'\"'\"'t communicate with the NVIDIA driver.'; exit 9",
            60.0,
            "nvidia-smi fails: NVIDIA-SMI has failed because it couldn't communicate",
        ),
        ("exec sleep 1000", 0.5, "nvidia-smi does not answer within 0.5 s"),
        ("echo surprise", 60.0, "nvidia-smi cannot be used"),
    ],
)
def test_a_broken_nvidia_smi_is_a_problem(
    look: Plants, tmp_path: Path, script: str, timeout_s: float, problem: str
) -> None:
    look.program("nvidia-smi", script)
    driver = find(tmp_path, timeout_s)
    assert driver.gpus == ()
    assert problem in driver.problem


def library(folder: Path, init: int) -> None:
    """Make the driver's library; ``init`` is what its start returns."""
    source = folder / "library.c"
    source.write_text(LIBRARY)
    target = folder / "libnvidia-ml.so.1"
    defines = (f"-DINIT={init}", f"-DPID={os.getpid()}")
    subprocess.run(["/usr/bin/gcc", "-shared", "-fPIC", *defines, "-o", str(target), str(source)], check=True)


needs_gcc = pytest.mark.skipif(not Path("/usr/bin/gcc").exists(), reason="needs gcc")


@needs_gcc
def test_without_nvidia_smi_the_drivers_library_tells_the_same(
    look: Plants, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    library(tmp_path, init=0)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(look.folder / "bin"))
    driver = find(tmp_path)
    assert (driver.version, driver.cuda, driver.source) == ("570.124.06", "12.8", "libnvidia-ml")
    assert [(gpu.name, gpu.total, gpu.free) for gpu in driver.gpus] == [("NVIDIA L4", 24 * GIB, 20 * GIB)] * 2
    assert driver.gpus[0].holders == ()
    (holder,) = driver.gpus[1].holders
    assert (holder.pid, holder.used) == (os.getpid(), 4 * GIB)
    assert holder.name


@needs_gcc
def test_a_library_that_cannot_start_leaves_the_version_that_proc_tells(
    look: Plants, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "/usr/bin:/bin")
    library(tmp_path, init=9)
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path))
    monkeypatch.setenv("PATH", str(look.folder / "bin"))
    (tmp_path / "version").write_text(
        "NVRM version: NVIDIA UNIX x86_64 Kernel Module  535.183.01  Sun May 12 19:39:15 UTC 2024\n"
        "GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n"
    )
    driver = find(tmp_path)
    assert driver.version == "535.183.01"
    assert driver.problem == "the driver's library cannot start: Driver Not Loaded"


def test_cards_without_a_driver_are_seen_on_the_bus(look: Plants, tmp_path: Path) -> None:
    for name, vendor, kind in (
        ("01", "0x10de", "0x030200"),
        ("02", "0x10de", "0x040300"),
        ("03", "0x1002", "0x030000"),
    ):
        (tmp_path / "pci" / name).mkdir(parents=True)
        (tmp_path / "pci" / name / "vendor").write_text(vendor + "\n")
        (tmp_path / "pci" / name / "class").write_text(kind + "\n")
    driver = find(tmp_path)
    assert (driver.version, driver.gpus, driver.cards) == ("", (), 1)


def test_a_broken_driver_is_red_beside_a_card_and_a_warning_without_one(tmp_path: Path) -> None:
    def look_at(driver: Driver) -> Finding:
        (finding,) = machine.driver(DoctorContext(RunOptions(), driver))
        return finding

    problem = "nvidia-smi fails: it says nothing"
    assert look_at(Driver(problem=problem, cards=1)).level is Level.RED
    assert look_at(Driver(problem=problem)).level is Level.WARNING
    assert "no driver" in look_at(Driver(cards=2)).text
    assert "no GPU can be reached" in look_at(Driver(version="580.95.05")).text
    assert look_at(Driver()).level is Level.OK
