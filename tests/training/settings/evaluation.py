"""Settings of evaluations, and of early stopping."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from hpsearch.data.metrics import NORMALIZATIONS, character_edits
from hpsearch.settings import TrainSettings
from hpsearch.training.backends import Loaded
from hpsearch.training.evaluate.scores import evaluate
from hpsearch.training.fit.best import BestWeights
from hpsearch.training.prepared import PreparedData, open_rows
from hpsearch.training.schedule import EvaluationSchedule, Pace, afford
from hpsearch.training.trial import evaluation_subset, final_rows
from tests.training.settings.bench import Bench, shows


def judge(bench: Bench, **changes: Any) -> tuple[Any, list[float]]:
    """Scores on the validation rows, and the fraction that was done after each batch."""
    settings = bench.settings(**changes)
    trainer = bench.trainer(**changes)
    loaded = Loaded(trainer.model.eval(), trainer.processing_class, "cpu", "fp32")
    done: list[float] = []
    scores = evaluate(
        loaded, open_rows(bench.door.folder / "prepare", "validation"), settings, lambda _, to: done.append(to)
    )
    return scores, done


def stops_after(values: list[float], **changes: Any) -> int:
    """The number of evaluations with these values that are made, of all of them at most."""
    best = BestWeights(TrainSettings(**changes))
    for number, value in enumerate(values, start=1):
        best.take(number, {"eval_cer": value, "eval_loss": -value}, torch.nn.Linear(1, 1))
        if best.waited_enough:
            return number
    return len(values)


@shows("evaluations")
def _(bench: Bench) -> None:
    schedule = EvaluationSchedule(10, bench.settings(evaluations=4))
    assert [schedule.due(step) for step in range(1, 11)] == [[], [], [1], [], [2], [], [], [3], [], [4]]


@shows("eval_samples")
def _(bench: Bench) -> None:
    assert len(evaluation_subset(bench.door.folder / "prepare", bench.settings(eval_samples=2))) == 2
    pace = Pace(step_s=1.0, batch_s=0.0, row_s=0.1, batch_size=8)
    open_ones = bench.settings(eval_samples=None, final_samples=None, evaluations=10)
    assert afford(open_ones, pace, 200, {"validation": 50, "holdout": 50}).rows == 19


@shows("eval_stride")
def _(bench: Bench) -> None:
    schedule = EvaluationSchedule(10, bench.settings(evaluations=5, eval_stride=2))
    assert [schedule.due(step) for step in range(1, 11)] == [[], [], [], [2], [], [], [], [4], [], [5]]


@shows("eval_steps")
def _(bench: Bench) -> None:
    schedule = EvaluationSchedule(10, bench.settings(eval_steps=4))
    assert [schedule.due(step) for step in range(1, 11)] == [[], [], [], [1], [], [], [], [2], [], []]


@shows("final_samples")
def _(bench: Bench) -> None:
    assert len(final_rows(bench.door.folder / "prepare", "holdout", bench.settings(final_samples=2))) == 2


@shows("eval_batch_size")
def _(bench: Bench) -> None:
    assert judge(bench, eval_batch_size=2)[1] == [0.4, 0.8, 1.0]


@shows("max_new_tokens")
def _(bench: Bench) -> None:
    longest = {
        limit: max(len(row.prediction) for row in judge(bench, max_new_tokens=limit)[0].rows) for limit in (1, 3)
    }
    assert longest[1] <= 1
    assert longest[3] <= 3


@shows("text_normalization")
def _(bench: Bench) -> None:
    assert set(NORMALIZATIONS) == set(TrainSettings.model_json_schema()["properties"]["text_normalization"]["enum"])
    scores, _ = judge(bench, text_normalization="whitespace")
    for row in scores.rows:
        assert row.characters == character_edits(row.reference, row.prediction, "whitespace")


@shows("compute_cer_wer")
def _(bench: Bench) -> None:
    scores, _ = judge(bench, compute_cer_wer=False)
    assert scores.metrics("eval").keys() == {"eval_loss"}
    assert scores.loss == pytest.approx(judge(bench)[0].loss)


@shows("skip_pre_eval")
def _(bench: Bench) -> None:
    job = bench.door.job("prepare", bench.door.settings(skip_pre_eval=True), "unmeasured")
    assert bench.door.run(job) == 0
    assert PreparedData.read(Path(job.output_dir)).base == {}
    assert not (Path(job.output_dir) / "base_predictions.jsonl").exists()


@shows("early_stopping_patience")
def _(bench: Bench) -> None:
    assert stops_after([0.5, 0.4, 0.4, 0.6, 0.3], early_stopping_patience=2) == 4
    assert stops_after([0.5, 0.4, 0.4, 0.6, 0.3]) == 5


@shows("early_stopping_threshold")
def _(bench: Bench) -> None:
    assert stops_after([0.5, 0.45, 0.41], early_stopping_patience=2, early_stopping_threshold=0.1) == 3


@shows("metric_for_best_model")
def _(bench: Bench) -> None:
    falling = [0.5, 0.4, 0.3]
    assert stops_after(falling, early_stopping_patience=1, metric_for_best_model="eval_loss") == 2


@shows("load_best_model_at_end")
def _(bench: Bench) -> None:
    for keeps in (True, False):
        model = torch.nn.Linear(1, 1)
        best = BestWeights(TrainSettings(load_best_model_at_end=keeps))
        best.take(1, {"eval_cer": 0.1}, model)
        before = model.weight.item()
        model.weight.data += 1
        best.take(2, {"eval_cer": 0.2}, model)
        assert best.restore(model, 2) is keeps
        assert model.weight.item() == pytest.approx(before if keeps else before + 1)
