"""What texts and pictures are like, by split."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from hpsearch.data.stats import Script, Spread

# Which script a character is of.

# By the first word of a character's name, where that is not the script's.
_NAMED = {
    "CJK": "Han",
    "IDEOGRAPHIC": "Han",
    "KANGXI": "Han",
    "CANADIAN": "Canadian Aboriginal",
    "COMBINING": "combining marks",
    "FULLWIDTH": "full-width forms",
    "MODIFIER": "modifier letters",
}
_OTHERS = {"Cf": "invisible signs", "Cc": "control characters"}


def script_of(character: str) -> str:
    """The script of a character (of a grapheme, its first), or what else it is."""
    first = character[0]
    category = unicodedata.category(first)
    if first.isspace():
        return "white space"
    if category in _OTHERS:
        return _OTHERS[category]
    if category[0] in "PS":
        return "punctuation and symbols"
    if category in ("Nl", "No") or (category == "Nd" and first.isascii()):
        return "numbers"
    word = _first_word(first)
    if word not in _NAMED:
        word = _first_word(unicodedata.normalize("NFKC", first)[0])  # a letter in another form
    return _NAMED.get(word, word.capitalize())


def _first_word(character: str) -> str:
    return unicodedata.name(character, "OTHER").split()[0].partition("-")[0]


RARE = 2  # times at most that a rare character is seen: too few to be learned
SHOWN_RARE = 60
STEPS = (1, 2, 3, 5, 7)  # of each power of ten, the ends of groups of lengths


def spread(values: Iterable[float]) -> Spread:
    """How values are spread; zeros without any."""
    ordered = sorted(values)
    if not ordered:
        return Spread()
    low, middle, high = (ordered[round(share * (len(ordered) - 1))] for share in (0.05, 0.5, 0.95))
    return Spread(ordered[0], low, middle, high, ordered[-1], sum(ordered))


def scripts(texts: Iterable[str]) -> tuple[Script, ...]:
    """The scripts of all texts, the most frequent first."""
    characters, rows = Counter[str](), Counter[str]()
    known: dict[str, str] = {}
    for text in texts:
        counted = Counter[str]()
        for character, count in Counter(text).items():
            counted[known.setdefault(character, script_of(character))] += count
        characters.update(counted)
        rows.update(counted.keys())
    return tuple(Script(name, count, rows[name]) for name, count in characters.most_common())


def alphabet(texts: Iterable[str]) -> tuple[int, int, Mapping[str, int]]:
    """How many different characters there are, how many of them are rare, and some of these with how often."""
    counts = Counter[str]()
    for text in texts:
        counts.update(text)
    rare = sorted(
        (each for each in counts if counts[each] <= RARE and not each.isspace()), key=lambda each: counts[each]
    )
    return len(counts), len(rare), {each: counts[each] for each in rare[:SHOWN_RARE]}


def not_composed(texts: Iterable[str]) -> int:
    """How many texts are not in Unicode's composed form: what looks the same is written in two ways."""
    return sum(not unicodedata.is_normalized("NFC", text) for text in texts)


def by_length(texts: Mapping[str, Sequence[str]]) -> tuple[tuple[int, Mapping[str, int]], ...]:
    """Texts by split, grouped by their length in characters: the longest of each group, up to the longest there is."""
    groups: dict[int, Counter[str]] = defaultdict(Counter)
    for split, some in texts.items():
        for text in some:
            groups[_end(len(text))][split] += 1
    most = max(groups, default=0)
    ends = [end for power in range(len(str(most))) for step in STEPS if (end := step * 10**power) <= most]
    return tuple((end, dict(groups[end])) for end in ends)


def _end(length: int) -> int:
    power = int(10 ** (len(str(max(length, 1))) - 1))
    return next((step * power for step in STEPS if length <= step * power), 10 * power)
