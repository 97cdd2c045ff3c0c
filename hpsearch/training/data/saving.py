"""Writing rows as a Hugging Face dataset that `load_from_disk` opens."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from hpsearch.trials.conversion import FINEVISION, Conversion

MORE = ("document", "kind", "id", "copy")  # columns beside picture and text


def save_dataset(folder: Path, splits: Mapping[str, Path], wanted: Conversion, scratch: Path) -> None:
    """Save the rows that files of metadata name, by split: so many of them in memory as ``wanted`` has in a batch.
    Picture files go into the dataset, which needs nothing beside it."""
    from datasets import Dataset, DatasetDict, disable_progress_bars

    disable_progress_bars()
    made = {}
    for split, path in splits.items():
        made[split] = Dataset.from_generator(
            _rows,
            features=_features(wanted),
            cache_dir=str(scratch / "cache"),
            gen_kwargs={"path": str(path), "wanted": wanted},
            fingerprint=split,
            writer_batch_size=wanted.batch_size,
        )
    DatasetDict(made).save_to_disk(str(folder))


def _rows(path: str, wanted: Conversion) -> Iterator[dict[str, Any]]:
    with Path(path).open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            file = Path(path).parent / row["image_path"]
            picture = {"bytes": file.read_bytes(), "path": file.name}
            more = {name: row[name] for name in MORE}
            if wanted.output_format == FINEVISION:
                turn = {"user": wanted.instruction, "assistant": row["ocr_text"]}
                yield {"images": [picture], "texts": [turn], **more}
            else:
                yield {"image": picture, "text": row["ocr_text"], **more}


def _features(wanted: Conversion) -> Any:
    from datasets import Features, Image, List, Value

    text = Value("string")
    more = {name: Value("int32") if name == "copy" else text for name in MORE}
    if wanted.output_format == FINEVISION:
        return Features({"images": List(Image()), "texts": List({"user": text, "assistant": text}), **more})
    return Features({"image": Image(), "text": text, **more})
