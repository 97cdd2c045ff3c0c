"""Processors of models, also where torchvision is missing.

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
from hpsearch.settings import TrainSettings
from hpsearch.training.models.chat import answer_at_once
from hpsearch.training.models.families import Family
from hpsearch.training.models.image_size import size_pictures


def has_torchvision() -> bool:
    """Return True if torchvision is installed and works with the torch beside it.

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
    """Return the family's processor class, without its video part where torchvision is missing."""
    complete = has_torchvision()  # before transformers, which could not be imported beside a broken one
    cls = class_of(family, family.processor_class)
    if complete:
        return cls
    bases = (cls, _without_video(cls)) if family.video_processor else (cls,)
    own = {"image_processor_class": family.pillow_images} if family.pillow_images else {}
    return type(cls.__name__, bases, {**own, "__doc__": cls.__doc__}) if own or len(bases) > 1 else cls


def _without_video(cls: Any) -> Any:
    """Make a class to put between a processor class and its base, so that neither asks for a video processor."""
    from transformers import ProcessorMixin

    parts = [name for name in cls.get_attributes() if name != "video_processor"]

    class WithoutVideo(ProcessorMixin):  # type: ignore[misc]
        def __init__(self, *args: Any, video_processor: None = None, **options: Any) -> None:
            super().__init__(*args, **options)

        @classmethod
        def get_attributes(cls) -> list[str]:
            return list(parts)

        @classmethod
        def _get_arguments_from_pretrained(cls, *args: Any, **options: Any) -> list[Any]:
            return [*super()._get_arguments_from_pretrained(*args, **options), None]

    return WithoutVideo


def class_of(family: Family, name: str) -> Any:
    """Return the class of that name in transformers.

    Raises:
        UsageError: the installed release has none, or has it only with torchvision (5.17 that of Gemma 4).
    """
    import transformers

    try:
        return getattr(transformers, name)
    except (AttributeError, ImportError) as error:
        raise UsageError(
            f"family {family.name} needs a transformers that has {name}, but {transformers.__version__} has none"
            + (" without torchvision" if isinstance(error, ImportError) and not has_torchvision() else ""),
            "install a newer transformers, or use a --trainer-python that has one",
        ) from error


def load_processor(family: Family, folder: Path, settings: TrainSettings) -> Any:
    """Read the processor saved in ``folder``, set the size of pictures that the settings ask for, and make its chat
    template ask for answers without thinking first."""
    cls = processor_class(family)
    processor = (_cropping(cls) if settings.pan_and_scan else cls).from_pretrained(
        str(folder),
        trust_remote_code=False,  # for its parts, whose classes are looked up by what the files say
    )
    size_pictures(processor, family, settings)
    answer_at_once(processor)
    return processor


def _cropping(cls: Any) -> Any:
    """Make a processor class of the same name that shows crops: Gemma 3's asks for none at each call, whatever its own
    configuration says."""

    def call(self: Any, *args: Any, **options: Any) -> Any:
        return cls.__call__(self, *args, **{"do_pan_and_scan": True, **options})

    return type(cls.__name__, (cls,), {"__call__": call, "__doc__": cls.__doc__})
