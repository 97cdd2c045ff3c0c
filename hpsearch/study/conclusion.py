"""The conclusion of a race of fresh runs: which configuration and adapter are taken, and what is claimed of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from statistics import median
from typing import Any

from optuna.trial import FrozenTrial, TrialState

from hpsearch.data.uncertainty import DocumentScores, Interval
from hpsearch.execution.job import encode_values
from hpsearch.study import attributes as attrs
from hpsearch.study.budget import gpus_of, seconds_of, spent_hours
from hpsearch.study.candidates import Candidate
from hpsearch.study.fresh_runs import FreshRuns, held_out_metric
from hpsearch.study.jobs import with_resolved
from hpsearch.study.noise import NoiseFloor, noise_floor
from hpsearch.study.preparation import PreparedInfo
from hpsearch.study.race import FreshRun, Race, RaceState, documents_of, value_of_runs
from hpsearch.study.records import attempt_of, best_trial, metrics_of, root_of

CHEAP, BEST = "cheap", "best"  # of --prefer


@dataclass(frozen=True)
class Conclusion:
    """The choice among the candidates that may be the best, once the race is over."""

    fresh: FreshRuns
    trials: Sequence[FrozenTrial]  # of the study of the fresh runs
    runs: Sequence[Mapping[int, FreshRun]]
    race: Race
    state: RaceState
    prefer: str

    @property
    def label(self) -> str:
        """The configuration that is taken."""
        return self._candidate(self._winner()).label

    def values(self, prepared: PreparedInfo) -> dict[str, Any]:
        """Return the result as it is stored, without how the race ended. Held-out scores are read here alone."""
        plan, winner = self.fresh.plan, self._winner()
        candidates = [self._described(one) for one in range(len(plan.candidates))]
        taken, seeds = candidates[winner], list(plan.seeds[: self.state.looks])
        chosen = self._handed_back(winner)
        heldout, why, own = self._claim(winner, chosen)
        definition = self.fresh.definition
        seed = int(chosen.user_attrs[attrs.SEED])
        config = definition.best_config(chosen.params, seed)
        if definition.command is None:
            config = with_resolved(config, prepared.resolved)
        documents = documents_of([self.runs[winner][seed] for seed in seeds]) is not None
        return {
            "study": plan.name,
            "metric": definition.objective.metric,
            "winner": {name: taken[name] for name in ("trial", "params", "set")},
            "set": [candidates[one] for one in self.state.alive],
            "candidates": candidates,
            "prefer": self.prefer,
            "seeds": seeds,
            "over": "over seeds and documents"
            if documents
            else "over seeds alone, as the runs have no rows to compare",
            "validation": {
                **{name: taken[name] for name in ("mean", "low", "high")},
                "per_candidate": [{n: one[n] for n in ("trial", "set", "mean", "low", "high")} for one in candidates],
            },
            "heldout": heldout,
            "heldout_why": why,
            "adapter": {
                "run": chosen.number,
                "seed": seed,
                "folder": chosen.user_attrs[attrs.FOLDER],
                "validation": chosen.value,
                "metrics": encode_values(metrics_of(chosen)),
                "heldout": own,
            },
            "config": config,
            "gpu_hours": round(spent_hours(self.trials), 6),
        }

    def _candidate(self, one: int) -> Candidate:
        return self.fresh.plan.candidates[one]

    def _winner(self) -> int:
        if self.prefer == BEST:
            return self.race.best(self.runs, self.state)
        described = {one: self._described(one) for one in self.state.alive}
        return min(described, key=lambda one: (described[one]["adapter_bytes"], described[one]["seconds"]))

    def _runs_of(self, one: int) -> list[FrozenTrial]:
        """Return the completed runs of a candidate with the seeds that count."""
        own = self.fresh.trials(self.trials)[one]
        seeds = self.fresh.plan.seeds[: self.state.looks]
        return [own[seed] for seed in seeds if seed in own and own[seed].state is TrialState.COMPLETE]

    def _described(self, one: int) -> dict[str, Any]:
        """Return a candidate with its mean and what it costs."""
        candidate, completed = self._candidate(one), self._runs_of(one)
        runs = [self.runs[one][int(trial.user_attrs[attrs.SEED])] for trial in completed]
        own = value_of_runs(runs, floor=self.floor) if runs else None
        seconds = [gpus_of(trial) * seconds_of(trial) for trial in completed]
        definition, adapters = self.fresh.definition, map(self._adapter_bytes, completed)
        settings = definition.trial_settings(candidate.params, 0)
        return {
            "trial": candidate.trial,
            "params": dict(candidate.params),
            "set": dict(candidate.changed),
            "mean": own.value if own else None,
            "low": own.low if own else None,
            "high": own.high if own else None,
            "runs": [run.value for run in runs],
            "why": self.state.out.get(one, ""),
            "seconds": round(median(seconds), 3) if seconds else 0.0,
            "adapter_bytes": max(adapters, default=0),
            "rank": settings.get("lora_r") if definition.command is None else None,
        }

    def _adapter_bytes(self, trial: FrozenTrial) -> int:
        folder = self.fresh.folders.attempt(root_of(trial), attempt_of(trial)) / "adapter"
        return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())

    def _handed_back(self, winner: int) -> FrozenTrial:
        """Return the run whose adapter is handed back: the best on validation rows with a complete adapter."""
        completed = self._runs_of(winner)
        whole = [trial for trial in completed if attrs.HALF_ADAPTER not in trial.user_attrs]
        found = best_trial(whole or completed, self.race.direction)
        if found is None:
            raise ValueError("the configuration that is taken has run with every seed")
        return found

    @cached_property
    def floor(self) -> NoiseFloor:
        """The noise of seeds, by the fresh runs of all candidates."""
        groups: list[Sequence[float] | DocumentScores] = []
        for own in self.runs:
            runs = [run for run in own.values() if not run.failure]
            groups.append(documents_of(runs) or [run.value for run in runs])
        return noise_floor([group for group in groups if group], direction=self.race.direction)

    def _claim(self, winner: int, chosen: FrozenTrial) -> tuple[dict[str, Any] | None, str, dict[str, Any] | None]:
        """Return the held-out scores of the configuration and of the chosen run, or why there is none.

        The winner was chosen for the luck of its seeds too, which the same adapters have on any rows. So each seed
        counts with the run of the candidate that the other seeds name; unless cost decided, which is no luck.
        """
        completed = self._runs_of(winner)
        if self.prefer == BEST and len(completed) > 1:
            trials = self.fresh.trials(self.trials)
            seeds = self.fresh.plan.seeds[: self.state.looks]
            named = [self.race.named_by_others(self.runs, self.state, seed) for seed in seeds]
            crossed = [trials[one][seed] for one, seed in zip(named, seeds, strict=True)]
        else:
            named, crossed = [winner] * len(completed), completed
        held, own = self.fresh.held_out(crossed), self.fresh.held_out([chosen])
        if held is None or own is None:
            metric = held_out_metric(self.fresh.definition)
            return None, f"the runs have no score on held-out rows ({metric})", None
        of = [self._candidate(one).label for one in named]
        claim = _as_json(value_of_runs(held, floor=self.floor)) | {"runs": [run.value for run in held], "of": of}
        return claim, "", _as_json(value_of_runs(own))


def _as_json(found: Interval) -> dict[str, Any]:
    return {"value": found.value, "low": found.low, "high": found.high}
