"""Made-up fine-tunes whose bad configurations run out of memory or diverge, for benchmarks of searches.

What they share with real ones: memory grows with the batch, the rank and the pictures; CER is lowest at some learning
rate and gains from more of each up to a point; every figure is noisy. A value of None is a trial that was wasted.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution

Params = Mapping[str, Any]


@dataclass(frozen=True)
class Surrogate:
    """A search of so many ``trials`` over ``space``: the ``value`` of a configuration without noise, and why it may be
    wasted: its ``gigabytes`` are above the ``limit``, or it ``diverges``."""

    name: str
    space: Mapping[str, BaseDistribution]
    trials: int
    value: Callable[[Params], float]
    diverges: Callable[[Params], bool] = lambda _: False
    gigabytes: Callable[[Params], float] = lambda _: 0.0
    limit: float = 0.0  # of gigabytes; 0: none
    noise: float = 0.005
    direction: str = "minimize"

    def fits(self, params: Params) -> bool:
        """Whether a configuration is not wasted."""
        return self.gigabytes(params) <= self.limit and not self.diverges(params)

    def run(self, params: Params, chance: random.Random) -> float | None:
        """What a trial would report; None where it is wasted."""
        return self.value(params) + chance.gauss(0, self.noise) if self.fits(params) else None

    def draw(self, chance: random.Random) -> dict[str, Any]:
        """A configuration drawn evenly from the space."""
        return draw_from(self.space, chance)


def draw_from(space: Mapping[str, BaseDistribution], chance: random.Random) -> dict[str, Any]:
    """A configuration drawn evenly from a space."""
    return {name: _draw(distribution, chance) for name, distribution in space.items()}


def _draw(distribution: Any, chance: random.Random) -> Any:
    if isinstance(distribution, CategoricalDistribution):
        return chance.choice(distribution.choices)
    low, high = distribution.low, distribution.high
    if distribution.log:
        value = math.exp(chance.uniform(math.log(low), math.log(high)))
        return max(low, min(high, round(value))) if isinstance(distribution, IntDistribution) else value
    if isinstance(distribution, IntDistribution):
        return low + distribution.step * chance.randrange((high - low) // distribution.step + 1)
    return chance.uniform(low, high)


def _rate(rate: float, best: float) -> float:
    return 0.03 * math.log10(rate / best) ** 2


# The toy of a batch, a rank and a rate on a GPU of 24 GB, with its optimum near that line: 32 % of it does not fit.
def toy_gigabytes(params: Params) -> float:
    """Memory of a configuration of ``TOY``."""
    return 4.0 + 1.1 * params["batch"] + 0.1 * params["rank"]


def _toy_cer(params: Params) -> float:
    batch, rank = math.log2(64 / params["batch"]), math.log2(128 / params["rank"])
    return 0.02 + _rate(params["learning_rate"], 2e-4) + 0.02 * batch + 0.01 * rank


TOY = Surrogate(
    "toy, optimum near the limit",
    {
        "batch": IntDistribution(1, 64, log=True),
        "rank": IntDistribution(4, 128, log=True),
        "learning_rate": FloatDistribution(1e-5, 1e-3, log=True),
    },
    trials=40,
    value=_toy_cer,
    gigabytes=toy_gigabytes,
    limit=24.0,
)


# A LoRA fine-tune of an OCR model as hpsearch searches it: what decides its memory are rank, pictures and towers.
OCR_SPACE: Mapping[str, BaseDistribution] = {
    "learning_rate": FloatDistribution(1e-5, 1e-3, log=True),
    "lora_r": CategoricalDistribution([8, 16, 32, 64, 128]),
    "longest_edge": IntDistribution(512, 2048, step=128),
    "finetune_vision_layers": CategoricalDistribution([False, True]),
    "lora_dropout": FloatDistribution(0.0, 0.2),
}


def ocr_gigabytes(params: Params) -> float:
    """Memory of a configuration of ``OCR_SPACE``, with the smallest passes."""
    tokens, vision = (params["longest_edge"] / 28) ** 2, params["finetune_vision_layers"]
    return 10.0 + (0.05 if vision else 0.03) * params["lora_r"] + (0.0026 if vision else 0.0018) * tokens


def _ocr_cer(edge: int, rank: int) -> Callable[[Params], float]:
    def value(params: Params) -> float:
        pictures, size = math.log2(params["longest_edge"] / edge), math.log2(params["lora_r"] / rank)
        tuned = 0.0 if params["finetune_vision_layers"] else 0.004
        return 0.05 + _rate(params["learning_rate"], 2e-4) + 0.02 * pictures**2 + 0.002 * size**2 + tuned

    return value


def _ocr(name: str, edge: int, rank: int) -> Surrogate:
    return Surrogate(name, OCR_SPACE, 40, _ocr_cer(edge, rank), gigabytes=ocr_gigabytes, limit=19.5)


NEAR = _ocr("OCR, optimum near the limit", edge=1536, rank=32)
FAR = _ocr("OCR, optimum far from it", edge=896, rank=16)

# Goal G11: a quarter of one dimension diverges, right beside the optimum; a fifth of a space of three.
LINE = Surrogate(
    "a quarter of a line diverges",
    {"x": FloatDistribution(0.0, 1.0)},
    trials=60,
    value=lambda params: (params["x"] - 0.6) ** 2,
    diverges=lambda params: params["x"] > 0.75,
    noise=0.0,
)
RATES = Surrogate(
    "a fifth of three dimensions diverges",
    {
        "learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
        "lora_dropout": FloatDistribution(0.0, 0.3),
        "lora_r": CategoricalDistribution([8, 16, 32, 64]),
    },
    trials=80,
    value=lambda params: (
        0.9
        - _rate(params["learning_rate"], 2e-4)
        - 0.3 * (params["lora_dropout"] - 0.1) ** 2
        - 0.002 * abs(math.log2(params["lora_r"] / 32))
    ),
    diverges=lambda params: params["learning_rate"] > 2.5e-3,
    noise=0.0,
    direction="maximize",
)
SURROGATES = (TOY, NEAR, FAR, LINE, RATES)


def main() -> None:
    """Print how much of each space is wasted, and the best value there is."""
    chance = random.Random(0)
    for surrogate in SURROGATES:
        drawn = [surrogate.draw(chance) for _ in range(20_000)]
        values = [surrogate.value(params) for params in drawn if surrogate.fits(params)]
        best = min(values) if surrogate.direction == "minimize" else max(values)
        print(f"{surrogate.name:40}{1 - len(values) / len(drawn):8.1%} wasted, best {best:.4f}")


if __name__ == "__main__":
    main()
