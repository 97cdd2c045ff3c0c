"""The size of pictures as the model sees them."""

from __future__ import annotations

from typing import Any

from hpsearch.errors import UsageError
from hpsearch.settings import TrainSettings
from hpsearch.training.models.families import Family

# Transformers' Qwen-VL processors keep two areas in pixels under the names of edges: "longest_edge" is the largest,
# "shortest_edge" the smallest. Read as edges, 2048 would leave one token of a page (transformers#42115).
_LARGEST_AREA, _SMALLEST_AREA = "longest_edge", "shortest_edge"


def wanted_area(settings: TrainSettings) -> int | None:
    """Return the largest area in pixels that the settings ask for; None: the model's own."""
    return settings.max_pixels if settings.longest_edge is None else settings.longest_edge**2


def check_sizing(settings: TrainSettings, family: Family) -> None:
    """Refuse a size that the family has no use for.

    Raises:
        UsageError: saying which.
    """
    if family.sizing == "fixed" and wanted_area(settings) is not None:
        name = _asked(settings)
        more = ', or show crops beside it with "pan_and_scan": true' if family.crops else ""
        raise UsageError(
            f"{name} needs a family that takes pictures of any size, but {family.name} makes each one the same square",
            f"leave {name} out{more}",
        )
    if family.sizing == "budget":
        _check_budget(settings, family)
    if settings.pan_and_scan and not family.crops:
        raise UsageError(
            f"pan_and_scan needs a family whose processor shows crops, but {family.name}'s does not",
            "leave it out; give more pixels with longest_edge or max_pixels",
        )


def _asked(settings: TrainSettings) -> str:
    """Return the setting that the wanted area is from."""
    return "max_pixels" if settings.longest_edge is None else "longest_edge"


def budget_areas(family: Family) -> dict[int, int]:
    """Return the numbers of tokens that a picture may be scaled to, by their area in pixels."""
    return {tokens * family.token_edge**2: tokens for tokens in family.budgets}


def _check_budget(settings: TrainSettings, family: Family) -> None:
    """Refuse an area between two budgets: it would do the same as another one."""
    areas, area = budget_areas(family), wanted_area(settings)
    if area is None or area in areas:
        return
    asked, edge = _asked(settings), family.token_edge
    *others, last = map(str, areas.values())
    raise UsageError(
        f"{family.name} scales every picture to {', '.join(others)} or {last} tokens of {edge}x{edge} pixels, but "
        f"{asked}={getattr(settings, asked)} is none of these",
        f"set max_pixels to one of {', '.join(map(str, areas))}, and leave longest_edge out",
    )


def size_pictures(processor: Any, family: Family, settings: TrainSettings) -> None:
    """Set the processor's sizes to those of the settings; it saves them too, for a server of the model.

    Raises:
        UsageError: the image processor is of a kind that the family does not have.
    """
    images = processor.image_processor
    if family.sizing == "area":
        _size_by_area(images, family, wanted_area(settings))
    elif family.sizing == "budget":
        _size_by_budget(processor, family, wanted_area(settings))
    if family.crops:
        images.do_pan_and_scan = settings.pan_and_scan


def _size_by_area(images: Any, family: Family, area: int | None) -> None:
    own = images.size
    if not (own.get(_LARGEST_AREA) and own.get(_SMALLEST_AREA)):
        raise UsageError(
            f"pictures of {family.name} must be sized by {_LARGEST_AREA} and {_SMALLEST_AREA}, two areas, but the "
            f"model's {type(images).__name__} has the size {dict(own)}",
            "take preprocessor_config.json (or processor_config.json) from the model's newest revision",
        )
    if area is not None:
        images.size = type(own)(**{_SMALLEST_AREA: min(int(own[_SMALLEST_AREA]), area), _LARGEST_AREA: area})


def _size_by_budget(processor: Any, family: Family, area: int | None) -> None:
    images = processor.image_processor
    edge = getattr(images, "patch_size", 0) * getattr(images, "pooling_kernel_size", 0)
    if edge != family.token_edge:
        raise UsageError(
            f"a token of {family.name} must stand for {family.token_edge}x{family.token_edge} pixels, but the model's "
            f"{type(images).__name__} has {edge}x{edge}",
            "take processor_config.json from the model's newest revision",
        )
    if area is not None:
        images.max_soft_tokens = processor.image_seq_length = budget_areas(family)[area]
