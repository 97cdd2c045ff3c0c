"""Confusions, scripts and lengths, counted on texts whose errors are known."""

from __future__ import annotations

from hpsearch.commands.scores import Confusion, Group, by_length, by_script, confusions, score


def test_confusions_pair_a_character_with_the_one_in_its_place() -> None:
    counts = confusions([("hallo", "hello"), ("all", "ell"), ("ab", "b"), ("c", "cd")], "nfc")
    assert counts == [Confusion("a", "e", 2), Confusion("", "d", 1), Confusion("a", "", 1)]


def test_confusions_of_graphemes_keep_marks_with_their_letters() -> None:
    (confusion,) = confusions([("\u0995\u09be", "\u0995\u09bf")], "graphemes")
    assert (confusion.label, confusion.prediction) == ("\u0995\u09be", "\u0995\u09bf")


def test_errors_count_for_the_labels_script_and_what_is_too_much_for_its_own() -> None:
    groups = {group.name: group for group in by_script([("a\u0995", "b\u0995"), ("\u6f22 1", "\u6f22 1x")], "nfc")}
    assert groups["Latin"] == Group("Latin", 2, 1, 2)
    assert groups["Bengali"] == Group("Bengali", 1, 1, 0)
    assert (groups["Han"].characters, groups["numbers"].characters, groups["white space"].errors) == (1, 1, 0)
    assert groups["Latin"].rate == 2.0


def test_lengths_are_those_of_the_labels() -> None:
    texts = [("a" * 10, "a" * 10), ("a" * 11, "a" * 10), ("a" * 5000, "")]
    groups = by_length([score(*pair, "nfc") for pair in texts])
    assert [(group.name, group.samples, group.errors) for group in groups] == [
        ("0 to 10", 1, 0),
        ("11 to 30", 1, 1),
        ("more than 1000", 1, 5000),
    ]
