"""The weights that a fine-tune changes: kept aside and put back."""

from __future__ import annotations

from typing import Any

Weights = dict[str, Any]


def copy_trained(model: Any) -> Weights:
    """A copy of the trained parameters in the host's memory, by name."""
    trained = ((name, value) for name, value in model.named_parameters() if value.requires_grad)
    return {name: value.detach().to("cpu", copy=True) for name, value in trained}


def put_back(model: Any, weights: Weights) -> None:
    """Give the trained parameters the values that ``copy_trained`` took."""
    parameters = dict(model.named_parameters())
    for name, value in weights.items():
        parameters[name].data.copy_(value)
