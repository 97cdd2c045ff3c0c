"""The checks of the machine itself (driver, GPUs, memory, disk, a browser), and the context of all checks.

What a study needs of memory and disk is estimated roughly, from the size of its base model.
"""

from __future__ import annotations

import importlib.util
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from hpsearch.config.definition import StudyDefinition
from hpsearch.execution.doctor_question import Finding, ok, red, warning
from hpsearch.execution.gpu import Driver, Gpu
from hpsearch.execution.units import bytes_text
from hpsearch.settings import SHARED_MEMORY_BYTES
from hpsearch.study.folders import StudyFolders
from hpsearch.study.options import RunOptions

# Bytes for each parameter, by how the base is loaded. In 4 bits embeddings, head and vision tower stay in 16: for
# Gemma 3 12B that is 5.6 GB + 2 GB + 0.8 GB over 12.2 billion.
_FOUR_BITS, _SIXTEEN_BITS = 0.7, 2.0
# Parameters of LoRA matrices on all language layers, for each rank and each parameter of the base: 4.3 million for each
# rank of Gemma 3 12B. They are saved in 32 bits.
_LORA_SHARE, _LORA_BYTES = 0.00036, 4

# torch's oldest CUDA 12 wheels need this driver (docs.nvidia.com/cuda/cuda-toolkit-release-notes).
OLDEST_DRIVER, OLDEST_CUDA = "525", 12
BUSY_SHARE = 0.1  # of a GPU's memory in use, from which it is worth a warning
LITTLE_DISK = 2e9  # beside what the study itself needs
LITTLE_MEMORY = 4e9  # what the libraries, the rows and one process more take
SHARED_MEMORY = Path("/dev/shm")  # noqa: S108 - Docker gives a container 64 MB of it
BROWSERS = ("google-chrome", "google-chrome-stable", "chromium", "chromium-browser", "chrome", "microsoft-edge")


@dataclass(frozen=True)
class DoctorContext:
    """The machine under examination, and the study to run on it, if one is named.

    ``options`` name storage and folders. ``study`` and ``definition`` are the named study's; ``complaint`` is why it
    could not be resolved. ``facts`` come from the training side. ``timeout_s`` is for one check of another program.
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
        """Return every value that a setting may have in the study; none without one."""
        if self.settings is None or self.definition is None:
            return []
        return self.definition.searched_values().get(name) or [self.settings.get(name)]

    @property
    def folders(self) -> StudyFolders:
        """The folders of the study's files."""
        return StudyFolders(self.options.base_output_dir / self.study, self.study)

    @property
    def weights_bytes(self) -> float:
        """Bytes of the base's weights alone, loaded on a GPU; 0 where the model is not known."""
        size = _FOUR_BITS if all(self.values("load_in_4bit") or [False]) else _SIXTEEN_BITS
        return size * float(self.facts.get("parameters", 0))

    @property
    def study_bytes(self) -> float:
        """Bytes that a search keeps on disk: the adapters of the best trials, best/, and one being written."""
        if self.definition is None:
            return 0.0
        rank = max((value for value in self.values("lora_r") if isinstance(value, int)), default=0)
        adapter = rank * _LORA_SHARE * _LORA_BYTES * float(self.facts.get("parameters", 0))
        return (self.definition.keep_adapters + 2) * adapter


def driver(context: DoctorContext) -> Iterator[Finding]:
    """Check the NVIDIA driver, and the CUDA version it supports."""
    driver = context.driver
    if not driver.gpus:
        yield _without_gpus(driver)
        return
    cuda = f", supports CUDA {driver.cuda}" if driver.cuda else ", does not say which CUDA it supports"
    text = f"NVIDIA {driver.version or 'of an unknown version'}{cuda} (by {driver.source})"
    major = driver.cuda.partition(".")[0]
    if major.isdigit() and int(major) < OLDEST_CUDA:
        yield red("driver", f"{text}: too old for torch", f"update the NVIDIA driver to {OLDEST_DRIVER} or newer")
    else:
        yield ok("driver", text)


def _without_gpus(driver: Driver) -> Finding:
    retry = "then try: nvidia-smi"
    if driver.problem:
        text = driver.problem + (f" (driver {driver.version})" if driver.version else "")
        if not driver.version and not driver.cards:  # tools without a GPU, as in many images
            return warning("driver", f"{text}; no GPU is seen either: fine-tunes run on the CPU")
        return red(
            "driver", text, f"reboot, or install the driver again; in a container start it with --gpus all; {retry}"
        )
    if driver.version:
        text = f"NVIDIA {driver.version} is loaded, but no GPU can be reached"
        return red("driver", text, f"in a container, start it with --gpus all; else reboot; {retry}")
    if driver.cards:
        text = f"{driver.cards} NVIDIA GPU{'s' if driver.cards > 1 else ''} on the PCI bus, but no driver"
        return red("driver", text, f"install the NVIDIA driver, {retry}")
    return ok("driver", "no NVIDIA GPU: fine-tunes run on the CPU, which suits tiny models only")


def gpus(context: DoctorContext) -> Iterator[Finding]:
    """Check each GPU's memory: which processes hold it, and whether the study's model can fit."""
    need = context.weights_bytes
    largest = max((gpu.total for gpu in context.driver.gpus), default=0)
    for number, gpu in enumerate(context.driver.gpus):
        check = f"gpu {number}"
        text = f"{gpu.name}, {bytes_text(gpu.free)} of {bytes_text(gpu.total)} free{_holders(gpu)}"
        if need > gpu.free:
            text += f"; the model's weights alone need about {bytes_text(need)}"
            yield red(check, text, _smaller(context) if need > largest else _other_gpu(gpu, context, need))
        elif gpu.total - gpu.free > BUSY_SHARE * gpu.total:
            yield warning(check, text, "end what holds it: a trial may run out of memory that fits alone")
        else:
            yield ok(check, text)


def _holders(gpu: Gpu) -> str:
    if gpu.holders:
        holders = [
            f"pid {holder.pid}"
            + (f" {Path(holder.name).name}" if holder.name else "")
            + (f" ({bytes_text(holder.used)})" if holder.used is not None else "")
            for holder in gpu.holders[:4]
        ]
        return f", held by {', '.join(holders)}" + (" and others" if len(gpu.holders) > 4 else "")
    if gpu.total - gpu.free > BUSY_SHARE * gpu.total:
        return ", held by processes that cannot be seen from here"
    return ""


def _smaller(context: DoctorContext) -> str:
    if context.values("load_in_4bit") == [False]:
        return "--set load_in_4bit=true, or a smaller model, or a larger GPU"
    return "take a smaller model (--model-name), or a larger GPU"


def _other_gpu(gpu: Gpu, context: DoctorContext, need: float) -> str:
    ends = ", ".join(f"kill {holder.pid}" for holder in gpu.holders if holder.pid) or "end what holds it"
    better = [str(number) for number, other in enumerate(context.driver.gpus) if other.free > need]
    return ends + (f", or take another GPU: export CUDA_VISIBLE_DEVICES={better[0]}" if better else "")


def memory(context: DoctorContext) -> Iterator[Finding]:
    """Check the host's memory."""
    try:
        available, total = read_memory(Path("/proc/meminfo"))
    except (OSError, ValueError, KeyError):
        return
    limit = _container_limit()
    text = f"{bytes_text(available)} of {bytes_text(total)} available" + (
        f", limited to {bytes_text(limit)}" if limit < total else ""
    )
    usable = min(available, limit)
    need = 0.0 if context.driver.gpus else 2 * context.weights_bytes  # on a CPU, fp32
    if need > usable:
        text += f"; the model's weights alone need about {bytes_text(need)} on a CPU"
        yield red("memory", text, "take a smaller model (--model-name), or a machine with more memory")
    elif usable < LITTLE_MEMORY:
        yield warning("memory", text, "end other programs: a fine-tune may be killed for memory")
    else:
        yield ok("memory", text)


def read_memory(meminfo: Path) -> tuple[int, int]:
    """Return available and total memory in bytes, by /proc/meminfo.

    Raises:
        OSError, KeyError, ValueError: it does not say.
    """
    lines = dict(line.split(":", 1) for line in meminfo.read_text(encoding="ascii").splitlines() if ":" in line)
    available, total = (int(lines[name].split()[0]) * 1024 for name in ("MemAvailable", "MemTotal"))
    return available, total


def _container_limit() -> float:
    """Return the memory limit of this process's control group, in bytes."""
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            return float(Path(path).read_text(encoding="ascii"))  # "max" is no number: no limit
        except (OSError, ValueError):
            continue
    return float("inf")


def shared_memory(context: DoctorContext, shared: Path = SHARED_MEMORY) -> Iterator[Finding]:
    """Check the space for the processes that prepare batches beside a GPU."""
    if not context.driver.gpus or not shared.is_dir():
        return
    free = shutil.disk_usage(shared).free
    text = f"{bytes_text(free)} free in {shared}"
    if free < SHARED_MEMORY_BYTES:
        text += f", under {bytes_text(SHARED_MEMORY_BYTES)}: trials prepare their batches themselves, and the GPU waits"
        yield warning("shared memory", text, "start the container with more of it: docker run --shm-size=8g")
    else:
        yield ok("shared memory", text)


def disk(context: DoctorContext) -> Iterator[Finding]:
    """Check the disk's space for what the study keeps, and for a model still to be downloaded."""
    option = "--base-output-dir FOLDER"
    yield _check_space("disk", context.options.base_output_dir, context.study_bytes, "the folder of studies", option)
    if "hub_cache" in context.facts:
        cache, download = Path(context.facts["hub_cache"]), float(context.facts.get("to_download", 0))
        yield _check_space("hub cache", cache, download, "the Hub's cache", "export HF_HUB_CACHE=FOLDER")


def _check_space(check: str, folder: Path, need: float, what: str, other_disk: str) -> Finding:
    try:
        free = shutil.disk_usage(nearest(folder)).free
    except OSError as error:
        remedy = "make it readable, or choose another folder"
        return red(check, f"{folder} cannot be looked at: {error.strerror}", remedy)
    text = f"{bytes_text(free)} free for {what} ({folder})" + (f", about {bytes_text(need)} needed" if need else "")
    remedy = f"free some space, or choose another disk: {other_disk}"
    if free < need:
        return red(check, text, remedy)
    return warning(check, text, remedy) if free < need + LITTLE_DISK else ok(check, text)


def nearest(folder: Path) -> Path:
    """Return the folder, or the nearest one above it that exists."""
    folder = folder.expanduser().absolute()
    return next(path for path in (folder, *folder.parents) if path.exists())


def browser(context: DoctorContext) -> Iterator[Finding]:
    """Check what figures as PNG need; everything else works without it."""
    without = "the report has its figures, but not as PNG files"
    named = os.environ.get("BROWSER_PATH")  # kaleido's own
    path = shutil.which(named) if named else next(filter(None, map(shutil.which, BROWSERS)), None)
    if importlib.util.find_spec("kaleido") is None:
        yield warning("browser", f"kaleido is not installed: {without}", "pip install 'hpsearch[png]'")
    elif path is None:
        yield warning("browser", f"no Chromium or Chrome is found: {without}", "apt-get install chromium")
    else:
        yield ok("browser", f"{path}, for figures as PNG")
