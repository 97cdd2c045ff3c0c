"""The best evaluation of a fine-tune so far: its weights, and when to stop early."""

from __future__ import annotations

from typing import Any

from hpsearch.settings import TrainSettings

Weights = dict[str, Any]  # trained parameters by name


class BestWeights:
    """The weights with the lowest value of one metric, over the evaluations of a fine-tune."""

    def __init__(self, settings: TrainSettings) -> None:
        self.step: int | None = None
        self._metric = settings.metric_for_best_model
        self._threshold = settings.early_stopping_threshold
        self._patience = settings.early_stopping_patience
        self._keeps = settings.load_best_model_at_end or self._patience > 0
        self._value: float | None = None
        self._waited = 0
        self._weights: Weights = {}

    @property
    def waited_enough(self) -> bool:
        """The patience is used up: none of the last evaluations was better."""
        return 0 < self._patience <= self._waited

    def take(self, step: int, metrics: dict[str, float], model: Any) -> None:
        """Compare an evaluation with the best so far."""
        value = metrics.get(self._metric)
        if value is None:  # no text is generated, and nothing depends on it
            return
        if self._value is not None and value >= self._value - self._threshold:
            self._waited += 1
            return
        self.step, self._value, self._waited = step, value, 0
        if self._keeps:
            self._weights = copy_trained(model)

    def restore(self, model: Any, last_step: int) -> bool:
        """Give the model the best evaluation's weights, where they are kept and it has others. True if it did."""
        if not self._weights or self.step == last_step:
            return False
        put_back(model, self._weights)
        return True

    def state(self) -> tuple[dict[str, Any], Weights]:
        """Return what a checkpoint keeps: plain values and tensors."""
        return {"step": self.step, "value": self._value, "waited": self._waited}, self._weights

    def resume(self, values: dict[str, Any], weights: Weights) -> None:
        """Continue from what ``state`` returned."""
        self.step, self._value, self._waited = values["step"], values["value"], values["waited"]
        self._weights = weights


def copy_trained(model: Any) -> Weights:
    """Copy the trained parameters into the host's memory."""
    trained = ((name, value) for name, value in model.named_parameters() if value.requires_grad)
    return {name: value.detach().to("cpu", copy=True) for name, value in trained}


def put_back(model: Any, weights: Weights) -> None:
    """Give the trained parameters the values that ``copy_trained`` copied."""
    parameters = dict(model.named_parameters())
    for name, value in weights.items():
        parameters[name].data.copy_(value)
