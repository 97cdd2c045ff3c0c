"""The ocr job: a list of pictures read with one model, a JSON line for each as soon as it is read."""

from __future__ import annotations

import json
from pathlib import Path

from hpsearch import sdk
from hpsearch.data.progress import Progress
from hpsearch.execution.job import TEXTS_FILE, Job
from hpsearch.training.predict import batches, load_reader, picture_of

_OWN = ("images", "model", "batch_size", "temperature")  # keys of the job's settings that are not a fine-tune's


def read_pictures(job: Job) -> None:
    """Read the job's "images" with its "model" into texts.jsonl.

    Raises:
        UsageError: the model or a picture cannot be used; every picture is opened before the first is read.
    """
    progress = Progress("open the pictures")
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
