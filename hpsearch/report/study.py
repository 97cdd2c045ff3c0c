"""The report of one study: the contents of its page, section by section, and its best configuration to copy."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from hpsearch.config.command import fill
from hpsearch.execution.units import duration_text
from hpsearch.report.figures.style import Figure
from hpsearch.report.hours import uses_text
from hpsearch.report.html import render_page
from hpsearch.report.pages import JudgedPage, ShownPage
from hpsearch.report.rows import ENDINGS, TrialRow
from hpsearch.report.summary import HeadlineScore, StudySummary, gain
from hpsearch.report.text import number_text, range_text
from hpsearch.report.verdicts import is_proven
from hpsearch.settings import TrainSettings, setting_names
from hpsearch.study.budget import hours_word

SECTIONS = (
    ("scores", "Base, default and best"),
    ("configuration", "Best configuration"),
    ("top", "Best trials"),
    ("figures", "Figures"),
    ("statistics", "Statistics"),
    ("failures", "Failures"),
    ("samples", "Sample predictions"),
    ("versions", "Versions"),
    ("reproduce", "How to reproduce"),
)
_MESSAGES = 5  # of one cause; the rest are in trials.csv
_NUMBERS = 12  # trials named beside a message


@dataclass(frozen=True)
class Configuration:
    """The best trial's configuration: flat JSON, and the command that repeats the trial.

    ``settings`` are complete if hpsearch made the study, only the parameters if another script did. ``defaults`` are
    the values that settings of the built-in fine-tune have if nothing names them. ``path`` is the file that holds the
    settings, None if there is none yet. ``command`` repeats the trial; "" if only the script that made the study can.
    """

    trial: TrialRow
    settings: Mapping[str, Any]
    path: Path | None
    command: str
    defaults: Mapping[str, Any] = field(default_factory=dict)

    @property
    def json(self) -> str:
        """All settings as JSON text."""
        return _json(self.settings)

    @property
    def searched(self) -> str:
        """The searched parameters as JSON text."""
        return _json(self.trial.params)

    @property
    def changed(self) -> str:
        """The other settings that differ from the defaults, as JSON text; "" if there are none."""
        others = {name: value for name, value in self.settings.items() if name not in self.trial.params}
        changed = {name: value for name, value in others.items() if value != self.defaults.get(name)}
        return _json(changed) if changed else ""


@dataclass(frozen=True)
class Card:
    """One of the three scores as the page shows it, with the intervals that are known. ``is_proven``: it is better than
    the base on held-out rows beyond the interval."""

    name: str
    title: str
    who: str
    value: float | None
    holdout: float | None
    gains: tuple[str, ...] = ()
    intervals: tuple[str, ...] = ()
    is_proven: bool = False


@dataclass(frozen=True)
class Failure:
    """The trials of one cause, and their messages with the numbers of the trials."""

    word: str
    remedy: str
    count: int
    messages: tuple[tuple[str, str], ...]
    more: int  # messages left out


@dataclass(frozen=True)
class ReportSamples:
    """The pages that the best trial judged, those that the report shows of them, by heading, and if all of them are in
    pages.html beside it."""

    judged: Sequence[JudgedPage] = ()
    shown: Sequence[tuple[str, Sequence[ShownPage]]] = ()
    has_file: bool = False


NO_SAMPLES = ReportSamples()


def report_html(
    summary: StudySummary, figures: Sequence[Figure], study_dir: Path | None, samples: ReportSamples = NO_SAMPLES
) -> str:
    """Return the report as one HTML text."""
    best = summary.best.trial if summary.best else None
    configuration = best_configuration(summary, study_dir)
    is_unsaved = configuration is not None and configuration.path is None and not summary.definition.get("command")
    return render_page(
        "report.html.j2",
        figures,
        {
            "summary": summary,
            "sections": SECTIONS,
            "endings": ENDINGS,
            "verdict": headline(summary),
            "verdicts": summary.verdicts,
            "intervals": summary.intervals,
            "scores": cards(summary),
            "any_held_out": any(card.holdout is not None for card in cards(summary)),
            "facts": facts(summary),
            "configuration": configuration,
            "conditions": conditions(summary),
            "save_first": is_unsaved,
            "held_out": any(row.holdout_value is not None for row in summary.top),
            "retries": len(summary.rows) - len(summary.trials),
            "failures": failures(summary),
            "interrupted": sum(row.ending.group == "interrupted" for row in summary.rows),
            "judged": samples.judged,
            "samples": samples.shown,
            "has_pages": samples.has_file,
            "no_samples": _no_samples(best, study_dir),
            "versions": versions(summary),
            "commands": commands(summary, configuration),
            "definition": json.dumps(summary.definition, indent=2, ensure_ascii=False),
        },
    )


def headline(summary: StudySummary) -> str:
    """Return the best score and its trial in one sentence; what it is worth is said by the verdicts."""
    best, objective = summary.best, summary.objective
    if best is None or best.trial is None or best.value is None:
        failed = sum(len(rows) for rows in summary.failures.values())
        return "No trial has completed with a finite value yet." + (
            f" {failed} failed; see Failures." if failed else ""
        )
    score = summary.evidence.validation.get("best") if summary.evidence else None
    shown = range_text(best.value, score.low, score.high) if score else number_text(best.value)
    return f"Trial {best.trial.label} has the best {objective.title} on the validation rows, {shown}."


def _better(compared: tuple[float, float | None] | None) -> str:
    if compared is None:
        return "compared with"
    difference, share = compared
    amount = number_text(abs(difference)) if share is None else f"{abs(share):.0%}"
    return f"{amount} {'better than' if difference > 0 else 'worse than'}" if difference else "equal to"


def cards(summary: StudySummary) -> list[Card]:
    """Return base, default and best, as far as they are known."""
    base, default, best = summary.base, summary.default, summary.best
    shown = []
    if base:
        card = Card("base", "Base", "the model before tuning", base.value, base.holdout)
        shown.append(replace(card, intervals=_intervals(summary, "base")))
    if default and default.trial:
        who = f"trial {default.trial.label}" + ("" if default.value is not None else f", {default.trial.ending.word}")
        card = Card("default", "Default", who, default.value, default.holdout, _gains(summary, default, base))
        shown.append(replace(card, intervals=_intervals(summary, "default")))
    if best and best.trial:
        who = f"trial {best.trial.label} of {len(summary.trials)}"
        gains = (*_gains(summary, best, base), *_gains(summary, best, default))
        card = Card("best", "Best", who, best.value, best.holdout, gains, _intervals(summary, "best"))
        shown.append(replace(card, is_proven=is_proven(summary.verdicts)))
    return shown


def _gains(summary: StudySummary, score: HeadlineScore, before: HeadlineScore | None) -> tuple[str, ...]:
    """Say how much better a score is: on held-out rows, or where there are none on those that chose it."""
    if before is None or (before.trial is score.trial and score.trial is not None):
        return ()
    held_out = gain(summary.objective, before.holdout, score.holdout)
    if held_out is not None:
        return (f"held out: {_better(held_out)} {before.name}",)
    searched = gain(summary.objective, before.value, score.value)
    return () if searched is None else (f"searched: {_better(searched)} {before.name}",)


def _intervals(summary: StudySummary, name: str) -> tuple[str, ...]:
    evidence = summary.evidence
    if evidence is None:
        return ()
    pairs = (("searched", evidence.validation.get(name)), ("held out", evidence.heldout.get(name)))
    return tuple(
        f"{word}, 95 % over {score.over}: {score.low:.3g} to {score.high:.3g}"
        for word, score in pairs
        if score and score.low is not None and score.high is not None
    )


def facts(summary: StudySummary) -> list[tuple[str, str]]:
    """Return the line of numbers under the scores."""
    of = f" of {summary.target}" if summary.target else ""
    named = [("finished", f"{summary.finished}{of}")]
    groups = [row.ending.group for row in summary.trials]
    for group in ("complete", "pruned", "failed", "interrupted", "open"):
        word = {"complete": "completed", "open": "running or waiting"}.get(group, group)
        if group in groups:
            named.append((word, str(groups.count(group))))
    named.append(("time in trials", duration_text(summary.time_total_s)))
    if summary.gpu_hours is not None and summary.on_gpu:
        named.append(("GPU-hours", f"{summary.gpu_hours:.3g}"))
    if summary.hours_by_use:
        named.append((f"{hours_word(summary.on_gpu)} by use", uses_text(summary.hours_by_use)))
    if summary.time_saved_s is not None:
        named.append(("saved by pruning, about", duration_text(summary.time_saved_s)))
    return named


def failures(summary: StudySummary) -> list[Failure]:
    """Group failed attempts by cause, with their messages, the most frequent first."""
    groups = []
    for cause, rows in summary.failures.items():
        by_message: dict[str, list[TrialRow]] = {}
        for row in rows:
            by_message.setdefault(row.message, []).append(row)
        order = sorted(by_message.items(), key=lambda item: (-len(item[1]), item[1][0].number))
        messages = tuple((message, _numbers(same)) for message, same in order[:_MESSAGES])
        ending = ENDINGS[cause]
        word = ending.word[:1].upper() + ending.word[1:]
        groups.append(Failure(word, ending.remedy, len(rows), messages, max(len(order) - _MESSAGES, 0)))
    return groups


def _numbers(rows: Sequence[TrialRow]) -> str:
    shown = ", ".join(str(row.number) for row in rows[:_NUMBERS])
    return shown if len(rows) <= _NUMBERS else f"{shown} and {len(rows) - _NUMBERS} more"


def _no_samples(best: TrialRow | None, study_dir: Path | None) -> str:
    if best is None:
        return "There are none until a trial has completed."
    if study_dir is None:
        return "The study's folder was not given, so there are no predictions to read."
    return "The best trial's folder has no predictions.jsonl, so there are none to show."


def versions(summary: StudySummary) -> list[tuple[str, str]]:
    """Return the inputs of the results: fingerprints, model, rows, device, versions."""
    prepared, definition = summary.prepared, summary.definition
    rows = dict(_pairs(prepared.rows))
    splits = [f"{rows[split]} {split}" for split in ("train", "validation", "holdout") if split in rows]
    inputs = [
        ("data fingerprint", prepared.fingerprint),
        ("model fingerprint", prepared.model_fingerprint),
        ("model", definition.get("model_name") or prepared.model_path),
        ("data", definition.get("input_data")),
        ("data revision", prepared.data_revision),
        ("rows", ", ".join(splits)),
        (
            "family, backend, device",
            ", ".join(str(part) for part in (prepared.family, prepared.backend, prepared.device) if part),
        ),
        ("versions", ", ".join(f"{name} {version}" for name, version in _pairs(prepared.versions))),
    ]
    return [(name, str(value)) for name, value in inputs if value]


def _pairs(value: object) -> list[tuple[str, object]]:
    return sorted((str(name), item) for name, item in value.items()) if isinstance(value, dict) else []


def commands(summary: StudySummary, configuration: Configuration | None) -> list[tuple[str, str]]:
    """Return commands that repeat or continue, each with a heading."""
    if not summary.definition:
        text = (
            f"import optuna\n\nstudy = optuna.load_study(study_name={summary.name!r}, storage=...)\nstudy.best_params"
        )
        return [("Another script made this study. Its trials, from Python:", text)]
    repeat = [("Repeat the best trial:", configuration.command)] if configuration and configuration.command else []
    more = shlex.join(("hpsearch", "run", "--study", summary.name, "--add-trials", "20"))
    return [*repeat, ("Continue the search with 20 more trials:", more)]


def best_configuration(summary: StudySummary, study_dir: Path | None) -> Configuration | None:
    """Return the configuration of the best trial, None if no trial completed."""
    row = summary.best.trial if summary.best else None
    if row is None:
        return None
    path = study_dir / f"{summary.name}_best_config.json" if study_dir else None
    written = _read(path, row)
    program = summary.definition.get("command")
    # Settings that the trial did not search, because their condition did not hold, have the value named for that.
    otherwise = {
        name: parameter["otherwise"]
        for name, parameter in _ranges(summary).items()
        if name not in row.params and "otherwise" in parameter
    }
    if isinstance(program, list) and all(isinstance(part, str) for part in program):
        settings = _mapping(summary.definition.get("settings")) | otherwise | dict(row.params)
        return Configuration(row, settings, path if written else None, _filled(program, settings, row))
    if not summary.definition:
        return Configuration(row, dict(row.params), None, "")
    if not written:
        names = setting_names() - {"seed"}
        fixed = {name: value for name, value in summary.definition.items() if name in names}
        seed = {} if row.seed is None else {"seed": row.seed}
        written, path = dict(sorted((fixed | otherwise | dict(row.params) | seed).items())), None
    config = str(path or f"{summary.name}_best_config.json")
    argv = ("hpsearch", "train", "--config", config, "--output-dir", f"{summary.name}-again")
    defaults = TrainSettings().model_dump(mode="json")
    return Configuration(row, written, path, shlex.join(argv), defaults)


def _json(settings: Mapping[str, Any]) -> str:
    return json.dumps(settings, indent=2, ensure_ascii=False, default=str)


def _read(path: Path | None, row: TrialRow) -> dict[str, Any] | None:
    """Return the file's settings if it is there and holds those of this trial."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8")) if path and path.is_file() else None
    except (OSError, ValueError):
        return None
    if not isinstance(settings, dict):
        return None
    values = _mapping(settings.get("settings")) or settings  # a study with its own command stores them apart
    return settings if all(values.get(name) == value for name, value in row.params.items()) else None


def _filled(program: list[str], settings: Mapping[str, Any], row: TrialRow) -> str:
    """Fill the trial's values into the study's own command; "" if it names an unknown value."""
    reserved = {"seed": row.seed, "output_dir": f"trial_{row.root}-again", "trial": row.root, "study": ""}
    try:
        return shlex.join(fill(program, {**settings, **reserved}))
    except KeyError:
        return ""


def conditions(summary: StudySummary) -> dict[str, str]:
    """Describe the conditions under which conditional settings are searched."""

    def text(name: str, values: Any) -> str:
        choices = values if isinstance(values, list) else [values]
        listed = (json.dumps(choice, ensure_ascii=False, default=str) for choice in choices)
        return f"{name} is {' or '.join(listed)}"

    wanted = {name: _mapping(parameter.get("when")) for name, parameter in _ranges(summary).items()}
    return {
        name: f"if {' and '.join(text(*condition) for condition in when.items())}"
        for name, when in wanted.items()
        if when
    }


def _ranges(summary: StudySummary) -> dict[str, dict[str, Any]]:
    return {name: _mapping(value) for name, value in _mapping(summary.definition.get("search_space")).items()}


def _mapping(value: object) -> dict[str, Any]:
    return {str(name): item for name, item in value.items()} if isinstance(value, dict) else {}
