"""The figures of one study, in the order of its report."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from hpsearch.report.figures.curves import intermediate
from hpsearch.report.figures.history import history
from hpsearch.report.figures.importance import importance, importances
from hpsearch.report.figures.slice import parallel, slices
from hpsearch.report.figures.style import Figure
from hpsearch.report.figures.timeline import timeline
from hpsearch.report.summary import StudySummary

if TYPE_CHECKING:
    from optuna import Study


def study_figures(
    study: Study, summary: StudySummary, shares: Mapping[str, float] | str | None = None
) -> tuple[Figure, ...]:
    """Draw ``study``; a figure with too little data is a sentence. ``shares`` are the parameters' of the importance, if
    they are known."""
    if shares is None:
        shares = importances(study, summary)
    return (
        history(summary),
        importance(summary, shares),
        slices(summary, shares),
        parallel(summary, shares),
        intermediate(summary),
        timeline(summary),
    )
