"""Analysing a study: read it, draw it, write the report's files. The command line prints what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.analysis.files import report_json, trials_csv, write_text
from hpsearch.analysis.png import write_pngs
from hpsearch.analysis.summary import StudySummary, summarize

if TYPE_CHECKING:
    from optuna import Study
    from rich.console import RenderableType


@dataclass(frozen=True)
class AnalysisResult:
    """What an analysis made. ``notes`` are single lines that the user should see."""

    summary: StudySummary
    report: Path
    files: tuple[Path, ...]  # the report first, then the tables, then the figures
    notes: tuple[str, ...]

    @property
    def tables(self) -> tuple[RenderableType, ...]:
        """The summary as rich tables, for the terminal."""
        from hpsearch.analysis.terminal import summary_tables

        return summary_tables(self.summary)

    def lines(self, width: int = 100) -> list[str]:
        """The same as plain text."""
        from hpsearch.analysis.terminal import render

        return render(self.tables, width)


def analyze_study(
    study: Study, *, study_dir: Path | None, output_dir: Path, top: int = 10, png: bool = True
) -> AnalysisResult:
    """Write index.html, trials.csv, report.json and a PNG of each figure into ``output_dir``.

    ``study_dir`` is the study's folder, where the best trial's sample predictions and configuration are read from; None
    for a study that has none. The same study gives the same bytes. Without kaleido or a browser there are no PNGs, and
    a note says so.

    Raises:
        UsageError: the study has several objectives.
    """
    from hpsearch.analysis.figures import study_figures
    from hpsearch.analysis.report import report_html

    summary = summarize(study, top)
    figures = study_figures(study, summary)
    report = write_text(output_dir / "index.html", report_html(summary, figures, study_dir))
    csv_file = write_text(output_dir / "trials.csv", trials_csv(summary))
    json_file = write_text(output_dir / "report.json", report_json(summary))
    pictures, note = write_pngs(figures, output_dir / "figures") if png else ((), "")
    return AnalysisResult(summary, report, (report, csv_file, json_file, *pictures), (note,) if note else ())
