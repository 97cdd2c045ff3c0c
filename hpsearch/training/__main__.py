"""The program behind the door: ``python -m hpsearch.training`` does the job named in HPSEARCH_JOB.

Exit codes: 0 done (or pruned), 2 refused, 1 anything else.
"""

from __future__ import annotations

import os
import sys
import traceback

from hpsearch import sdk
from hpsearch.errors import UsageError
from hpsearch.training.faults import classify
from hpsearch.training.quiet import ignore_known_warnings
from hpsearch.trials.job import Job


def main() -> int:
    """Do the job, and say on the report channel why where it cannot be done."""
    job = sdk.job()
    if job is None:
        print("hpsearch.training is started by hpsearch, with HPSEARCH_JOB in its environment", file=sys.stderr)
        return 2
    sys.stdout.reconfigure(line_buffering=True)  # type: ignore[union-attr]  # the log shows a line as it is written
    _set_environment(job.kind)
    ignore_known_warnings()
    try:
        _do(job)
    except UsageError as error:
        print(error, file=sys.stderr)
        sdk.fault("invalid", str(error))
        return 2
    except Exception as error:
        fault = classify(error)
        if fault is None:
            raise
        traceback.print_exc()
        sdk.fault(fault.cause.value, fault.message)
        return 1
    return 0


def _do(job: Job) -> None:
    if job.kind == "prepare":
        from hpsearch.training.prepare import prepare

        prepare(job)
    elif job.kind == "preflight":
        from hpsearch.training.prepare import preflight

        preflight(job)
    elif job.kind in ("trial", "train"):
        from hpsearch.training.recipe import run_trial

        run_trial(job)
    else:
        raise UsageError(
            f"a job's kind must be preflight, prepare, trial or train, but is {job.kind!r}", "mend the job"
        )


def _set_environment(kind: str) -> None:
    """Switches that the libraries read when they are imported."""
    os.environ["TOKENIZERS_PARALLELISM"] = "false"  # its threads do not survive a fork
    os.environ.setdefault("HF_HUB_DISABLE_TELEMETRY", "1")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")  # the same sums every time, says NVIDIA
    if "LOCAL_RANK" not in os.environ:  # without a launcher a trial has one GPU: the trainer refuses several
        visible = os.environ.get("CUDA_VISIBLE_DEVICES", "0")
        os.environ["CUDA_VISIBLE_DEVICES"] = visible.partition(",")[0]
    if kind not in ("prepare", "preflight"):  # what a trial needs was made ready before
        os.environ["HF_HUB_OFFLINE"] = "1"


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # everything is written: taking torch and transformers apart again would cost a second or two
