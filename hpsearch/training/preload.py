"""Imports that all trials of the built-in training need, before they know their settings; imports, and nothing else.

The fork server (hpsearch/execution/fork_server.py) calls these functions once and forks each trial afterwards; so
nothing here may compute, start a thread, or touch a GPU.
"""

from __future__ import annotations

import os
from importlib.util import find_spec
from pathlib import Path

from hpsearch.execution.environment import ONLINE
from hpsearch.training.machine.libraries import ignore_known_warnings, importing


def set_environment(kind: str) -> None:
    """Set the switches that the libraries read when they are imported, for a job of this kind."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its threads do not survive a fork
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # the same sums every time, says NVIDIA
    # Without a launcher a trial has one GPU: the trainer refuses several. The doctor counts them.
    if "LOCAL_RANK" not in os.environ and kind != "doctor":
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
        os.environ["CUDA_VISIBLE_DEVICES"] = visible.partition(",")[0]
    if kind not in ONLINE:  # what a trial needs was made ready before
        os.environ["HF_HUB_OFFLINE"] = "1"


def libraries(_prepared_dir: str | None) -> None:
    """Import what every trial on the hf backend needs."""
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"  # torch looks for a GPU without touching it
    set_environment("trial")
    ignore_known_warnings()
    with importing():
        import torch

        # peft and trl would import bitsandbytes, which asks each GPU for its generation, and a process that has done so
        # cannot be forked any more.
        if torch.cuda.is_available() and find_spec("bitsandbytes") is not None:
            import datasets  # noqa: F401
            import transformers  # noqa: F401

            return
        from hpsearch.training.backends.startup import import_libraries

        import_libraries()
        from PIL import Image

        import hpsearch.training.backends.heaviest
        import hpsearch.training.backends.hf
        import hpsearch.training.trial  # noqa: F401

        Image.preinit()  # imports what reads the common kinds of pictures


def before_unsloth(_prepared_dir: str | None) -> None:
    """Import what may come before unsloth, which has to be the first to import transformers, trl and peft, and touches
    the GPU when it is imported."""
    os.environ["PYTORCH_NVML_BASED_CUDA_CHECK"] = "1"
    set_environment("trial")
    ignore_known_warnings()
    with importing():
        import datasets  # noqa: F401
        import torch  # noqa: F401

        import hpsearch.training.prepared  # noqa: F401


def model(prepared_dir: str | None) -> None:
    """Import the classes of the model that was prepared."""
    from hpsearch.training.models.families import FAMILIES
    from hpsearch.training.prepared import PreparedData

    if prepared_dir is None:
        return
    with importing():
        import transformers

        family = FAMILIES[PreparedData.read(Path(prepared_dir)).family]
        for name in (family.model_class, family.processor_class):
            getattr(transformers, name)
