"""Sizes of pictures that may be worth a look, and the rows' tokens at each."""

from __future__ import annotations

from collections.abc import Iterator
from math import ceil, prod, sqrt
from statistics import median

from hpsearch.execution.survey_result import CROWDED, Sizing
from hpsearch.settings import TrainSettings
from hpsearch.training.models.base import BaseModel
from hpsearch.training.models.image_size import budget_areas
from hpsearch.training.preflight.lengths import Lengths, Measure

EDGES = (512, 768, 1024, 1536, 2048, 3072, 4096)  # pixels: those below the largest picture's are measured, and that


def largest_edge(measure: Measure) -> int:
    """The side in pixels of a square as large as the largest picture."""
    return ceil(sqrt(max(prod(shape.size) for shape in measure.shapes)))


def sizings(base: BaseModel, measure: Measure, settings: TrainSettings) -> Iterator[Sizing]:
    """The rows' tokens at the settings' own size, and at each other one that may be worth a search."""
    own = measure.lengths(settings)
    yield _sizing(settings, own)
    if base.family.sizing == "area":
        edge = largest_edge(measure)
        smaller = [each for each in EDGES if each < edge]
        for each in dict.fromkeys((*smaller, min(edge, EDGES[-1])) if smaller else ()):
            at = settings.model_copy(update={"longest_edge": each, "max_pixels": None})
            yield _sizing(at, measure.lengths(at))
    elif base.family.sizing == "budget":
        for area in budget_areas(base.family):
            at = settings.model_copy(update={"longest_edge": None, "max_pixels": area})
            yield _sizing(at, measure.lengths(at))
    elif base.family.crops and median(own.answers) > CROWDED * median(own.pictures):
        cropped = settings.model_copy(update={"pan_and_scan": True})
        yield _sizing(cropped, measure.lengths(cropped))


def _sizing(settings: TrainSettings, lengths: Lengths) -> Sizing:
    picture = round(median(lengths.pictures))
    area = settings.max_pixels if settings.longest_edge is None else None  # an edge decides alone
    return Sizing(settings.longest_edge, settings.pan_and_scan, picture, max(lengths.rows), area)
