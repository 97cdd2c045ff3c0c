"""Sample studies: one such as hpsearch leaves, and the odd ones that other scripts leave."""

from __future__ import annotations

import json
import math
import random
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import optuna
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from hpsearch.execution.outcome import VERDICTS, Cause
from hpsearch.study import attributes as attrs

START = datetime(2026, 3, 2, 9, 0, 0)
EVALUATIONS = 20
SPACE = {
    "learning_rate": FloatDistribution(1e-5, 5e-3, log=True),
    "num_train_epochs": IntDistribution(2, 5),
    "lora_r": CategoricalDistribution((8, 16, 32, 64)),
    "warmup_ratio": FloatDistribution(0.0, 0.15),
}
DEFINITION = {
    "search_space": {"learning_rate": {"type": "loguniform", "low": 1e-5, "high": 5e-3}},
    "objective": {"metric": "eval_cer", "direction": "minimize"},
    "search_mode": "bayesian",
    "n_trials": 40,
    "model_name": "asset:digits-qwen3-vl",
    "input_data": "asset:digits",
    "instruction": "Read the digits.",
    "lora_alpha": 16,
    "seed": 1,
}
PREPARED = {
    "fingerprint": "b1946ac92492d2347c6235b4d2611184f0c7d2f9cbd1e5a3f6f0a1f7f6a0c1de",
    "model_fingerprint": "591785b794601e212b260e25925636fd0e3f8a6a3f4d1a0d6c1f6c9b2f1d7e0a",
    "family": "qwen3_vl",
    "backend": "hf",
    "device": "cpu",
    "rows": {"train": 320, "validation": 64, "holdout": 64},
    "base": {"eval_cer": 0.914, "eval_wer": 1.0, "eval_loss": 3.1, "holdout_cer": 0.921, "holdout_wer": 1.0},
    "versions": {"torch": "2.13.0", "transformers": "5.23.0", "peft": "0.21.2"},
}
ENDED = {Cause.CRASH: 3, Cause.CUDA_OOM: 7, Cause.DIVERGED: 11, Cause.LOST: 17, Cause.TIMEOUT: 29}
MESSAGES = {
    Cause.CRASH: "exit code 1: ValueError: image is truncated",
    Cause.CUDA_OOM: "CUDA out of memory. Tried to allocate 1.2 GiB",
    Cause.DIVERGED: "eval_loss is nan",
    Cause.LOST: "its runner died",
    Cause.TIMEOUT: "ran past its limit of 120 s",
}


def sample_study(name: str = "digits-ocr", trials: int = 40, seed: int = 7) -> optuna.Study:
    """A study as hpsearch leaves it: a default, pruned, failed, diverged and retried trials, learning curves."""
    study = optuna.create_study(study_name=name, direction="minimize", storage=optuna.storages.InMemoryStorage())
    study.set_user_attr(attrs.DEFINITION, DEFINITION)
    study.set_user_attr(attrs.PREPARED, PREPARED)
    study.set_user_attr(attrs.TARGET, trials)
    draw, clock, curves = random.Random(seed), START, []
    for number in range(trials):
        trial, clock, curve = _sample_trial(draw, number, clock, curves)
        study.add_trial(trial)
        if trial.state == TrialState.COMPLETE:
            curves.append(curve)
    retry = _retry_of(study.trials[ENDED[Cause.LOST]], trials, clock) if trials > ENDED[Cause.LOST] else None
    if retry:
        study.add_trial(retry)
    return study


def foreign_study() -> optuna.Study:
    """What another script leaves: inf for failures, FAIL, RUNNING, conditional parameters, no attributes of ours."""
    study = optuna.create_study(study_name="old-search", direction="minimize")
    draw = random.Random(3)
    for number in range(24):
        kind = draw.choice(["adam", "sgd"])
        params: dict[str, Any] = {"optimizer": kind, "lr": 10 ** draw.uniform(-5, -2)}
        distributions: dict[str, Any] = {
            "optimizer": CategoricalDistribution(("adam", "sgd")),
            "lr": FloatDistribution(1e-5, 1e-2, log=True),
        }
        if kind == "sgd":
            params["momentum"] = draw.uniform(0, 0.99)
            distributions["momentum"] = FloatDistribution(0, 0.99)
        value = math.inf if number % 5 == 0 else 0.2 + abs(math.log10(params["lr"]) + 3.5) * 0.3
        study.add_trial(create_trial(params=params, distributions=distributions, value=value))
    study.add_trial(create_trial(state=TrialState.FAIL))
    study.add_trial(create_trial(params=params, distributions=distributions, value=-math.inf))
    study.ask()
    study.enqueue_trial({"lr": 1e-3})
    return study


def write_predictions(folder: Path, samples: list[tuple[str, str]] | None = None) -> None:
    """Write a trial's predictions.jsonl."""
    texts = samples or [
        ("40713", "40713"),
        ("9921", "9971"),
        ("305 7", "3057"),
        ("", "1"),
        ("66", ""),
        ("ଓଡ଼ିଆ ୧୨", "ଓଡିଆ ୧୨"),
    ]
    folder.mkdir(parents=True)
    rows = [json.dumps({"row": row, "reference": left, "prediction": right}) for row, (left, right) in enumerate(texts)]
    (folder / "predictions.jsonl").write_text("\n".join(rows) + "\n", encoding="utf-8")


def _sample_trial(
    draw: random.Random, number: int, clock: datetime, curves: list[list[float]]
) -> tuple[FrozenTrial, datetime, list[float]]:
    params = _params(draw, number)
    floor = _floor(params) * draw.uniform(0.85, 1.25)
    noise = [draw.gauss(0, 0.012) for _ in range(EVALUATIONS)]
    curve = [
        min(1.2, floor + (0.95 - floor) * math.exp(-4.5 * (k + 1) / EVALUATIONS) + noise[k]) for k in range(EVALUATIONS)
    ]
    curve = [max(value, 0.01) for value in curve]
    cause, length = _ending(number, curve, curves)
    steps = {step + 1: curve[step] for step in range(length)}
    if VERDICTS[cause].value == "NaN report":
        steps[length + 1] = math.nan
    seconds = 4.0 + length * (0.35 + 0.12 * params["num_train_epochs"]) + draw.uniform(0, 1.5)
    metrics = {
        "eval_cer": floor,
        "eval_wer": min(1.0, 2.4 * floor),
        "eval_loss": 3 * floor,
        "holdout_cer": floor * draw.uniform(0.98, 1.12),
    }
    extra: dict[str, Any] = {attrs.IS_DEFAULT: True} if number == 0 else {}
    own = {
        attrs.OUTCOME: cause.value,
        attrs.MESSAGE: MESSAGES.get(cause, ""),
        attrs.METRICS: metrics if cause is Cause.OK else {},
        attrs.SEED: 1000 + number,
        attrs.ROOT: number,
        attrs.ATTEMPT: 1,
        attrs.DURATION: round(seconds, 3),
        attrs.FOLDER: f"trial_{number}",
    }
    state = TrialState[VERDICTS[cause].state]
    trial = create_trial(
        state=state,
        value=floor if cause is Cause.OK else None,
        params=params,
        distributions=SPACE,
        user_attrs=own | extra,
        intermediate_values=steps,
    )
    trial.datetime_start, trial.datetime_complete = clock, clock + timedelta(seconds=seconds)
    return trial, clock + timedelta(seconds=seconds + 0.4), curve


def _params(draw: random.Random, number: int) -> dict[str, Any]:
    if number == 0:
        return {"learning_rate": 2e-4, "num_train_epochs": 3, "lora_r": 16, "warmup_ratio": 0.03}
    return {
        "learning_rate": 10 ** draw.uniform(-5, math.log10(5e-3)),
        "num_train_epochs": draw.randint(2, 5),
        "lora_r": draw.choice([8, 16, 32, 64]),
        "warmup_ratio": draw.uniform(0.0, 0.15),
    }


def _floor(params: dict[str, Any]) -> float:
    distance = abs(math.log10(params["learning_rate"]) + 3.0)
    return min(0.98, 0.055 + 0.22 * distance**2 + 0.02 * (5 - params["num_train_epochs"]) + 0.1 / params["lora_r"])


def _ending(number: int, curve: list[float], curves: list[list[float]]) -> tuple[Cause, int]:
    named = {place: cause for cause, place in ENDED.items()}
    if number in named:
        return named[number], {Cause.CRASH: 2, Cause.LOST: 9}.get(named[number], 5)
    for step in range(4, EVALUATIONS):
        if len(curves) >= 5 and curve[step] > sorted(other[step] for other in curves)[3 * len(curves) // 4] * 1.1:
            return Cause.PRUNED, step + 1
    return Cause.OK, EVALUATIONS


def _retry_of(lost: FrozenTrial, number: int, clock: datetime) -> FrozenTrial:
    own = lost.user_attrs | {
        attrs.OUTCOME: Cause.OK.value,
        attrs.MESSAGE: "",
        attrs.METRICS: {"eval_cer": 0.21, "holdout_cer": 0.22},
        attrs.ATTEMPT: 2,
        attrs.RETRY_OF: lost.number,
        attrs.FOLDER: f"trial_{lost.number}/attempt-2",
    }
    steps = {step: 0.21 + 0.7 * math.exp(-0.25 * step) for step in range(1, EVALUATIONS + 1)}
    trial = create_trial(value=0.21, params=lost.params, distributions=SPACE, user_attrs=own, intermediate_values=steps)
    trial.datetime_start, trial.datetime_complete = clock, clock + timedelta(seconds=14)
    return trial
