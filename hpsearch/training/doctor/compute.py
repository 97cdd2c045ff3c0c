"""torch: whether it can be imported, whether its build fits the machine, and whether it computes on the GPU."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

from hpsearch.errors import UsageError
from hpsearch.execution.doctor_question import DoctorQuestion, Finding, ok, red, warning
from hpsearch.training.doctor.installed import is_importable, version_of
from hpsearch.training.doctor.wheels import cuda_index


def compute(question: DoctorQuestion) -> Iterator[Finding]:
    """torch, its build, and its GPU.

    Raises:
        UsageError: it is missing, or cannot be imported.
    """
    imported = _import(question)
    cuda, hip = imported.version.cuda, getattr(imported.version, "hip", None)
    build = f"CUDA {cuda} build" if cuda else f"ROCm {hip} build" if hip else "CPU build"
    if not cuda and not hip:
        yield _without_cuda(question, imported, build)
    elif not imported.cuda.is_available():
        yield _without_gpu(question, imported, build)
    else:
        yield from _with_gpu(question, imported, build)


def _import(question: DoctorQuestion) -> Any:
    if not is_importable("torch"):
        raise UsageError("not installed", question.install)
    try:
        import torch
    except Exception as error:
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:250]
        remedy = f"{question.pip} install --force-reinstall torch=={(version_of('torch') or '2.10').split('+')[0]}"
        raise UsageError(f"{version_of('torch') or 'it'} cannot be imported: {said}", remedy) from error
    return torch


def _without_cuda(question: DoctorQuestion, torch: Any, build: str) -> Finding:
    found = f"{torch.__version__}, a {build}"
    if not question.gpus:
        return ok("torch", f"{found}, as this machine has no GPU; it computes in fp32")
    extra = " torchvision" if version_of("torchvision") else ""
    wanted = f"torch=={torch.__version__.split('+')[0]}{extra}"
    return red(
        "torch",
        f"{found}, beside {' and '.join(dict.fromkeys(question.gpus))}: it would train on the CPU",
        f"{question.pip} install --force-reinstall {wanted} --index-url {cuda_index(question.driver_cuda)}",
    )


def _without_gpu(question: DoctorQuestion, torch: Any, build: str) -> Finding:
    found = f"{torch.__version__}, a {build}"
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if not question.gpus:
        return warning("torch", f"{found}, but no GPU is found: it trains on the CPU, in fp32")
    if hidden is not None and hidden.strip() in ("", "-1"):
        text = f"{found}, sees no GPU because CUDA_VISIBLE_DEVICES is {hidden!r}"
        return red("torch", text, "unset CUDA_VISIBLE_DEVICES")
    remedy = (
        f"update the NVIDIA driver, or: {question.pip} install --force-reinstall torch "
        f"--index-url {cuda_index(question.driver_cuda)}"
    )
    supported = f"; the driver supports CUDA {question.driver_cuda}" if question.driver_cuda else ""
    return red("torch", f"{found}, cannot use the GPU: {_why(torch)}{supported}", remedy)


def _why(torch: Any) -> str:
    try:
        torch.cuda.init()
    except Exception as error:  # noqa: BLE001 - the driver's own words, whatever they are
        return str(error).strip().splitlines()[0][:250]
    return "torch does not say why"


def _with_gpu(question: DoctorQuestion, torch: Any, build: str) -> Iterator[Finding]:
    name, count = torch.cuda.get_device_name(0), torch.cuda.device_count()
    found = f"{torch.__version__}, a {build}, sees {name}" + (f" and {count - 1} more" if count > 1 else "")
    try:
        torch.ones(64, 64, device="cuda").square().sum().item()
    except Exception as error:  # noqa: BLE001 - such as kernels that this build lacks for this GPU
        remedy = f"{question.pip} install --force-reinstall torch --index-url {cuda_index(question.driver_cuda)}"
        said = (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
        yield red("torch", f"{found}, but cannot compute on it: {said}", remedy)
        return
    yield ok("torch", f"{found}, and computes on it")
    if torch.cuda.is_bf16_supported(including_emulation=False):
        yield ok("precision", f"{name} computes in bf16")
    else:
        yield warning("precision", f"{name} does not compute in bf16: training is in fp32, and takes twice the memory")
