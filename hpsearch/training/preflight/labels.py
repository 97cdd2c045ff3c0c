"""Labels through the model's chat template and tokenizer and back: a reference is what the model could write."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest
from pathlib import Path
from typing import Any

from hpsearch.data.check_images import NAMED, CheckedImage, LeftOut
from hpsearch.data.metrics import NORMALIZATIONS
from hpsearch.settings import TrainSettings
from hpsearch.training.assign_rows import Data
from hpsearch.training.models.base import BaseCheckpoint
from hpsearch.training.models.chat import Chat
from hpsearch.training.models.processors import load_processor
from hpsearch.training.prepared import SPLITS

AT_ONCE = 1000  # rows that are encoded together
SHOWN = 20  # characters of a text, in a reason


@dataclass(frozen=True)
class ReadBack:
    """A label that was encoded and decoded: the ``text`` that the model can write for it, or the ``fault`` because of
    which there is none."""

    text: str
    fault: str = ""


def check_labels(base: BaseCheckpoint, data: Data, settings: TrainSettings, folder: Path) -> Data:
    """Encode and decode each row's answer once. Rows whose text does not come back are left out and listed in
    ``folder``; where only white space at the ends is lost (Gemma 3's template trims), the reference is without it.

    Raises:
        UsageError: a split ends up empty, or too many rows cannot be used.
    """
    processor = load_processor(base.family, base.folder, settings)
    chat = Chat(processor, settings.instruction or base.prompt)
    rows: dict[str, list[CheckedImage]] = {split: [] for split in SPLITS}
    left_out: list[LeftOut] = []
    trimmed: list[str] = []
    for split in SPLITS:
        texts = [row.sample.text for row in data.rows[split]]
        read = read_back(processor.tokenizer, chat, texts, settings.text_normalization)
        for row, label in zip(data.rows[split], read, strict=True):
            if label.fault:
                left_out.append(LeftOut(row.sample.id, split, label.fault))
            elif label.text == row.sample.text:
                rows[split].append(row)
            else:
                trimmed.append(row.sample.id)
                rows[split].append(replace(row, sample=replace(row.sample, text=label.text)))
    return data.with_labels(rows, left_out, settings, folder, _trimmed(trimmed))


def _trimmed(rows: Sequence[str]) -> list[str]:
    if not rows:
        return []
    named = ", ".join(rows[:NAMED]) + (" ..." if len(rows) > NAMED else "")
    return [
        f"the model's chat template or tokenizer writes {len(rows)} texts without the white space at their ends, or "
        f"with composed accents: they are taught and compared as it writes them ({named})"
    ]


def read_back(tokenizer: Any, chat: Chat, texts: Sequence[str], normalization: str) -> Iterator[ReadBack]:
    """Encode and decode labels as training and evaluation do, and compare them as evaluations do."""
    for start in range(0, len(texts), AT_ONCE):
        part = texts[start : start + AT_ONCE]
        encoded = chat.labels([chat.answer(text) for text in part])
        decoded = tokenizer.batch_decode(encoded, skip_special_tokens=True)
        for text, ids, back in zip(part, encoded, decoded, strict=True):
            yield _compare(tokenizer, chat, text, ids, back, normalization)


def _compare(tokenizer: Any, chat: Chat, text: str, ids: Sequence[int], back: str, normalization: str) -> ReadBack:
    mark = chat.special(ids)
    compared = NORMALIZATIONS[normalization].characters
    if mark is None and compared(back) == compared(text):
        return ReadBack(text)
    if mark is None and _bare(back) == _bare(text):
        return ReadBack(back)
    if mark is not None and mark != tokenizer.unk_token:
        return ReadBack("", f"its text holds {mark!r}, which the tokenizer cannot write as plain text: change the text")
    unknown = _unknown(tokenizer, chat, text)
    if unknown:
        names = ", ".join(f"{character!r} U+{ord(character):04X}" for character in unknown[:NAMED])
        return ReadBack("", f"the tokenizer has no token for {names}: replace it in the text, or use another model")
    label = chat.label(text)
    if _bare(label) != _bare(text):
        return ReadBack("", f"the chat template changes its text{_difference(text, label)}: change the text")
    return ReadBack("", f"the tokenizer changes its text{_difference(text, back)}: change the text")


def _bare(text: str) -> str:
    return unicodedata.normalize("NFC", text).strip()


def _unknown(tokenizer: Any, chat: Chat, text: str) -> list[str]:
    """Return the characters of a text that the tokenizer cannot give back."""
    characters = list(dict.fromkeys(character for character in text if not character.isspace()))
    encoded = tokenizer(characters, add_special_tokens=False)["input_ids"]
    decoded = tokenizer.batch_decode(encoded, skip_special_tokens=True)
    return [
        character
        for character, ids, back in zip(characters, encoded, decoded, strict=True)
        if chat.special(ids) is not None or "\N{REPLACEMENT CHARACTER}" in back or not back.strip()
    ]


def _difference(text: str, back: str) -> str:
    """Say where two texts differ."""
    start = next(number for number, (a, b) in enumerate(zip_longest(text, back)) if a != b)
    return f" at character {start + 1}, {text[start : start + SHOWN]!r} becomes {back[start : start + SHOWN]!r}"
