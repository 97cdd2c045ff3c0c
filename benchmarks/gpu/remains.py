"""What is left behind by trials that end early: memory of the GPU, processes."""

from __future__ import annotations

import time
from collections.abc import Iterator

from gpu.jobs import Bench, OutOfTime, Timeline, kill_program, left_over, memory_in_use
from gpu.table import Row
from gpu.work import TINY, Plan, Ready, make_ready, trial
from hpsearch.execution.executors.local import LocalExecutor
from hpsearch.execution.gpu_slots import without_gpus
from hpsearch.execution.job import Event, Finished, Progress, Report

GIB, MIB = 1024**3, 1024**2
BACK_S = 15.0  # for a GPU's memory to come back after a process has ended
SLACK_BYTES = 64 * MIB  # of memory that counts as none


def memory_back(bench: Bench, plan: Plan) -> Iterator[Row]:
    """Nothing stays behind: after a prune, a stop, and many SIGKILLs of the trial's program."""
    ready = make_ready(bench, "qwen3_vl-tiny", "hf", TINY).with_settings(num_train_epochs=50)
    before = memory_in_use(bench)
    yield Row("memory back", "in use before", _bytes(before), "by the driver, of the first GPU" if before else "no GPU")

    def prune(executor: LocalExecutor, event: Event, timeline: Timeline) -> None:
        if isinstance(event, Report):
            executor.answer(event.job_id, event.step, True)

    def stop(executor: LocalExecutor, event: Event, timeline: Timeline) -> None:
        if isinstance(event, Progress) and event.values.get("phase") == "train":
            executor.stop(event.job_id, 10.0)

    for what, watch in (("prune", prune), ("stop", stop)):
        timeline = trial(bench, ready, what, watch=watch)
        yield Row("memory back", f"after a {what}", *look_again(bench, before, timeline.outcome.cause.value))
    yield from _kills(bench, ready, before, plan)


def _kills(bench: Bench, ready: Ready, before: int, plan: Plan) -> Iterator[Row]:
    """Launch trials, kill each one's program when it trains, and look at what is left once all are gone."""
    causes: dict[str, int] = {}
    executor = LocalExecutor(without_gpus(1 if plan.cpu else 4))
    try:
        for first in range(0, plan.kills, executor.slots):
            _kill_some(bench, ready, range(first, min(first + executor.slots, plan.kills)), executor, causes)
    except OutOfTime:
        yield Row("memory back", "SIGKILLs", f"cut after {sum(causes.values())} of {plan.kills}", "time was up")
    finally:
        executor.close()
    told = ", ".join(f"{count} {cause}" for cause, count in causes.items()) or "none"
    yield Row("memory back", f"after {sum(causes.values())} SIGKILLs", *look_again(bench, before, told))


def _kill_some(bench: Bench, ready: Ready, numbers: range, executor: LocalExecutor, causes: dict[str, int]) -> None:
    jobs = {}
    for number in numbers:
        job = bench.job("trial", f"kill-{number}", ready.settings, ready.prepared)
        jobs[job.id] = job
        executor.launch(job)
    left = set(jobs)
    while left:
        if bench.left_s <= 0:
            raise OutOfTime
        for event in executor.events(min(1.0, bench.left_s)):
            if isinstance(event, Progress) and event.values.get("phase") == "train":
                kill_program(jobs[event.job_id])
            elif isinstance(event, Report):
                executor.answer(event.job_id, event.step, False)
            elif isinstance(event, Finished):
                left.discard(event.job_id)
                causes[event.outcome.cause.value] = causes.get(event.outcome.cause.value, 0) + 1


def look_again(bench: Bench, before: int, told: str) -> tuple[str, str]:
    """How much more memory is in use than before, once it had time to come back; how the trial ended."""
    began = time.monotonic()
    while (more := memory_in_use(bench) - before) > SLACK_BYTES and time.monotonic() - began < BACK_S:
        time.sleep(0.1)
    processes = left_over()
    measured = f"{processes} processes left" + ("" if bench.cpu else f", {_bytes(max(more, 0))} more than before")
    return measured, f"{told}; looked at for {time.monotonic() - began:.1f} s"


def _bytes(size: int) -> str:
    return f"{size / GIB:.2f} GiB"
