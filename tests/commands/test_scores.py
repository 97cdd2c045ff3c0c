"""CER, WER and F1 of a corpus, and their intervals."""

from __future__ import annotations

import pytest

from hpsearch.commands.scores import overall, score
from hpsearch.data.metrics import Overlap, character_overlap


@pytest.mark.parametrize(
    ("reference", "prediction", "f1"),
    [
        ("abc", "abc", 1.0),
        ("abc", "cba", 1.0),  # a multiset has no order
        ("aab", "ab", 0.8),
        ("ab", "xy", 0.0),
        ("", "", 1.0),
        ("", "x", 0.0),
        ("x", "", 0.0),
        ("cafe\u0301", "caf\u00e9", 1.0),
    ],
)
def test_f1_counts_what_both_have_as_often(reference: str, prediction: str, f1: float) -> None:
    assert character_overlap(reference, prediction).f1 == pytest.approx(f1)


def test_overlaps_add_up_to_the_corpus() -> None:
    assert Overlap(1, 2, 3) + Overlap(1, 1, 1) == Overlap(2, 3, 4)
    assert (Overlap(1, 2, 3) + Overlap(1, 1, 1)).f1 == pytest.approx(4 / 7)


def test_all_errors_stand_over_all_characters() -> None:
    scores = [score("abcd", "abcx", "nfc"), score("ef", "", "nfc"), score("g h", "g h", "nfc")]
    whole = overall(scores, ["1", "2", "3"])
    assert whole.cer.value == pytest.approx(3 / 9)
    assert whole.wer.value == pytest.approx(2 / 4)
    assert whole.f1.value == pytest.approx(2 * 6 / (7 + 9))
    assert whole.f1_macro.value == pytest.approx((0.75 + 0.0 + 1.0) / 3)
    assert whole.perfect == 1


def test_an_interval_holds_the_value_and_repeats() -> None:
    scores = [score("abcdefghij", "abcdefghi" + "jx"[number % 3 == 0], "nfc") for number in range(60)]
    documents = [str(number) for number in range(60)]
    whole = overall(scores, documents)
    assert whole == overall(scores, documents)
    assert whole.cer.value == pytest.approx(1 / 30)
    # Of a share p of n samples: p +- 1.96 sqrt(p (1 - p) / n), in tenths.
    half = 1.96 * (1 / 3 * 2 / 3 / 60) ** 0.5 / 10
    assert whole.cer.low == pytest.approx(1 / 30 - half, abs=0.003)
    assert whole.cer.high == pytest.approx(1 / 30 + half, abs=0.003)


def test_rows_of_one_page_are_drawn_together() -> None:
    scores = [score("abcdefghij", ("abcdefghij", "x")[number >= 30], "nfc") for number in range(60)]
    apart = overall(scores, [str(number) for number in range(60)])
    pages = overall(scores, [str(number // 10) for number in range(60)])
    assert pages.cer.value == apart.cer.value
    assert pages.cer.high - pages.cer.low > 2 * (apart.cer.high - apart.cer.low)


def test_a_corpus_of_one_document_has_no_interval() -> None:
    whole = overall([score("ab", "ax", "nfc"), score("ab", "ab", "nfc")], ["1", "1"])
    assert (whole.cer.low, whole.cer.value, whole.cer.high) == (None, 0.25, None)
    with pytest.raises(ValueError, match="at least one sample"):
        overall([], [])
