"""The checks of `hpsearch doctor` that look at the training's libraries: installed, of versions that fit, working.

Nothing is imported before its check begins: the checks look for imports that fail or hang. Each check takes a
``DoctorQuestion`` and yields findings.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from typing import Any

from hpsearch.errors import UsageError
from hpsearch.execution.doctor_question import DoctorQuestion, Finding, ok, red, warning
from hpsearch.execution.versions import Misfit, misfits, requirements_of, version_of

SHOWN = ("torch", "transformers", "trl", "peft", "accelerate", "datasets")
# What unsloth caps, and what its parts need of each other; its other requirements are its own affair.
_CAPPED = {
    "transformers",
    "trl",
    "datasets",
    "torch",
    "peft",
    "accelerate",
    "bitsandbytes",
    "torchvision",
    "unsloth-zoo",
}
# Installed into this environment, unsloth would put older versions of all the others.
_SEPARATE_ENVIRONMENT = "`hpsearch setup-trainer --name unsloth` makes an environment that fits, and says how to use it"

_WHEELS = "https://download.pytorch.org/whl"


def training(question: DoctorQuestion) -> Iterator[Finding]:
    """Check that hpsearch's extra ``train`` is installed, in the ranges of its metadata."""
    missing = [name for name in SHOWN if version_of(name) is None]
    if missing:
        text = f"the training side is not installed here: {', '.join(missing)} missing"
        yield red("training", text, question.install)
        return
    try:
        wrong = list(misfits(question.requirements))
    except ImportError:
        yield red("training", "versions cannot be compared: packaging is missing", f"{question.pip} install packaging")
        return
    if wrong:
        yield red("training", _listed(wrong), question.install)
    else:
        yield ok("training", ", ".join(f"{name} {version_of(name)}" for name in SHOWN))


def torch(question: DoctorQuestion) -> Iterator[Finding]:
    """Check that torch can be imported, that its build fits the machine, and that it computes on the GPU.

    Raises:
        UsageError: it is missing, or cannot be imported.
    """
    imported = _import_torch(question)
    cuda, hip = imported.version.cuda, getattr(imported.version, "hip", None)
    build = f"CUDA {cuda} build" if cuda else f"ROCm {hip} build" if hip else "CPU build"
    text = f"{imported.__version__}, a {build}"
    if not cuda and not hip:
        yield _cpu_build(question, imported.__version__, text)
    elif not imported.cuda.is_available():
        yield _no_usable_gpu(question, imported, text)
    else:
        yield from _compute(question, imported, text)


def _import_torch(question: DoctorQuestion) -> Any:
    if find_spec("torch") is None:
        raise UsageError("not installed", question.install)
    try:
        import torch as imported
    except Exception as error:
        remedy = f"{question.pip} install --force-reinstall torch=={(version_of('torch') or '2.10').split('+')[0]}"
        raise UsageError(f"{version_of('torch') or 'it'} cannot be imported: {_first_line(error)}", remedy) from error
    return imported


def _cpu_build(question: DoctorQuestion, version: str, text: str) -> Finding:
    if not question.gpus:
        return ok("torch", f"{text}, as this machine has no GPU; it computes in fp32")
    fitting = f"torch=={version.split('+')[0]}{' torchvision' if version_of('torchvision') else ''}"
    return red(
        "torch",
        f"{text}, beside {' and '.join(dict.fromkeys(question.gpus))}: it would train on the CPU",
        f"{question.pip} install --force-reinstall {fitting} --index-url {_cuda_index(question.driver_cuda)}",
    )


def _no_usable_gpu(question: DoctorQuestion, torch: Any, text: str) -> Finding:
    if not question.gpus:
        return warning("torch", f"{text}, but no GPU is found: it trains on the CPU, in fp32")
    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and hidden.strip() in ("", "-1"):
        text += f", sees no GPU because CUDA_VISIBLE_DEVICES is {hidden!r}"
        return red("torch", text, "unset CUDA_VISIBLE_DEVICES")
    reason = "torch does not say why"
    try:
        torch.cuda.init()
    except Exception as error:  # noqa: BLE001 - the driver's own words, whatever they are
        reason = _first_line(error)
    supported = f"; the driver supports CUDA {question.driver_cuda}" if question.driver_cuda else ""
    remedy = (
        f"update the NVIDIA driver, or: {question.pip} install --force-reinstall torch "
        f"--index-url {_cuda_index(question.driver_cuda)}"
    )
    return red("torch", f"{text}, cannot use the GPU: {reason}{supported}", remedy)


def _compute(question: DoctorQuestion, torch: Any, text: str) -> Iterator[Finding]:
    name, count = torch.cuda.get_device_name(0), torch.cuda.device_count()
    text += f", sees {name}" + (f" and {count - 1} more" if count > 1 else "")
    try:
        torch.ones(64, 64, device="cuda").square().sum().item()
    except Exception as error:  # noqa: BLE001 - such as kernels that this build lacks for this GPU
        remedy = f"{question.pip} install --force-reinstall torch --index-url {_cuda_index(question.driver_cuda)}"
        yield red("torch", f"{text}, but cannot compute on it: {_first_line(error)}", remedy)
        return
    yield ok("torch", f"{text}, and computes on it")
    if torch.cuda.is_bf16_supported(including_emulation=False):
        yield ok("precision", f"{name} computes in bf16")
    else:
        yield warning("precision", f"{name} does not compute in bf16: training is in fp32, and takes twice the memory")


def _cuda_index(driver_cuda: str) -> str:
    """Return the index of CUDA wheels that a driver of this CUDA version can run. CUDA's minor versions are compatible
    within a major one (docs.nvidia.com/deploy/cuda-compatibility), so the oldest build of each is named."""
    return f"{_WHEELS}/{'cu126' if driver_cuda.partition('.')[0] == '12' else 'cu130'}"


def torchvision(question: DoctorQuestion) -> Iterator[Finding]:
    """Check torchvision, which may be missing; one made for another torch breaks every import of a model."""
    if find_spec("torchvision") is None:
        yield ok("torchvision", "not installed, and not needed for pictures")
        return
    installed, torch = version_of("torchvision") or "of an unknown version", version_of("torch")
    if torch is None or "torch" in question.failed:
        yield warning("torchvision", f"{installed}; whether it fits cannot be said without a working torch")
        return
    release, plus, build = torch.partition("+")
    index = f" --index-url {_WHEELS}/{build}" if plus else ""  # of the same build as torch's
    remedy = (
        f"{question.pip} uninstall torchvision, or get the one that fits: "
        f"{question.pip} install --force-reinstall torch=={release} torchvision{index}"
    )
    try:
        import torchvision as imported
    except Exception as error:  # noqa: BLE001 - it fails in its own way with each torch it was not made for
        text = f"{installed} does not work beside torch {torch}: {_first_line(error)}"
        yield red("torchvision", text, remedy)
        return
    if wrong := _conflicts("torchvision", {"torch"}):
        yield red("torchvision", f"{installed} is made for another torch: {_listed(wrong)}", remedy)
    else:
        yield ok("torchvision", f"{getattr(imported, '__version__', installed)} works beside torch {torch}")


def bitsandbytes(question: DoctorQuestion) -> Iterator[Finding]:
    """Check bitsandbytes, which 4 bits and the 8-bit optimiser need, both on a GPU."""
    needed = True in question.searches("load_in_4bit") or "adamw_8bit" in question.searches("optim")
    installed = version_of("bitsandbytes")
    if installed is None:
        text, remedy = "not installed: no 4 bits, and no adamw_8bit", f"{question.pip} install 'bitsandbytes>=0.50'"
        yield red("bitsandbytes", text, remedy) if needed else warning("bitsandbytes", text, remedy)
    elif not question.gpus:
        yield ok("bitsandbytes", f"{installed}; of use with a GPU only")
    elif "torch" in question.failed:
        yield warning("bitsandbytes", f"{installed}; whether it works cannot be said without a working torch")
    else:
        try:
            import bitsandbytes as imported
        except Exception as error:  # noqa: BLE001 - any failure of a library at import is what is looked for
            remedy = f"{question.pip} install --force-reinstall --no-deps 'bitsandbytes>=0.50'"
            yield red("bitsandbytes", f"{installed} cannot be imported: {_first_line(error)}", remedy)
        else:
            text = f"{imported.__version__} imports; its kernels are tried by the first job in 4 bits"
            yield ok("bitsandbytes", text)


def unsloth(question: DoctorQuestion) -> Iterator[Finding]:
    """Check the versions that unsloth caps, by its metadata: its import takes long."""
    named = "unsloth" in question.searches("backend")
    installed = version_of("unsloth")
    if installed is None and named:
        yield red("unsloth", "the study names it, but it is not installed", _SEPARATE_ENVIRONMENT)
    elif installed is None:
        yield ok("unsloth", "not installed: the hf backend (transformers + trl + peft) trains")
    elif not (wrong := [*_conflicts("unsloth", _CAPPED), *_conflicts("unsloth_zoo", _CAPPED)]):
        yield ok("unsloth", f"{installed}, and the versions beside it are within its caps")
    elif named:
        yield red("unsloth", f"{installed} does not take {_listed(wrong)}", _SEPARATE_ENVIRONMENT)
    else:
        text = f"{installed} does not take {_listed(wrong)}: the hf backend trains"
        yield warning("unsloth", text, _SEPARATE_ENVIRONMENT)


def _conflicts(package: str, names: set[str]) -> list[Misfit]:
    """Return what a package requires of those named, and does not get."""
    try:
        return [
            misfit for misfit in misfits(requirements_of(package)) if misfit.name.lower().replace("_", "-") in names
        ]
    except ImportError:  # packaging is missing, which the first check has reported
        return []


def _listed(wrong: Sequence[Misfit]) -> str:
    return ", ".join(dict.fromkeys(map(str, wrong)))


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:250]
