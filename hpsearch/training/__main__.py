"""The training program: ``python -m hpsearch.training`` runs the job named in HPSEARCH_JOB.

Exit codes: 0 done (or pruned), 2 refused, 1 anything else.
"""

from __future__ import annotations

import os
import sys
import traceback
from contextlib import suppress
from importlib import import_module
from pathlib import Path

from hpsearch import sdk
from hpsearch.errors import UsageError
from hpsearch.execution.job import Job
from hpsearch.execution.outcome import Cause
from hpsearch.training.machine.faults import available_bytes, classify
from hpsearch.training.machine.libraries import ignore_known_warnings, importing
from hpsearch.training.preload import set_environment

# The function that runs a job, by the job's kind.
_JOBS = {
    "survey": "training.survey.survey",
    "preflight": "training.prepare.preflight",
    "prepare": "training.prepare.prepare",
    "trial": "training.trial.run_trial",
    "train": "training.trial.run_trial",
    "ocr": "training.predict.read_pictures",
    "convert": "data.convert.convert",
    "stats": "training.data_stats.stats",
    "join": "data.merge.merge",
    "merge": "training.export.merge.merge",
    "gguf": "training.export.gguf.convert",
    "publish": "training.export.publish.publish",
    "doctor": "training.doctor.answer",
}


def main() -> int:
    """Run the job. Where that fails, the reason goes to the report channel. Returns the exit code."""
    job = sdk.job()
    if job is None:
        print("hpsearch.training is started by hpsearch, with HPSEARCH_JOB in its environment", file=sys.stderr)
        return 2
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # the log shows a line as it is written
    set_environment(job.kind)
    ignore_known_warnings()
    try:
        _run(job)
    except UsageError as error:
        print(error, file=sys.stderr)
        sdk.fault("invalid", str(error))
        return 2
    except Exception as error:
        fault = classify(error)
        if fault is None:
            raise
        traceback.print_exc()
        with suppress(RuntimeError):  # a device that failed answers nothing any more
            # Of the device's memory another process may have held the rest.
            available = available_bytes() if fault.cause is Cause.CUDA_OOM else 0
            if available:
                sdk.finish(device_memory_bytes=available)
        sdk.fault(fault.cause.value, fault.message)
        return 1
    return 0


def _run(job: Job) -> None:
    if job.kind not in _JOBS:
        raise UsageError(f"a job's kind must be one of {', '.join(_JOBS)}, but is {job.kind!r}", "fix the job")
    module, _, function = _JOBS[job.kind].rpartition(".")
    with importing():
        if job.kind in ("trial", "train") and job.prepared_dir is not None:  # without one the recipe refuses it
            # The backend decides what is imported first.
            from hpsearch.training.backends.startup import start_backend
            from hpsearch.training.prepared import PreparedData

            folder = Path(job.prepared_dir)
            start_backend(PreparedData.read(folder).backend, folder)
        run = getattr(import_module(f"hpsearch.{module}"), function)
    run(job)


def end() -> None:
    """Run the job and end the process with its exit code."""
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # everything is written: taking torch and transformers apart again would cost a second or two


if __name__ == "__main__":
    end()
