"""Analyse a study or compare several: read, draw, write the report's files."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
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

    from hpsearch.report.figures.style import Figure
    from hpsearch.report.study import ReportSamples


@dataclass(frozen=True)
class ReportFiles:
    """Files written for a study or a comparison: the report first, then the tables, then the figures. ``notes`` are
    single lines for the user."""

    files: tuple[Path, ...]
    notes: tuple[str, ...]

    @property
    def report(self) -> Path:
        """The HTML file."""
        return self.files[0]

    @property
    def tables(self) -> tuple[RenderableType, ...]:
        """The contents as rich tables, for the terminal."""
        raise NotImplementedError

    def lines(self, width: int = 100) -> list[str]:
        """Return the tables as plain text."""
        from hpsearch.report.terminal import render

        return render(self.tables, width)


@dataclass(frozen=True)
class AnalysisResult(ReportFiles):
    """The report of one study."""

    summary: StudySummary

    @property
    def tables(self) -> tuple[RenderableType, ...]:
        """The summary as rich tables."""
        from hpsearch.report.terminal import summary_tables

        return summary_tables(self.summary)


@dataclass(frozen=True)
class ComparisonResult(ReportFiles):
    """The comparison of several studies."""

    summaries: tuple[StudySummary, ...]

    @property
    def tables(self) -> tuple[RenderableType, ...]:
        """The comparison as rich tables."""
        from hpsearch.report.terminal import comparison_tables

        return comparison_tables(self.summaries)


def analyze_study(
    study: Study,
    *,
    study_dir: Path | None,
    output_dir: Path,
    top: int = 10,
    png: bool = True,
    pages: bool = True,
    compared: Sequence[int] = (),
    own: bool = True,
) -> AnalysisResult:
    """Write index.html, trials.csv, report.json, the study's ``pages`` and a PNG of each figure into ``output_dir``.

    ``study_dir`` is the study's folder, from which predictions, pictures and configuration are read; None for a study
    that has none. ``compared`` are two trials whose readings of the pages get a file of their own, pages-A-B.html.
    ``own`` is False for a study out of another's archive: no picture outside its folder is read. The same study gives
    the same bytes. Without kaleido or a browser there are no PNGs, and a note says so.

    Raises:
        UsageError: the study has several objectives, or a compared trial has no predictions.
    """
    from hpsearch.report.figures import study_figures
    from hpsearch.report.figures.importance import importances
    from hpsearch.report.study import report_html
    from hpsearch.report.verdicts import no_effect

    summary = summarize(study, top, study_dir)
    shares = importances(study, summary)
    summary = replace(summary, verdicts=(*summary.verdicts, *no_effect(summary, shares)))
    figures = study_figures(study, summary, shares)
    samples, page_files = _samples(summary, study_dir, output_dir, pages, compared, own)
    texts = {
        "index.html": report_html(summary, figures, study_dir, samples),
        "trials.csv": trials_csv(summary),
        "report.json": report_json(summary),
        **page_files,
    }
    files, notes = _write(output_dir, texts, figures if png else ())
    return AnalysisResult(files, notes, summary)


def _samples(
    summary: StudySummary, study_dir: Path | None, output_dir: Path, pages: bool, compared: Sequence[int], own: bool
) -> tuple[ReportSamples, dict[str, str]]:
    """Return what the report shows of the judged pages, and the files of pages by name."""
    from hpsearch.report.page_pictures import PagePictures
    from hpsearch.report.pages import judged_pages, pages_html, report_pages, trial_readings, usual_readings
    from hpsearch.report.study import NO_SAMPLES, ReportSamples

    files: dict[str, str] = {}
    if study_dir is None:
        return NO_SAMPLES, files
    pair = trial_readings(summary, study_dir, compared) if compared else []
    judged = judged_pages(usual_readings(summary, study_dir))
    pictures = PagePictures(study_dir, summary.definition, own)
    if pages and judged:
        files["pages.html"] = pages_html(summary.name, judged, pictures, output_dir, by_change=False)
    if pair:
        name = f"pages-{'-'.join(map(str, compared))}.html"
        files[name] = pages_html(summary.name, judged_pages(pair), pictures, output_dir, by_change=True)
    shown = report_pages(judged, pictures, output_dir)
    return ReportSamples(judged, shown, "pages.html" in files), files


def compare_studies(
    studies: Sequence[Study], *, output_dir: Path, png: bool = True, folders: Mapping[str, Path] | None = None
) -> ComparisonResult:
    """Write comparison.html, comparison.csv, comparison.json and a PNG of each figure into ``output_dir``.

    Studies with several objectives are left out, and a note names them. ``folders`` are the studies' by name, whose
    predictions say what scores are worth.

    Raises:
        UsageError: no study is left to compare.
    """
    from hpsearch.report import compare

    single = [study for study in studies if len(study.directions) == 1]
    if not single:
        raise UsageError("a comparison needs a study with one objective, but there is none", "name other studies")
    several = [study.study_name for study in studies if len(study.directions) != 1]
    left_out = tuple(f"{visible(name)} is left out: it has several objectives." for name in several)
    summaries = tuple(summarize(study, study_dir=(folders or {}).get(study.study_name)) for study in single)
    figures = compare.comparison_figures(summaries)
    texts = {
        "comparison.html": compare.comparison_html(summaries, figures, left_out),
        "comparison.csv": compare.comparison_csv(summaries),
        "comparison.json": compare.comparison_json(summaries),
    }
    files, notes = _write(output_dir, texts, figures if png else ())
    return ComparisonResult(files, (*left_out, *notes), summaries)


def _write(
    folder: Path, texts: Mapping[str, str], figures: Sequence[Figure]
) -> tuple[tuple[Path, ...], tuple[str, ...]]:
    """Write the texts and a PNG of each figure; return the files and the notes."""
    files = tuple(write_text(folder / name, text) for name, text in texts.items())
    pictures, note = write_pngs(figures, folder / "figures")
    return (*files, *pictures), (note,) if note else ()
