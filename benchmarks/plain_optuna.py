"""What a user without hpsearch would write, for large_studies.py: ``plain_optuna.py WHAT URL STUDY FOLDER [COUNT]``."""

from __future__ import annotations

import json
import random
import re
import sys
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

STEPS = 16
SPACE = {
    "learning_rate": FloatDistribution(1e-5, 1e-3, log=True),
    "warmup_ratio": FloatDistribution(0.0, 0.2),
    "lora_dropout": FloatDistribution(0.0, 0.2),
    "num_train_epochs": IntDistribution(1, 5),
    "lora_r": CategoricalDistribution([8, 16, 32, 64]),
    "lr_scheduler_type": CategoricalDistribution(["linear", "cosine", "constant"]),
}


def status(study: optuna.Study, folder: Path, count: int) -> None:
    """Where the study stands."""
    table = study.trials_dataframe(attrs=("number", "value", "state"))
    print(table["state"].value_counts().to_dict(), study.best_trial.number, study.best_value, study.best_params)


def ask(study: optuna.Study, folder: Path, count: int) -> None:
    """The next trial's parameters."""
    print(study.ask(SPACE).params)


def trials(study: optuna.Study, folder: Path, count: int) -> None:
    """So many trials; prints the cost of each after the first."""
    chance, marks = random.Random(1), []
    for _ in range(count):
        trial = study.ask(SPACE)
        level = chance.random()
        for step in range(1, STEPS + 1):
            trial.report(level + 1 / step, step)
            if trial.should_prune():
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            study.tell(trial, level)
        marks.append((time.process_time(), time.monotonic()))
    (cpu, wall), (last_cpu, last_wall) = marks[0], marks[-1]
    peak = re.search(r"VmHWM:\s+(\d+)", Path("/proc/self/status").read_text())
    each = count - 1
    print(json.dumps([(last_cpu - cpu) / each, (last_wall - wall) / each, 1024.0 * float(peak[1] if peak else 0)]))


def report(study: optuna.Study, folder: Path, count: int) -> None:
    """The six figures of hpsearch's report, in one page."""
    from optuna import visualization as draw

    figures = [
        draw.plot_optimization_history(study),
        draw.plot_param_importances(study),
        draw.plot_slice(study),
        draw.plot_parallel_coordinate(study),
        draw.plot_intermediate_values(study),
        draw.plot_timeline(study),
    ]
    parts = [figure.to_html(full_html=False, include_plotlyjs=not place) for place, figure in enumerate(figures)]
    (folder / "plain.html").write_text("".join(parts))


WHAT: dict[str, Callable[[optuna.Study, Path, int], None]] = {
    "status": status,
    "ask": ask,
    "trials": trials,
    "report": report,
}


def main() -> None:
    """Do what was asked for."""
    warnings.simplefilter("ignore")
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    what, url, name, folder, *more = sys.argv[1:]
    study = optuna.load_study(
        study_name=name, storage=url, sampler=optuna.samplers.TPESampler(seed=1), pruner=optuna.pruners.MedianPruner()
    )
    WHAT[what](study, Path(folder), int(more[0]) if more else 1)


if __name__ == "__main__":
    main()
