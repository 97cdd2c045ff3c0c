"""The result of `hpsearch confirm` as it is stored with the searched study, and what is said of it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from hpsearch.execution.units import bytes_text
from hpsearch.study import attributes as attrs
from hpsearch.study.budget import HOUR_S, gpus_of, hours_word, seconds_of
from hpsearch.study.candidates import SEEDS, SUFFIX, TOP, best_configurations, candidate_label
from hpsearch.study.folders import StudyFolders, folder_name

if TYPE_CHECKING:
    from optuna import Study
    from optuna.trial import FrozenTrial

    from hpsearch.config.definition import StudyDefinition


@dataclass(frozen=True)
class Confirmed:
    """What was confirmed of a study; ``values`` are those of the attribute hps:confirmed (docs/confirm.md)."""

    values: Mapping[str, Any]

    @staticmethod
    def of(study: Study) -> Confirmed | None:
        """Read it from the searched study; None if nothing was confirmed."""
        values = study.user_attrs.get(attrs.CONFIRMED)
        return Confirmed(values) if isinstance(values, Mapping) else None

    @property
    def trial(self) -> int:
        """Number of the searched study's trial whose configuration was taken."""
        return int(self.values["winner"]["trial"])

    @property
    def run(self) -> int:
        """Number of the fresh run whose adapter is handed back."""
        return int(self.values["adapter"]["run"])

    def adapter(self, folders: StudyFolders) -> Path:
        """Return the folder of that adapter; ``folders`` are the searched study's."""
        fresh = folders.root.parent / folder_name(str(self.values["study"]))
        return fresh / str(self.values["adapter"]["folder"]) / "adapter"

    def is_shown(self, written: Mapping[str, Any]) -> bool:
        """Return True if a file of best parameters is this result's."""
        shown = written.get("confirmation") or {}
        same = ("study", "seeds", "adapter", "ended", "winner", "heldout")
        return bool(written.get("confirmed")) and all(shown.get(name) == self.values[name] for name in same)

    def lines(self) -> list[str]:
        """Say the result: the candidates with what each costs, then the two numbers."""
        values, taken = self.values, self.values["winner"]
        runs = len(values["seeds"])
        lines = [f"{values['metric']} over {runs} fresh seeds each (95 %: {values['over']}):"]
        for one in values["candidates"]:
            lines.append(f"  {candidate_label(one['trial'], one['set'])}: {_candidate_text(one)}")
        alike = [candidate_label(one["trial"], one["set"]) for one in values["set"]]
        name = candidate_label(taken["trial"], taken["set"])
        if len(alike) > 1:
            how = "the cheapest" if values["prefer"] == "cheap" else "the best mean"
            lines.append(f"cannot be told apart: {', '.join(alike)}; {how} is taken: {name}")
        elif len(values["candidates"]) > 1:
            lines.append(f"{name} is better than the others")
        held = values["heldout"]
        if held is None:
            return [*lines, f"nothing is claimed: {values['heldout_why']}"]
        adapter = values["adapter"]
        return [
            *lines,
            "on held-out rows, which chose nothing:",
            f"  the configuration, over {runs} seeds: {_interval_text(held)}{_named_text(held, name)}",
            f"  the adapter in best/ (run {adapter['run']}, the best of them on validation rows): "
            f"{_interval_text(adapter['heldout'])}",
        ]


def _named_text(held: Mapping[str, Any], winner: str) -> str:
    """Say that some of the held-out scores are of other candidates."""
    others = [label for label in held["of"] if label != winner]
    return (
        f"; {len(others)} of them by {', '.join(dict.fromkeys(others))}, which the other seeds name" if others else ""
    )


def _candidate_text(one: Mapping[str, Any]) -> str:
    if one["mean"] is None:
        return str(one["why"])
    costs = [f"{one['seconds']:.0f} s a run"] if one["seconds"] else []
    costs += [f"adapter {bytes_text(one['adapter_bytes'])}"] if one["adapter_bytes"] else []
    costs += [f"rank {one['rank']}"] if one["rank"] else []
    text = _interval_text({"value": one["mean"], "low": one["low"], "high": one["high"]})
    return "; ".join([text, *([", ".join(costs)] if costs else []), *([one["why"]] if one["why"] else [])])


def _interval_text(values: Mapping[str, Any]) -> str:
    if values["low"] is None or values["high"] is None:
        return f"{values['value']:.4g}"
    return f"{values['value']:.4g} ({values['low']:.4g} to {values['high']:.4g})"


def next_step(
    study: Study, definition: StudyDefinition, trials: Sequence[FrozenTrial], command: str, has_gpu: bool
) -> str:
    """Say that the best trial of a study is not confirmed, or was before its latest trials, with the ``command`` and
    its hours; empty if there is nothing to confirm."""
    chosen = best_configurations(trials, definition, TOP)
    if not chosen or attrs.CONFIRMS in study.user_attrs:
        return ""
    seconds = sum(gpus_of(trials[number]) * seconds_of(trials[number]) for number, _ in chosen)
    hours = f"about {SEEDS * seconds / HOUR_S:.2g} {hours_word(has_gpu)}"
    confirmed = Confirmed.of(study)
    if confirmed is None:
        before = "not confirmed: the best value is one run's, and the best of many looks better than it is"
    elif confirmed.values["before"] < len(trials):
        before = f"best/ was confirmed before trial {confirmed.values['before']}"
    else:
        return ""
    return f"{before}; confirm it with: {command} ({hours})"


def confirming(study: str) -> str:
    """Return the name of the study that confirms this one."""
    return f"{study}{SUFFIX}"
