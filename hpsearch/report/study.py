"""The report of one study: what its page says, section by section."""

from __future__ import annotations

import json
import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch.config.command import fill
from hpsearch.report.figures.style import Figure
from hpsearch.report.html import render_page
from hpsearch.report.rows import ENDINGS, TrialRow, ending
from hpsearch.report.samples import read_samples, trial_folder
from hpsearch.report.summary import HeadlineScore, StudySummary, gain
from hpsearch.report.text import duration_text, number_text
from hpsearch.settings import setting_names

# The best trial's configuration as something to copy: flat JSON, and the command that repeats the trial.


@dataclass(frozen=True)
class Configuration:
    """``settings`` are complete where hpsearch made the study, the parameters alone where another script did.

    ``path`` is the file that holds them, None where there is none yet. ``command`` repeats the trial; "" where only the
    script that made the study can.
    """

    trial: TrialRow
    settings: Mapping[str, Any]
    path: Path | None
    command: str

    @property
    def json(self) -> str:
        """The settings as JSON text."""
        return json.dumps(self.settings, indent=2, ensure_ascii=False, default=str)


def best_configuration(summary: StudySummary, study_dir: Path | None) -> Configuration | None:
    """The configuration of the best trial, None where no trial completed."""
    row = summary.best.trial if summary.best else None
    if row is None:
        return None
    path = study_dir / f"{summary.name}_best_config.json" if study_dir else None
    written = _read(path, row)
    program = summary.definition.get("command")
    if isinstance(program, list) and all(isinstance(part, str) for part in program):
        settings = _mapping(summary.definition.get("settings")) | _inactive(summary, row) | dict(row.params)
        return Configuration(row, settings, path if written else None, _filled(program, settings, row))
    if not summary.definition:
        return Configuration(row, dict(row.params), None, "")
    settings = written or _complete(summary, row)
    config = str(path) if written else f"{summary.name}_best_config.json"
    argv = ("hpsearch", "train", "--config", config, "--output-dir", f"{summary.name}-again")
    return Configuration(row, settings, path if written else None, shlex.join(argv))


def _complete(summary: StudySummary, row: TrialRow) -> dict[str, Any]:
    fixed = {name: value for name, value in summary.definition.items() if name in setting_names() and name != "seed"}
    seed = {} if row.seed is None else {"seed": row.seed}
    return dict(sorted((fixed | _inactive(summary, row) | dict(row.params) | seed).items()))


def _inactive(summary: StudySummary, row: TrialRow) -> dict[str, Any]:
    """What settings are said to be that the trial did not search, as their condition did not hold there."""
    return {
        name: each["otherwise"]
        for name, each in _ranges(summary).items()
        if name not in row.params and "otherwise" in each
    }


def conditions(summary: StudySummary) -> dict[str, str]:
    """In words, where settings are searched that are not searched in every trial."""
    wanted = {name: _mapping(each.get("when")) for name, each in _ranges(summary).items()}
    return {name: f"where {' and '.join(map(_wanted, when.items()))}" for name, when in wanted.items() if when}


def _wanted(condition: tuple[str, Any]) -> str:
    name, values = condition
    listed = values if isinstance(values, list) else [values]
    return f"{name} is {' or '.join(json.dumps(value, ensure_ascii=False, default=str) for value in listed)}"


def _ranges(summary: StudySummary) -> dict[str, dict[str, Any]]:
    return {name: _mapping(each) for name, each in _mapping(summary.definition.get("search_space")).items()}


def _filled(program: list[str], settings: Mapping[str, Any], row: TrialRow) -> str:
    """The study's own command with the trial's values in their places; "" where it names a value that is not known."""
    reserved = {"seed": row.seed, "output_dir": f"trial_{row.root}-again", "trial": row.root, "study": ""}
    try:
        return shlex.join(fill(program, {**settings, **reserved}))
    except KeyError:
        return ""


def _read(path: Path | None, row: TrialRow) -> dict[str, Any] | None:
    """The file's settings, if it is there and is about this trial."""
    try:
        settings = json.loads(path.read_text(encoding="utf-8")) if path and path.is_file() else None
    except (OSError, ValueError):
        return None
    if not isinstance(settings, dict):
        return None
    values = _mapping(settings.get("settings")) or settings  # a study with a command of its own keeps them apart
    return settings if all(values.get(name) == value for name, value in row.params.items()) else None


def _mapping(value: object) -> dict[str, Any]:
    return {str(name): item for name, item in value.items()} if isinstance(value, dict) else {}


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
_SETUP = ("family", "backend", "device")
_MESSAGES = 5  # of one cause; the rest are in trials.csv
_NUMBERS = 12  # trials named beside a message


@dataclass(frozen=True)
class Card:
    """One of the three scores as the page shows it."""

    name: str
    title: str
    who: str
    value: float | None
    holdout: float | None
    gains: tuple[str, ...]


@dataclass(frozen=True)
class Failure:
    """The trials of one cause, and their messages with the trials that have them."""

    word: str
    remedy: str
    count: int
    messages: tuple[tuple[str, str], ...]
    more: int  # messages left out


def report_html(summary: StudySummary, figures: Sequence[Figure], study_dir: Path | None) -> str:
    """The report as one HTML text."""
    best = summary.best.trial if summary.best else None
    configuration = best_configuration(summary, study_dir)
    return render_page(
        "report.html.j2",
        figures,
        {
            "summary": summary,
            "sections": SECTIONS,
            "endings": ENDINGS,
            "verdict": verdict(summary),
            "scores": cards(summary),
            "any_held_out": any(card.holdout is not None for card in cards(summary)),
            "facts": facts(summary),
            "configuration": configuration,
            "conditions": conditions(summary),
            "save_first": configuration is not None
            and configuration.path is None
            and not summary.definition.get("command"),
            "held_out": any(row.holdout_value is not None for row in summary.top),
            "retries": len(summary.rows) - len(summary.trials),
            "failures": failures(summary),
            "samples": read_samples(trial_folder(best, study_dir)) if best else None,
            "no_samples": _no_samples(best, study_dir),
            "versions": versions(summary),
            "commands": commands(summary, configuration),
            "definition": json.dumps(summary.definition, indent=2, ensure_ascii=False),
        },
    )


def verdict(summary: StudySummary) -> list[str]:
    """What came out, in one or two sentences."""
    best, objective = summary.best, summary.objective
    if best is None or best.trial is None:
        failed = sum(len(rows) for rows in summary.failures.values())
        return [
            "No trial has completed with a finite value yet." + (f" {failed} failed; see Failures." if failed else "")
        ]
    compared = [
        f"{_better(gain(objective, score.value, best.value))} {_NAMES[score.name]} ({number_text(score.value)})"
        for score in (summary.base, summary.default)
        if score and score.value is not None and score.trial is not best.trial
    ]
    first = f"The best {objective.title} is {number_text(best.value)}, in trial {best.trial.label}"
    own = " It is the default configuration itself." if best.trial.is_default else ""
    sentence = f"{first}: {' and '.join(compared)}.{own}" if compared else f"{first}.{own}"
    return [sentence, *_no_better(summary), *_held_out(summary)]


def _no_better(summary: StudySummary) -> list[str]:
    """A warning where the search found nothing better than the untuned base."""
    base = summary.base.value if summary.base else None
    best = summary.best.value if summary.best else None
    if base is None or best is None or summary.objective.rank(best) < summary.objective.rank(base):
        return []
    return ["No trial is better than the untuned base: train longer, or search higher learning rates."]


def cards(summary: StudySummary) -> list[Card]:
    """Base, default and best, as far as they are known."""
    made = []
    if summary.base:
        made.append(Card("base", "Base", "the model before tuning", summary.base.value, summary.base.holdout, ()))
    if summary.default and summary.default.trial:
        row = summary.default.trial
        who = f"trial {row.label}" + ("" if row.value is not None else f", {row.ending.word}")
        made.append(_card("default", "Default", who, summary.default, _gains(summary, summary.default, summary.base)))
    if summary.best and summary.best.trial:
        gains = _gains(summary, summary.best, summary.default or summary.base)
        who = f"trial {summary.best.trial.label} of {len(summary.trials)}"
        made.append(_card("best", "Best", who, summary.best, gains))
    return made


def facts(summary: StudySummary) -> list[tuple[str, str]]:
    """The strip of numbers under the scores."""
    of = f" of {summary.target}" if summary.target else ""
    named = [("finished", f"{summary.finished}{of}")]
    groups = [row.ending.group for row in summary.trials]
    for group in ("complete", "pruned", "failed", "interrupted", "open"):
        word = {"complete": "completed", "open": "running or waiting"}.get(group, group)
        if group in groups:
            named.append((word, str(groups.count(group))))
    named.append(("time in trials", duration_text(summary.time_total_s)))
    if summary.gpu_hours is not None:
        named.append(("GPU-hours", f"{summary.gpu_hours:.3g}"))
    if summary.time_saved_s is not None:
        named.append(("saved by pruning, about", duration_text(summary.time_saved_s)))
    return named


def failures(summary: StudySummary) -> list[Failure]:
    """Failed and interrupted attempts by cause, with their messages."""
    return [_failure(cause, rows) for cause, rows in summary.failures.items()]


def versions(summary: StudySummary) -> list[tuple[str, str]]:
    """What decided the results: fingerprints, model, rows, device, versions."""
    prepared, definition = summary.prepared, summary.definition
    rows = dict(_pairs(prepared.get("rows")))
    splits = [f"{rows[split]} {split}" for split in ("train", "validation", "holdout") if split in rows]
    told = [
        ("data fingerprint", prepared.get("fingerprint")),
        ("model fingerprint", prepared.get("model_fingerprint")),
        ("model", definition.get("model_name") or prepared.get("model_path")),
        ("data", definition.get("input_data")),
        ("data revision", prepared.get("data_revision")),
        ("rows", ", ".join(splits)),
        ("family, backend, device", ", ".join(str(prepared[name]) for name in _SETUP if prepared.get(name))),
        ("versions", ", ".join(f"{name} {version}" for name, version in _pairs(prepared.get("versions")))),
    ]
    return [(name, str(value)) for name, value in told if value]


def commands(summary: StudySummary, configuration: Configuration | None) -> list[tuple[str, str]]:
    """Commands that repeat or continue, each with what it does."""
    if not summary.definition:
        text = (
            f"import optuna\n\nstudy = optuna.load_study(study_name={summary.name!r}, storage=...)\nstudy.best_params"
        )
        return [("Another script made this study. Its trials, from Python:", text)]
    repeat = [("Repeat the best trial:", configuration.command)] if configuration and configuration.command else []
    more = shlex.join(("hpsearch", "run", "--study", summary.name, "--add-trials", "20"))
    return [*repeat, ("Search on, with 20 more trials:", more)]


_NAMES = {"base": "the untuned base", "default": "the default configuration"}


def _better(compared: tuple[float, float | None] | None) -> str:
    if compared is None:
        return "compared with"
    difference, share = compared
    amount = number_text(abs(difference)) if share is None else f"{abs(share):.0%}"
    return f"{amount} {'better than' if difference > 0 else 'worse than'}" if difference else "equal to"


def _held_out(summary: StudySummary) -> list[str]:
    best, objective = summary.best, summary.objective
    if best is None or best.holdout is None:
        return []
    before = next((s for s in (summary.default, summary.base) if s and s.holdout is not None and s is not best), None)
    first = f"On rows held out of the search it is {number_text(best.holdout)}"
    compared = gain(objective, before.holdout, best.holdout) if before and before.trial is not best.trial else None
    if before is None or compared is None:
        return [f"{first}."]
    if compared[0] <= 0:
        return [
            f"{first}, no better than {_NAMES[before.name]} ({number_text(before.holdout)}): the gain may be chance."
        ]
    return [f"{first}, {_better(compared)} {_NAMES[before.name]} ({number_text(before.holdout)})."]


def _card(name: str, title: str, who: str, score: HeadlineScore, gains: tuple[str, ...]) -> Card:
    return Card(name, title, who, score.value, score.holdout, gains)


def _gains(summary: StudySummary, score: HeadlineScore, before: HeadlineScore | None) -> tuple[str, ...]:
    if before is None or before.trial is score.trial:
        return ()
    lines = []
    for word, old, new in (("searched", before.value, score.value), ("held out", before.holdout, score.holdout)):
        compared = gain(summary.objective, old, new)
        if compared is not None:
            lines.append(f"{word}: {_better(compared)} {before.name}")
    return tuple(lines)


def _failure(cause: str, rows: Sequence[TrialRow]) -> Failure:
    by_message: dict[str, list[TrialRow]] = {}
    for row in rows:
        by_message.setdefault(row.message, []).append(row)
    order = sorted(by_message.items(), key=lambda item: (-len(item[1]), item[1][0].number))
    messages = tuple((message, _numbers(having)) for message, having in order[:_MESSAGES])
    told = ending(cause)
    return Failure(
        told.word[:1].upper() + told.word[1:], told.remedy, len(rows), messages, max(len(order) - _MESSAGES, 0)
    )


def _numbers(rows: Sequence[TrialRow]) -> str:
    shown = ", ".join(str(row.number) for row in rows[:_NUMBERS])
    return shown if len(rows) <= _NUMBERS else f"{shown} and {len(rows) - _NUMBERS} more"


def _no_samples(best: TrialRow | None, study_dir: Path | None) -> str:
    if best is None:
        return "There are none before a trial has completed."
    if study_dir is None:
        return "The study's folder was not given, so there is nothing to read them from."
    return "The best trial's folder has no predictions.jsonl, so there is nothing to show."


def _pairs(value: object) -> list[tuple[str, object]]:
    return sorted((str(name), item) for name, item in value.items()) if isinstance(value, dict) else []
