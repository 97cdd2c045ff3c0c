"""Reading pictures with a tuned model: `hpsearch ocr`."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from hpsearch.execution.executors import EXECUTORS
from hpsearch.execution.gpu_slots import without_gpus
from hpsearch.execution.job import TEXTS_FILE
from hpsearch.execution.outcome import Cause
from hpsearch.execution.run_job import errand, failure, passing_folder, run_job, usable_trainer
from hpsearch.execution.signals import Interruption
from hpsearch.study.events import RunEvent, View

Taker = Callable[[dict[str, str]], None]


def read_pictures(
    images: Sequence[Path],
    model: str,
    options: Mapping[str, Any],
    take: Taker,
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
    trainer = usable_trainer(trainer_python)
    runner = EXECUTORS[executor](without_gpus(1))
    try:
        with passing_folder() as folder, Interruption() as interruption:
            interruption.wake = runner.wake
            texts = _Texts(folder / TEXTS_FILE, take)

            def seen(happening: RunEvent) -> None:
                texts.pass_on()
                view(happening)

            settings = {"images": [str(image.absolute()) for image in images], "model": model, **options}
            job = errand("ocr", settings, folder, trainer)
            try:
                outcome = run_job(job, runner, interruption, seen)
            finally:
                texts.pass_on()
            if outcome.cause is not Cause.OK:
                raise failure(job, outcome)
    finally:
        runner.close()


class _Texts:
    """Passes on what is new in a file of JSON lines."""

    def __init__(self, path: Path, take: Taker) -> None:
        self._path, self._take = path, take
        self._position = 0

    def pass_on(self) -> None:
        """Pass on the whole lines that were added."""
        if not self._path.exists():
            return
        with self._path.open("rb") as source:
            source.seek(self._position)
            data = source.read()
        whole = data[: data.rfind(b"\n") + 1]
        self._position += len(whole)
        for line in whole.splitlines():
            self._take(json.loads(line))
