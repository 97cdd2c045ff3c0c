"""Processors where torchvision is missing.

A processor that was made for images and videos (Qwen3-VL) insists on a video processor, and transformers' only video
processors need torchvision. Images do not: without torchvision transformers falls back to image processors on Pillow.
So, only where torchvision is missing, such a processor is loaded through a subclass of the same name that has no video
part; its configuration on disk is read and written unchanged otherwise. With torchvision the class is the original.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

from hpsearch.errors import UsageError
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
    import transformers

    cls = getattr(transformers, family.processor_class)
    if complete or not family.video_processor:
        return cls
    parts = [name for name in cls.get_attributes() if name != "video_processor"]
    return type(cls.__name__, (cls,), {"get_attributes": classmethod(lambda _: list(parts)), "__doc__": cls.__doc__})


def load_processor(family: Family, folder: Path, settings: TrainSettings) -> Any:
    """Read the processor saved in ``folder``, and set the size of pictures that the settings ask for."""
    cls = processor_class(family)
    processor = (_cropping(cls) if settings.pan_and_scan else cls).from_pretrained(
        str(folder),
        trust_remote_code=False,  # for its parts, whose classes are looked up by what the files say
    )
    size_pictures(processor, family, settings)
    return processor


def _cropping(cls: Any) -> Any:
    """A processor class of the same name that shows crops: Gemma 3's asks for none at each call, whatever its own
    configuration says."""

    def call(self: Any, *args: Any, **options: Any) -> Any:
        return cls.__call__(self, *args, **{"do_pan_and_scan": True, **options})

    return type(cls.__name__, (cls,), {"__call__": call, "__doc__": cls.__doc__})
