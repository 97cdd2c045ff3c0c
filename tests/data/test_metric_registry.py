"""The registry of metrics: each on rows made for it, and the page that lists them."""

from __future__ import annotations

from pathlib import Path

import pytest

from hpsearch.data.metrics import character_edits, word_edits
from hpsearch.data.metrics.registry import METRICS, figures_of, is_looping
from hpsearch.data.predictions import Prediction

PAGE = Path(__file__).parents[2] / "docs" / "metrics.md"


def rows(*texts: tuple[str, str], repeats: bool = False) -> list[Prediction]:
    return [
        Prediction("validation", "", "", left, right, character_edits(left, right), word_edits(left, right), repeats)
        for left, right in texts
    ]


def test_rates_and_shares() -> None:
    judged = rows(("ab cd", "ab cd"), ("abcd", "abxcy"), ("ef", " "), ("", ""))
    assert figures_of(judged, "eval") == pytest.approx({
        "eval_cer": 4 / 11,  # an x, a y for a d, and two that are missing or a space
        "eval_wer": 2 / 4,
        "eval_exact": 2 / 4,
        "eval_accuracy": 7 / 11,
        "eval_insertions": 1 / 11,
        "eval_empty": 1 / 4,  # the blank page is read rightly
        "eval_identical": 0.0,
        "eval_repeats": 0.0,
        "eval_too_long": 0.0,
    })  # fmt: skip


def test_identical_predictions_count_for_different_references_alone() -> None:
    identical = METRICS["identical"].value
    assert identical(rows(("a", "a"), ("a", "a"), ("b", "b"))) == 0.0
    assert identical(rows(("a", "x"), ("b", "x"), ("c", "x"), ("d", "d"))) == 3 / 4
    assert identical(rows(("a", "x"))) == identical([]) == 0.0


@pytest.mark.parametrize(("length", "too_long"), [(24, 0.0), (25, 1.0)])
def test_over_long_answers(length: int, too_long: float) -> None:
    assert METRICS["too_long"].value(rows(("abcd", "x" * length))) == too_long


def test_looping_by_the_flag_or_by_the_text() -> None:
    assert METRICS["repeats"].value([*rows(("a", "a"), repeats=True), *rows(("a", "a"))]) == 0.5
    assert is_looping("so it began " + "and again, " * 40)
    assert is_looping("x" * 384) and not is_looping("x" * 383)
    assert not is_looping("".join(map(str, range(500))))


def test_the_page_lists_every_metric() -> None:
    table = [line for line in PAGE.read_text(encoding="utf-8").splitlines() if line.startswith("| `")]
    assert table == [
        f"| `{it.name}` | {it.meaning} | {it.direction} | {it.range} | {it.unit} | {it.source} |"
        for it in METRICS.values()
    ]
