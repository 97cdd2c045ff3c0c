"""Metrics of what was read: edits between texts, and the registry of figures that are made of rows."""

from hpsearch.data.metrics.edits import (
    NORMALIZATIONS,
    Edits,
    Normalization,
    Overlap,
    character_edits,
    character_overlap,
    graphemes,
    total,
    word_edits,
)

__all__ = [
    "NORMALIZATIONS",
    "Edits",
    "Normalization",
    "Overlap",
    "character_edits",
    "character_overlap",
    "graphemes",
    "total",
    "word_edits",
]
