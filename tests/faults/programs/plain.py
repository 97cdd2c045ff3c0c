"""What a user would write with Optuna alone: trials as subprocesses, resumed by ``load_if_exists``.

Its trials print "step value" and at last "value"; they are stopped when they are pruned.
"""

from __future__ import annotations

import argparse
import subprocess
import warnings

import optuna


def main() -> None:
    """Go on with the study until there are as many finished trials as asked for."""
    warnings.simplefilter("ignore")
    parser = argparse.ArgumentParser()
    parser.add_argument("--storage", required=True)
    parser.add_argument("--n-trials", type=int, required=True)
    parser.add_argument("--grid", type=int, default=0, help="points on a side")
    parser.add_argument("command", nargs="+")
    arguments = parser.parse_args()
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    side = list(range(arguments.grid))
    grid = optuna.samplers.GridSampler({"x": side, "y": side}, seed=0) if side else None
    sampler = grid or optuna.samplers.TPESampler(seed=0)
    study = optuna.create_study(study_name="plain", storage=arguments.storage, sampler=sampler, load_if_exists=True)

    def objective(trial: optuna.Trial) -> float:
        names = ("x", "y") if side else ("x",)
        for name in names:
            trial.suggest_categorical(name, side) if side else trial.suggest_float(name, 0.0, 10.0)
        words = [str(trial.params[name]) for name in names]
        program = subprocess.Popen([*arguments.command, *words], stdout=subprocess.PIPE, text=True)
        assert program.stdout is not None
        value = float("nan")
        for line in program.stdout:
            *step, value_text = line.split()
            value = float(value_text)
            if step:
                trial.report(value, int(step[0]))
                if trial.should_prune():
                    program.terminate()
                    raise optuna.TrialPruned
        program.wait()
        return value

    done = sum(trial.state.is_finished() for trial in study.get_trials(deepcopy=False))
    study.optimize(objective, n_trials=max(0, arguments.n_trials - done))


if __name__ == "__main__":
    main()
