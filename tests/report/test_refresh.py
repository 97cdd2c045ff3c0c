"""The report of a study that is being run: what keeps it from being made is a note, and ends nothing."""

from __future__ import annotations

import time
from pathlib import Path

from hpsearch.execution.events import Note
from hpsearch.execution.job import Outcome
from hpsearch.execution.outcome import Cause
from hpsearch.report.refresh import refreshed
from hpsearch.study.events import RunEvent, RunStarted, TrialEnded
from hpsearch.study.storage.open import StorageUrl

STARTED = RunStarted("quad", "cer", "minimize", 4, 0, "bayesian", 20, None)
ENDED = TrialEnded(0, Outcome(Cause.OK), "COMPLETE", 0.2, 1)
GUARD_S = 60


def test_a_report_that_cannot_be_made_is_noted_once(tmp_path: Path) -> None:
    shown: list[RunEvent] = []
    url, until = StorageUrl(f"sqlite:///{tmp_path / 'missing.db'}"), time.monotonic() + GUARD_S
    with refreshed(url, tmp_path, shown.append, every_s=0.01) as view:
        view(STARTED)
        while not any(isinstance(event, Note) for event in shown) and time.monotonic() < until:
            view(ENDED)
            time.sleep(0.01)
    (note,) = (event.text for event in shown if isinstance(event, Note))
    assert note.startswith("no report while the run is under way: there is no storage at ")
