"""The best evaluation so far: whether to go on, and the weights it was made with."""

from __future__ import annotations

from typing import Any

from hpsearch.settings import TrainSettings
from hpsearch.training.fit.weights import Weights, copy_trained, put_back


class Best:
    """Watches one metric, lower being better, over the evaluations of a fine-tune."""

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
        """Whether the last evaluations brought nothing, as many as the patience allows."""
        return 0 < self._patience <= self._waited

    def take(self, step: int, metrics: dict[str, float], model: Any) -> None:
        """Look at one evaluation."""
        value = metrics.get(self._metric)
        if value is None:  # no text is generated, and nothing hangs on it
            return
        if self._value is not None and value >= self._value - self._threshold:
            self._waited += 1
            return
        self.step, self._value, self._waited = step, value, 0
        if self._keeps:
            self._weights = copy_trained(model)

    def restore(self, model: Any, last_step: int) -> bool:
        """Give the model the best evaluation's weights, where these were asked for and are not what it has."""
        if not self._weights or self.step == last_step:
            return False
        put_back(model, self._weights)
        return True

    def state(self) -> tuple[dict[str, Any], Weights]:
        """What a checkpoint keeps: plain values and tensors."""
        return {"step": self.step, "value": self._value, "waited": self._waited}, self._weights

    def resume(self, values: dict[str, Any], weights: Weights) -> None:
        """Take up what ``state`` gave."""
        self.step, self._value, self._waited = values["step"], values["value"], values["waited"]
        self._weights = weights
