"""What programs say and hear: through the SDK, from a shell, from the ranks of torchrun, and on their own."""

from __future__ import annotations

import importlib.util
import json
import os
import select
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from hpsearch import sdk
from hpsearch.execution.files import replace_file
from hpsearch.execution.job import Job, Progress
from hpsearch.execution.outcome import Cause
from hpsearch.execution.reports import LineSplitter

from .conftest import ENVIRONMENT, Bench, program, python, shell, until


class Listener:
    """The other end of the door, in this process: a channel and an answer file."""

    def __init__(self, folder: Path) -> None:
        self.fifo = folder / "report.fifo"
        self.answer_file = folder / "answer.json"
        os.mkfifo(self.fifo, 0o600)
        self.channel = os.open(self.fifo, os.O_RDONLY | os.O_NONBLOCK)
        self._splitter = LineSplitter()

    def lines(self) -> list[dict[str, Any]]:
        try:
            data = os.read(self.channel, 1 << 20)
        except BlockingIOError:
            data = b""
        return [json.loads(line) for line in self._splitter.feed(data)]

    def answer(self, step: int, prune: bool) -> None:
        replace_file(str(self.answer_file), json.dumps({"step": step, "prune": prune}).encode())


@pytest.fixture
def listener(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    listener = Listener(tmp_path)
    monkeypatch.setenv("HPSEARCH_REPORT", str(listener.fifo))
    monkeypatch.setenv("HPSEARCH_ANSWER", str(listener.answer_file))
    for name in ("RANK", "WORLD_SIZE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(sdk, "_last_step", None)
    monkeypatch.setattr(sdk, "_warned", False)
    monkeypatch.setattr(sdk, "_UNREAD_S", 0.0)
    yield listener
    os.close(listener.channel)


class Number:
    """As a tensor of one element, or a NumPy scalar."""

    def __float__(self) -> float:
        return 0.5

    def __index__(self) -> int:
        return 7


def test_lines(listener: Listener) -> None:
    sdk.report(Number(), cer=Number(), loss=1)
    sdk.report(2, cer=float("nan"))
    sdk.progress(fraction=0.5, reference="七", path=Path("a"))
    sdk.fault("invalid", "because")
    sdk.finish(cer=0.25)
    sdk.finish()
    assert listener.lines() == [
        {"step": 7, "cer": 0.5, "loss": 1.0},
        {"step": 2, "cer": "nan"},
        {"progress": {"fraction": 0.5, "reference": "七", "path": "a"}},
        {"fault": "invalid", "message": "because"},
        {"cer": 0.25},
    ]


@pytest.mark.parametrize("step", ["1", 1.0, None])
def test_a_step_is_a_whole_number(listener: Listener, step: Any) -> None:
    with pytest.raises(TypeError):
        sdk.report(step, cer=0.5)
    assert listener.lines() == []


def test_alone_everything_does_nothing(monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> None:
    for name in ("HPSEARCH_JOB", "HPSEARCH_REPORT", "HPSEARCH_ANSWER"):
        monkeypatch.delenv(name, raising=False)
    assert sdk.job() is None
    sdk.report(1, cer=0.5)
    sdk.progress(fraction=0.5)
    sdk.fault("crash", "")
    sdk.finish(cer=0.5)
    assert sdk.should_prune() is False
    assert capfd.readouterr() == ("", "")


def test_a_supervisor_that_is_gone_stops_nobody(listener: Listener, capfd: pytest.CaptureFixture[str]) -> None:
    os.close(listener.channel)
    sdk.report(1, cer=0.5)
    sdk.finish(cer=0.5)
    listener.fifo.unlink()
    sdk.finish(cer=0.5)
    listener.fifo.write_text("")  # not even a FIFO
    assert capfd.readouterr().err.count("hpsearch.sdk") == 1
    listener.channel = os.open(os.devnull, os.O_RDONLY)


def test_a_line_that_is_too_long_is_not_sent(listener: Listener, capfd: pytest.CaptureFixture[str]) -> None:
    sdk.progress(prediction="x" * 100_000)
    sdk.finish(cer=0.5)
    assert listener.lines() == [{"cer": 0.5}]
    assert "at most 65536 bytes" in capfd.readouterr().err


def test_progress_is_dropped_and_metrics_wait_when_nobody_reads(listener: Listener) -> None:
    for _ in range(5000):
        sdk.progress(text="x" * 100)
    for _ in range(100):
        sdk.progress()  # fills what room is left with the shortest line there is
    done = threading.Event()

    def report() -> None:
        sdk.report(1, cer=0.5)
        done.set()

    threading.Thread(target=report, daemon=True).start()
    assert not done.wait(0.1)
    seen = until(lambda: [line for line in listener.lines() if "step" in line], "the report")
    assert seen == [{"step": 1, "cer": 0.5}]
    assert done.wait(60)


def test_final_metrics_are_waited_for_until_they_are_read(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdk, "_UNREAD_S", 60.0)
    done = threading.Event()

    def finish() -> None:
        sdk.finish(cer=0.5)
        done.set()

    threading.Thread(target=finish, daemon=True).start()
    assert select.select([listener.channel], [], [], 60)[0]
    assert not done.wait(0.1)
    assert listener.lines() == [{"cer": 0.5}]
    assert done.wait(30)


def test_long_lines_of_many_threads_and_processes_stay_whole(listener: Listener) -> None:
    code = """
import sys, threading
from hpsearch import sdk
def say(number):
    for _ in range(20):
        sdk.finish(**{f"{number}_{i}_{'x' * 100}": float(number) for i in range(200)})
threads = [threading.Thread(target=say, args=(int(sys.argv[1]) + i,)) for i in range(3)]
[thread.start() for thread in threads]
[thread.join() for thread in threads]
"""
    environment = ENVIRONMENT | {"HPSEARCH_REPORT": str(listener.fifo)}
    writers = [subprocess.Popen([sys.executable, "-c", code, str(start)], env=environment) for start in (0, 10, 20)]
    lines: list[dict[str, Any]] = []
    while any(writer.poll() is None for writer in writers):
        lines += listener.lines()
    lines += listener.lines()
    assert [writer.returncode for writer in writers] == [0, 0, 0]
    assert len(lines) == 3 * 3 * 20
    assert all(len(line) == 200 and len(set(line.values())) == 1 for line in lines)


def test_answers(listener: Listener) -> None:
    assert sdk.should_prune(0.0) is False, "nothing was reported yet"
    sdk.report(3, cer=0.5)
    assert sdk.should_prune(0.01) is False, "no answer"
    listener.answer(2, False)
    assert sdk.should_prune(0.01) is False, "an answer to another step"
    listener.answer(3, False)
    assert sdk.should_prune() is False
    listener.answer(3, True)
    assert sdk.should_prune() is True
    sdk.report(4, cer=0.5)
    assert sdk.should_prune() is True, "once asked to stop, always asked to stop"
    listener.answer_file.write_text("garbage")
    assert sdk.should_prune(0.01) is False


def test_an_answer_is_waited_for(listener: Listener) -> None:
    sdk.report(3, cer=0.5)
    timer = threading.Timer(0.05, listener.answer, (3, True))
    timer.start()
    assert sdk.should_prune(60.0) is True
    timer.join()


def test_other_ranks_say_nothing_but_faults(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    sdk.report(1, cer=0.5)
    sdk.progress(fraction=0.5)
    sdk.finish(cer=0.5)
    sdk.fault("cuda_oom", "on rank 1")
    assert listener.lines() == [{"fault": "cuda_oom", "message": "on rank 1"}]


def test_all_ranks_get_what_rank_0_made_of_the_answer(listener: Listener, monkeypatch: pytest.MonkeyPatch) -> None:
    """Rank 0 stopped waiting just before the answer came: the others must not hear anything else than it did."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.setenv("RANK", "0")
    sdk.report(1, cer=0.5)
    assert sdk.should_prune(0.0) is False
    listener.answer(1, True)
    monkeypatch.setenv("RANK", "1")
    assert sdk.should_prune() is False


def test_the_job(bench: Bench) -> None:
    code = "from hpsearch import sdk; job = sdk.job(); print(job.id, job.settings); sdk.finish(cer=job.settings['x'])"
    outcome = bench.run(python(code), settings={"x": 0.5})
    assert (outcome.metrics, outcome.log_tail) == ({"cer": 0.5}, "trial_1 {'x': 0.5}")


def test_a_shell_script_is_a_trial(bench: Bench) -> None:
    script = """
for step in 1 2 3; do
    echo '{"progress": {"fraction": 0.'$step'}}' > $HPSEARCH_REPORT
    echo '{"step": '$step', "cer": 0.'$step'}' > $HPSEARCH_REPORT
    until grep -q '"step": '$step $HPSEARCH_ANSWER 2> /dev/null; do sleep 0.01; done
    grep -q true $HPSEARCH_ANSWER && exit 0
done
echo '{"cer": 0.25}' > $HPSEARCH_REPORT
"""
    bench.launch(shell(script))
    for step in (1, 2, 3):
        assert bench.report(step).metrics == {"cer": step / 10}
        bench.executor.answer("trial_1", step, step == 3)
    assert bench.outcome().cause is Cause.PRUNED
    assert Progress("trial_1", {"fraction": 0.1}) in bench.events


@pytest.mark.skipif(importlib.util.find_spec("torch") is None, reason="torch is not installed: no torchrun")
@pytest.mark.parametrize("pruned_at", [2, None])
def test_a_torchrun_launch_is_a_trial(bench: Bench, pruned_at: int | None) -> None:
    words = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2")
    command = (sys.executable, *words, *program("rank.py", str(bench.folder))[1:])
    bench.launch(command, environment=ENVIRONMENT | {"OMP_NUM_THREADS": "1", "HOME": str(bench.folder)})
    last = pruned_at or 5
    for step in range(1, last + 1):
        assert bench.report(step).metrics == {"cer": 1 / step, "rank": 0.0}
        bench.executor.answer("trial_1", step, step == pruned_at)
    outcome = bench.outcome()
    assert outcome.cause is (Cause.PRUNED if pruned_at else Cause.OK), outcome
    assert [step for step, _ in bench.reports()] == list(range(1, last + 1))
    answers = [False] * (last - 1) + [pruned_at is not None]
    assert [(bench.folder / f"rank{rank}").read_text() for rank in (0, 1)] == [repr(answers)] * 2


def test_the_sdk_needs_the_standard_library_only() -> None:
    code = "import sys; sys.path.append(sys.argv[1]); from hpsearch import sdk"
    root = str(Path(sdk.__file__).parents[1])
    done = subprocess.run([sys.executable, "-I", "-S", "-c", code, root], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_job_survives_its_file(bench: Bench) -> None:
    job = bench.job(("a", "b c"), settings={"x": [1, None, "七"]}, variations=[{"x": 2}], timeout_s=1.5)
    assert Job.from_json(job.to_json()) == job
    for text in ("[]", "7", "{}", '{"id": "a"}', "{"):
        with pytest.raises(ValueError):
            Job.from_json(text)
