"""What the machine itself has: driver, GPUs, memory, disk, a browser."""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hpsearch.config.definition import StudyDefinition
from hpsearch.execution.doctor_question import Finding, ok, red, warning
from hpsearch.execution.gpu import Driver, Gpu, Holder
from hpsearch.settings import SHARED_MEMORY_BYTES
from hpsearch.study.folders import StudyFolders
from hpsearch.study.options import RunOptions

# What is examined: a machine, and where one is named, a study that is to run on it.


@dataclass(frozen=True)
class DoctorContext:
    """What the checks look at.

    ``options`` say where storage and folders are. ``study`` and ``definition`` are those of the study, if one is meant;
    ``complaint`` is why a study that is meant could not be resolved. ``facts`` come from the training side.
    ``timeout_s`` is what one look at something foreign may take, in seconds.
    """

    options: RunOptions
    driver: Driver
    study: str = ""
    definition: StudyDefinition | None = None
    complaint: tuple[str, str] | None = None
    timeout_s: float = 60.0
    facts: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def settings(self) -> dict[str, Any] | None:
        """The default configuration's settings, where the built-in training runs it."""
        if self.definition is None or self.definition.command is not None:
            return None
        return self.definition.trial_settings({}, self.definition.seed)

    def values(self, name: str) -> list[Any]:
        """Every value that a setting may have in the study; none without one."""
        if self.settings is None or self.definition is None:
            return []
        return self.definition.searched_values().get(name) or [self.settings.get(name)]

    @property
    def folders(self) -> StudyFolders:
        """Where the study's files go."""
        return StudyFolders(self.options.base_output_dir / self.study, self.study)


# How much memory and disk a study will roughly need. Rough, and said to be.

GB = 1e9
# Bytes for each parameter, by how the base is loaded. In 4 bits embeddings, head and vision tower stay in 16: for
# Gemma 3 12B that is 5.6 GB + 2 GB + 0.8 GB over 12.2 billion.
_FOUR_BITS, _SIXTEEN_BITS = 0.7, 2.0
# Parameters of LoRA matrices on all language layers, for each rank and each parameter of the base: 4.3 million for each
# rank of Gemma 3 12B. They are saved in 32 bits.
_LORA_SHARE, _LORA_BYTES = 0.00036, 4


def shown(size: float) -> str:
    """Bytes for people: 12.3 GB, 87 MB."""
    return f"{size / GB:.3g} GB" if size >= GB else f"{size / 1e6:.2g} MB"


def weights_bytes(patient: DoctorContext) -> float:
    """What the base's weights alone take when they are loaded, on a GPU; 0 where the model is not known."""
    each = _FOUR_BITS if all(patient.values("load_in_4bit") or [False]) else _SIXTEEN_BITS
    return each * float(patient.facts.get("parameters", 0))


def studies_bytes(patient: DoctorContext) -> float:
    """What a search keeps on disk: the adapters of the best trials, best/, and one that is being written."""
    if patient.definition is None:
        return 0.0
    rank = max((value for value in patient.values("lora_r") if isinstance(value, int)), default=0)
    adapter = rank * _LORA_SHARE * _LORA_BYTES * float(patient.facts.get("parameters", 0))
    return (patient.definition.keep_adapters + 2) * adapter


# torch's oldest CUDA 12 wheels need this driver (docs.nvidia.com/cuda/cuda-toolkit-release-notes).
OLDEST_DRIVER, OLDEST_CUDA = "525", 12
BUSY_SHARE = 0.1  # of a GPU's memory in use, from which it is worth a warning
LITTLE_DISK = 2 * GB  # beside what the study itself needs
LITTLE_MEMORY = 4 * GB  # what the libraries, the rows and one process more take
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - Docker gives a container 64 MB of it
BROWSERS = ("google-chrome", "google-chrome-stable", "chromium", "chromium-browser", "chrome", "microsoft-edge")


def driver(patient: DoctorContext) -> Iterator[Finding]:
    """The NVIDIA driver, and the CUDA version it supports."""
    found = patient.driver
    if not found.gpus:
        yield _without_gpus(patient)
        return
    cuda = f", supports CUDA {found.cuda}" if found.cuda else ", does not say which CUDA it supports"
    text = f"NVIDIA {found.version or 'of an unknown version'}{cuda} (by {found.source})"
    major = found.cuda.partition(".")[0]
    if major.isdigit() and int(major) < OLDEST_CUDA:
        yield red("driver", f"{text}: too old for torch", f"update the NVIDIA driver to {OLDEST_DRIVER} or newer")
    else:
        yield ok("driver", text)


def _without_gpus(patient: DoctorContext) -> Finding:
    found = patient.driver
    again = "then try: nvidia-smi"
    if found.problem:
        text = found.problem + (f" (driver {found.version})" if found.version else "")
        if not found.version and not found.cards:  # tools without a GPU, as in many images
            return warning("driver", f"{text}; no GPU is seen either: fine-tunes run on the CPU")
        return red(
            "driver", text, f"reboot, or install the driver again; in a container start it with --gpus all; {again}"
        )
    if found.version:
        text = f"NVIDIA {found.version} is loaded, but no GPU can be reached"
        return red("driver", text, f"in a container, start it with --gpus all; else reboot; {again}")
    if found.cards:
        text = f"{found.cards} NVIDIA GPU{'s' if found.cards > 1 else ''} on the PCI bus, but no driver"
        return red("driver", text, f"install the NVIDIA driver, {again}")
    return ok("driver", "no NVIDIA GPU: fine-tunes run on the CPU, which suits tiny models only")


def gpus(patient: DoctorContext) -> Iterator[Finding]:
    """Each GPU's memory, who holds it, and whether the study's model can fit."""
    need = weights_bytes(patient)
    largest = max((gpu.total for gpu in patient.driver.gpus), default=0)
    for number, gpu in enumerate(patient.driver.gpus):
        check = f"gpu {number}"
        text = f"{gpu.name}, {shown(gpu.free)} of {shown(gpu.total)} free{_held(gpu)}"
        if need > largest:
            text += f"; the model's weights alone need about {shown(need)}"
            yield red(check, text, _smaller(patient))
        elif need > gpu.free:
            text += f"; the model's weights alone need about {shown(need)}"
            yield red(check, text, _other_gpu(gpu, patient, need))
        elif gpu.total - gpu.free > BUSY_SHARE * gpu.total:
            yield warning(check, text, "end what holds it: a trial may run out of memory that fits alone")
        else:
            yield ok(check, text)


def _smaller(patient: DoctorContext) -> str:
    if patient.values("load_in_4bit") == [False]:
        return "--set load_in_4bit=true, or a smaller model, or a larger GPU"
    return "take a smaller model (--model-name), or a larger GPU"


def _other_gpu(gpu: Gpu, patient: DoctorContext, need: float) -> str:
    ends = ", ".join(f"kill {holder.pid}" for holder in gpu.holders if holder.pid) or "end what holds it"
    better = [str(number) for number, each in enumerate(patient.driver.gpus) if each.free > need]
    return f"{ends}" + (f", or take another GPU: export CUDA_VISIBLE_DEVICES={better[0]}" if better else "")


def _held(gpu: Gpu) -> str:
    if gpu.holders:
        return f", held by {', '.join(map(_holder, gpu.holders[:4]))}" + (" and others" if len(gpu.holders) > 4 else "")
    if gpu.total - gpu.free > BUSY_SHARE * gpu.total:
        return ", held by processes that cannot be seen from here"
    return ""


def _holder(holder: Holder) -> str:
    name = f" {Path(holder.name).name}" if holder.name else ""
    return f"pid {holder.pid}{name}" + (f" ({shown(holder.used)})" if holder.used is not None else "")


def memory(patient: DoctorContext) -> Iterator[Finding]:
    """The host's memory."""
    try:
        available, total = read_memory(Path("/proc/meminfo"))
    except (OSError, ValueError, KeyError):
        return
    limit = _container_limit()
    text = f"{shown(available)} of {shown(total)} available" + (f", limited to {shown(limit)}" if limit < total else "")
    usable = min(available, limit)
    need = 0.0 if patient.driver.gpus else 2 * weights_bytes(patient)  # on a CPU, fp32
    if need > usable:
        text += f"; the model's weights alone need about {shown(need)} on a CPU"
        yield red("memory", text, "take a smaller model (--model-name), or a machine with more memory")
    elif usable < LITTLE_MEMORY:
        yield warning("memory", text, "end other programs: a fine-tune may be killed for memory")
    else:
        yield ok("memory", text)


def shared_memory(patient: DoctorContext, shared: Path = SHARED_MEMORY) -> Iterator[Finding]:
    """Room for the processes that prepare batches beside a GPU."""
    if not patient.driver.gpus or not shared.is_dir():
        return
    free = shutil.disk_usage(shared).free
    text = f"{shown(free)} free in {shared}"
    if free < SHARED_MEMORY_BYTES:
        text += f", under {shown(SHARED_MEMORY_BYTES)}: trials prepare their batches themselves, and the GPU waits"
        yield warning("shared memory", text, "start the container with more of it: docker run --shm-size=8g")
    else:
        yield ok("shared memory", text)


def read_memory(meminfo: Path) -> tuple[int, int]:
    """Available and total memory in bytes, by /proc/meminfo.

    Raises:
        OSError, KeyError, ValueError: it does not say.
    """
    lines = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines() if ":" in line)
    available, total = (int(lines[name].split()[0]) * 1024 for name in ("MemAvailable", "MemTotal"))
    return available, total


def _container_limit() -> float:
    """The memory limit of this process's control group, in bytes."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            return float(Path(path).read_text(encoding="ascii"))  # "max" is no number: no limit
        except (OSError, ValueError):
            continue
    return float("inf")


def disk(patient: DoctorContext) -> Iterator[Finding]:
    """Room for what the study keeps, and for the model that is still to be downloaded."""
    places = [("disk", patient.options.base_output_dir, studies_bytes(patient), "the folder of studies")]
    if "hub_cache" in patient.facts:
        download = float(patient.facts.get("to_download", 0))
        places.append(("hub cache", Path(patient.facts["hub_cache"]), download, "the Hub's cache"))
    for check, folder, need, what in places:
        yield _room(check, folder, need, what)


def _room(check: str, folder: Path, need: float, what: str) -> Finding:
    place = nearest(folder)
    try:
        free = shutil.disk_usage(place).free
    except OSError as error:
        return red(
            check, f"{folder} cannot be looked at: {error.strerror}", "make it readable, or choose another folder"
        )
    text = f"{shown(free)} free for {what} ({folder})" + (f", about {shown(need)} needed" if need else "")
    variable = "export HF_HUB_CACHE=FOLDER" if check == "hub cache" else "--base-output-dir FOLDER"
    if free < need:
        return red(check, text, f"make room, or choose another disk: {variable}")
    if free < need + LITTLE_DISK:
        return warning(check, text, f"make room, or choose another disk: {variable}")
    return ok(check, text)


def nearest(folder: Path) -> Path:
    """The folder, or the nearest one above it that exists."""
    place = folder.expanduser().absolute()
    return next(each for each in (place, *place.parents) if each.exists())


def browser(patient: DoctorContext) -> Iterator[Finding]:
    """What figures as PNG need; everything else goes without it."""
    without = "the report has its figures, but not as PNG files"
    if importlib.util.find_spec("kaleido") is None:
        yield warning("browser", f"kaleido is not installed: {without}", "pip install 'hpsearch[png]'")
    elif _browser() is None:
        yield warning("browser", f"no Chromium or Chrome is found: {without}", "apt-get install chromium")
    else:
        yield ok("browser", f"{_browser()}, for figures as PNG")


def _browser(names: Sequence[str] = BROWSERS) -> str | None:
    named = os.environ.get("BROWSER_PATH")  # kaleido's own
    return shutil.which(named) if named else next(filter(None, map(shutil.which, names)), None)
