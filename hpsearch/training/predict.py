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
from hpsearch.data.places import read_file
from hpsearch.data.progress import ProgressReporter
from hpsearch.errors import UsageError
from hpsearch.execution.adapter_card import AdapterCard
from hpsearch.execution.job import TEXTS_FILE, Job
from hpsearch.settings import TrainSettings
from hpsearch.training.backends import Loaded
from hpsearch.training.backends.hf import HfBackend
from hpsearch.training.evaluate.scores import RepetitionStopper, autocast, ending_tokens, greedy
from hpsearch.training.machine.device import free_memory
from hpsearch.training.machine.faults import is_out_of_memory
from hpsearch.training.models.base import BaseCheckpoint, find_base, require_safetensors
from hpsearch.training.models.chat import Chat, answer_at_once
from hpsearch.training.models.profiles import Difference

NEW_TOKENS = 2048  # where the card does not say how long answers may be
# Of the second attempt at a page whose text repeated itself; also what Chandra's users have read with until now.
RETRY_TEMPERATURE, RETRY_SEED = 0.3, 0
# Settings that a card decides: those of loading, and those of sizes and the question.
_OF_LOADING = ("model_revision", "load_in_4bit", "bnb_4bit_quant_type", "bnb_4bit_use_double_quant", "precision")
_OF_SIZES = ("longest_edge", "max_pixels", "pan_and_scan", "instruction", "max_new_tokens")
_OF_THE_JOB = ("images", "model", "batch_size", "temperature")  # settings of the ocr job that no fine-tune has


class OcrModel(NamedTuple):
    """The result of ``load_model``, for ``run_ocr``."""

    model: Any
    tokenizer: Any
    processor: Any


def load_model(model: str | Path, **settings: Any) -> OcrModel:
    """Load a tuned model for ``run_ocr``: ``model, tokenizer, processor = load_model("studies/mine/best")``. See
    ``load_reader`` for the models and settings.

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
    """Read the text of a picture: a path, the bytes of a picture file or a Pillow image. ``model`` is of ``load_model``
    and brings its own ``tokenizer`` and ``processor``. At temperature 0 reading is greedy, so it repeats.

    Raises:
        UsageError: the picture cannot be opened, or the model was loaded by something else.
    """
    reader = getattr(model, "hpsearch_reader", None)
    if not isinstance(reader, Reader):
        raise UsageError("run_ocr reads with a model of load_model, but got another one", "load it with load_model")
    return reader.read([picture_of(image)], instruction, temperature)[0]


def verify_config(model: str | Path, profile: str = "auto") -> list[Difference]:
    """Compare a model's configuration with what its family and profile expect. Only small files are read, or
    downloaded.

    Returns:
        The differences, each with place, expected and found value; an empty list for a sound model.

    Raises:
        UsageError: there is no such model, or it is of no known family.
    """
    return base_of(str(model), profile).differences()


@dataclass(frozen=True)
class Reader:
    """A model ready to read: ``prompt`` is the instruction of its question, ``max_new_tokens`` limits its answers."""

    loaded: Loaded
    prompt: str
    max_new_tokens: int

    def read(self, pictures: Sequence[Any], instruction: str | None = None, temperature: float = 0.0) -> list[str]:
        """Read the texts of pictures together, or in halves where memory does not suffice for that. Greedy at
        temperature 0; a text that repeats itself is then read once more, at ``RETRY_TEMPERATURE``."""
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
        texts, repeats = self._generate(pictures, instruction, temperature)
        if temperature == 0.0 and any(repeats):
            again = [picture for picture, repeating in zip(pictures, repeats, strict=True) if repeating]
            with torch.random.fork_rng():
                torch.manual_seed(RETRY_SEED)  # so that reading repeats
                second = iter(self._generate(again, instruction, RETRY_TEMPERATURE)[0])
            texts = [next(second) if repeating else text for text, repeating in zip(texts, repeats, strict=True)]
        return texts

    @torch.no_grad()
    def _generate(
        self, pictures: Sequence[Any], instruction: str | None, temperature: float
    ) -> tuple[list[str], list[bool]]:
        """Generate the texts. Also returns the pictures for which it was stopped because the text repeated itself."""
        processor = self.loaded.processor
        inputs = processor(
            text=[Chat(processor, instruction or self.prompt).question] * len(pictures),
            images=[[picture] for picture in pictures],
            padding=True,
            padding_side="left",
            return_tensors="pt",
            add_special_tokens=False,
        ).to(self.loaded.device)
        start = inputs["input_ids"].shape[1]
        config = greedy(self.loaded.model, self.max_new_tokens)
        if temperature > 0:
            config.do_sample, config.temperature = True, temperature
        stopper = RepetitionStopper(start, ending_tokens(config))
        with autocast(self.loaded):
            tokens = self.loaded.model.generate(**inputs, generation_config=config, stopping_criteria=[stopper])
        texts = processor.tokenizer.batch_decode(tokens[:, start:], skip_special_tokens=True)
        return [text.strip() for text in texts], stopper.stopped(len(pictures))


def load_reader(model: str | Path, **settings: Any) -> Reader:
    """Load an adapter's folder with its base, or a model: a folder, a Hub id or asset:NAME. ``settings`` are those of
    loading and of sizes (load_in_4bit, precision, longest_edge, ...); where none is given, the adapter's own holds.

    Raises:
        UsageError: there is no such model, or no access to it.
    """
    folder = Path(model).expanduser()
    adapter = _adapter_in(folder)
    card = AdapterCard.find(folder).settings
    known = {name: card[name] for name in (*_OF_LOADING, *_OF_SIZES) if name in card}
    if "max_pixels" in settings:
        known.pop("longest_edge", None)  # which would decide alone
    chosen = TrainSettings(**{**known, "model_name": _base_name(adapter, str(model)), **settings})
    base = find_base(chosen, ProgressReporter("load"))
    backend = HfBackend()
    loaded = backend.load(base.family, base.folder, chosen)
    if adapter is not None:
        from peft import PeftModel

        require_safetensors(adapter)
        loaded = replace(loaded, model=PeftModel.from_pretrained(loaded.model, str(adapter)))
        template = adapter / "chat_template.jinja"  # it may have been trained with another one than its base's
        if template.is_file():
            loaded.processor.chat_template = template.read_text(encoding="utf-8")
            answer_at_once(loaded.processor)
    backend.to_inference(loaded)
    return Reader(loaded, chosen.instruction or base.prompt, chosen.max_new_tokens or NEW_TOKENS)


def base_of(model: str, profile: str = "auto") -> BaseCheckpoint:
    """Find the base model of an adapter's folder, or the model itself, without its weights."""
    name = _base_name(_adapter_in(Path(model).expanduser()), model)
    settings = TrainSettings.model_validate({"model_name": name, "profile": profile})
    return find_base(settings, ProgressReporter("check"), weights=False)


def _adapter_in(folder: Path) -> Path | None:
    return folder if (folder / "adapter_config.json").is_file() else None


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


def picture_of(image: Any) -> Any:
    """Open a picture as the model sees it, from a path, bytes or a Pillow image.

    Raises:
        UsageError: it cannot be opened.
    """
    if isinstance(image, Image.Image):
        png = io.BytesIO()
        image.save(png, "PNG")
        return open_image(png.getvalue())
    try:
        return open_image(image if isinstance(image, bytes) else read_file(Path(image).expanduser()))
    except UsageError:  # no file
        raise
    except Exception as error:
        named = image if isinstance(image, (str, Path)) else "the bytes given"
        why = error.strerror if isinstance(error, OSError) and error.strerror else "not a picture that can be read"
        raise UsageError(
            f"a picture must be a file that can be opened, but {named}: {why}", "name another one"
        ) from error


def batches(pictures: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    """Yield the pictures in batches of at most ``size``."""
    for start in range(0, len(pictures), size):
        yield pictures[start : start + size]


def read_pictures(job: Job) -> None:
    """Run the ocr job: read its "images" with its "model", and write a JSON line to texts.jsonl for each picture as
    soon as it is read.

    Raises:
        UsageError: the model or a picture cannot be used; every picture is opened before the first is read.
    """
    progress = ProgressReporter("open the pictures")
    settings = job.settings
    images = [str(image) for image in settings["images"]]
    for image in images:
        picture_of(image)
    progress.phase("load")
    given = {name: value for name, value in settings.items() if name not in _OF_THE_JOB and value is not None}
    reader = load_reader(settings["model"], **given)
    progress.phase("read", fraction=0.0)
    done = 0
    with (Path(job.output_dir) / TEXTS_FILE).open("w", encoding="utf-8") as target:
        for batch in batches(images, int(settings["batch_size"])):
            texts = reader.read([picture_of(image) for image in batch], temperature=float(settings["temperature"]))
            for image, text in zip(batch, texts, strict=True):
                target.write(json.dumps({"image_path": image, "ocr_text": text}, ensure_ascii=False) + "\n")
            target.flush()
            done += len(batch)
            progress.phase("read", fraction=done / len(images))
    sdk.finish(pictures=done)
