"""The race of configurations over fresh seeds: when one leaves, when it ends, and how often the best one leaves."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from hpsearch.study.race import MISSED, FreshRun, Race, RaceEnding, RaceState, value_of_runs

SEEDS = (11, 12, 13)


def runs(*values: Sequence[float]) -> list[dict[int, FreshRun]]:
    """Runs of configurations, each with its values by seed."""
    return [{seed: FreshRun(seed, value) for seed, value in zip(SEEDS, own, strict=False)} for own in values]


def test_runs_are_due_seed_by_seed_and_the_same_for_all() -> None:
    race = Race(SEEDS)
    assert race.state(runs([], [])).due == ((11, 0), (11, 1), (12, 0), (12, 1), (13, 0), (13, 1))
    state = race.state(runs([0.1, 0.3], [0.2]))
    assert (state.looks, state.ending, state.due[0]) == (1, None, (12, 1))


def test_what_is_surely_worse_leaves_and_a_winner_ends_the_race() -> None:
    state = Race(SEEDS).state(runs([0.10, 0.11], [0.90, 0.91001], [0.50, 0.51001]))
    assert (state.alive, state.looks, state.ending) == ((0,), 2, RaceEnding.WINNER)
    assert "surely worse than another one after 2 seeds" in state.out[1]
    higher = Race(SEEDS, "maximize").state(runs([0.10, 0.11], [0.90, 0.91001]))
    assert (higher.alive, higher.ending) == ((1,), RaceEnding.WINNER)


def test_differences_not_worth_a_run_end_it_and_else_the_seeds_do() -> None:
    alike = Race(SEEDS, indifference=0.02).state(runs([0.5, 0.6], [0.5001, 0.60009]))
    assert (alike.alive, alike.ending, alike.due) == ((0, 1), RaceEnding.ALIKE, ())
    noisy = Race(SEEDS).state(runs([0.5, 0.7, 0.6], [0.6, 0.6, 0.7]))
    assert (noisy.alive, noisy.looks, noisy.ending) == ((0, 1), 3, RaceEnding.SEEDS)
    by_chance = Race(SEEDS).state(runs([0.5, 0.6], [0.7, 0.8]))
    assert by_chance.alive == (0, 1), "two seeds that differ by as much say nothing of the noise"
    exact = Race(SEEDS).state(runs([0.5, 0.5], [0.7, 0.7]))
    assert exact.ending is RaceEnding.WINNER, "a program without noise is as exact as it says"


def test_a_failed_run_sends_its_configuration_away() -> None:
    found = runs([0.5, 0.6, 0.5], [0.4], [0.5, 0.5, 0.6])
    found[1][12] = FreshRun(12, failure="cuda_oom")
    state = Race(SEEDS).state(found)
    assert (state.alive, state.out) == ((0, 2), {1: "its run with seed 12 ended with cuda_oom"})
    assert Race(SEEDS).state([{11: FreshRun(11, failure="diverged")}]).ending is RaceEnding.FAILED


def test_one_configuration_runs_all_seeds() -> None:
    assert Race(SEEDS).state(runs([0.5, 0.6])).due == ((13, 0),)
    assert Race(SEEDS).state(runs([0.5, 0.6, 0.5])).ending is RaceEnding.SEEDS
    assert value_of_runs([FreshRun(11, 0.5)]).low is None


@pytest.mark.parametrize("count", [2, 3, 8])
def test_all_looks_together_spend_the_share_of_misses(count: int) -> None:
    race = Race(range(count))
    assert math.fsum(race.level(looks, 3) for looks in range(2, count + 1)) == pytest.approx(MISSED / 2)


@pytest.mark.parametrize("documents", [0, 60])
def test_the_best_stays_in_95_of_100_races(documents: int) -> None:
    """Noise of seeds as large as the differences, part of it shared by all configurations; and that of documents."""
    rng, truths, races = np.random.default_rng(5), np.array([0.100, 0.104, 0.112]), 100
    kept = 0
    for _ in range(races):
        values = truths + rng.normal(0, 0.004, (4, 1)) + rng.normal(0, 0.003, (4, 3))
        lengths = rng.gamma(2, 0.5, documents) * 200
        found: list[dict[int, FreshRun]] = [{} for _ in truths]
        for number, place in np.ndindex(values.shape):
            run = FreshRun(number, values[number, place])
            if documents:
                above = rng.poisson(lengths * values[number, place]).astype(float)
                names = tuple(map(str, range(documents)))
                run = FreshRun(number, above.sum() / lengths.sum(), "", names, above, lengths)
            found[place][number] = run
        kept += 0 in Race(range(4)).state(found).alive
    assert kept >= (1 - MISSED) * races


def test_scores_of_what_the_other_seeds_name_have_no_luck_of_the_choice() -> None:
    """Equal configurations: the winner's runs look better than they are on held-out rows too, as the luck of a seed is
    the adapter's; those named by other seeds do not."""
    rng, races, sd, seeds = np.random.default_rng(6), 400, 0.01, range(3)
    race, state, plain, crossed = Race(seeds), RaceState((0, 1, 2, 3), looks=3), [], []
    for _ in range(races):
        luck = rng.normal(0, sd, (3, 4))
        validation, held_out = (0.1 + luck + rng.normal(0, sd / 4, luck.shape) for _ in range(2))
        found = [{seed: FreshRun(seed, validation[seed, place]) for seed in seeds} for place in range(4)]
        plain.append(held_out[:, race.best(found, state)].mean() - 0.1)
        named = [race.named_by_others(found, state, seed) for seed in seeds]
        crossed.append(np.mean([held_out[seed, place] for seed, place in enumerate(named)]) - 0.1)
    assert np.mean(plain) < -0.4 * sd
    assert abs(np.mean(crossed)) < 0.1 * sd
