"""`hpsearch ocr`: read pictures with a tuned model."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hpsearch.execution.job import TEXTS_FILE
from hpsearch.execution.run_job import job_folder, require_trainer, run_and_read, standalone_job
from hpsearch.execution.signals import Interruption
from hpsearch.study.events import RunEvent, View


def read_pictures(
    images: Sequence[Path],
    model: str,
    options: Mapping[str, Any],
    take: Callable[[dict[str, str]], None],
    view: View,
    trainer_python: str | None = None,
    executor: str = "local",
) -> None:
    """Read pictures, by another Python if one is named; ``take`` gets each row (image_path, ocr_text) as soon as it is
    read, in order.

    Raises:
        Interrupted: a stop signal came.
        UsageError: the model, a picture or the Python cannot be used.
        JobFailed: reading failed for another reason.
    """
    trainer = require_trainer(trainer_python)
    with job_folder() as folder, Interruption() as interruption:
        texts, position = folder / TEXTS_FILE, 0

        def pass_on() -> None:
            """Pass on the whole lines that were added."""
            nonlocal position
            if not texts.exists():
                return
            with texts.open("rb") as source:
                source.seek(position)
                data = source.read()
            whole = data[: data.rfind(b"\n") + 1]
            position += len(whole)
            for line in whole.splitlines():
                take(json.loads(line))

        def watch(event: RunEvent) -> None:
            pass_on()
            view(event)

        settings = {"images": [str(image.absolute()) for image in images], "model": model, **options}
        try:
            run_and_read(standalone_job("ocr", settings, folder, trainer), TEXTS_FILE, executor, interruption, watch)
        finally:
            pass_on()
