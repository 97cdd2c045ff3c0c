"""Analysing a study: read it, draw it, write the report's files. The command line prints what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from hpsearch.errors import UsageError
from hpsearch.execution.files import write_text
from hpsearch.report.files import report_json, trials_csv
from hpsearch.report.png import write_pngs
from hpsearch.report.summary import StudySummary, summarize
from hpsearch.report.text import visible

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
        from hpsearch.report.terminal import summary_tables

        return summary_tables(self.summary)

    def lines(self, width: int = 100) -> list[str]:
        """The same as plain text."""
        from hpsearch.report.terminal import render

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
    from hpsearch.report.figures import study_figures
    from hpsearch.report.study import report_html

    summary = summarize(study, top)
    figures = study_figures(study, summary)
    report = write_text(output_dir / "index.html", report_html(summary, figures, study_dir))
    csv_file = write_text(output_dir / "trials.csv", trials_csv(summary))
    json_file = write_text(output_dir / "report.json", report_json(summary))
    pictures, note = write_pngs(figures, output_dir / "figures") if png else ((), "")
    return AnalysisResult(summary, report, (report, csv_file, json_file, *pictures), (note,) if note else ())


@dataclass(frozen=True)
class ComparisonResult:
    """What a comparison made. ``notes`` are single lines that the user should see."""

    summaries: tuple[StudySummary, ...]
    report: Path
    files: tuple[Path, ...]
    notes: tuple[str, ...]

    @property
    def tables(self) -> tuple[RenderableType, ...]:
        """The comparison as rich tables, for the terminal."""
        from hpsearch.report.terminal import comparison_tables

        return comparison_tables(self.summaries)

    def lines(self, width: int = 100) -> list[str]:
        """The same as plain text."""
        from hpsearch.report.terminal import render

        return render(self.tables, width)


def compare_studies(studies: Sequence[Study], *, output_dir: Path, png: bool = True) -> ComparisonResult:
    """Write comparison.html, comparison.csv, comparison.json and a PNG of each figure into ``output_dir``.

    Studies with several objectives are left out, and a note names them.

    Raises:
        UsageError: no study is left to compare.
    """
    from hpsearch.report import compare

    summaries, left_out = _summaries(studies)
    figures = compare.comparison_figures(summaries)
    report = write_text(output_dir / "comparison.html", compare.comparison_html(summaries, figures, left_out))
    csv_file = write_text(output_dir / "comparison.csv", compare.comparison_csv(summaries))
    json_file = write_text(output_dir / "comparison.json", compare.comparison_json(summaries))
    pictures, note = write_pngs(figures, output_dir / "figures") if png else ((), "")
    notes = (*left_out, note) if note else left_out
    return ComparisonResult(summaries, report, (report, csv_file, json_file, *pictures), notes)


def _summaries(studies: Sequence[Study]) -> tuple[tuple[StudySummary, ...], tuple[str, ...]]:
    """The studies that can be compared, and a sentence for each of the others."""
    single = [study for study in studies if len(study.directions) == 1]
    if not single:
        raise UsageError("a comparison needs a study with one objective, but there is none", "name other studies")
    several = [study.study_name for study in studies if len(study.directions) != 1]
    left_out = tuple(f"{visible(name)} is left out: it has several objectives." for name in several)
    return tuple(summarize(study) for study in single), left_out
