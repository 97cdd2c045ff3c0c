"""What people write themselves: Optuna in SQLite, and a subprocess for each trial. Arguments: times file, trials."""

import subprocess
import sys
from pathlib import Path

import optuna

TRIAL = Path(__file__).with_name("imports.py")


def objective(trial: optuna.Trial) -> float:
    """One trial."""
    rate = trial.suggest_float("rate", 1e-5, 1e-3, log=True)
    subprocess.run([sys.executable, str(TRIAL), sys.argv[1], str(rate)], check=True)
    return rate


study = optuna.create_study(study_name="search", storage=f"sqlite:///{sys.argv[1]}.db")
study.optimize(objective, n_trials=int(sys.argv[2]))
