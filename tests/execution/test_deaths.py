"""The runner or a supervisor dies suddenly; no process of a trial outlives them for long."""

from __future__ import annotations

import gc
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from hpsearch.execution import processes as leftovers
from hpsearch.execution.executors import fork_client
from hpsearch.execution.executors.local import LocalExecutor
from hpsearch.execution.executors.signs_of_life import SignsOfLife
from hpsearch.execution.job import Job, Outcome
from hpsearch.execution.outcome import Cause
from hpsearch.execution.own_time import OwnTime

from .conftest import ENVIRONMENT, LEASE, PROGRAMS, Bench, is_alive, processes_with, program, python, shell, until

HANG = shell('echo \'{"step": 1, "cer": 0.5}\' > "$HPSEARCH_REPORT"; sleep 600')
GONE_WITHIN_S = 60.0  # a guard against hanging: make faults measures the five seconds (G3, G20)


def pids_in(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()]


def supervisors(study: str) -> list[int]:
    return processes_with(f"HPSEARCH_SUPERVISES={study}/trial_")


def guards(study: str) -> list[int]:
    """What ends the trees of killed supervisors: a guard each, or their fork server."""
    return processes_with(f"HPSEARCH_GUARDS={study}/") + processes_with(f"HPSEARCH_SUPERVISES={study}/fork-server/")


def outcome_in(folder: Path) -> Outcome:
    return Outcome.from_json((folder / "outcome.json").read_text())


class Runner:
    """A runner in a process of its own."""

    def __init__(self, job: Job, folder: Path, *arguments: str) -> None:
        path = folder / "order.json"
        path.write_text(job.to_json())
        self.process = subprocess.Popen(
            [sys.executable, str(PROGRAMS / "runner.py"), str(path), *arguments],
            stdout=subprocess.PIPE,
            text=True,
            env=ENVIRONMENT,
        )

    def line(self) -> str:
        assert self.process.stdout is not None
        return self.process.stdout.readline().strip()

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()
        assert self.process.stdout is not None
        self.process.stdout.close()


@pytest.fixture
def tree(bench: Bench) -> Iterator[tuple[Job, Path]]:
    """A job whose program is a tree of six that ignore all signals, and the file of its pids."""
    pids = bench.folder / "pids"
    yield bench.job(program("tree.py", str(pids), "hang")), pids
    alive = [pid for pid in pids_in(pids) if is_alive(pid)]
    for pid in alive:
        os.kill(pid, signal.SIGKILL)
    assert alive == [], "the test left processes behind"


def test_a_killed_runner_leaves_no_process(bench: Bench, tree: tuple[Job, Path]) -> None:
    job, pids = tree
    runner = Runner(job, bench.folder)
    assert runner.line() == "Report"
    runner.kill()
    until(lambda: not any(map(is_alive, pids_in(pids))), "the tree to be gone", GONE_WITHIN_S)
    until(lambda: not processes_with(f"={bench.study}/"), "everything to be gone", GONE_WITHIN_S)
    outcome = outcome_in(Path(job.output_dir))
    assert (outcome.cause, outcome.message) == (Cause.LOST, "its runner died")
    assert len(pids_in(pids)) == 6


@pytest.mark.parametrize("delay_s", [0.0, 0.02, 0.05, 0.1, 0.2])
def test_a_runner_killed_while_it_launches_leaves_no_process(bench: Bench, delay_s: float) -> None:
    runner = Runner(bench.job(HANG), bench.folder)
    until(lambda: processes_with(f"={bench.study}/"), "a supervisor or program")
    time.sleep(delay_s)
    runner.kill()
    until(lambda: not processes_with(f"={bench.study}/"), "everything to be gone", GONE_WITHIN_S)
    assert runner.process.returncode == -signal.SIGKILL, "it was at work until it was killed"


def test_a_fork_of_the_runner_does_not_keep_its_trials_alive(bench: Bench, tree: tuple[Job, Path]) -> None:
    job, pids = tree
    runner = Runner(job, bench.folder, "fork")
    child = int(runner.line())
    try:
        assert runner.line() == "Report"
        runner.kill()
        until(lambda: not any(map(is_alive, pids_in(pids))), "the tree to be gone", GONE_WITHIN_S)
        until(lambda: not processes_with(f"={bench.study}/"), "everything to be gone", GONE_WITHIN_S)
        assert is_alive(child)
    finally:
        os.kill(child, signal.SIGKILL)


def test_a_result_that_stood_when_the_runner_died_is_kept(bench: Bench) -> None:
    """The supervisor has written the outcome, but waits with its message for a runner that does not read."""
    script = """
import json, os
with open(os.environ["HPSEARCH_REPORT"], "w") as channel:
    for step in range(600):
        channel.write(json.dumps({"step": step, "cer": 0.5} | {f"m{i}": 0.123456789 for i in range(60)}) + "\\n")
    channel.write('{"cer": 0.25}\\n')
"""
    job = bench.launch(python(script))
    outcome = Path(job.output_dir) / "outcome.json"
    until(outcome.exists, "the outcome")
    (supervisor,) = supervisors(bench.study)
    os.kill(supervisor, signal.SIGKILL)
    assert (bench.outcome().cause, bench.outcome().metrics) == (Cause.OK, {"cer": 0.25})


@pytest.mark.parametrize("dies", ["runner", "supervisor"])
def test_a_result_that_was_reported_is_kept_whichever_dies(bench: Bench, dies: str) -> None:
    channel = "open(os.environ['HPSEARCH_REPORT'], 'w')"
    script = f"import os, time; print('{{\"cer\": 0.25}}', file={channel}, flush=True); time.sleep(600)"
    job = bench.job(python(script))
    reported = Path(job.output_dir) / "metrics.jsonl"
    if dies == "runner":
        runner = Runner(job, bench.folder)
        until(lambda: reported.exists() and reported.stat().st_size, "the report")
        runner.kill()
        until(lambda: not processes_with(bench.study), "everything to be gone")
        outcome = outcome_in(Path(job.output_dir))
    else:
        bench.launch(job.command)
        until(lambda: reported.exists() and reported.stat().st_size, "the report")
        os.kill(*supervisors(bench.study), signal.SIGKILL)
        outcome = bench.outcome()
    assert (outcome.cause, outcome.metrics) == (Cause.OK, {"cer": 0.25})
    assert f"its {dies} died" in outcome.message


def test_a_killed_supervisor_leaves_no_tagged_process(bench: Bench) -> None:
    pids = bench.folder / "pids"
    job = bench.launch(program("tree.py", str(pids), "hang"), environment=ENVIRONMENT | {"KEEP_TAGS": "1"})
    bench.report(1)
    (supervisor,) = supervisors(bench.study)
    os.kill(supervisor, signal.SIGKILL)
    outcome = bench.outcome()
    assert [pid for pid in pids_in(pids) if is_alive(pid)] == []
    how = "is gone" if bench.preload else "was ended by SIGKILL"  # a fork server's children are not the runner's to ask
    assert (outcome.cause, outcome.message) == (Cause.LOST, f"its supervisor died: it {how}")
    assert outcome_in(Path(job.output_dir)) == outcome
    assert not (Path(job.output_dir) / "report.fifo").exists()


def test_a_supervisor_ignores_being_asked_to_end(bench: Bench) -> None:
    bench.launch(HANG)
    bench.report(1)
    (supervisor,) = supervisors(bench.study)
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGPIPE):
        os.kill(supervisor, number)
    bench.executor.stop("trial_1", 10.0)
    assert bench.outcome().cause is Cause.INTERRUPTED


def test_an_unforeseen_error_in_the_supervisor_leaves_no_process_and_is_reported(bench: Bench) -> None:
    pids = bench.folder / "pids"
    bench.launch(program("tree.py", str(pids), "hang"))
    bench.report(1)
    supervisor = bench.executor._supervisors["trial_1"]  # type: ignore[attr-defined]
    supervisor.control.send(b'{"stop": "now"}\n')  # a message that it does not understand
    outcome = bench.outcome()
    assert outcome.cause is Cause.LOST
    assert "TypeError" in outcome.message
    assert [pid for pid in pids_in(pids) if is_alive(pid)] == []


def test_a_sweep_ends_what_a_dead_runner_and_a_dead_supervisor_left(bench: Bench) -> None:
    pids = bench.folder / "pids"
    job = bench.job(program("tree.py", str(pids), "hang"), environment=ENVIRONMENT | {"KEEP_TAGS": "1"})
    runner = Runner(job, bench.folder)
    assert runner.line() == "Report"
    (supervisor,) = supervisors(bench.study)
    cleaners = [runner.process.pid, *guards(bench.study)]
    for pid in cleaners:
        os.kill(pid, signal.SIGSTOP)  # so that it cannot clean up
    for pid in (supervisor, *cleaners[1:]):
        os.kill(pid, signal.SIGKILL)
    runner.kill()
    assert len([pid for pid in pids_in(pids) if is_alive(pid)]) == 6
    assert bench.executor.take_over(bench.study, LEASE) == 6
    assert [pid for pid in pids_in(pids) if is_alive(pid)] == []
    assert bench.executor.take_over(bench.study, LEASE) == 0


def test_a_sweep_waits_for_a_supervisor_that_is_still_cleaning_up(bench: Bench, tree: tuple[Job, Path]) -> None:
    job, pids = tree
    runner = Runner(job, bench.folder)
    assert runner.line() == "Report"
    runner.kill()
    bench.executor.take_over(bench.study, LEASE)
    assert not supervisors(bench.study)
    assert [pid for pid in pids_in(pids) if is_alive(pid)] == []
    assert outcome_in(Path(job.output_dir)).cause is Cause.LOST


def test_a_sweep_ends_a_supervisor_that_stands_still(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(leftovers, "_ORPHANED_SUPERVISOR_S", 0.2)
    runner = Runner(bench.job(HANG), bench.folder)
    assert runner.line() == "Report"
    (supervisor,) = supervisors(bench.study)
    os.kill(supervisor, signal.SIGSTOP)
    runner.kill()
    bench.executor.take_over(bench.study, LEASE)
    assert not supervisors(bench.study)
    until(lambda: not processes_with(f"={bench.study}/"), "everything to be gone", GONE_WITHIN_S)


def test_a_runner_and_a_supervisor_killed_together_leave_no_process(bench: Bench, tree: tuple[Job, Path]) -> None:
    """One of the tree has emptied its environment: no sweep would find it."""
    job, pids = tree
    runner = Runner(job, bench.folder)
    assert runner.line() == "Report"
    (supervisor,) = supervisors(bench.study)
    for pid in (runner.process.pid, supervisor):
        os.kill(pid, signal.SIGSTOP)
    os.kill(supervisor, signal.SIGKILL)
    runner.kill()
    until(lambda: not any(map(is_alive, pids_in(pids))), "the tree to be gone", GONE_WITHIN_S)
    until(lambda: not processes_with(f"={bench.study}/"), "everything to be gone", GONE_WITHIN_S)
    assert len(pids_in(pids)) == 6


def test_a_frozen_supervisor_is_ended_with_its_tree(bench: Bench, tree: tuple[Job, Path]) -> None:
    job, pids = tree
    bench.executor.launch(job)
    bench.report(1)
    (supervisor,) = supervisors(bench.study)
    os.kill(supervisor, signal.SIGSTOP)
    bench.executor.stop("trial_1", 0.0)
    outcome = bench.outcome()
    assert [pid for pid in pids_in(pids) if is_alive(pid)] == []
    said = "stopped on request; its supervisor did not answer, and was ended"
    assert (outcome.cause, outcome.message) == (Cause.INTERRUPTED, said)
    assert outcome_in(Path(job.output_dir)) == outcome


def test_a_result_that_a_frozen_supervisor_did_not_read_counts(bench: Bench) -> None:
    result = "echo '{\"cer\": 0.25}' > $HPSEARCH_REPORT"
    reporting = f"read line < {bench.folder}/go; {result}; echo > {bench.folder}/done; sleep 600"
    for name in ("go", "done"):
        os.mkfifo(bench.folder / name)
    bench.launch(shell(f'echo \'{{"step": 1, "cer": 0.7}}\' > $HPSEARCH_REPORT; {reporting}'))
    bench.report(1)
    (supervisor,) = supervisors(bench.study)
    os.kill(supervisor, signal.SIGSTOP)
    (bench.folder / "go").write_text("\n")
    (bench.folder / "done").read_text()
    bench.executor.stop("trial_1", 0.0)
    outcome = bench.outcome()
    assert (outcome.cause, outcome.metrics) == (Cause.OK, {"cer": 0.25})
    assert outcome.message.startswith("after its final metrics: stopped on request; its supervisor did not answer")


def test_a_frozen_supervisor_keeps_no_job_past_its_limits() -> None:
    limited = Job("trial_1", "trial", "s", ("true",), "out", {}, timeout_s=30.0, stall_s=5.0)
    free = replace(limited, timeout_s=None, stall_s=None)

    def cause(job: Job, now: float, **heard: float) -> Cause | None:
        verdict = SignsOfLife(**{"launched": 0.0, "heard": 0.0, "heard_program": 0.0, **heard}).verdict(job, now)
        return verdict[0] if verdict else None

    assert cause(limited, 39.0, heard=35.0, heard_program=34.0) is None, "the supervisor ends it by itself"
    assert cause(limited, 40.0, heard=30.0, heard_program=30.0) is Cause.TIMEOUT
    assert cause(limited, 120.0, heard=119.5) is Cause.TIMEOUT, "it gives signs, but does not end its job"
    assert cause(limited, 25.0, heard=15.0, heard_program=10.0) is Cause.STALLED
    assert cause(limited, 25.0, heard=24.0, heard_program=10.0) is None
    assert cause(free, 119.0) is None
    assert cause(free, 120.0) is Cause.LOST
    assert cause(free, 20.0, heard=18.0, end_by=19.0) is None
    assert cause(free, 21.0, heard=18.0, end_by=19.0) is Cause.INTERRUPTED


def test_nobody_is_blamed_for_the_time_in_which_the_machine_stood_still(monkeypatch: pytest.MonkeyPatch) -> None:
    moments = iter([0.0, 1.0, 3600.0, 3601.0])
    monkeypatch.setattr(time, "monotonic", lambda: next(moments))
    clock = OwnTime(2.0)
    assert [clock.now() for _ in range(3)] == [1.0, 3.0, 4.0]


def test_a_frozen_fork_server_keeps_no_job_from_starting(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    if bench.preload is None:
        pytest.skip("needs a fork server")
    monkeypatch.setattr(fork_client, "_STOPPED_S", 0.5)
    bench.run(python("pass"))
    (server,) = processes_with(f"HPSEARCH_SUPERVISES={bench.study}/fork-server/")
    os.kill(server, signal.SIGSTOP)
    assert bench.run(python("exit(3)"), id="trial_2").exit_code == 3


def test_a_sweep_spares_what_lives_and_what_is_not_the_study_s(bench: Bench) -> None:
    """Also a trial that another executor runs under the lease, as one whose lease was lost may."""
    bench.executor.take_over(bench.study, LEASE)
    bench.launch(HANG)
    bench.report(1)
    others = [f"{bench.study}-2/trial_1/1.1.1", f"other/{bench.study}/1.1.1", bench.study]
    innocents = [subprocess.Popen(["/bin/sleep", "600"], env={"HPSEARCH_TAG": tag}) for tag in others]
    innocents.append(subprocess.Popen(["/bin/sleep", "600"], env={"TAG": f"{bench.study}/trial_1/1.1.1"}))
    another = LocalExecutor()
    try:
        assert another.take_over(bench.study, LEASE) == 0
        assert [innocent.poll() for innocent in innocents] == [None] * 4
        assert len(processes_with(f"HPSEARCH_TAG={bench.study}/trial_1/")) == 1
    finally:
        another.close()
        for innocent in innocents:
            innocent.kill()
            innocent.wait()


def test_a_sweep_spares_a_dead_runner_s_trial_of_another_storage(bench: Bench) -> None:
    """The study there has the same name; its own next runner ends what is left."""
    runner = Runner(bench.job(HANG), bench.folder)
    assert runner.line() == "Report"
    (supervisor,) = supervisors(bench.study)
    os.kill(supervisor, signal.SIGSTOP)
    runner.kill()
    for lease in ("2-1", "11-1", ""):
        assert bench.executor.take_over(bench.study, lease) == 0
    assert is_alive(supervisor)
    assert processes_with(f"HPSEARCH_TAG={bench.study}/trial_1/")
    bench.executor.take_over(bench.study, LEASE)
    assert not processes_with(f"={bench.study}/")


NAMESPACE = ("unshare", "--pid", "--fork", "--mount-proc", "--kill-child")


def test_a_sweep_spares_a_trial_of_a_runner_that_lives_in_another_pid_namespace(bench: Bench) -> None:
    """The number of the runner means another process here, or none."""
    if subprocess.run([*NAMESPACE, "true"], capture_output=True, check=False).returncode:
        pytest.skip("no PID namespace can be made here")
    job = bench.job(HANG)
    (bench.folder / "order.json").write_text(job.to_json())
    words = [*NAMESPACE, sys.executable, str(PROGRAMS / "runner.py"), str(bench.folder / "order.json")]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True, env=ENVIRONMENT) as inside:
        assert inside.stdout is not None
        assert inside.stdout.readline().strip() == "Report"
        try:
            (supervisor,) = supervisors(bench.study)
            os.kill(supervisor, signal.SIGSTOP)
            assert bench.executor.take_over(bench.study, LEASE) == 0
            assert is_alive(supervisor)
            assert processes_with(f"HPSEARCH_TAG={bench.study}/trial_1/")
        finally:
            inside.kill()
    until(lambda: not processes_with(f"={bench.study}/"), "everything to be gone", GONE_WITHIN_S)


@pytest.fixture
def small_group() -> Iterator[Path]:
    """A control group with 160 MB of memory, where one can be made."""
    groups = dict(line.split(":", 2)[1:] for line in Path("/proc/self/cgroup").read_text().splitlines())
    old = "memory" in groups
    group = Path(
        f"/sys/fs/cgroup{'/memory' if old else ''}{groups['memory' if old else '']}", f"hpsearch-{os.getpid()}"
    )
    try:
        group.mkdir()
        (group / ("memory.limit_in_bytes" if old else "memory.max")).write_text("160M")
    except OSError as error:
        pytest.skip(f"no control group with a memory limit can be made here: {error}")
    yield group
    group.rmdir()


def test_a_trial_that_the_kernel_kills_for_memory(bench: Bench, small_group: Path) -> None:
    job = bench.job(python("hoard = []\nwhile True: hoard.append(bytearray(1 << 22))"))
    (bench.folder / "order.json").write_text(job.to_json())
    script = 'echo $$ > "$1"/cgroup.procs && exec "$2" "$3" "$4"'
    words = [str(small_group), sys.executable, str(PROGRAMS / "runner.py"), str(bench.folder / "order.json")]
    subprocess.run(["/bin/sh", "-c", script, "sh", *words], env=ENVIRONMENT, stdout=subprocess.DEVNULL, check=True)
    outcome = outcome_in(Path(job.output_dir))
    assert (outcome.cause, outcome.signal) == (Cause.HOST_OOM, "SIGKILL")


def test_a_number_that_another_process_got_meanwhile_is_not_signalled() -> None:
    with subprocess.Popen(["/bin/sleep", "600"], env={"HPSEARCH_TAG": "study/job/2.2.2"}) as innocent:
        try:
            assert not leftovers._kill(innocent.pid, "HPSEARCH_TAG", "study/job/1.1.1")
            assert innocent.poll() is None
        finally:
            innocent.kill()


def test_events_return_when_a_signal_handler_wakes_them(bench: Bench) -> None:
    before = signal.signal(signal.SIGALRM, lambda *_: bench.executor.wake())
    try:
        signal.setitimer(signal.ITIMER_REAL, 0.1)
        began = time.monotonic()
        assert list(bench.executor.events(60.0)) == []
        assert time.monotonic() - began < 30
    finally:
        signal.signal(signal.SIGALRM, before)


def test_events_return_when_a_thread_wakes_or_launches(bench: Bench) -> None:
    bench.executor.wake()
    bench.executor.wake()
    assert list(bench.executor.events(60.0)) == []
    thread = threading.Thread(target=lambda: bench.launch(shell("exit 3")))
    thread.start()
    assert bench.outcome().exit_code == 3
    thread.join()


def test_events_wait_no_longer_than_asked(bench: Bench) -> None:
    began = time.monotonic()
    assert list(bench.executor.events(0.05)) == []
    assert 0.05 <= time.monotonic() - began < 30


def test_many_jobs_leave_no_descriptor_open(bench: Bench) -> None:
    bench.run(shell("exit 0"))
    gc.collect()  # what other tests dropped
    before = len(list(Path("/proc/self/fd").iterdir()))
    for number in range(10):
        bench.run(shell("exit 0"), id=f"trial_{number + 2}")
    gc.collect()
    assert len(list(Path("/proc/self/fd").iterdir())) == before


def test_the_supervisor_runs_as_a_module(bench: Bench) -> None:
    """What local.py starts with fewer imports, by the documented command line."""
    import socket

    ours, theirs = socket.socketpair()
    with ours, theirs:
        job = bench.job(shell('echo \'{"cer": 0.5}\' > "$HPSEARCH_REPORT"'))
        Path(job.output_dir).mkdir()
        words = [sys.executable, "-m", "hpsearch.execution.supervisor", job.output_dir, *job.command]
        process = subprocess.Popen(words, stdin=theirs.fileno(), env=ENVIRONMENT)
        theirs.close()
        ours.sendall(job.to_json().replace("\n", "").encode() + b"\n")
        message = json.loads(ours.makefile().read())
        assert process.wait() == 0
    assert message["finished"]["cause"] == "ok"
