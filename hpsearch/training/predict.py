"""Reading pictures with a tuned model, or any model of a known family: for notebooks and for ``hpsearch ocr``."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, NamedTuple

import torch
from PIL import Image

from hpsearch import sdk
from hpsearch.data.images import open_image
from hpsearch.data.progress import ProgressReporter
from hpsearch.errors import UsageError
from hpsearch.execution.job import ADAPTER_CARD, TEXTS_FILE, Job
from hpsearch.settings import TrainSettings
from hpsearch.training.backends import Loaded
from hpsearch.training.backends.hf import HfBackend
from hpsearch.training.evaluate.scores import RepetitionStopper, computing, ending_tokens, greedy
from hpsearch.training.machine.device import free_memory
from hpsearch.training.machine.faults import is_out_of_memory
from hpsearch.training.models.base import BaseCheckpoint, find_base, require_safetensors
from hpsearch.training.models.chat import Chat, answer_at_once
from hpsearch.training.models.profiles import Difference

NEW_TOKENS = 2048  # where the card does not say how long answers may be
# Of the second attempt at a page that went round in circles; also what Chandra's users have read with until now.
RETRY_TEMPERATURE, RETRY_SEED = 0.3, 0
_BASE = ("model_revision", "load_in_4bit", "bnb_4bit_quant_type", "bnb_4bit_use_double_quant", "precision")
_SIZES = ("longest_edge", "max_pixels", "pan_and_scan", "instruction", "max_new_tokens")


class OcrModel(NamedTuple):
    """What ``load_model`` gives and ``run_ocr`` takes."""

    model: Any
    tokenizer: Any
    processor: Any


@dataclass(frozen=True)
class Reader:
    """A model ready to read: what it is asked, and how long its answers may be in tokens."""

    loaded: Loaded
    prompt: str
    max_new_tokens: int

    def read(self, pictures: Sequence[Any], instruction: str | None = None, temperature: float = 0.0) -> list[str]:
        """The texts of some pictures, read together, or in halves where memory does not suffice for that. Greedy at
        temperature 0; what then goes round in circles is read once more, with a little chance."""
        try:
            return self._read(pictures, instruction, temperature)
        except Exception as error:
            if len(pictures) == 1 or not is_out_of_memory(error):
                raise
        free_memory()  # only here, where the error's frames no longer hold tensors
        middle = len(pictures) // 2
        halves = (pictures[:middle], pictures[middle:])
        return [text for half in halves for text in self.read(half, instruction, temperature)]

    def _read(self, pictures: Sequence[Any], instruction: str | None, temperature: float) -> list[str]:
        texts, circles = self._generate(pictures, instruction, temperature)
        if temperature == 0.0 and any(circles):
            again = [picture for picture, turning in zip(pictures, circles, strict=True) if turning]
            with torch.random.fork_rng():
                torch.manual_seed(RETRY_SEED)  # so that reading repeats
                second = iter(self._generate(again, instruction, RETRY_TEMPERATURE)[0])
            texts = [next(second) if turning else text for text, turning in zip(texts, circles, strict=True)]
        return texts

    @torch.no_grad()
    def _generate(
        self, pictures: Sequence[Any], instruction: str | None, temperature: float
    ) -> tuple[list[str], list[bool]]:
        processor, device = self.loaded.processor, self.loaded.device
        question = Chat(processor, instruction or self.prompt).question
        inputs = processor(
            text=[question] * len(pictures),
            images=[[picture] for picture in pictures],
            padding=True,
            padding_side="left",
            return_tensors="pt",
            add_special_tokens=False,
        ).to(device)
        start = inputs["input_ids"].shape[1]
        config = greedy(self.loaded.model, self.max_new_tokens)
        if temperature > 0:
            config.do_sample, config.temperature = True, temperature
        guard = RepetitionStopper(start, ending_tokens(config))
        with computing(self.loaded):
            tokens = self.loaded.model.generate(**inputs, generation_config=config, stopping_criteria=[guard])
        texts = processor.tokenizer.batch_decode(tokens[:, start:], skip_special_tokens=True)
        return [text.strip() for text in texts], guard.caught(len(pictures))


def load_reader(model: str | Path, **settings: Any) -> Reader:
    """Load an adapter's folder with its base, or a model: a folder, a Hub id or asset:NAME. ``settings`` are those of
    loading and of sizes (load_in_4bit, precision, longest_edge, ...); an adapter's own stand where none is given.

    Raises:
        UsageError: there is no such model, or no access to it.
    """
    folder = Path(model).expanduser()
    adapter = folder if (folder / "adapter_config.json").is_file() else None
    card = _card(folder)
    known = {name: card[name] for name in (*_BASE, *_SIZES) if name in card}
    if "max_pixels" in settings:
        known.pop("longest_edge", None)  # which would decide alone
    wanted = TrainSettings(**{**known, "model_name": _base_name(adapter, str(model)), **settings})
    base = find_base(wanted, ProgressReporter("load"))
    backend = HfBackend()
    loaded = backend.load(base.family, base.folder, wanted)
    if adapter is not None:
        from peft import PeftModel

        require_safetensors(adapter)
        loaded = replace(loaded, model=PeftModel.from_pretrained(loaded.model, str(adapter)))
        _take_template(loaded.processor, adapter)
    backend.to_inference(loaded)
    return Reader(loaded, wanted.instruction or base.prompt, wanted.max_new_tokens or NEW_TOKENS)


def _take_template(processor: Any, adapter: Path) -> None:
    """Ask as the adapter was trained: its folder may have another chat template than its base."""
    template = adapter / "chat_template.jinja"
    if template.is_file():
        processor.chat_template = template.read_text(encoding="utf-8")
        answer_at_once(processor)


def load_model(model: str | Path, **settings: Any) -> OcrModel:
    """Load a tuned model for ``run_ocr``: ``model, tokenizer, processor = load_model("studies/mine/best")``. See
    ``load_reader`` for what may be named and set.

    Raises:
        UsageError: there is no such model, or no access to it.
    """
    reader = load_reader(model, **settings)
    reader.loaded.model.hpsearch_reader = reader
    return OcrModel(reader.loaded.model, reader.loaded.processor.tokenizer, reader.loaded.processor)


def run_ocr(
    image: Any,
    model: Any,
    tokenizer: Any = None,
    processor: Any = None,
    *,
    instruction: str | None = None,
    temperature: float = 0.0,
) -> str:
    """The text of a picture: a path, the bytes of a picture file or a Pillow image. ``model`` is of ``load_model``
    (``tokenizer`` and ``processor`` are taken as they come with it). At temperature 0 reading is greedy, so it repeats.

    Raises:
        UsageError: the picture cannot be opened, or the model was loaded by something else.
    """
    reader = getattr(model, "hpsearch_reader", None)
    if not isinstance(reader, Reader):
        raise UsageError("run_ocr reads with a model of load_model, but got another one", "load it with load_model")
    return reader.read([picture_of(image)], instruction, temperature)[0]


def verify_config(model: str | Path, profile: str = "auto") -> list[Difference]:
    """Where a model's configuration is not what its family and profile expect: each with place, expected and found; an
    empty list for a sound one. Only small files are read, or downloaded.

    Raises:
        UsageError: there is no such model, or it is of no known family.
    """
    return base_of(str(model), profile).differences()


def base_of(model: str, profile: str = "auto") -> BaseCheckpoint:
    """The base model of an adapter's folder, or the model itself, without its weights."""
    folder = Path(model).expanduser()
    adapter = folder if (folder / "adapter_config.json").is_file() else None
    settings = TrainSettings.model_validate({"model_name": _base_name(adapter, model), "profile": profile})
    return find_base(settings, ProgressReporter("check"), weights=False)


def picture_of(image: Any) -> Any:
    """A picture as the model sees it, from a path, bytes or a Pillow image.

    Raises:
        UsageError: it cannot be opened.
    """
    if isinstance(image, Image.Image):
        kept = io.BytesIO()
        image.save(kept, "PNG")
        return open_image(kept.getvalue())
    try:
        return open_image(image if isinstance(image, bytes) else Path(image).expanduser().read_bytes())
    except Exception as error:
        named = image if isinstance(image, (str, Path)) else "the bytes given"
        why = error.strerror if isinstance(error, OSError) and error.strerror else "not a picture that can be read"
        raise UsageError(
            f"a picture must be a file that can be opened, but {named}: {why}", "name another one"
        ) from error


def batches(pictures: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Pictures in batches of at most ``size``."""
    for start in range(0, len(pictures), size):
        yield pictures[start : start + size]


def _base_name(adapter: Path | None, model: str) -> str:
    if adapter is None:
        return model
    path = adapter / "adapter_config.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["base_model_name_or_path"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UsageError(
            f"an adapter's adapter_config.json must name its base_model_name_or_path, but {path} does not",
            "name an adapter's folder as it was saved, or a model",
        ) from error


def _card(folder: Path) -> dict[str, Any]:
    """The settings that an adapter was made with, where it was made by hpsearch."""
    try:
        settings: dict[str, Any] = json.loads((folder / ADAPTER_CARD).read_text(encoding="utf-8"))["settings"]
    except (OSError, ValueError, KeyError):
        return {}
    return settings


# The ocr job: a list of pictures read with one model, a JSON line for each as soon as it is read.

_OWN = ("images", "model", "batch_size", "temperature")  # keys of the job's settings that are not a fine-tune's


def read_pictures(job: Job) -> None:
    """Read the job's "images" with its "model" into texts.jsonl.

    Raises:
        UsageError: the model or a picture cannot be used; every picture is opened before the first is read.
    """
    progress = ProgressReporter("open the pictures")
    wanted = job.settings
    images = [str(image) for image in wanted["images"]]
    for image in images:
        picture_of(image)
    progress.phase("load")
    given = {name: value for name, value in wanted.items() if name not in _OWN and value is not None}
    reader = load_reader(wanted["model"], **given)
    progress.phase("read", fraction=0.0)
    done = 0
    with (Path(job.output_dir) / TEXTS_FILE).open("w", encoding="utf-8") as target:
        for some in batches(images, int(wanted["batch_size"])):
            texts = reader.read([picture_of(image) for image in some], temperature=float(wanted["temperature"]))
            for image, text in zip(some, texts, strict=True):
                target.write(json.dumps({"image_path": image, "ocr_text": text}, ensure_ascii=False) + "\n")
            target.flush()
            done += len(some)
            progress.phase("read", fraction=done / len(images))
    sdk.finish(pictures=done)
