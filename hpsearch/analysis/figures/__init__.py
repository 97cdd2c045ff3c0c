"""The figures of one study, in the order of its report."""

from __future__ import annotations

from typing import TYPE_CHECKING

from hpsearch.analysis.figures.curves import intermediate
from hpsearch.analysis.figures.history import history
from hpsearch.analysis.figures.importance import importance, importances
from hpsearch.analysis.figures.look import Figure
from hpsearch.analysis.figures.parallel import parallel
from hpsearch.analysis.figures.slices import slices
from hpsearch.analysis.figures.timeline import timeline
from hpsearch.analysis.summary import StudySummary

if TYPE_CHECKING:
    from optuna import Study


def study_figures(study: Study, summary: StudySummary) -> tuple[Figure, ...]:
    """Draw ``study``; a figure for which there is too little is a sentence."""
    shares = importances(study, summary)
    return (
        history(summary),
        importance(summary, shares),
        slices(summary, shares),
        parallel(summary, shares),
        intermediate(summary),
        timeline(summary),
    )
