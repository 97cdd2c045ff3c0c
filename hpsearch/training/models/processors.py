"""Processors where torchvision is missing.

A processor that was made for images and videos (Qwen3-VL) insists on a video processor, and transformers' only video
processors need torchvision. Images do not: without torchvision transformers falls back to image processors on Pillow,
but where a processor class names its image processor in the old way (PaddleOCR-VL). So, only where torchvision is
missing, such a processor is loaded through a subclass of the same name that has no video part, or names the one on
Pillow; its configuration on disk is read and written unchanged otherwise. With torchvision the class is the original.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hpsearch.errors import UsageError
from hpsearch.training.models.chat import answer_at_once
from hpsearch.training.models.families import Family
from hpsearch.training.models.sizing import size_pictures
from hpsearch.trials.settings import TrainSettings


def has_torchvision() -> bool:
    """Whether torchvision is installed and works with the torch beside it.

    Raises:
        UsageError: it is installed but made for another torch, in which case every model import would fail.
    """
    if importlib.util.find_spec("torchvision") is None:
        return False
    try:
        import torchvision  # noqa: F401
    except Exception as error:
        raise UsageError(
            f"an installed torchvision must fit torch, but importing it fails: {error}",
            "install the torchvision of the same release and index as torch, or uninstall torchvision",
        ) from error
    return True


def processor_class(family: Family) -> Any:
    """The family's processor class, without its video part where torchvision is missing."""
    complete = has_torchvision()  # before transformers, which could not be imported beside a broken one
    cls = class_of(family, family.processor_class)
    own = {} if complete else _without_torchvision(family, cls)
    return type(cls.__name__, (cls,), {**own, "__doc__": cls.__doc__}) if own else cls


def _without_torchvision(family: Family, cls: Any) -> dict[str, Any]:
    """What a subclass has to say otherwise."""
    own: dict[str, Any] = {}
    if family.video_processor:
        parts = [name for name in cls.get_attributes() if name != "video_processor"]
        own["get_attributes"] = classmethod(lambda _: list(parts))
    if family.pillow_images:
        own["image_processor_class"] = family.pillow_images
    return own


def class_of(family: Family, name: str) -> Any:
    """The class of that name in transformers.

    Raises:
        UsageError: the installed release has none.
    """
    import transformers

    found = getattr(transformers, name, None)
    if found is None:
        raise UsageError(
            f"family {family.name} needs a transformers that has {name}, but {transformers.__version__} has none",
            "install a newer transformers, or use a --trainer-python that has it",
        )
    return found


def load_processor(family: Family, folder: Path, settings: TrainSettings) -> Any:
    """Read the processor saved in ``folder``, set the size of pictures that the settings ask for, and have its chat
    template ask for answers without a thought before them."""
    cls = processor_class(family)
    processor = (_cropping(cls) if settings.pan_and_scan else cls).from_pretrained(
        str(folder),
        trust_remote_code=False,  # for its parts, whose classes are looked up by what the files say
    )
    size_pictures(processor, family, settings)
    answer_at_once(processor)
    return processor


def _cropping(cls: Any) -> Any:
    """A processor class of the same name that shows crops: Gemma 3's asks for none at each call, whatever its own
    configuration says."""

    def call(self: Any, *args: Any, **options: Any) -> Any:
        return cls.__call__(self, *args, **{"do_pan_and_scan": True, **options})

    return type(cls.__name__, (cls,), {"__call__": call, "__doc__": cls.__doc__})
