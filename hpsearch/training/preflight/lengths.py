"""Lengths of the rows in tokens, at every size of picture and with every instruction that a study may use."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from math import ceil, prod, sqrt
from statistics import median
from typing import Any

from PIL import Image

from hpsearch.data.check_images import CheckedImage
from hpsearch.data.progress import ProgressReporter
from hpsearch.errors import UsageError
from hpsearch.execution.survey_result import CROWDED, HOPELESS, Sizing
from hpsearch.settings import TrainSettings
from hpsearch.training.models.base import BaseCheckpoint
from hpsearch.training.models.chat import Chat
from hpsearch.training.models.image_size import budget_areas
from hpsearch.training.models.processors import load_processor

NAMED = 5  # rows that are too long, in a message
HEAVIEST = 64  # rows that are kept as the longest ones: more do not go into one pass
LARGEST_EDGE = 32_768  # in pixels: an area this small was meant as an edge
# In pixels: those below the largest picture's edge are measured, and that edge.
EDGES = (512, 768, 1024, 1536, 2048, 3072, 4096)

Size = tuple[int, int]  # width and height in pixels


@dataclass(frozen=True)
class Shape:
    """The parts of a row that decide its tokens: the text, and the size of the picture in pixels."""

    id: str
    text: str
    size: Size


@dataclass(frozen=True)
class Lengths:
    """Tokens of each row with one setting of sizes and instruction. ``questions`` are picture and instruction
    together, ``pictures`` of them those that the picture adds; with ``answers`` they make the whole row."""

    shapes: Sequence[Shape]
    questions: Sequence[int]
    pictures: Sequence[int]
    answers: Sequence[int]

    @property
    def rows(self) -> list[int]:
        """Tokens of each whole row."""
        return [question + answer for question, answer in zip(self.questions, self.answers, strict=True)]

    def heaviest(self, count: int) -> list[int]:
        """Return the positions of the longest among the first ``count`` rows, the longest first."""
        rows = self.rows
        return sorted(range(count), key=lambda position: -rows[position])[:HEAVIEST]

    def figures(self) -> dict[str, int]:
        """Return the figures that are kept: the longest row, question, answer and picture, and medians."""
        return {
            "longest": max(self.rows),
            "longest_question": max(self.questions),
            "longest_answer": max(self.answers),
            "longest_picture": max(self.pictures),
            "median": round(median(self.rows)),
            "median_picture": round(median(self.pictures)),
            "median_answer": round(median(self.answers)),
        }


class Measure:
    """Measures rows with a model's processor, once for each sizing. ``progress`` is called with the fraction done."""

    def __init__(self, base: BaseCheckpoint, shapes: Sequence[Shape], progress: Callable[[float], None]) -> None:
        self.shapes = shapes
        self._base, self._progress = base, progress
        self._known: dict[tuple[Any, ...], Lengths] = {}

    @classmethod
    def of_rows(cls, base: BaseCheckpoint, rows: Iterable[CheckedImage], progress: ProgressReporter) -> Measure:
        """Return a measure of prepared or scanned rows that shows its progress."""
        progress.phase("measure lengths", fraction=0.0)
        shapes = [Shape(row.sample.id, row.sample.text, row.size) for row in rows]
        return cls(base, shapes, lambda done: progress.show(fraction=done))

    def lengths(self, settings: TrainSettings) -> Lengths:
        """Return the lengths of all rows with the settings' sizes of pictures and instruction."""
        key = (settings.instruction, settings.longest_edge, settings.max_pixels, settings.pan_and_scan)
        if key not in self._known:
            self._known[key] = self._measure(settings)
        return self._known[key]

    def _measure(self, settings: TrainSettings) -> Lengths:
        processor = load_processor(self._base.family, self._base.folder, settings)
        chat = Chat(processor, settings.instruction or self._base.prompt)
        question = len(processor.tokenizer(chat.question, add_special_tokens=False)["input_ids"])
        sizes = list(dict.fromkeys(shape.size for shape in self.shapes))
        by_size = self._by_crops(processor, sizes, chat) if settings.pan_and_scan else _by_count(processor, sizes, chat)
        questions = [by_size[shape.size] for shape in self.shapes]
        answers = [len(ids) for ids in chat.encode([chat.answer(shape.text) for shape in self.shapes])]
        # Of the question's own text one token is the mark that the picture's tokens replace.
        return Lengths(self.shapes, questions, [max(length - question + 1, 1) for length in questions], answers)

    def _by_crops(self, processor: Any, sizes: Sequence[Size], chat: Chat) -> dict[Size, int]:
        """Process each size: only the processor knows the number of crops, and their marks."""
        lengths = {}
        for number, size in enumerate(sizes):
            lengths[size] = _question_length(processor, size, chat)
            self._progress(number / len(sizes))
        return lengths


def _by_count(processor: Any, sizes: Sequence[Size], chat: Chat) -> dict[Size, int]:
    """Process one size, and let the processor count the others: 10,000 scans may have as many sizes."""
    first = _question_length(processor, sizes[0], chat)
    turned = [(height, width) for width, height in sizes]
    if hasattr(processor, "_get_num_multimodal_tokens"):
        counts = processor._get_num_multimodal_tokens(image_sizes=turned)["num_image_tokens"]
    else:  # PaddleOCR-VL's processor does not count, but its image processor does
        images = processor.image_processor
        counts = [images.get_number_of_image_patches(*size) // images.merge_size**2 for size in turned]
    return {size: first + count - counts[0] for size, count in zip(sizes, counts, strict=True)}


def _question_length(processor: Any, size: Size, chat: Chat) -> int:
    picture = Image.new("RGB", size)
    inputs = processor(text=[chat.question], images=[[picture]], return_tensors="pt", add_special_tokens=False)
    return int(inputs["input_ids"].shape[1])


def refuse_too_long(lengths: Lengths, limit: int) -> None:
    """Refuse a length limit below the longest row's tokens: nothing is ever truncated.

    Raises:
        UsageError: it names the rows, and what takes their tokens.
    """
    rows = lengths.rows
    over = sorted((number for number, length in enumerate(rows) if length > limit), key=lambda number: -rows[number])
    if not over:
        return
    named = ", ".join(f"{lengths.shapes[number].id} ({rows[number]})" for number in over[:NAMED])
    longest = over[0]
    raise UsageError(
        f"every row must fit in max_seq_length={limit} tokens, but {len(over)} of {len(rows)} do not: {named}"
        f"{' ...' if len(over) > NAMED else ''}; of the longest, {lengths.pictures[longest]} are its picture's and "
        f"{lengths.answers[longest]} its answer's",
        f"set max_seq_length to {max(rows)} or more, make pictures smaller, or leave these rows out",
    )


def refuse_unreadable(lengths: Lengths, settings: TrainSettings) -> list[str]:
    """Refuse pictures shrunk so far that their text cannot be in them any more. Returns a warning where it is tight.

    Raises:
        UsageError: the median row has more than ``HOPELESS`` text tokens for each visual one.
    """
    figures = lengths.figures()
    ratio = figures["median_answer"] / figures["median_picture"]
    if ratio <= CROWDED:
        return []
    by_tokens = sorted(range(len(lengths.pictures)), key=lambda number: lengths.pictures[number])
    shape = lengths.shapes[by_tokens[len(by_tokens) // 2]]
    rule = (
        f"a picture must keep its text readable, but one of {shape.size[0]}x{shape.size[1]} pixels becomes "
        f"{figures['median_picture']} visual tokens for {figures['median_answer']} tokens of text"
    )
    if ratio <= HOPELESS:
        return [f"{rule}: expect errors"]
    if settings.longest_edge is None and settings.max_pixels is not None and settings.max_pixels <= LARGEST_EDGE:
        remedy = f"max_pixels is an area: for an edge of {settings.max_pixels} pixels set longest_edge, or leave it out"
    else:
        remedy = (
            "give more pixels (longest_edge or max_pixels; gemma3: pan_and_scan; gemma4: max_pixels alone), or train "
            "on lines instead of pages"
        )
    raise UsageError(rule, remedy)


def usual(figures: Mapping[str, int]) -> str:
    """Describe the figures of rows in a sentence."""
    return (
        f"{figures['median']} tokens a row ({figures['median_picture']} of its picture, {figures['median_answer']} "
        f"of its answer), the longest {figures['longest']}"
    )


def largest_edge(measure: Measure) -> int:
    """Return the side in pixels of a square as large as the largest picture."""
    return ceil(sqrt(max(prod(shape.size) for shape in measure.shapes)))


def sizings(base: BaseCheckpoint, measure: Measure, settings: TrainSettings) -> Iterator[Sizing]:
    """Yield the rows' tokens at the settings' own size, and at each other one that may be worth a search."""
    own = measure.lengths(settings)
    yield _sizing(settings, own)
    if base.family.sizing == "area":
        edge = largest_edge(measure)
        smaller = [size for size in EDGES if size < edge]
        for size in dict.fromkeys((*smaller, min(edge, EDGES[-1])) if smaller else ()):
            sized = settings.model_copy(update={"longest_edge": size, "max_pixels": None})
            yield _sizing(sized, measure.lengths(sized))
    elif base.family.sizing == "budget":
        for area in budget_areas(base.family):
            sized = settings.model_copy(update={"longest_edge": None, "max_pixels": area})
            yield _sizing(sized, measure.lengths(sized))
    elif base.family.crops and median(own.answers) > CROWDED * median(own.pictures):
        cropped = settings.model_copy(update={"pan_and_scan": True})
        yield _sizing(cropped, measure.lengths(cropped))


def _sizing(settings: TrainSettings, lengths: Lengths) -> Sizing:
    picture = round(median(lengths.pictures))
    area = settings.max_pixels if settings.longest_edge is None else None  # an edge decides alone
    return Sizing(settings.longest_edge, settings.pan_and_scan, picture, max(lengths.rows), area)
