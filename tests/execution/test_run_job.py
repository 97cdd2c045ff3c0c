"""Running one job that is no trial: a stop signal that came between two jobs."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpsearch.errors import Interrupted
from hpsearch.execution.executors.fake import FakeExecutor
from hpsearch.execution.job import Job
from hpsearch.execution.run_job import run_job
from hpsearch.execution.signals import Interruption


def test_after_a_stop_signal_no_further_job_is_launched(tmp_path: Path) -> None:
    launched: list[Job] = []

    def play(job: Job) -> Iterator[str]:
        launched.append(job)
        yield from ()

    job = Job(id="a", kind="prepare", study="a", command=("a",), output_dir=str(tmp_path / "a"), settings={})
    with Interruption() as interruption:
        signal.raise_signal(signal.SIGTERM)
        with pytest.raises(Interrupted) as stop:
            run_job(job, FakeExecutor(play), interruption, lambda event: None)
    assert stop.value.exit_code == 143
    assert launched == []
    assert not (tmp_path / "a").exists()
