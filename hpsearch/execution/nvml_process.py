"""Asks the NVIDIA driver's management library and prints its answer as JSON. Run as a program, in a process of its own.

The functions and structures are those of NVIDIA's NVML API reference (docs.nvidia.com/deploy/nvml-api).
"""

from __future__ import annotations

import ctypes
import json
from typing import Any

_TEXT_BYTES = 96
_MOST_PROCESSES = 256
_IS_LOST, _UNKNOWN_ERROR = 15, 999  # NVML_ERROR_GPU_IS_LOST, NVML_ERROR_UNKNOWN
_UNKNOWN = 2**64 - 1  # memory of a process, where the driver does not report it


class _Memory(ctypes.Structure):
    _fields_ = (("total", ctypes.c_ulonglong), ("free", ctypes.c_ulonglong), ("used", ctypes.c_ulonglong))


class _Process(ctypes.Structure):
    _fields_ = (
        ("pid", ctypes.c_uint),
        ("used", ctypes.c_ulonglong),
        ("gpu_instance", ctypes.c_uint),
        ("compute_instance", ctypes.c_uint),
    )


def main() -> None:
    """Print the library's answer."""
    try:
        library = ctypes.CDLL("libnvidia-ml.so.1")
    except OSError:
        print(json.dumps({}))
        return
    code = library.nvmlInit_v2()
    if code:
        library.nvmlErrorString.restype = ctypes.c_char_p
        reason = (library.nvmlErrorString(code) or b"").decode(errors="replace")
        print(json.dumps({"problem": f"the driver's library cannot start: {reason or code}"}))
        return
    print(json.dumps(_answer(library)))


def _answer(library: Any) -> dict[str, Any]:
    cuda, count = ctypes.c_int(0), ctypes.c_uint(0)
    library.nvmlSystemGetCudaDriverVersion_v2(ctypes.byref(cuda))
    library.nvmlDeviceGetCount_v2(ctypes.byref(count))
    version = ctypes.create_string_buffer(_TEXT_BYTES)
    library.nvmlSystemGetDriverVersion(version, _TEXT_BYTES)
    return {
        "version": version.value.decode(errors="replace"),
        "cuda": f"{cuda.value // 1000}.{cuda.value % 1000 // 10}" if cuda.value else "",
        "gpus": [_device(library, number) for number in range(count.value)],
    }


def _device(library: Any, number: int) -> dict[str, Any]:
    device, memory = ctypes.c_void_p(), _Memory()
    name, uuid = (ctypes.create_string_buffer(_TEXT_BYTES) for _ in range(2))
    lost = library.nvmlDeviceGetHandleByIndex_v2(number, ctypes.byref(device)) != 0
    if not lost:
        library.nvmlDeviceGetName(device, name, _TEXT_BYTES)
        library.nvmlDeviceGetUUID(device, uuid, _TEXT_BYTES)
        lost = library.nvmlDeviceGetMemoryInfo(device, ctypes.byref(memory)) in (_IS_LOST, _UNKNOWN_ERROR)
    return {
        "lost": lost,
        "name": name.value.decode(errors="replace"),
        "uuid": uuid.value.decode(errors="replace"),
        "total": memory.total,
        "free": memory.free,
        "holders": [] if lost else _holders(library, device),
    }


def _holders(library: Any, device: Any) -> list[tuple[int, int | None]]:
    processes, count = (_Process * _MOST_PROCESSES)(), ctypes.c_uint(_MOST_PROCESSES)
    if library.nvmlDeviceGetComputeRunningProcesses_v3(device, ctypes.byref(count), processes):
        return []
    running = processes[: count.value]
    return [(process.pid, None if process.used == _UNKNOWN else process.used) for process in running]


if __name__ == "__main__":
    main()
