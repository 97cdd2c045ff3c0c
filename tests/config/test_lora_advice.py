"""Common mistakes are reported before the first trial; sound definitions are not."""

from __future__ import annotations

from typing import Any

import pytest

from hpsearch.config.advice import advice
from hpsearch.config.definition import StudyDefinition
from tests.config.test_definition import BOTH, RATE

FEW = {"pruner": {"type": "median", "n_startup_trials": 2, "n_warmup_steps": 4}}
RANKS = {"type": "categorical", "choices": [8, 16, 32]}


def warnings_of(**keys: Any) -> list[str]:
    space = keys.pop("search_space", {})
    return advice(StudyDefinition.from_flat({**FEW, "search_space": {"weight_decay": RATE, **space}, **keys}))


@pytest.mark.parametrize(
    ("keys", "words"),
    [
        ({"lora_r": 512}, "lora_alpha=16 with lora_r=512 multiplies the update by 0.0312 (lora_alpha / lora_r)"),
        ({"search_space": {"lora_r": {**RANKS, "choices": [8, 16, 512]}}}, "write lora_alpha_ratio, 1 or 2, instead"),
        ({"lora_r": 4, "lora_alpha": 128}, "lora_alpha=128 with lora_r=4 multiplies the update by 32"),
        ({"lora_alpha_ratio": 20}, "lora_alpha=320 with lora_r=16 multiplies the update by 20"),
        (
            {"lora_r": 64, "lora_alpha": 256, "use_rslora": True},
            "multiplies the update by 32 (lora_alpha / the square root of lora_r), where 0.25 to 8 is usual; lower",
        ),
        (
            {"search_space": {"learning_rate": RATE, "lora_alpha": RANKS}},
            "lora_alpha and learning_rate are both searched, but with Adam they do nearly the same",
        ),
        (
            {"search_space": {"learning_rate": RATE, "lora_r": RANKS, "lora_alpha_ratio": RANKS}},
            "fix lora_alpha_ratio, and the trials go to the other settings",
        ),
        (
            {
                "search_space": {
                    "learning_rate": RATE,
                    "per_device_train_batch_size": RANKS,
                    "gradient_accumulation_steps": RANKS,
                }
            },
            "only their product changes the result: search effective_batch_size instead",
        ),
        ({"learning_rate": 2e-6}, "every learning_rate is at most 2e-06, as for training all weights"),
        (
            {"search_space": {"learning_rate": {**RATE, "low": 1e-7, "high": 4e-6}}},
            "LoRA needs about ten times as much, around 0.0001 at an effective batch of 4",
        ),
        ({"learning_rate": 5e-3}, "every learning_rate is at least 0.005, where most trainings diverge"),
        (
            {"effective_batch_size": 1, "learning_rate": 1e-3},
            "diverge at an effective batch of 1: around 5e-05 is usual",
        ),
        (
            {"search_space": {"effective_batch_size": {**RANKS, "choices": [4, 8, 16]}}},
            "effective batches of 4 to 16 are compared at one learning_rate",
        ),
        (
            {"search_space": {"gradient_accumulation_steps": {"type": "int", "low": 1, "high": 8}}},
            "effective batches of 1 to 8 are compared at one learning_rate",
        ),
        (
            {
                "search_space": {
                    "learning_rate": RATE,
                    "optim": {"type": "categorical", "choices": ["adamw_torch", "sgd"]},
                }
            },
            "sgd is compared with other optimisers over the same learning rates",
        ),
        ({"search_space": {"max_seq_length": {**RANKS, "choices": [4096, 8192]}}}, "it is a limit that is checked"),
        (
            {"effective_batch_size": 16, "search_space": {"per_device_train_batch_size": RANKS}},
            '"per_device_train_batch_size" is searched, but changes no result: with effective_batch_size',
        ),
        ({"search_space": {"gradient_checkpointing": BOTH}}, "it trades time for memory; fix it"),
        ({"search_space": {"seed": {"type": "int", "low": 1, "high": 99}}}, "the best one is the luckiest"),
        (
            {"search_space": {"lora_r": {"type": "int", "low": 8, "high": 8}}},
            '"lora_r" is searched, but has one value, 8',
        ),
        (
            {
                "search_space": {
                    "lora_r": {"type": "int", "low": 8, "high": 64},
                    "use_dora": BOTH,
                    "lora_dropout": {"type": "uniform", "low": 0, "high": 0.2, "when": {"lora_r": 8, "use_dora": True}},
                }
            },
            '"lora_dropout" is searched where lora_r is 8 and use_dora is true, which about 0 of 20 trials meet',
        ),
        (
            {
                "search_mode": "grid",
                "search_space": {
                    "weight_decay": {**RATE, "points": 20},
                    "learning_rate": {**RATE, "points": 20},
                },
            },
            "the grid has 400 points, all of them to be tried: 2.8 days at ten minutes a trial",
        ),
    ],
)
def test_what_is_probably_not_meant_is_told_with_a_remedy(keys: dict[str, Any], words: str) -> None:
    (warning,) = warnings_of(**keys)
    assert words in warning


@pytest.mark.parametrize(
    "keys",
    [
        {"lora_r": 256, "lora_alpha_ratio": 2},
        {"lora_r": 64, "lora_alpha": 16},
        {"lora_r": 4, "lora_alpha": 32},
        {"search_space": {"learning_rate": RATE, "lora_r": RANKS}},
        {"search_space": {"learning_rate": RATE, "effective_batch_size": RANKS}},
        {"search_space": {"learning_rate": RATE, "lora_r": RANKS, "lora_alpha": RANKS}},
        {"search_space": {"gradient_checkpointing": BOTH}, "objective": {"metric": "train_seconds"}, "pruner": "none"},
        {"search_space": {"per_device_train_batch_size": {**RANKS, "choices": [1, 2]}}},
        {"model_name": "asset:digits/qwen3_vl", "learning_rate": 0.02},
        {"optim": "sgd", "learning_rate": 0.1},
        {
            "search_space": {
                "use_dora": BOTH,
                "lora_dropout": {"type": "uniform", "low": 0, "high": 0.2, "when": {"use_dora": True}},
                "effective_batch_size": {"type": "int", "low": 4, "high": 8, "when": {"use_dora": True}},
            }
        },
        {
            "search_mode": "grid",
            "n_trials": 20,
            "search_space": {"weight_decay": {**RATE, "points": 2}, "lora_r": {"type": "int", "low": 8, "high": 17}},
        },
    ],
)
def test_nothing_is_said_of_what_is_sound(keys: dict[str, Any]) -> None:
    assert warnings_of(**keys) == []


def test_towers_of_which_a_trial_may_adapt_none_are_told_beside_conditions_too() -> None:
    space = {
        "use_dora": BOTH,
        "finetune_language_layers": {
            "type": "categorical",
            "choices": [True],
            "when": {"use_dora": True},
            "otherwise": False,
        },
    }
    assert any("may all be false" in warning for warning in warnings_of(search_space=space))
