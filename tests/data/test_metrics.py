"""CER and WER: against jiwer, at the edges, and under each normalisation."""

from __future__ import annotations

import random
from collections.abc import Sequence

import jiwer
import pytest

from hpsearch.data.metrics import (
    NORMALIZATIONS,
    Edits,
    character_edits,
    total,
    word_edits,
)


def character_error_rate(references: Sequence[str], predictions: Sequence[str]) -> float:
    return total(map(character_edits, references, predictions)).rate


def word_error_rate(references: Sequence[str], predictions: Sequence[str]) -> float:
    return total(map(word_edits, references, predictions)).rate


def some_texts(seed: int, count: int = 40) -> list[str]:
    rng = random.Random(seed)
    return ["".join(rng.choices("abc d", k=rng.randint(1, 30))).strip() or "a" for _ in range(count)]


def test_rates_are_those_of_jiwer() -> None:
    references, predictions = some_texts(1), some_texts(2)
    assert character_error_rate(references, predictions) == pytest.approx(jiwer.cer(references, predictions))
    assert word_error_rate(references, predictions) == pytest.approx(jiwer.wer(references, predictions))


def test_kinds_of_edits_are_those_of_jiwer() -> None:
    references, predictions = some_texts(3), some_texts(4)
    theirs = jiwer.process_words(references, predictions)
    ours = total(map(word_edits, references, predictions))
    assert ours.errors == theirs.substitutions + theirs.deletions + theirs.insertions
    assert ours.length == theirs.hits + theirs.substitutions + theirs.deletions


def test_a_corpus_is_averaged_over_its_characters_not_over_its_rows() -> None:
    assert character_error_rate(["a", "abcdefghi"], ["b", "abcdefghi"]) == pytest.approx(1 / 10)


def test_the_three_kinds_are_told_apart() -> None:
    assert character_edits("abcd", "abxd") == Edits(substitutions=1, length=4)
    assert character_edits("abcd", "abd") == Edits(deletions=1, length=4)
    assert character_edits("abcd", "abccd") == Edits(insertions=1, length=4)
    assert word_edits("one two", "one two three") == Edits(insertions=1, length=2)


def test_text_where_there_is_none_counts() -> None:
    assert character_edits("", "").rate == 0.0
    assert character_edits("", "xy").rate == 2.0
    assert character_error_rate(["", "abcd"], ["x", "abcd"]) == pytest.approx(1 / 4)
    assert word_error_rate([""], ["x y"]) == 2.0


def test_rates_may_exceed_one() -> None:
    assert character_error_rate(["a"], ["abcdef"]) == 5.0


def test_an_empty_corpus_has_no_errors() -> None:
    assert character_error_rate([], []) == 0.0


COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


@pytest.mark.parametrize(("name", "errors"), [("none", 2), ("nfc", 0), ("whitespace", 0)])
def test_composed_and_decomposed_accents(name: str, errors: int) -> None:
    assert character_edits(COMPOSED, DECOMPOSED, name).errors == errors


@pytest.mark.parametrize(("name", "errors"), [("none", 4), ("nfc", 4), ("whitespace", 0)])
def test_white_space(name: str, errors: int) -> None:
    assert character_edits("a b\tc", " a b  c\n", name).errors == errors


def test_words_are_what_white_space_separates_under_every_normalization() -> None:
    for name in NORMALIZATIONS:
        assert word_edits("a  b\nc", " a b c ", name).errors == 0


def test_case_and_punctuation_are_hidden_only_where_that_is_asked_for() -> None:
    errors = {name: character_edits("Ab.", "ab", name).errors for name in NORMALIZATIONS}
    assert errors == {"none": 2, "nfc": 2, "whitespace": 2, "no_punctuation": 1, "graphemes": 2}


@pytest.mark.parametrize(
    "mark", [*"!\"#$%&'()*+,-./:;<=>?@[\\]^_`{|}~", *"，。！？、；：（）《》「」『』【】—…“”‘’·～", "\u3000"]
)
def test_without_punctuation_there_are_letters_alone(mark: str) -> None:
    assert character_edits("中 文a1", f"中{mark}文\na{mark} 1", "no_punctuation").errors == 0
    assert word_edits("one two", f"one{mark} two", "no_punctuation").errors == 0


@pytest.mark.parametrize("letter", [*"aé中あ한ক1０Ａ", "\u09be", "।"])
def test_letters_are_no_punctuation(letter: str) -> None:
    assert character_edits(letter, "", "no_punctuation").errors == 1


def test_graphemes_are_what_a_reader_takes_for_characters() -> None:
    assert character_edits("\u0995\u09cd\u09b7\u09bf", "\u0995\u09cd\u09b7\u09c0", "graphemes") == Edits(1, 0, 0, 1)
    assert character_edits("\u0995\u09be\u0996", "\u0995\u0996", "graphemes").rate == 0.5
    assert character_edits("\U0001f469\u200d\U0001f4bb", "", "graphemes").length == 1
