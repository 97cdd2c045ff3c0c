"""The contract of all executors, tried on each of them with the same scripted trials."""

from __future__ import annotations

import json
import math
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import pytest

from hpsearch.execution.executors import EXECUTORS, Executor
from hpsearch.execution.executors.fake import FakeExecutor
from hpsearch.execution.executors.local import LocalExecutor
from hpsearch.execution.gpu_slots import without_gpus
from hpsearch.execution.job import Job, Outcome, Progress
from hpsearch.execution.outcome import Cause

from .conftest import LEASE, Bench, processes_with, program

OK = {"cer": 0.25, "wer": 0.5}


class ExecutorContract:
    """A trial is a script: lines to send, "ask" (end if answered to prune), "hang", an exit code, or an error text."""

    @pytest.fixture
    def executor(self, study: str) -> Iterator[Executor]:  # study: looks for leftovers after this is closed
        raise NotImplementedError

    @pytest.fixture
    def bench(self, executor: Executor, study: str, tmp_path: Path) -> Bench:
        return Bench(executor, study, tmp_path)

    def play(self, bench: Bench, *script: Any, **fields: Any) -> Outcome:
        self.begin(bench, *script, **fields)
        return bench.outcome(fields.get("id", "trial_1"))

    def begin(self, bench: Bench, *script: Any, **fields: Any) -> None:
        bench.launch(program("player.py"), settings={"script": script}, **fields)

    def test_reports_come_in_order_and_then_the_end(self, bench: Bench) -> None:
        outcome = self.play(bench, {"step": 1, "cer": 0.5}, {"step": 2, "cer": 0.4, "loss": 1.5}, OK)
        assert bench.reports() == [(1, {"cer": 0.5}), (2, {"cer": 0.4, "loss": 1.5})]
        assert (outcome.cause, outcome.metrics, outcome.exit_code) == (Cause.OK, OK, 0)

    def test_final_lines_add_up(self, bench: Bench) -> None:
        assert self.play(bench, {"cer": 0.5, "wer": 0.7}, {"cer": 0.25}).metrics == {"cer": 0.25, "wer": 0.7}

    def test_the_files_are_there_when_the_end_is_reported(self, bench: Bench) -> None:
        outcome = self.play(bench, {"step": 1, "cer": 0.5}, OK)
        folder = bench.folder / "trial_1"
        assert Outcome.from_json((folder / "outcome.json").read_text()) == outcome
        lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
        assert [(line["step"], line["metrics"]) for line in lines] == [(1, {"cer": 0.5}), (None, OK)]
        assert all(line["time"] > 1.7e9 for line in lines)
        job = Job.load(folder / "job.json")
        assert job.settings["script"] and job.environment == {}
        assert sorted(path.name for path in folder.iterdir()) == [
            "job.json",
            "log.txt",
            "metrics.jsonl",
            "outcome.json",
        ]

    def test_the_first_report_of_a_step_stands(self, bench: Bench) -> None:
        outcome = self.play(bench, {"step": 1, "cer": 0.5}, {"step": 1, "cer": 0.1}, {"step": 0, "cer": 0.6})
        assert bench.reports() == [(1, {"cer": 0.5}), (0, {"cer": 0.6})]
        assert (outcome.cause, outcome.metrics, outcome.bad_lines) == (Cause.OK, {"cer": 0.5}, 0)

    def test_progress_is_passed_on_and_is_no_metric(self, bench: Bench) -> None:
        outcome = self.play(bench, {"progress": {"fraction": 0.5, "prediction": "七 <b>"}}, OK)
        assert Progress("trial_1", {"fraction": 0.5, "prediction": "七 <b>"}) in bench.events
        assert outcome.metrics == OK

    def test_steps_alone_are_a_result_in_trials(self, bench: Bench) -> None:
        outcome = self.play(bench, {"step": 1, "cer": 0.5}, {"step": 2, "cer": 0.3}, {"step": 3, "wer": 0.1})
        assert (outcome.cause, outcome.metrics) == (Cause.OK, {"cer": 0.3})

    @pytest.mark.parametrize("script", [(), ({"step": 1, "wer": 0.5},), ({"step": 1, "cer": 0.5}, {"wer": 0.5})])
    def test_a_trial_without_the_objective_broke_the_protocol(self, bench: Bench, script: tuple[Any, ...]) -> None:
        outcome = self.play(bench, *script)
        assert outcome.cause is Cause.PROTOCOL
        assert "exited 0 without reporting cer" in outcome.message

    @pytest.mark.parametrize("kind", ["prepare", "train"])
    def test_other_jobs_need_no_objective(self, bench: Bench, kind: str) -> None:
        assert self.play(bench, kind=kind).cause is Cause.OK
        outcome = self.play(bench, {"rows": 7}, kind=kind, id="again")
        assert (outcome.cause, outcome.metrics) == (Cause.OK, {"rows": 7.0})

    @pytest.mark.parametrize("name", ["cer", "loss", "eval_loss"])
    @pytest.mark.parametrize("value", ["nan", "inf", "-inf"])
    def test_an_objective_or_loss_that_is_not_finite_ends_the_trial(self, bench: Bench, name: str, value: str) -> None:
        outcome = self.play(bench, {"step": 1, "cer": 0.5}, {"step": 2, name: value}, "hang")
        assert outcome.cause is Cause.DIVERGED
        assert outcome.message == f"{name} is {value} at step 2"
        assert math.isfinite(bench.reports()[0][1]["cer"]) and not math.isfinite(bench.reports()[1][1][name])

    def test_a_final_value_that_is_not_finite_is_no_result(self, bench: Bench) -> None:
        assert self.play(bench, {"step": 1, "cer": 0.5}, {"cer": math.nan}).cause is Cause.DIVERGED

    def test_other_metrics_may_be_infinite(self, bench: Bench) -> None:
        outcome = self.play(bench, {"step": 1, "grad_norm": "inf", "cer": 0.5}, OK)
        assert outcome.cause is Cause.OK

    def test_a_pruned_trial(self, bench: Bench) -> None:
        self.begin(bench, {"step": 1, "cer": 0.5}, "ask", {"step": 2, "cer": 0.4}, "ask", OK)
        bench.report(1)
        bench.executor.answer("trial_1", 1, False)
        bench.report(2)
        bench.executor.answer("trial_1", 2, True)
        outcome = bench.outcome()
        assert (outcome.cause, outcome.message) == (Cause.PRUNED, "stopped by the pruner after step 2")

    def test_a_trial_that_ignores_the_pruner_is_pruned_when_it_is_stopped(self, bench: Bench) -> None:
        self.begin(bench, {"step": 1, "cer": 0.5}, "hang")
        bench.report(1)
        bench.executor.answer("trial_1", 1, True)
        bench.executor.stop("trial_1", 0.0)
        assert bench.outcome().cause is Cause.PRUNED

    def test_a_stopped_trial(self, bench: Bench) -> None:
        self.begin(bench, {"step": 1, "cer": 0.5}, "hang")
        bench.report(1)
        bench.executor.stop("trial_1", 10.0)
        outcome = bench.outcome()
        assert (outcome.cause, outcome.signal) == (Cause.INTERRUPTED, "SIGTERM")

    def test_the_program_says_why_it_ends(self, bench: Bench) -> None:
        fault = {"fault": "invalid", "message": "rule; values; remedy"}
        outcome = self.play(bench, fault, {"fault": "crash", "message": "later"}, 2)
        assert (outcome.cause, outcome.message, outcome.exit_code) == (Cause.INVALID, "rule; values; remedy", 2)

    def test_an_exit_code_is_a_crash(self, bench: Bench) -> None:
        outcome = self.play(bench, 2)
        assert (outcome.cause, outcome.exit_code) == (Cause.CRASH, 2)

    def test_a_result_before_an_exit_code_counts(self, bench: Bench) -> None:
        outcome = self.play(bench, OK, 2)
        assert (outcome.cause, outcome.exit_code) == (Cause.OK, 2)
        assert outcome.message == "after its final metrics: exited with code 2"

    def test_an_error_is_a_crash_with_its_text(self, bench: Bench) -> None:
        outcome = self.play(bench, "the tower fell")
        assert (outcome.cause, outcome.exit_code) == (Cause.CRASH, 1)
        assert outcome.message == "exited with code 1: RuntimeError: the tower fell"
        assert "Traceback" in outcome.log_tail

    def test_a_few_bad_lines_are_counted(self, bench: Bench) -> None:
        outcome = self.play(bench, *[{"raw": "step 1: 0.5"}] * 3, OK)
        assert (outcome.cause, outcome.bad_lines) == (Cause.OK, 3)

    def test_a_hundred_bad_lines_end_the_trial(self, bench: Bench) -> None:
        outcome = self.play(bench, *[{"raw": '{"cer": "good"}'}] * 100, "hang")
        assert (outcome.cause, outcome.bad_lines) == (Cause.PROTOCOL, 100)
        assert "'cer' must be a number" in outcome.message

    def test_jobs_run_side_by_side(self, bench: Bench) -> None:
        self.begin(bench, {"step": 1, "cer": 0.5}, "ask", {"cer": 0.1}, id="a")
        self.begin(bench, {"step": 1, "cer": 0.5}, "ask", {"cer": 0.2}, id="b")
        for name in "ab":
            bench.report(1, name)
            bench.executor.answer(name, 1, False)
        assert (bench.outcome("a").metrics, bench.outcome("b").metrics) == ({"cer": 0.1}, {"cer": 0.2})

    def test_a_job_beyond_the_slots_is_not_started(self, bench: Bench) -> None:
        for name in "abc":
            self.begin(bench, "hang", id=name)
        outcome = bench.outcome("c")
        assert (outcome.cause, outcome.message) == (Cause.LAUNCH, "all 2 slots are taken")

    def test_ids_of_running_jobs_are_unique(self, bench: Bench) -> None:
        self.begin(bench, "hang")
        with pytest.raises(ValueError, match="trial_1"):
            self.begin(bench, "hang")

    def test_an_id_may_come_again(self, bench: Bench) -> None:
        assert self.play(bench, 3).cause is Cause.CRASH
        bench.events.clear()
        assert self.play(bench, OK).cause is Cause.OK

    def test_a_folder_that_cannot_be_made(self, bench: Bench) -> None:
        (bench.folder / "file").write_text("")
        outcome = self.play(bench, OK, output_dir=str(bench.folder / "file" / "trial_1"))
        assert outcome.cause is Cause.LAUNCH

    def test_jobs_that_ended_or_never_were_are_ignored(self, bench: Bench) -> None:
        assert self.play(bench, OK).cause is Cause.OK
        for name in ("trial_1", "never"):
            bench.executor.answer(name, 1, True)
            bench.executor.stop(name, 0.0)
        assert list(bench.executor.events(0.0)) == []

    def test_nothing_is_swept_where_nothing_is_left(self, bench: Bench) -> None:
        assert bench.executor.take_over(bench.study, LEASE) == 0

    def test_close_ends_what_runs_and_may_be_called_twice(self, bench: Bench) -> None:
        self.begin(bench, {"step": 1, "cer": 0.5}, "hang")
        bench.report(1)
        bench.executor.close()
        bench.executor.close()
        assert bench.executor.free == bench.executor.slots
        assert processes_with(bench.study) == []


class TestLocalExecutor(ExecutorContract):
    """The contract, with real processes."""

    @pytest.fixture
    def executor(self, study: str) -> Iterator[Executor]:  # study: looks for leftovers after this is closed
        executor = EXECUTORS["local"](without_gpus(2))
        assert isinstance(executor, LocalExecutor)
        yield executor
        executor.close()


class TestForkedByAStarter(TestLocalExecutor):
    """The contract, with processes that a fork server forks."""

    @pytest.fixture
    def bench(self, executor: Executor, study: str, tmp_path: Path) -> Bench:
        return Bench(executor, study, tmp_path, preload=("decimal",))


class TestFakeExecutor(ExecutorContract):
    """The contract, with functions."""

    @pytest.fixture
    def executor(self, study: str) -> Iterator[Executor]:  # study: looks for leftovers after this is closed
        executor = FakeExecutor(play_script, slots=2)
        yield executor
        executor.close()

    def test_it_is_always_the_same(self, bench: Bench) -> None:
        for name in ("a", "b"):
            bench.launch((), settings={"script": [{"step": 1, "cer": 0.5}, OK]}, id=name)
        for _ in range(3):
            bench.events += bench.executor.events(60.0)
        assert [(type(event).__name__, event.job_id) for event in bench.events] == [
            ("Report", "a"),
            ("Report", "b"),
            ("Finished", "a"),
            ("Finished", "b"),
        ]

    def test_a_play_may_end_with_any_outcome(self, study: str, tmp_path: Path) -> None:
        def play(job: Job) -> Generator[Outcome, bool, None]:
            yield Outcome(Cause.HOST_OOM, message="as if")

        bench = Bench(FakeExecutor(play), study, tmp_path)
        assert bench.run(()) == Outcome(Cause.HOST_OOM, message="as if")


def play_script(job: Job) -> Generator[dict[str, Any] | bytes, bool, None]:
    """The player program as a function."""
    prune = False
    for act in job.settings["script"]:
        if act == "ask":
            if prune:
                return
        elif act == "hang":
            while True:
                yield {"progress": {}}
        elif isinstance(act, int):
            raise SystemExit(act)
        elif isinstance(act, str):
            raise RuntimeError(act)
        else:
            prune = yield act["raw"].encode() if "raw" in act else act
