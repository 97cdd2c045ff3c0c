"""Made-up LoRA fine-tunes with their learning curves, for benchmarks of samplers and pruners.

What they share with real ones: the error falls fast, then slowly; too high a learning rate spoils it or makes it
diverge, too low a one hardly moves it; a rate is only seen for what it is once it is annealed; long training costs more
and may learn by heart; every figure is noisy, and those on the way, from a few rows, more than the last one, from all.

Every seed moves the optimum. The first five were used to choose between strategies. The other eight were held out: they
were looked at only when the choice was made, and five of them do not have their optimum where known-good settings are.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from optuna.distributions import BaseDistribution, CategoricalDistribution, FloatDistribution, IntDistribution
from surrogates import draw_from

Params = Mapping[str, Any]

EVALUATIONS = 20  # of each trial, at equal fractions of its training
STEPS_PER_EPOCH = 10  # what an epoch costs
START = 0.9  # the error of the untuned base

RATE = FloatDistribution(1e-5, 2e-3, log=True)
RANK = CategoricalDistribution([8, 16, 32, 64, 128])
EPOCHS = IntDistribution(1, 5)
BATCH = CategoricalDistribution([4, 8, 16, 32, 64])
WARMUP = FloatDistribution(0.0, 0.15)
DROPOUT = FloatDistribution(0.0, 0.2)
SMALL: Mapping[str, BaseDistribution] = {"learning_rate": RATE, "lora_r": RANK, "num_train_epochs": EPOCHS}
USUAL = {**SMALL, "effective_batch_size": BATCH, "warmup_ratio": WARMUP}
WIDE = {
    **USUAL,
    "lora_dropout": DROPOUT,
    "weight_decay": FloatDistribution(1e-4, 1e-1, log=True),
    "lora_alpha_ratio": CategoricalDistribution([0.5, 1.0, 2.0, 4.0]),
    "finetune_vision_layers": CategoricalDistribution([False, True]),
}


@dataclass(frozen=True)
class Place:
    """Where a seed has put the optimum: ``rate`` in decades away from the usual one, the others from -1 to 1."""

    rate: float
    first: float
    second: float


Value = Callable[[Params, float, Place], float]


@dataclass(frozen=True)
class Family:
    """Fine-tunes of one kind: ``value`` is the error of a configuration after a fraction of its training, without
    noise; infinite where it diverges. ``noise`` is that of a figure on the way, a third of it that of the last.
    ``usual`` says whether known-good settings are near the optimum."""

    name: str
    space: Mapping[str, BaseDistribution]
    value: Value
    noise: float = 0.01
    usual: bool = True
    shift: float = 0.0  # decades that the best rate is away from the usual one
    held_out: bool = True

    def moved(self, seed: int) -> Landscape:
        """The one of this seed."""
        chance = random.Random(f"{self.name} {seed}")
        rate = self.shift + chance.uniform(-0.3, 0.3)
        return Landscape(self, Place(rate, chance.uniform(-1, 1), chance.uniform(-1, 1)), seed)


@dataclass(frozen=True)
class Landscape:
    """One search problem."""

    family: Family
    place: Place
    seed: int

    def value(self, params: Params, fraction: float = 1.0) -> float:
        """The error after a fraction of the training, without noise."""
        return self.family.value(params, fraction, self.place)

    def regret(self, params: Params) -> float:
        """How much worse a configuration is than the best: 1 for the median of random ones."""
        best, median = self.scale
        return (self.value(params) - best) / (median - best)

    @cached_property
    def scale(self) -> tuple[float, float]:
        """The best error there is, and the median of random configurations."""
        chance = random.Random(f"scale {self.family.name} {self.seed}")
        drawn = [draw_from(self.family.space, chance) for _ in range(1500)]
        values = [self.value(params) for params in drawn]
        ranked = sorted(zip(values, range(len(drawn)), strict=True))
        best = min(self._climbed(drawn[index], value, chance) for value, index in ranked[:4])
        return best, statistics.median(values)

    def _climbed(self, params: Params, value: float, chance: random.Random) -> float:
        """The best error near a configuration."""
        for round_ in range(300):
            near = nearby(self.family.space, params, chance, 0.2 * 0.985**round_)
            found = self.value(near)
            params, value = (near, found) if found < value else (params, value)
        return value


def nearby(space: Mapping[str, Any], params: Params, chance: random.Random, width: float) -> dict[str, Any]:
    """A configuration that differs by about a fraction of each range."""
    near = dict(params)
    for name, one in space.items():
        if isinstance(one, (CategoricalDistribution, IntDistribution)):
            near[name] = draw_from({name: one}, chance)[name] if chance.random() < 0.15 else params[name]
        elif one.log:
            decades = width * math.log(one.high / one.low)
            near[name] = min(one.high, max(one.low, params[name] * math.exp(chance.gauss(0, decades))))
        else:
            near[name] = min(one.high, max(one.low, params[name] + chance.gauss(0, width * (one.high - one.low))))
    return near


def off(params: Params, place: Place, usual: float = 2e-4) -> float:
    """Decades between a learning rate and the best one."""
    return math.log10(params["learning_rate"] / usual) - place.rate


def falling(floor: float, speed: float, epochs: float) -> float:
    """An error that falls to a floor, by a power law as loss curves do."""
    return floor + (START - floor) * (1.0 + 4.0 * speed * epochs) ** -1.5


def doublings(params: Params, name: str, best: float) -> float:
    """How many times a setting has to be doubled to be the best."""
    return math.log2(best / params[name])


def sharp(params: Params, fraction: float, place: Place) -> float:
    """A narrow range of good rates; rank and epochs matter a little."""
    away = off(params, place)
    floor = 0.05 + 0.10 * away**2 + 0.004 * abs(doublings(params, "lora_r", 32 * 2**place.first))
    if away > 0.6:
        floor += 0.8 * (away - 0.6)
    return min(1.0, falling(floor, 2.0 * min(1.0, 10 ** (0.7 * away)), params["num_train_epochs"] * fraction))


def overfit(params: Params, fraction: float, place: Place) -> float:
    """Learned by heart where rate, rank and epochs are all large: the curve turns up again."""
    away, done = off(params, place), params["num_train_epochs"] * fraction
    heart = max(0.0, done * 10 ** (0.5 * away) * (params["lora_r"] / 32) ** 0.25 - 2.0 - place.first)
    return min(1.0, falling(0.05 + 0.04 * away**2, 2.5 * min(1.5, 10**away), done) + 0.02 * heart**1.5)


def crossing(params: Params, fraction: float, place: Place) -> float:
    """High rates lead until they are annealed; low ones come from behind."""
    away = off(params, place)
    floor = 0.05 + 0.06 * away**2 + 0.05 * max(0.0, away) + 0.003 * abs(doublings(params, "lora_r", 32))
    speed = 1.2 * min(4.0, 10 ** (0.8 * away))
    unsettled = 0.04 * min(3.0, 10**away) * (1 - fraction)
    return min(1.0, falling(floor, speed, params["num_train_epochs"] * fraction) + unsettled)


def decade(params: Params, fraction: float, place: Place) -> float:
    """The usual shape, at a rate that nobody would guess; batch and warm-up matter a little."""
    away = off(params, place)
    floor = 0.05 + 0.08 * away**2 + 0.004 * abs(doublings(params, "effective_batch_size", 16 * 2**place.first))
    floor += 0.3 * max(0.0, away - 0.5) * (1.2 - 4.0 * params["warmup_ratio"])
    return min(1.0, falling(floor, 2.0 * min(1.2, 10 ** (0.6 * away)), params["num_train_epochs"] * fraction))


def coupled(params: Params, fraction: float, place: Place) -> float:
    """The best rate grows with the batch: a valley across both; small batches are slightly better."""
    best_rate = off(params, place) - 0.8 * (math.log10(params["effective_batch_size"] / 16))
    floor = 0.05 + 0.12 * best_rate**2 + 0.006 * abs(doublings(params, "effective_batch_size", 8 * 4**place.first))
    speed = 1.8 * min(1.3, 10 ** (0.6 * best_rate))
    return min(1.0, falling(floor, speed, params["num_train_epochs"] * fraction))


def ranked(params: Params, fraction: float, place: Place) -> float:
    """Rank decides, and large ones need a lower rate; the rest hardly matters."""
    away = off(params, place) + 0.15 * math.log2(params["lora_r"] / 32)
    best = 128 if place.first > -0.3 else 8
    floor = 0.05 + 0.025 * abs(doublings(params, "lora_r", best)) + 0.02 * away**2
    return min(1.0, falling(floor, 2.0 * min(1.0, 10 ** (0.5 * away)), params["num_train_epochs"] * fraction))


def lengthy(params: Params, fraction: float, place: Place) -> float:
    """Epochs decide: what is not trained long has learned nothing yet, and low rates need longer still."""
    away = off(params, place)
    floor = 0.05 + 0.03 * away**2 + 0.002 * abs(doublings(params, "lora_r", 32))
    return min(1.0, falling(floor, 0.35 * min(1.5, 10 ** (0.5 * away)), params["num_train_epochs"] * fraction))


def flat(params: Params, fraction: float, place: Place) -> float:
    """Nearly all the same down to the noise, beside a cliff."""
    away = off(params, place)
    floor = 0.06 + 0.006 * away**2 + 0.002 * abs(doublings(params, "lora_r", 16 * 2**place.first))
    floor += 0.5 if away > 0.8 else 0.0
    return min(1.0, falling(floor, 3.0, params["num_train_epochs"] * fraction))


def diverging(params: Params, fraction: float, place: Place) -> float:
    """The better the higher the rate, up to where it diverges; later with a warm-up, sooner with a high rank."""
    away = off(params, place)
    edge = 0.15 + 3.0 * params["warmup_ratio"] - 0.05 * math.log2(params["lora_r"] / 32)
    if away > edge and fraction > 0.15:
        return math.inf
    floor = 0.05 + 0.05 * max(0.0, 0.3 - away) ** 1.5 + 0.01 * (params["warmup_ratio"] / 0.15) ** 2
    return min(1.0, falling(floor, 2.0 * min(1.5, 10 ** (0.7 * away)), params["num_train_epochs"] * fraction))


def late(params: Params, fraction: float, place: Place) -> float:
    """Nothing is to be seen until the error drops; the best drop late."""
    away, done = off(params, place), params["num_train_epochs"] * fraction
    floor = 0.05 + 0.06 * away**2 + 0.01 * abs(params["num_train_epochs"] - 3 - place.first)
    drops = 0.35 * params["num_train_epochs"] * 10 ** (-0.3 * away)
    return floor + (START - floor) / (1.0 + math.exp(6.0 * (done - drops) / max(0.3, 0.3 * drops)))


def wide(params: Params, fraction: float, place: Place) -> float:
    """Nine settings, of which four matter."""
    rate = off(params, place) + 0.5 * math.log10(params["lora_alpha_ratio"])
    floor = 0.05 + 0.08 * rate**2 + (0.0 if params["finetune_vision_layers"] else 0.02)
    floor += 0.004 * abs(doublings(params, "lora_r", 32 * 2**place.first)) + 0.6 * (params["lora_dropout"] - 0.06) ** 2
    floor += 0.5 * max(0.0, rate - 0.7)
    return min(1.0, falling(floor, 2.0 * min(1.2, 10 ** (0.6 * rate)), params["num_train_epochs"] * fraction))


FAMILIES = (
    Family("sharp", SMALL, sharp, held_out=False),
    Family("crossing", SMALL, crossing, held_out=False),
    Family("decade up", USUAL, decade, shift=0.8, usual=False, held_out=False),
    Family("coupled", USUAL, coupled, usual=False, held_out=False),
    Family("noisy", USUAL, sharp, noise=0.05, usual=False, held_out=False),
    Family("overfit", SMALL, overfit),
    Family("decade down", USUAL, decade, shift=-1.0, usual=False),
    Family("rank decides", SMALL, ranked, usual=False),
    Family("epochs decide", SMALL, lengthy, usual=False),
    Family("flat", USUAL, flat, usual=False),
    Family("diverging", USUAL, diverging),
    Family("late", SMALL, late, usual=False),
    Family("wide", WIDE, wide),
)
