"""The files of a model: which ones it needs, and how much they hold, read without loading any weights."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from hpsearch.execution.doctor_question import Finding, red

INDEX = "model.safetensors.index.json"
TOKENIZERS = ("tokenizer.json", "tokenizer.model", "vocab.json")
PROCESSORS = ("preprocessor_config.json", "processor_config.json")
TEMPLATES = ("chat_template.jinja", "chat_template.json")
_MAX_HEADER_BYTES = 100_000_000  # the limit of the format itself


def name_findings(names: Collection[str], model: str) -> Iterator[Finding]:
    """What is missing among a model's file names; a chat template may be inside another file, so is not looked for."""
    if not any(name.endswith(".safetensors") for name in names):
        yield red("model", f"{model} has no weights as *.safetensors", "name a model that has them")
    for files, what in ((TOKENIZERS, "tokenizer"), (PROCESSORS, "processor (for its pictures)")):
        if not set(files) & set(names):
            text = f"{model} has no {what}: none of {', '.join(files)}"
            yield red("model", text, "name a model of text and pictures that has one, or add the file")


def folder_findings(folder: Path) -> Iterator[Finding]:
    """What is missing or cannot be read in a model's folder, besides its config.json."""
    names = sorted(path.name for path in folder.iterdir())
    yield from name_findings(names, str(folder))
    missing = sorted(set(_shards(folder)) - set(names))
    if missing:
        text = f"{folder} lacks {len(missing)} of the weights' files, such as {missing[0]}"
        yield red("model", text, "copy or download the model again")
    for path in sorted(folder.glob("*.safetensors")):
        try:
            _header(path)
        except (OSError, ValueError, struct.error) as error:
            yield red("model", f"{path} cannot be read: {error}", "copy or download the model again")
    if not set(TEMPLATES) & set(names) and not _template_inside(folder):
        text = f"{folder} has no chat template, which says how a question is asked"
        yield red("model", text, f"use the instruction-tuned model (-it, -Instruct), or add {TEMPLATES[0]}")


def weight_bytes(folder: Path) -> int:
    """The size of the weights' files, in bytes."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors"))


def parameters_in(folder: Path) -> int:
    """How many numbers the weights' files that can be read hold."""
    total = 0
    for path in folder.glob("*.safetensors"):
        try:
            header = _header(path)
        except (OSError, ValueError, struct.error):
            continue
        total += sum(math.prod(entry["shape"]) for name, entry in header.items() if name != "__metadata__")
    return total


def _header(path: Path) -> dict[str, Any]:
    """The table of contents of a safetensors file: eight bytes of length, then JSON.

    Raises:
        ValueError: it is not such a file, or is cut off.
    """
    size = path.stat().st_size
    with path.open("rb") as source:
        (length,) = struct.unpack("<Q", source.read(8))
        if length > min(size, _MAX_HEADER_BYTES):
            raise ValueError("not a safetensors file")
        header: dict[str, Any] = json.loads(source.read(length))
    ends = [entry["data_offsets"][1] for name, entry in header.items() if name != "__metadata__"]
    if 8 + length + max(ends, default=0) > size:
        raise ValueError("it is cut off")
    return header


def _shards(folder: Path) -> list[str]:
    return list(dict.fromkeys(_json(folder / INDEX).get("weight_map", {}).values()))


def _template_inside(folder: Path) -> bool:
    places = (folder / "tokenizer_config.json", folder / "processor_config.json")
    return any(_json(path).get("chat_template") for path in places)


def _json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return values if isinstance(values, dict) else {}
