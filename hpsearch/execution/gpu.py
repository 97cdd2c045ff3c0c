"""The NVIDIA driver and its GPUs, asked in every way there is: nvidia-smi, the driver's library, /proc, the PCI bus."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

PROC = Path("/proc/driver/nvidia/version")
PCI = Path("/sys/bus/pci/devices")
NVIDIA_VENDOR = "0x10de"  # PCI vendor id
DISPLAY_CLASS = "0x03"  # first byte of the PCI class of display controllers, 3D ones among them
ANSWER_S = 15.0  # for a working driver to answer, on a busy machine with many GPUs too
_MIB = 1024 * 1024


@dataclass(frozen=True)
class Holder:
    """A process that holds memory of a GPU, in bytes (None: the driver does not report it)."""

    pid: int
    name: str
    used: int | None


@dataclass(frozen=True)
class Gpu:
    """One GPU as the driver shows it; memory in bytes. ``lost``: it is listed, but does not answer any more."""

    name: str
    total: int
    free: int
    holders: tuple[Holder, ...] = ()
    uuid: str = ""
    lost: bool = False

    @property
    def used(self) -> int:
        """Bytes in use, by any process."""
        return self.total - self.free


@dataclass(frozen=True)
class Driver:
    """The driver's answer. ``version`` is empty where no driver answers, ``cuda`` (the newest version it supports)
    where it does not report that. ``problem`` says what went wrong, ``source`` which way answered. ``cards`` counts
    NVIDIA's display controllers on the PCI bus, driver or not.
    """

    version: str = ""
    cuda: str = ""
    gpus: tuple[Gpu, ...] = ()
    source: str = ""
    problem: str = ""
    cards: int = 0


def find_driver(timeout_s: float, proc: Path = PROC, pci: Path = PCI) -> Driver:
    """Ask the driver, by the first way that answers; each may take ``timeout_s`` seconds."""
    smi = _ask_smi(timeout_s)
    if smi.gpus:
        return smi
    library = _ask_library(timeout_s)
    if library.gpus:
        return library
    version = smi.version or library.version or _version_in(proc)
    problem = smi.problem or (library.problem if version else "")
    return Driver(version, smi.cuda or library.cuda, problem=problem, cards=_cards(pci))


def _ask_smi(timeout_s: float) -> Driver:
    program = shutil.which("nvidia-smi")
    if program is None:
        return Driver()
    try:
        done = subprocess.run((program, "-q", "-x"), capture_output=True, text=True, timeout=timeout_s, check=False)
        if done.returncode:
            return Driver(problem=f"nvidia-smi fails: {_first_line(done.stdout + done.stderr)}")
        return read_smi(done.stdout)
    except subprocess.TimeoutExpired:
        return Driver(problem=f"nvidia-smi does not answer within {timeout_s:g} s")
    except (OSError, UnicodeError, ElementTree.ParseError) as error:
        return Driver(problem=f"nvidia-smi cannot be used: {error}")


def read_smi(xml: str) -> Driver:
    """Read the answer of ``nvidia-smi -q -x``.

    Raises:
        ElementTree.ParseError: it is not XML.
    """
    root = ElementTree.fromstring(xml)  # noqa: S314 - the driver's own program, on this machine
    gpus = tuple(map(_gpu, root.iter("gpu")))
    problem = "" if gpus else "nvidia-smi answers, but shows no GPU"
    return Driver(_text(root, "driver_version"), _text(root, "cuda_version"), gpus, "nvidia-smi", problem)


def _gpu(node: ElementTree.Element) -> Gpu:
    total, free = (_bytes(_text(node, f"fb_memory_usage/{name}")) or 0 for name in ("total", "free"))
    lost = re.search("is lost|unknown error", node.findtext("fb_memory_usage/total") or "", re.IGNORECASE)
    holders = (
        Holder(int(_text(holder, "pid") or 0), _text(holder, "process_name"), _bytes(_text(holder, "used_memory")))
        for holder in node.iter("process_info")
    )
    name, uuid = _text(node, "product_name") or "NVIDIA GPU", _text(node, "uuid")
    return Gpu(name, total, free, tuple(holders), uuid, lost is not None)


def _text(node: ElementTree.Element, path: str) -> str:
    text = (node.findtext(path) or "").strip()
    return "" if text in ("N/A", "[N/A]") else text


def _bytes(text: str) -> int | None:
    number = re.match(r"(\d+) MiB", text)
    return int(number[1]) * _MIB if number else None


def _ask_library(timeout_s: float) -> Driver:
    """Ask the driver's library, in a process of its own: a broken driver may hang or kill the process that loads it."""
    argv = (sys.executable, "-I", str(Path(__file__).with_name("nvml_process.py")))
    try:
        done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout_s, check=False)
        answer = json.loads(done.stdout) if done.returncode == 0 else None
    except subprocess.TimeoutExpired:
        return Driver(problem=f"the driver's library does not answer within {timeout_s:g} s")
    except (OSError, ValueError) as error:
        return Driver(problem=f"the driver's library cannot be asked: {error}")
    if answer is None:
        return Driver(problem=f"the driver's library fails: {_first_line(done.stderr)}")
    gpus = []
    for gpu in answer.get("gpus", []):
        holders = tuple(Holder(pid, _program_name(pid), used) for pid, used in gpu["holders"])
        gpus.append(Gpu(gpu["name"], gpu["total"], gpu["free"], holders, gpu["uuid"], gpu["lost"]))
    version, cuda, problem = (str(answer.get(name, "")) for name in ("version", "cuda", "problem"))
    return Driver(version, cuda, tuple(gpus), "libnvidia-ml", problem)


def _program_name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""


def _version_in(proc: Path) -> str:
    try:
        version = re.search(r"Kernel Module.*?\s(\d+\.\d[\d.]*)", proc.read_text(encoding="utf-8"))
    except (OSError, UnicodeError):
        return ""
    return version[1] if version else ""


def _cards(pci: Path) -> int:
    """Count NVIDIA's display controllers on the PCI bus."""
    cards = 0
    for device in pci.glob("*"):
        try:
            vendor, kind = ((device / name).read_text(encoding="ascii").strip() for name in ("vendor", "class"))
        except (OSError, UnicodeError):
            continue
        cards += vendor == NVIDIA_VENDOR and kind.startswith(DISPLAY_CLASS)
    return cards


def _first_line(text: str) -> str:
    return next((line.strip() for line in text.splitlines() if line.strip()), "it says nothing")[:200]
