"""What looking at a trial's memory before it is launched saves: ``python benchmarks/gate.py``, about five minutes.

Whole searches by hpsearch's own runner over simulated fine-tunes that run out of memory (surrogates.py), with the gate
of hpsearch/study/memory_gate.py and without it: the share of trials that ran out, the best value found, how many
configurations were not tried, and how many of these would have fitted after all. Means over seeds with their 95 %
intervals. At last goal G11 of the same runner: how many trials diverge.
"""

from __future__ import annotations

import argparse
import random
import statistics
import tempfile
import warnings
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, IntDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState
from surrogates import FAR, LINE, NEAR, RATES, TOY, Surrogate

from hpsearch.config.definition import StudyDefinition
from hpsearch.execution.executors.fake import FakeExecutor
from hpsearch.execution.job import Job
from hpsearch.execution.signals import Interruption
from hpsearch.study import attributes as attrs
from hpsearch.study.events import silent
from hpsearch.study.folders import study_folders
from hpsearch.study.jobs import JobMaker
from hpsearch.study.ledger import Ledger
from hpsearch.study.loop import Runner
from hpsearch.study.memory_gate import AVAILABLE, NEEDED, Device, Gate
from hpsearch.study.open import open_study

MEMORY = Path("/dev/shm")  # where the trials' files cost no time
JITTER = 0.01  # fraction by which two trials of one configuration may differ in memory


def definition(surrogate: Surrogate, sampler: str, seed: int) -> StudyDefinition:
    """A study of a surrogate: of the built-in training where it has its settings, else of a program."""
    space = {name: _range(distribution) for name, distribution in surrogate.space.items()}
    objective = {"metric": "eval_cer", "direction": surrogate.direction}
    common = {"search_space": space, "objective": objective, "sampler": sampler, "seed": seed, "pruner": "none"}
    if "longest_edge" in space:
        return StudyDefinition.from_flat({**common, "input_data": "/rows.json"})
    grows = [name for name in ("batch", "rank") if name in space]
    command = ["train", *(f"{{{name}}}" for name in space)]
    return StudyDefinition.from_flat({**common, "command": command, "memory_grows_with": grows})


def _range(distribution: Any) -> dict[str, Any]:
    if isinstance(distribution, CategoricalDistribution):
        return {"type": "categorical", "choices": list(distribution.choices)}
    ends = {"low": distribution.low, "high": distribution.high}
    if isinstance(distribution, IntDistribution):
        return {"type": "int", **ends, "log": distribution.log, "step": distribution.step}
    return {"type": "loguniform" if distribution.log else "uniform", **ends}


@dataclass(frozen=True)
class Result:
    """One search: the share of its trials that were wasted, the best value without noise, how many configurations were
    not tried, and how many of these fit."""

    wasted: float
    best: float
    not_tried: int
    wrong: int


def search(
    surrogate: Surrogate, mode: str, seed: int, *, gated: bool = True, measured: bool = True, slots: int = 1
) -> Result:
    """One search by hpsearch's runner; unless it is ``measured``, trials do not say what memory they took."""
    chance = random.Random(seed)

    def play(job: Job) -> Generator[dict[str, Any], bool, None]:
        value = surrogate.run(job.settings, chance)
        if value is not None:
            memory = surrogate.gigabytes(job.settings) * 1e9 * (1 + chance.uniform(-JITTER, JITTER))
            yield {"eval_cer": value, **({NEEDED: memory} if measured else {})}
        elif surrogate.limit:
            yield {AVAILABLE: surrogate.limit * 1e9 - 6e8}
            yield {"fault": "cuda_oom", "message": "out of device memory"}
        else:
            yield {"eval_cer": "nan"}

    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        ledger = open_study(InMemoryStorage(), "a", definition(surrogate, mode, seed))
        run(ledger, Path(folder), FakeExecutor(play, slots), surrogate, gated)
    return _result(ledger, surrogate)


def run(ledger: Ledger, folder: Path, executor: FakeExecutor, surrogate: Surrogate, gated: bool) -> None:
    """Run a study to its end."""
    folders = study_folders(folder, "a")
    device = Device("made up", int(surrogate.limit * 1e9)) if gated and surrogate.limit else None
    gate = Gate(ledger.definition, device)
    jobs = JobMaker(ledger.definition, folders, {})
    Runner(ledger, folders, jobs, executor, silent, Interruption(), target=surrogate.trials, gate=gate).run()


def _result(ledger: Ledger, surrogate: Surrogate) -> Result:
    trials = ledger.trials()
    refused = [trial for trial in trials if attrs.NOT_TRIED in trial.user_attrs]
    tried = [trial for trial in trials if attrs.NOT_TRIED not in trial.user_attrs]
    return Result(
        sum(trial.state is not TrialState.COMPLETE for trial in tried) / len(tried),
        surrogate.value(ledger.study.best_params),
        len(refused),
        sum(surrogate.fits(trial.params) for trial in refused),
    )


ROWS: list[tuple[str, str, dict[str, Any]]] = [
    ("random", "random", {"gated": False}),
    ("random, gate", "random", {}),
    ("TPE", "tpe", {"gated": False}),
    ("TPE, first proof", "tpe", {"measured": False}),
    ("TPE, gate", "tpe", {}),
    ("gp", "gp", {"gated": False}),
    ("gp, gate", "gp", {}),
    ("TPE, 4 at once", "tpe", {"gated": False, "slots": 4}),
    ("TPE, 4 at once, gate", "tpe", {"slots": 4}),
]


def table(surrogate: Surrogate, seeds: int) -> None:
    """Print what the gate changes."""
    from causes import mean

    print(
        f"\n{surrogate.name}: {surrogate.trials} trials\n  {'':24}{'% wasted':>14}{'best':>20}{'not tried':>14}  wrong"
    )
    for label, mode, said in ROWS:
        results = [search(surrogate, mode, seed, **said) for seed in range(seeds)]
        print(
            f"  {label:24}{mean([one.wasted for one in results], 1, 100):>14}"
            f"{mean([one.best for one in results], 4):>20}"
            f"{mean([one.not_tried for one in results], 1):>14}{sum(one.wrong for one in results):7}",
            flush=True,
        )


def main() -> None:
    """Print the tables."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", module="hpsearch")
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--seeds", type=int, default=20, help="searches in each row")
    seeds = options.parse_args().seeds
    for surrogate in (TOY, NEAR, FAR):
        table(surrogate, seeds)
    for surrogate, count, most in ((LINE, 8, 15), (RATES, 6, 5)):
        wasted = [round(search(surrogate, "gp", seed).wasted * surrogate.trials) for seed in range(count)]
        print(f"\n{surrogate.name}: {wasted} of {surrogate.trials} trials wasted, wanted <= {most}")
        print(f"  median {statistics.median(wasted):g}, most {max(wasted)}")


if __name__ == "__main__":
    main()
