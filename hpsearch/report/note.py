"""Notes in Markdown about a study and its trials, as optuna-dashboard shows them.

They hold text of others: code where it is a name, a value or a message, escaped where it is part of a sentence.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from hpsearch.execution.units import duration_text
from hpsearch.report.rows import TrialRow
from hpsearch.report.samples import trial_folder
from hpsearch.report.summary import HeadlineScore, StudySummary
from hpsearch.report.text import markdown_code, markdown_text, number_text, value_text, visible

_FILES = ("log.txt", "metrics.jsonl", "predictions.jsonl", "adapter")
_TOP, _MOST_PARAMETERS = 5, 6


def study_note(
    summary: StudySummary, command: Callable[[str], str], study_dir: Path | None, report_link: str = ""
) -> str:
    """Return the note of a study: result, table, files, commands. ``command`` returns the command line of a verb;
    ``report_link`` is the report's address, if the reader can open it."""
    from hpsearch.report.study import headline

    verdicts = "\n".join(f"- **{markdown_text(one.kind)}** {markdown_text(one.text)}" for one in summary.verdicts)
    parts = [*([verdicts] if verdicts else []), markdown_text(headline(summary)), _table(summary)]
    if study_dir is not None:
        place = markdown_code(study_dir / "report" / "index.html")
        parts.append(f"Report: [open it]({report_link}), or {place}" if report_link else f"Report: {place}")
    verbs = ("analyze", "logs", "confirm") if summary.best and summary.definition else ("analyze",)
    parts.append("\n".join(f"    {visible(command(verb))}" for verb in verbs))
    return "\n\n".join(parts) + "\n"


def trial_note(row: TrialRow, summary: StudySummary, study_dir: Path | None) -> str:
    """Return the note of a trial: what it is, how it ended, its files."""
    about = [f"Trial {row.number}", *([f"attempt {row.attempt} of trial {row.root}"] if row.attempt > 1 else [])]
    about += [{"default": "the default configuration"}.get(row.tag, row.tag)] if row.tag else []
    about += [f"repeats trial {row.repeats} with a fresh seed"] if row.repeats is not None else []
    about += ["the best trial"] if summary.best and summary.best.trial and row == summary.best.trial else []
    lines = [f"{', '.join(map(markdown_text, about))}: {row.ending.word}."]
    scores = [(summary.objective.title, row.value), ("on held-out rows", row.holdout_value)]
    lines += [f"- {markdown_text(name)}: {number_text(value)}" for name, value in scores if value is not None]
    lines += [f"- took {duration_text(row.duration_s)}"] if row.duration_s else []
    lines += [f"- {markdown_code(row.message, 400)}"] if row.message else []
    lines += [f"- {markdown_text(row.ending.remedy)}"] if row.ending.remedy else []
    folder = trial_folder(row, study_dir)
    if folder is not None:
        there = [name for name in _FILES if (folder / name).exists()]
        lines.append(f"- files: {markdown_code(folder)}" + (f" ({', '.join(there)})" if there else ""))
    return "\n".join([lines[0], "", *lines[1:]]) + "\n"


def _table(summary: StudySummary) -> str:
    """Return base, default, best and the trials that follow it as a table."""
    headline = [score for score in (summary.base, summary.default, summary.best) if score is not None]
    shown = [score.trial for score in headline]
    others = [HeadlineScore("", row.value, row.holdout_value, row) for row in summary.top if row not in shown]
    rows = [
        f"| {score.name} | {'—' if score.trial is None else score.trial.number} | {number_text(score.value)} "
        f"| {number_text(score.holdout)} | {_parameters(score.trial)} |"
        for score in (*headline, *others[:_TOP])
    ]
    metric = markdown_code(summary.objective.title, 40)
    return "\n".join([f"| | trial | {metric} | held out | parameters |", "|---|---|---|---|---|", *rows])


def _parameters(row: TrialRow | None) -> str:
    if row is None or not row.params:
        return "—"
    named = list(row.params.items())[:_MOST_PARAMETERS]
    more = ", …" if len(row.params) > len(named) else ""
    return ", ".join(markdown_code(f"{name}={value_text(value)}", 60) for name, value in named) + more
