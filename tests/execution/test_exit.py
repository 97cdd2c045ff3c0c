"""Every way a program can end, and the cause it is given."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpsearch.execution.exit import Exit, JobEnding, Stop, classify_exit, shown_tail
from hpsearch.execution.files import open_new
from hpsearch.execution.job import Job, Outcome
from hpsearch.execution.outcome import Cause
from hpsearch.execution.program import oom_kills
from hpsearch.execution.reports import Record

KILLED = Exit(number=9)
INTERRUPTED = Stop(Cause.INTERRUPTED, "stopped on request")


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    record = Record("cer", open_new(str(tmp_path / "metrics.jsonl")))
    yield record
    record.close()


def classified(record: Record, kind: str = "trial", steps: int | None = None, **ending: Any) -> Outcome:
    job = Job(id="a", kind=kind, study="s", command=(), output_dir="", settings={}, metric="cer", steps=steps)
    return classify_exit(job, record, JobEnding(**{"exit": Exit(code=0), "duration_s": 1.0} | ending))


def cause(record: Record, kind: str = "trial", **ending: Any) -> Cause:
    return classified(record, kind, **ending).cause


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (0, Exit(code=0)),
        (2 << 8, Exit(code=2)),
        (9, Exit(number=9)),
        (11 | 0x80, Exit(number=11)),  # with a core dump
        (137 << 8, Exit(number=9)),
        (139 << 8, Exit(number=11)),
        (128 << 8, Exit(code=128)),
        (255 << 8, Exit(code=255)),
    ],
)
def test_wait_statuses(status: int, expected: Exit) -> None:
    assert Exit.from_status(status) == expected


@pytest.mark.parametrize(
    "text",
    [
        "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 2.00 GiB.",
        "RuntimeError: CUDA error: out of memory",
        "RuntimeError: CUDA driver error: out of memory",
        "torch.cuda.OutOfMemoryError: HIP out of memory.",
        "RuntimeError: CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`",
        "RuntimeError: cuDNN error: CUDNN_STATUS_ALLOC_FAILED",
        "RuntimeError: cuDNN error: CUDNN_STATUS_NOT_SUPPORTED",
        "RuntimeError: NCCL error in: ProcessGroupNCCL.cpp:1275, unhandled cuda error, NCCL version 2.27",
        "RuntimeError: [enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate 1 bytes",
    ],
)
@pytest.mark.parametrize("ended", [Exit(code=1), Exit(number=6)])
def test_device_memory_used_up(record: Record, text: str, ended: Exit) -> None:
    log = f"step 1\n{text}\n".encode() + b"later\n" * 100
    assert cause(record, exit=ended, log_tail=log) is Cause.CUDA_OOM


def test_the_words_alone_are_no_failure(record: Record) -> None:
    assert cause(record, exit=Exit(code=1), log_tail=b"unhandled cuda error") is Cause.CRASH
    record.take(b'{"cer": 0.5}')
    assert cause(record, log_tail=b"CUDA out of memory, halving the batch") is Cause.OK


def test_host_memory_used_up(record: Record) -> None:
    assert cause(record, exit=KILLED, oom_kills=1) is Cause.HOST_OOM
    assert cause(record, exit=KILLED, oom_kills=0) is Cause.SIGNAL
    assert cause(record, exit=Exit(code=1), oom_kills=1) is Cause.CRASH
    below = b"RuntimeError: DataLoader worker (pid 7) is killed by signal: Killed."
    assert cause(record, exit=Exit(code=1), log_tail=below) is Cause.CRASH
    assert cause(record, exit=Exit(code=1), log_tail=below, oom_kills=1) is Cause.HOST_OOM
    for text in (
        b"terminate called after throwing an instance of 'std::bad_alloc'",
        b"MemoryError",
        b"MemoryError: x",
        b"numpy._core._exceptions._ArrayMemoryError: Unable to allocate",
    ):
        assert cause(record, exit=Exit(code=1), log_tail=b"Traceback\n" + text + b"\n") is Cause.HOST_OOM


def test_a_fault_stands_above_everything_but_a_result_before_it(record: Record) -> None:
    record.take(b'{"fault": "invalid", "message": "no"}')
    record.take(b'{"cer": 0.5}')
    for ending in ({}, {"exit": KILLED}, {"stop": INTERRUPTED}, {"pruned_at": 3}):
        assert cause(record, **ending) is Cause.INVALID


def test_a_pruned_trial_is_pruned_however_it_ends(record: Record) -> None:
    record.take(b'{"step": 1, "cer": 0.5}')
    for ending in ({}, {"exit": Exit(code=1)}, {"exit": KILLED}, {"stop": INTERRUPTED}):
        assert cause(record, pruned_at=1, **ending) is Cause.PRUNED


@pytest.mark.parametrize("why", [Cause.INTERRUPTED, Cause.TIMEOUT, Cause.STALLED, Cause.LOST])
def test_a_stop_is_the_cause_unless_the_result_was_reported(record: Record, why: Cause) -> None:
    record.take(b'{"step": 1, "cer": 0.6}')
    for ended in (Exit(code=0), Exit(code=1), KILLED):
        assert cause(record, exit=ended, stop=Stop(why, "")) is why
    record.close_verdict()
    record.take(b'{"cer": 0.5}')
    for ended in (Exit(code=0), Exit(code=1), KILLED):
        outcome = classified(record, exit=ended, stop=Stop(why, "the reason"))
        assert (outcome.cause, outcome.metrics) == (Cause.OK, {"cer": 0.5})
        assert outcome.message == "after its final metrics: the reason"
    assert cause(record, "ocr", exit=KILLED, stop=Stop(why, "")) is why  # what it writes is its result


@pytest.mark.parametrize("ended", [Exit(code=1), Exit(number=11), KILLED])
def test_a_reported_result_counts_whatever_comes_after(record: Record, ended: Exit) -> None:
    record.take(b'{"cer": 0.5}')
    record.take(b'{"fault": "crash", "message": "late"}')
    record.take(b'{"step": 9, "loss": "nan"}')
    outcome = classified(record, exit=ended, log_tail=b"CUDA out of memory")
    assert (outcome.cause, outcome.metrics) == (Cause.OK, {"cer": 0.5})
    assert "crash: late" in outcome.message


def test_a_result_that_is_reported_again_is_said_and_never_lost_to_one_that_is_not_finite(record: Record) -> None:
    for line in (b'{"cer": 0.5}', b'{"wer": 0.7}', b'{"cer": NaN, "wer": 0.6}', b'{"cer": 0.5}'):
        record.take(line)
    outcome = classified(record)
    assert (outcome.cause, outcome.metrics, outcome.message) == (Cause.OK, {"cer": 0.5, "wer": 0.7}, "")
    assert "does not replace it" in outcome.refusals
    record.take(b'{"cer": 0.4}')
    outcome = classified(record)
    assert outcome.metrics == {"cer": 0.4, "wer": 0.7}
    assert outcome.message == "the final cer was reported again: 0.4 in the place of 0.5"


def test_a_good_exit_without_final_metrics_before_the_last_step_is_no_result(record: Record) -> None:
    record.take(b'{"step": 1, "cer": 0.5}')
    outcome = classified(record, steps=100)
    assert (outcome.cause, outcome.metrics) == (Cause.PROTOCOL, {})
    assert "step 1 of 100" in outcome.message
    assert cause(record) is Cause.OK  # the last step is not known
    record.take(b'{"step": 100, "cer": 0.4}')
    assert classified(record, steps=100).metrics == {"cer": 0.4}


def test_a_refused_last_report_leaves_no_older_value_in_its_place(record: Record) -> None:
    record.take(b'{"step": 1, "cer": 0.5}')
    record.take(b'{"cer": "0.1"}')
    assert cause(record) is Cause.PROTOCOL
    record.take(b'{"step": 2, "cer": 0.4}')
    assert cause(record) is Cause.OK


def test_shown_tail_is_short() -> None:
    assert shown_tail("\n".join(map(str, range(100)))).splitlines() == [str(number) for number in range(50, 100)]
    assert len(shown_tail("x" * 100_000)) <= 8192


def test_oom_kills_can_be_counted_here() -> None:
    assert oom_kills() >= 0
