"""Intervals of scores and differences: coverage of a simulated case, identical pairs, degenerate inputs, properties."""

from __future__ import annotations

import numpy as np
import pytest

from hpsearch.data.uncertainty import DocumentScores, Interval, difference, documents_needed, interval, student

RATE = 0.05


def drawn(
    seed: int, runs: int, documents: int = 100, sd: float = 0.15, seeds: tuple[int, ...] = ()
) -> tuple[DocumentScores, float]:
    """Draw runs whose expected score is RATE, on documents of many lengths, and its sd over seeds."""
    rng = np.random.default_rng(seed)

    def factor(spread: float, size: tuple[int, int]) -> np.ndarray:
        return np.exp(spread * rng.standard_normal(size) - spread**2 / 2)

    lengths = np.ceil(300 * factor(0.6, (1, documents)))
    rates = RATE * factor(0.7, (1, documents)) * factor(sd, (runs, 1)) * factor(0.4, (runs, documents))
    names = tuple(str(number) for number in range(documents))
    return DocumentScores(names, rng.poisson(lengths * rates), np.repeat(lengths, runs, axis=0), seeds), RATE * sd


@pytest.mark.parametrize("runs", [1, 3, 5])
def test_intervals_cover_the_expectation_over_seeds_and_documents(runs: int) -> None:
    covered = 0
    for seed in range(300):
        scores, sd = drawn(seed, runs)
        made = interval(scores, seed_sd=sd if runs == 1 else None)
        covered += made.low <= RATE <= made.high
    assert 0.915 <= covered / 300 <= 0.985


def test_identical_configurations_are_seldom_different() -> None:
    different = {1: 0, 3: 0}
    for runs in different:
        for seed in range(300):
            both, sd = drawn(seed, 2 * runs)
            halves = [DocumentScores(both.documents, both.above[part::2], both.below[part::2]) for part in (0, 1)]
            made = difference(*halves, seed_sd=sd if runs == 1 else None)
            different[runs] += not made.low <= 0 <= made.high
    assert max(different.values()) / 300 <= 0.08


def test_one_run_alone_says_so_and_covers_too_little() -> None:
    scores, sd = drawn(1, 1, documents=1000, sd=0.25)
    alone, known = interval(scores), interval(scores, seed_sd=sd)
    assert alone.this_run_only and not known.this_run_only
    assert known.high - known.low > 1.5 * (alone.high - alone.low)
    few = interval(scores, seed_sd=sd, seed_freedom=3)
    assert few.high > known.high
    assert difference(scores, scores).this_run_only
    assert not difference(scores, scores, seed_sd=sd).this_run_only


def test_runs_of_the_same_seeds_are_paired() -> None:
    rng = np.random.default_rng(0)
    above, below = rng.poisson(20, (4, 50)) * np.array([[1.0], [1.5], [2.0], [2.5]]), np.full((4, 50), 400.0)
    names = tuple(str(number) for number in range(50))
    ours = DocumentScores(names, above, below, (1, 2, 3, 4))
    better = DocumentScores(names, above * 0.9, below, (1, 2, 3, 4))
    others = DocumentScores(names, above * 0.9, below, (5, 6, 7, 8))
    assert difference(ours, better).low > 0
    assert difference(ours, others).low < 0
    assert difference(ours, better).value == pytest.approx(difference(ours, others).value)


@pytest.mark.parametrize("runs", [1, 4])
def test_documents_have_no_order_and_units_no_size(runs: int) -> None:
    scores, sd = drawn(7, runs)
    order = np.random.default_rng(0).permutation(100)
    names = tuple(scores.documents[place] for place in order)
    other = DocumentScores(names, scores.above[:, order], scores.below[:, order])
    scaled = DocumentScores(scores.documents, scores.above * 10, scores.below)
    made = interval(scores, seed_sd=sd)
    for again, scale in ((interval(other, seed_sd=sd), 1), (interval(scaled, seed_sd=10 * sd), 10)):
        assert [again.value, again.low, again.high] == pytest.approx(
            [scale * x for x in (made.value, made.low, made.high)]
        )
    back = difference(scaled, scores, seed_sd=sd)
    forth = difference(scores, scaled, seed_sd=sd)
    assert [back.value, back.low, back.high] == pytest.approx([-forth.value, -forth.high, -forth.low])
    assert interval(scores, level=0.99, seed_sd=sd).high > made.high > interval(scores, level=0.5, seed_sd=sd).high


def test_one_document_says_nothing_of_others() -> None:
    one = DocumentScores(("a",), [[1], [2]], [[10], [10]])
    assert interval(one) == Interval(pytest.approx(0.15))
    assert difference(one, one) == Interval(0.0)
    assert documents_needed(one) is None


def test_no_errors_are_not_certainty() -> None:
    names = tuple(str(number) for number in range(300))
    clean = DocumentScores(names, np.zeros((1, 300)), np.full((1, 300), 50))
    made = interval(clean)
    assert (made.value, made.low, made.high) == (0, 0, pytest.approx(0.01, abs=0.0001))
    assert documents_needed(clean) > 10_000
    both = difference(clean, clean)
    assert (both.low, both.high) == (-made.high, made.high)


def test_a_rate_is_never_below_nothing() -> None:
    above = np.zeros((3, 40))
    above[0, 0] = 30
    made = interval(DocumentScores(tuple(str(number) for number in range(40)), above, np.full((3, 40), 100)))
    assert made.low == 0 < made.value < made.high


def test_empty_references_and_equal_scores() -> None:
    empty = DocumentScores(("a", "b", "c"), [[0, 2, 1]], [[0, 0, 0]])
    assert interval(empty).value == 3
    equal = DocumentScores(("a", "b", "c"), np.full((2, 3), 4), np.full((2, 3), 100))
    made = interval(equal)
    assert (made.low, made.value, made.high) == (pytest.approx(0.04), 0.04, pytest.approx(0.04))


@pytest.mark.parametrize(
    ("documents", "above", "below", "seeds"),
    [
        (("a",), [[1, 2]], [[1, 2]], ()),
        (("a", "b"), [[1, 2]], [[1]], ()),
        ((), [[]], [[]], ()),
        (("a",), [[1]], [[1]], (1, 2)),
        (("a",), [[float("nan")]], [[1]], ()),
        (("a",), [[1]], [[-1]], ()),
    ],
)
def test_what_is_no_table_of_scores_is_refused(
    documents: tuple[str, ...], above: list, below: list, seeds: tuple
) -> None:
    with pytest.raises(ValueError, match=r"scores|seeds"):
        DocumentScores(documents, above, below, seeds)


def test_other_documents_cannot_be_compared() -> None:
    first, second = (DocumentScores((name, "c"), [[1, 2]], [[9, 9]]) for name in "ab")
    with pytest.raises(ValueError, match="same documents"):
        difference(first, second)


def test_documents_needed_shrink_the_interval_to_what_was_asked() -> None:
    scores, _ = drawn(3, 1, documents=400)
    needed = documents_needed(scores)
    made = interval(scores)
    half = (made.high - made.low) / 2 * (400 / needed) ** 0.5
    assert half == pytest.approx(0.1 * scores.value, rel=0.05)


def test_quantiles_of_students_t() -> None:
    # Of the tables: 1, 2, 10 degrees of freedom, and very many.
    for freedom, quantile in ((1, 12.706), (2, 4.303), (10, 2.228), (float("inf"), 1.960)):
        assert student(0.975, freedom) == pytest.approx(quantile, abs=0.001)
