"""What pruning saves, and what it costs in quality: ``python benchmarks/pruning.py``.

Searches of 20 trials over simulated fine-tunes, 30 seeds each, without pruning and with the median pruner after a
warm-up of a fifth and of half of a trial's 20 evaluations. Regret is the best final CER found, less the best there is.
The curves are made up; what they share with real ones is that CER falls fast, then slowly, that a rate too high spoils
it and one too low hardly moves it, that longer training costs more and gains less, and that every figure is noisy.
"""

from __future__ import annotations

import math
import random
import statistics

import optuna
from optuna.samplers import RandomSampler, TPESampler

from hpsearch.config.fields import PrunerSettings
from hpsearch.study.pruning import make_pruner

TRIALS, SEEDS, EVALUATIONS = 20, 30, 20
BEST_RATE, FLOOR, NOISE = 1e-4, 0.05, 0.01
PRUNERS = {
    "none": PrunerSettings(type="none"),
    "a fifth": PrunerSettings(type="median", n_startup_trials=5, n_warmup_steps=4),
    "half": PrunerSettings(type="median", n_startup_trials=5, n_warmup_steps=10),
}
SAMPLERS = {"random": RandomSampler, "tpe": TPESampler}


def cer(rate: float, epochs: int, rank: int, fraction: float = 1.0, noise: float = 0.0) -> float:
    """CER after a ``fraction`` of a fine-tune of so many ``epochs``."""
    off = math.log10(rate / BEST_RATE)
    floor = FLOOR + 0.08 * off**2 + 0.01 * abs(math.log2(rank / 16)) + (0.5 if off > 0.6 else 0.0)
    speed = 1.5 * min(1.0, 10**off)
    return min(1.0, floor + (0.9 - FLOOR) * math.exp(-speed * epochs * fraction) + noise)


def search(mode: str, pruner: PrunerSettings, seed: int) -> tuple[float, float, list[float]]:
    """One search: the CER of its best trial without noise, the epochs it trained in all, and at which fraction of
    their training trials were pruned."""
    chance = random.Random(seed)
    study = optuna.create_study(sampler=SAMPLERS[mode](seed=seed), pruner=make_pruner(pruner, EVALUATIONS))
    spent, found, stopped = 0.0, {}, []
    for _ in range(TRIALS):
        trial = study.ask()
        rate = trial.suggest_float("learning_rate", 1e-5, 5e-4, log=True)
        epochs, rank = trial.suggest_int("num_train_epochs", 2, 5), trial.suggest_categorical("lora_r", [8, 16, 32, 64])
        for step in range(1, EVALUATIONS + 1):
            trial.report(cer(rate, epochs, rank, step / EVALUATIONS, chance.gauss(0, NOISE)), step)
            spent += epochs / EVALUATIONS
            if step < EVALUATIONS and trial.should_prune():
                stopped.append(step / EVALUATIONS)
                study.tell(trial, state=optuna.trial.TrialState.PRUNED)
                break
        else:
            found[trial.number] = cer(rate, epochs, rank)
            study.tell(trial, cer(rate, epochs, rank, noise=chance.gauss(0, NOISE)))
    return found[study.best_trial.number], spent, stopped


def main() -> None:
    """Print the table."""
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    least = cer(BEST_RATE, epochs=5, rank=16)
    print(f"{TRIALS} trials, {SEEDS} seeds; regret: CER above the best possible, {least:.3f}\n")
    print(f"{'search':10}{'warm-up':10}{'mean regret':>13}{'epochs':>9}{'saved':>8}{'pruned':>9}{'at':>8}")
    for mode in SAMPLERS:
        whole = 0.0
        for name, pruner in PRUNERS.items():
            results = [search(mode, pruner, seed) for seed in range(SEEDS)]
            regret = statistics.fmean(value for value, _, _ in results) - least
            spent = statistics.fmean(epochs for _, epochs, _ in results)
            stopped = [each for _, _, fractions in results for each in fractions]
            share = len(stopped) / SEEDS / (TRIALS - pruner.n_startup_trials)  # of the trials that may be pruned
            at = statistics.fmean(stopped) if stopped else 1.0
            whole = whole or spent
            print(f"{mode:10}{name:10}{regret:13.4f}{spent:9.1f}{1 - spent / whole:8.0%}{share:9.0%}{at:8.0%}")


if __name__ == "__main__":
    main()
