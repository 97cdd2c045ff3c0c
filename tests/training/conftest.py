"""Tiny models with random weights, pictures of words, and a channel on which a job in this process can be heard."""

from __future__ import annotations

import io
import json
import os
import sys
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageDraw

from hpsearch.execution.job import Job
from hpsearch.execution.names import ANSWER_VARIABLE, JOB_VARIABLE, REPORT_VARIABLE
from hpsearch.settings import TrainSettings
from hpsearch.training.machine.libraries import ignore_known_warnings

pytest.register_assert_rewrite("tests.training.settings")

WORDS = {
    "train": ["cat", "dog", "owl", "fox", "hen", "bee", "ant", "elk", "emu", "cow", "pig", "ape"],
    "validation": ["yak", "eel", "rat", "ram", "asp"],
    "holdout": ["bat", "cod", "doe"],
}
FAMILY_NAMES = ("gemma3", "gemma4", "paddleocr_vl", "qwen2_5_vl", "qwen3_5", "qwen3_vl")
# One with pictures of fixed size and one with any, for what depends on the family in no other way.
TYPICAL_FAMILIES = ("gemma3", "qwen3_vl")
# Linear layers of the tiny models (mostly two layers in each tower) that LoRA is meant to adapt.
LINEARS = {
    "gemma3": (14, 12),
    "gemma4": (24, 14),  # two of its four layers have keys and values of their own
    "paddleocr_vl": (14, 12),
    "qwen2_5_vl": (14, 10),
    "qwen3_5": (13, 8),
    "qwen3_vl": (14, 8),
}
# And of those between the towers.
MERGER_LINEARS = {"gemma3": 0, "gemma4": 1, "paddleocr_vl": 2, "qwen2_5_vl": 2, "qwen3_5": 2, "qwen3_vl": 4}
T = TypeVar("T")
NO_SEARCH = "needs the searching side, which an environment of the training side alone is without"


def pytest_configure(config: pytest.Config) -> None:
    """Let the libraries' known warnings about themselves pass, as the program behind the door does."""
    ignore_known_warnings()
    for ignored in (
        "ignore:`label_smoothing_factor` is deprecated:FutureWarning",
        "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning",
        "ignore:`torch.jit.script:DeprecationWarning",
    ):
        config.addinivalue_line("filterwarnings", ignored)


def picture(text: str, size: tuple[int, int] = (48, 16)) -> bytes:
    """A PNG of a word."""
    drawn = Image.new("L", size, 255)
    ImageDraw.Draw(drawn).text((4, 1), text, fill=0)
    target = io.BytesIO()
    drawn.save(target, "PNG")
    return target.getvalue()


def write_words(folder: Path, words: Mapping[str, list[str]] = WORDS, **columns: list[Any]) -> Path:
    """A parquet file of pictures of words for each split."""
    folder.mkdir(parents=True, exist_ok=True)
    for split, texts in words.items():
        table = pa.table({"image": [picture(text) for text in texts], "text": texts, **columns})
        pq.write_table(table, folder / f"{split}.parquet")
    return folder


class OfFamilies(dict[str, T]):
    """Something of each family by its name, made when it is first asked for."""

    def __init__(self, make: Callable[[str], T]) -> None:
        super().__init__()
        self._make = make

    def __missing__(self, family: str) -> T:
        self[family] = self._make(family)
        return self[family]


@pytest.fixture(scope="session", autouse=True)
def one_thread() -> None:
    """Tests run beside each other, where a second thread of each would mostly wait."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def words(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures of words: 12 to learn from, 5 to judge by, 3 held out."""
    return write_words(tmp_path_factory.mktemp("words"))


@pytest.fixture(scope="session")
def tiny_bases(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The folder of a tiny model with random weights, for each family."""
    from tools.tiny_models import build_tiny

    def saved(name: str) -> Path:
        skip_without_classes(name)
        folder = tmp_path_factory.mktemp(name)
        build_tiny(name, seed=1).save(folder)
        return folder

    return OfFamilies(saved)


def skip_without_classes(family: str) -> None:
    """Skip where the installed transformers lacks the family's classes: 5.17 has Gemma 4's with torchvision alone."""
    from hpsearch.errors import UsageError
    from hpsearch.training.models.families import FAMILIES
    from hpsearch.training.models.processors import processor_class

    try:
        processor_class(FAMILIES[family])
    except UsageError as error:
        if family != "gemma4":
            raise
        pytest.skip(str(error))


@pytest.fixture(params=FAMILY_NAMES)
def family_name(request: pytest.FixtureRequest) -> str:
    """Each family in turn."""
    skip_without_classes(request.param)
    return str(request.param)


@pytest.fixture(params=TYPICAL_FAMILIES)
def typical_family(request: pytest.FixtureRequest) -> str:
    """Each of the typical families in turn."""
    return str(request.param)


@dataclass
class Door:
    """Makes jobs over tiny models and words, runs them in this process, and hears what they say."""

    folder: Path
    bases: Mapping[str, Path]
    words: Path
    prune_at: int | None = None
    lines: list[dict[str, Any]] = field(default_factory=list)

    def settings(self, family: str = "qwen3_vl", **changes: Any) -> dict[str, Any]:
        """Complete settings of a short fine-tune."""
        return TrainSettings(**{**self.brief(family), **changes}).model_dump()

    def brief(self, family: str = "qwen3_vl") -> dict[str, Any]:
        """The settings of a short fine-tune that are not defaults."""
        return {
            "model_name": str(self.bases[family]),
            "input_data": str(self.words),
            "train_split": "train",
            "val_split": "validation",
            "holdout_split": "holdout",
            "instruction": "Read.",
            "max_seq_length": 100,
            "learning_rate": 1e-2,
            "max_steps": 4,
            "per_device_train_batch_size": 4,
            "gradient_accumulation_steps": 1,
            "evaluations": 2,
            "eval_samples": 3,
            "eval_stride": 1,
            "final_samples": 256,
            "max_new_tokens": 4,
        }

    def job(self, kind: str, settings: Mapping[str, Any], name: str = "", **fields: Any) -> Job:
        """A job that writes under this test's folder; a trial reads what ``prepare`` left there."""
        return Job(
            id=name or kind,
            kind=kind,
            study="words",
            command=(sys.executable, "-m", "hpsearch.training"),
            output_dir=str(self.folder / (name or kind)),
            settings=dict(settings),
            prepared_dir=str(self.folder / "prepare"),
            **fields,
        )

    def run(self, job: Job) -> int:
        """Run a job in this process as the program would; its exit code. ``lines`` are what it said."""
        from hpsearch.training.__main__ import main

        output = Path(job.output_dir)
        output.mkdir(parents=True, exist_ok=True)
        (output / "job.json").write_text(job.to_json())
        self.lines.clear()
        environment = dict(os.environ)
        try:
            with self._listening(output):
                return main()
        finally:  # the program sets what its libraries read, which must not reach other tests
            os.environ.clear()
            os.environ.update(environment)

    def prepare(self, settings: Mapping[str, Any], **searched: list[Any]) -> int:
        """Run the prepare job for a study that searches these values."""
        variations = [{name: value} for name, values in searched.items() for value in values]
        return self.run(self.job("prepare", settings, variations=variations))

    def said(self, key: str) -> list[Any]:
        """The values of a key, in each line that has it."""
        return [line[key] for line in self.lines if key in line]

    def reports(self) -> list[dict[str, Any]]:
        """The lines with a step."""
        return [line for line in self.lines if "step" in line]

    def final(self) -> dict[str, Any]:
        """The final metrics, all such lines together."""
        final = {}
        for line in self.lines:
            if not {"step", "progress", "fault"} & set(line):
                final |= line
        return final

    def _listening(self, output: Path) -> Any:
        return Channel(self, output)


class Channel:
    """The report channel of one job in this process: a FIFO that is read in a thread."""

    def __init__(self, door: Door, output: Path) -> None:
        self._door = door
        self._fifo, self._answer = output / "report", output / "answer"
        self._addresses = {
            JOB_VARIABLE: str(output / "job.json"),
            REPORT_VARIABLE: str(self._fifo),
            ANSWER_VARIABLE: str(self._answer),
        }

    def __enter__(self) -> None:
        self._fifo.unlink(missing_ok=True)
        self._answer.unlink(missing_ok=True)
        os.mkfifo(self._fifo, 0o600)
        os.environ.update(self._addresses)
        self._writer = os.open(self._fifo, os.O_RDWR)  # keeps the channel open between lines
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()

    def __exit__(self, *_: object) -> None:
        os.write(self._writer, b"\n")  # the end
        self._thread.join()
        os.close(self._writer)

    def _listen(self) -> None:
        with self._fifo.open("rb") as channel:
            while (line := channel.readline().strip()) != b"":
                self._take(json.loads(line))

    def _take(self, line: dict[str, Any]) -> None:
        self._door.lines.append(line)
        if "step" in line:
            new = self._answer.with_suffix(".new")
            new.write_text(json.dumps({"step": line["step"], "prune": line["step"] == self._door.prune_at}))
            new.replace(self._answer)


@pytest.fixture
def door(tmp_path: Path, tiny_bases: dict[str, Path], words: Path) -> Door:
    """Jobs of this test alone."""
    return Door(tmp_path, tiny_bases, words)


@pytest.fixture(scope="session")
def prepared(
    tmp_path_factory: pytest.TempPathFactory,
    tiny_bases: dict[str, Path],
    words: Path,
) -> dict[str, Door]:
    """For each family, a door in whose folder the prepare job has run. Make your own with ``at``."""

    def made(name: str) -> Door:
        door = Door(tmp_path_factory.mktemp(f"prepared-{name}"), tiny_bases, words)
        assert door.prepare(door.settings(name)) == 0, door.lines
        return door

    return OfFamilies(made)


def at(door: Door) -> Door:
    """A door on the same prepared folder, with nothing heard yet."""
    return replace(door, lines=[], prune_at=None)
