"""Statistics of texts: scripts, alphabet, lengths."""

from __future__ import annotations

import unicodedata
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence

from hpsearch.data.stats import Script, Spread

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
RARE = 2  # occurrences of a rare character at most: too few to be learned
SHOWN_RARE = 60
STEPS = (1, 2, 3, 5, 7)  # of each power of ten, the ends of groups of lengths


def script_of(character: str) -> str:
    """Return the script of a character (of a grapheme, its first), or the kind of any other sign."""
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


def spread(values: Iterable[float]) -> Spread:
    """Return the spread of values; zeros without any."""
    ordered = sorted(values)
    if not ordered:
        return Spread()
    low, middle, high = (ordered[round(share * (len(ordered) - 1))] for share in (0.05, 0.5, 0.95))
    return Spread(ordered[0], low, middle, high, ordered[-1], sum(ordered))


def scripts(texts: Iterable[str]) -> tuple[Script, ...]:
    """Count the scripts of all texts, the most frequent first."""
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
    """Count the different characters and the rare ones, and list some of these with their number of occurrences."""
    counts = Counter[str]()
    for text in texts:
        counts.update(text)
    rare = sorted((sign for sign in counts if counts[sign] <= RARE and not sign.isspace()), key=counts.__getitem__)
    return len(counts), len(rare), {sign: counts[sign] for sign in rare[:SHOWN_RARE]}


def not_composed(texts: Iterable[str]) -> int:
    """Count the texts that are not in Unicode's composed form: the same looks are written in two ways."""
    return sum(not unicodedata.is_normalized("NFC", text) for text in texts)


def by_length(texts: Mapping[str, Sequence[str]]) -> tuple[tuple[int, Mapping[str, int]], ...]:
    """Count texts by split in groups of lengths in characters, each named by its greatest length, up to the longest
    text."""
    groups: dict[int, Counter[str]] = defaultdict(Counter)
    for split, own in texts.items():
        for text in own:
            groups[_end(len(text))][split] += 1
    most = max(groups, default=0)
    ends = [end for power in range(len(str(most))) for step in STEPS if (end := step * 10**power) <= most]
    return tuple((end, dict(groups[end])) for end in ends)


def _end(length: int) -> int:
    power = int(10 ** (len(str(max(length, 1))) - 1))
    return next((step * power for step in STEPS if length <= step * power), 10 * power)
