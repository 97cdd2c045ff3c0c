"""Whether the training's libraries are there, in versions that work together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hpsearch.execution.doctor_question import DoctorQuestion, Finding, ok, red, warning
from hpsearch.training.doctor.installed import Misfit, asked_by, is_importable, misfits, version_of
from hpsearch.training.doctor.wheels import index_option

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

# Into this environment it would put older versions of all the others.
_ANOTHER = "`hpsearch setup-trainer --name unsloth` makes an environment that fits, and says how to use it"


def packages(question: DoctorQuestion) -> Iterator[Finding]:
    """hpsearch's extra ``train``, in the ranges that its metadata names."""
    missing = [name for name in SHOWN if version_of(name) is None]
    if missing:
        text = f"the training side is not installed here: {', '.join(missing)} missing"
        yield red("training", text, question.install)
        return
    try:
        wrong = list(misfits(question.requirements, extra="train"))
    except ImportError:
        yield red("training", "versions cannot be compared: packaging is missing", f"{question.pip} install packaging")
        return
    if wrong:
        yield red("training", _listed(wrong), question.install)
    else:
        yield ok("training", ", ".join(f"{name} {version_of(name)}" for name in SHOWN))


def torchvision(question: DoctorQuestion) -> Iterator[Finding]:
    """torchvision may be missing; one made for another torch breaks every import of a model."""
    if not is_importable("torchvision"):
        yield ok("torchvision", "not installed, and not needed for pictures")
        return
    found, torch = version_of("torchvision") or "of an unknown version", version_of("torch")
    remedy = f"{question.pip} uninstall torchvision"
    if torch is not None:
        remedy += f", or get the one that fits: {question.pip} install --force-reinstall torch=={torch.split('+')[0]}"
        remedy += f" torchvision{index_option(torch)}"
    if torch is None or "torch" in question.failed:
        yield warning("torchvision", f"{found}; whether it fits cannot be said without a working torch")
        return
    wrong = _conflicts("torchvision", ("torch",)) if version_of("torchvision") else []
    try:
        import torchvision as imported
    except Exception as error:  # noqa: BLE001 - it fails in its own way with each torch it was not made for
        yield red("torchvision", f"{found} does not work beside torch {torch}: {_line_of(error)}", remedy)
        return
    if wrong:
        yield red("torchvision", f"{found} is made for another torch: {_listed(wrong)}", remedy)
    else:
        yield ok("torchvision", f"{getattr(imported, '__version__', found)} works beside torch {torch}")


def bitsandbytes(question: DoctorQuestion) -> Iterator[Finding]:
    """bitsandbytes is needed for 4 bits and for the 8-bit optimiser, both on a GPU."""
    needed = True in question.searches("load_in_4bit") or "adamw_8bit" in question.searches("optim")
    found = version_of("bitsandbytes")
    if found is None:
        text = "not installed: no 4 bits, and no adamw_8bit"
        remedy = f"{question.pip} install 'bitsandbytes>=0.50'"
        yield red("bitsandbytes", text, remedy) if needed else warning("bitsandbytes", text, remedy)
    elif not question.gpus:
        yield ok("bitsandbytes", f"{found}; of use with a GPU only")
    elif "torch" in question.failed:
        yield warning("bitsandbytes", f"{found}; whether it works cannot be said without a working torch")
    else:
        yield _imported_bitsandbytes(question, found)


def _imported_bitsandbytes(question: DoctorQuestion, found: str) -> Finding:
    try:
        import bitsandbytes as imported
    except Exception as error:  # noqa: BLE001 - any failure of a library at import is what is looked for
        remedy = f"{question.pip} install --force-reinstall --no-deps 'bitsandbytes>=0.50'"
        return red("bitsandbytes", f"{found} cannot be imported: {_line_of(error)}", remedy)
    return ok("bitsandbytes", f"{imported.__version__} imports; its kernels are tried by the first job in 4 bits")


def unsloth(question: DoctorQuestion) -> Iterator[Finding]:
    """unsloth caps the versions of the others; what is said comes from its metadata, as its import takes long."""
    named = "unsloth" in question.searches("backend")
    found = version_of("unsloth")
    if found is None:
        text = "not installed: the hf backend (transformers + trl + peft) trains"
        missing = "the study names it, but it is not installed"
        yield red("unsloth", missing, _ANOTHER) if named else ok("unsloth", text)
        return
    wrong = [
        *_conflicts("unsloth", _CAPPED),
        *(_conflicts("unsloth_zoo", _CAPPED) if version_of("unsloth_zoo") else []),
    ]
    if not wrong:
        yield ok("unsloth", f"{found}, and the versions beside it are within its caps")
        return
    text = f"{found} does not take {_listed(wrong)}"
    yield red("unsloth", text, _ANOTHER) if named else warning("unsloth", f"{text}: the hf backend trains", _ANOTHER)


def _conflicts(package: str, names: Sequence[str] | set[str]) -> list[Misfit]:
    try:
        found = misfits(asked_by(package))
        return [misfit for misfit in found if misfit.name.lower().replace("_", "-") in names]
    except ImportError:
        return []


def _listed(wrong: Sequence[Misfit]) -> str:
    return ", ".join(dict.fromkeys(map(str, wrong)))


def _line_of(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:200]
