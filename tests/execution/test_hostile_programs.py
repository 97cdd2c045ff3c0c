"""Programs that behave badly: one way each, and the runner neither hangs, nor swells, nor believes them."""

from __future__ import annotations

import json
import os
import signal
import time
from pathlib import Path

import pytest

from hpsearch.execution.outcome import Cause

from .conftest import Bench, is_alive, program, python, shell, until

RESULT = 'echo \'{"cer": 0.25}\' > "$HPSEARCH_REPORT"'
STEP = 'echo \'{"step": 1, "cer": 0.5}\' > "$HPSEARCH_REPORT"'


def pids_in(path: Path) -> list[int]:
    return [int(line) for line in path.read_text().split()]


def assert_gone(pids: list[int]) -> None:
    """Nothing is waited for: the tree must be gone when the end is reported."""
    assert len(pids) == 6
    assert [pid for pid in pids if is_alive(pid)] == []


# Trees: six processes that ignore every signal; four in sessions of their own, three of these daemons, one has no tag


@pytest.mark.parametrize(("then", "cause"), [("leave", Cause.OK), ("exit", Cause.CRASH)])
def test_nothing_is_left_of_a_tree_whose_root_has_ended(bench: Bench, then: str, cause: Cause) -> None:
    outcome = bench.run(program("tree.py", str(bench.folder / "pids"), then))
    assert_gone(pids_in(bench.folder / "pids"))
    assert outcome.cause is cause


def test_nothing_is_left_of_a_tree_that_is_stopped(bench: Bench) -> None:
    bench.launch(program("tree.py", str(bench.folder / "pids"), "hang"))
    bench.report(1)
    asked = time.monotonic()
    bench.executor.stop("trial_1", 0.3)
    outcome = bench.outcome()
    assert_gone(pids_in(bench.folder / "pids"))
    assert (outcome.cause, outcome.signal) == (Cause.INTERRUPTED, "SIGKILL")
    assert 0.3 <= time.monotonic() - asked < 60


def test_a_second_stop_shortens_the_grace(bench: Bench) -> None:
    bench.launch(program("tree.py", str(bench.folder / "pids"), "hang"))
    bench.report(1)
    bench.executor.stop("trial_1", 3600.0)
    bench.executor.stop("trial_1", 0.0)
    assert bench.outcome().cause is Cause.INTERRUPTED
    assert_gone(pids_in(bench.folder / "pids"))


def test_nothing_is_left_of_a_tree_that_is_pruned(bench: Bench) -> None:
    bench.launch(program("tree.py", str(bench.folder / "pids"), "hang"))
    bench.report(1)
    bench.executor.answer("trial_1", 1, True)
    bench.executor.stop("trial_1", 0.0)
    assert bench.outcome().cause is Cause.PRUNED
    assert_gone(pids_in(bench.folder / "pids"))


def test_nothing_is_left_of_a_tree_that_runs_too_long(bench: Bench) -> None:
    limit = 1.0
    outcome = bench.run(program("tree.py", str(bench.folder / "pids"), "hang"), timeout_s=limit)
    assert (outcome.cause, outcome.message) == (Cause.TIMEOUT, "ran past its limit of 1 s")
    assert [pid for pid in pids_in(bench.folder / "pids") if is_alive(pid)] == []


def test_nothing_is_left_of_a_tree_when_the_executor_is_closed(bench: Bench) -> None:
    bench.launch(program("tree.py", str(bench.folder / "pids"), "hang"))
    bench.report(1)
    bench.executor.close()
    assert_gone(pids_in(bench.folder / "pids"))


def test_a_trial_that_forks_while_it_is_killed(bench: Bench) -> None:
    bomb = "for i in 1 2 3 4; do (trap '' TERM; while true; do (sleep 60 &) ; sleep 0.01; done) & done; "
    bench.launch(shell(bomb + STEP + "; wait"))
    bench.report(1)
    bench.executor.stop("trial_1", 0.0)
    assert bench.outcome().cause is Cause.INTERRUPTED


# Ends


FINAL = "final = lambda: print(json.dumps({'cer': 0.25}), file=open(os.environ['HPSEARCH_REPORT'], 'w'), flush=True)\n"
REPORTING = f"import json, os, signal, time\nsignal.signal(signal.SIGTERM, signal.SIG_IGN)\n{FINAL}"


@pytest.mark.parametrize(
    ("then", "limits", "how"),
    [
        ("time.sleep(600)", {"exit_timeout_s": 0.3}, "did not exit within 0.3 s (exit_timeout_s)"),
        ("time.sleep(600)", {"timeout_s": 3.0}, "ran past its limit of 3 s"),
        ("os._exit(7)", {}, "exited with code 7"),
        ("time.sleep(2); os.kill(os.getpid(), 11)", {"stall_s": 0.5}, "died of SIGSEGV"),
    ],
)
def test_a_reported_result_counts_however_the_program_ends(
    bench: Bench, then: str, limits: dict[str, float], how: str
) -> None:
    outcome = bench.run(python(f"{REPORTING}final(); {then}"), **limits)
    assert (outcome.cause, outcome.metrics) == (Cause.OK, {"cer": 0.25})
    assert outcome.message == f"after its final metrics: {how}"


@pytest.mark.parametrize(
    ("replace", "cause"),
    [
        ("os.unlink(p); open(p, 'w').write('{\"cer\": 0.25}')", Cause.OK),
        ("os.unlink(p); open(p, 'w').write('{\"step\": 2}')", Cause.PROTOCOL),
        ("os.unlink(p)", Cause.PROTOCOL),
        ("os.unlink(p); os.mkdir(p)", Cause.PROTOCOL),
        ("os.unlink(p); os.symlink('/dev/zero', p)", Cause.PROTOCOL),
        ("os.unlink(p); os.mkfifo(p)", Cause.PROTOCOL),
    ],
)
def test_a_replaced_channel_is_said_and_leaves_no_older_value(bench: Bench, replace: str, cause: Cause) -> None:
    step = "print(json.dumps({'step': 1, 'cer': 0.5}), file=open(p, 'w'), flush=True)"
    outcome = bench.run(python(f"import json, os\np = os.environ['HPSEARCH_REPORT']\n{step}\n{replace}"))
    assert (outcome.cause, outcome.metrics) == (cause, {"cer": 0.25} if cause is Cause.OK else {})
    assert "its report channel was removed or replaced" in outcome.message


def test_the_end_does_not_wait_for_a_pipe_that_is_kept_open(bench: Bench) -> None:
    outcome = bench.run(shell(f"sleep 600 & {RESULT}"))
    assert outcome.cause is Cause.OK
    assert outcome.duration_s < 30


def test_lines_written_just_before_the_end_count(bench: Bench) -> None:
    code = """
import os
channel = os.open(os.environ["HPSEARCH_REPORT"], os.O_WRONLY)
os.write(channel, b"".join(b'{"step": %d, "cer": 0.5}\\n' % step for step in range(2000)) + b'{"cer": 0.25}')
os._exit(0)
"""
    outcome = bench.run(python(code))
    assert (outcome.cause, outcome.metrics) == (Cause.OK, {"cer": 0.25})
    assert [step for step, _ in bench.reports()] == list(range(2000))


def test_a_result_that_was_there_before_the_stop_counts(bench: Bench) -> None:
    trap = f"trap 'exit 0' TERM; {RESULT}; {STEP}; while true; do sleep 0.05; done"
    bench.launch(shell(trap))
    bench.report(1)
    bench.executor.stop("trial_1", 30.0)
    assert bench.outcome().cause is Cause.OK


def test_a_result_that_came_after_the_stop_counts_as_well(bench: Bench) -> None:
    bench.launch(shell(f"late() {{ {RESULT}; exit 0; }}; trap late TERM; {STEP}; while true; do sleep 0.05; done"))
    bench.report(1)
    bench.executor.stop("trial_1", 30.0)
    assert bench.outcome().cause is Cause.OK


def test_what_a_program_says_while_it_is_stopped_decides_nothing(bench: Bench) -> None:
    code = """
import signal, time
from hpsearch import sdk
try:
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    sdk.report(1, cer=0.5)
    time.sleep(600)
except KeyboardInterrupt:
    sdk.fault("crash", "KeyboardInterrupt")
    raise
"""
    bench.launch(python(code))
    bench.report(1)
    bench.executor.stop("trial_1", 30.0)
    assert bench.outcome().cause is Cause.INTERRUPTED


def test_a_trial_that_reports_nothing_is_stalled(bench: Bench) -> None:
    outcome = bench.run(shell(f"{STEP}; sleep 600"), stall_s=0.5)
    assert (outcome.cause, outcome.message) == (Cause.STALLED, "reported nothing for 0.5 s")


def test_any_report_puts_the_stall_off(bench: Bench) -> None:
    say = """for i in $(seq 12); do echo '{"progress": {}}' > "$HPSEARCH_REPORT"; sleep 0.25; done"""
    assert bench.run(shell(f"{say}; {RESULT}"), stall_s=2.0).cause is Cause.OK


def test_a_trial_that_dies_silently(bench: Bench) -> None:
    outcome = bench.run(python("import os; os._exit(9)"))
    assert (outcome.cause, outcome.exit_code, outcome.message) == (Cause.CRASH, 9, "exited with code 9")


@pytest.mark.parametrize("number", [signal.SIGSEGV, signal.SIGABRT, signal.SIGTERM, signal.SIGKILL])
def test_a_signal_that_is_not_ours(bench: Bench, number: signal.Signals) -> None:
    outcome = bench.run(python(f"import os; print('about to go', flush=True); os.kill(os.getpid(), {number.value})"))
    assert (outcome.cause, outcome.signal, outcome.exit_code) == (Cause.SIGNAL, number.name, None)
    assert number.name in outcome.message
    assert outcome.log_tail == "about to go"


def test_a_signal_that_a_shell_passes_on(bench: Bench) -> None:
    outcome = bench.run(shell("bash -c 'kill -SEGV $$'; exit $?"))
    assert (outcome.cause, outcome.signal) == (Cause.SIGNAL, "SIGSEGV")


def test_memory_that_python_cannot_get(bench: Bench) -> None:
    code = "import resource; resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30)); bytearray(2**31)"
    assert bench.run(python(code)).cause is Cause.HOST_OOM


# Starts


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (("no-such-program",), "not found on PATH"),
        (("/no/such/program",), "No such file or directory"),
        (("/etc",), "Permission denied"),
        (("/etc/passwd",), "Permission denied"),
        (("echo", "a\0b"), "null"),
    ],
)
def test_a_program_that_cannot_be_started(bench: Bench, command: tuple[str, ...], why: str) -> None:
    outcome = bench.run(command)
    assert outcome.cause is Cause.LAUNCH
    assert why in outcome.message


def test_a_command_that_is_too_long(bench: Bench) -> None:
    outcome = bench.run(("echo", "x" * 4_000_000))
    assert outcome.cause is Cause.LAUNCH
    assert "Argument list too long" in outcome.message


def test_a_program_starts_with_plain_signals_and_no_input(bench: Bench) -> None:
    code = """
import os, signal, sys
assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL and signal.pthread_sigmask(signal.SIG_BLOCK, ()) == set()
assert sys.stdin.read() == ""
print(sorted(os.listdir("/proc/self/fd"), key=int))
"""
    outcome = bench.run(python(code), kind="train")
    assert outcome.log_tail == "['0', '1', '2', '3']", "3 is the listing's own"


def test_a_path_with_spaces_quotes_and_letters(bench: Bench) -> None:
    folder = bench.folder / "a b" / 'it\'s "手写" $HOME;*'
    outcome = bench.run(shell(f'{STEP}; test -s "$HPSEARCH_JOB" && {RESULT}'), output_dir=str(folder))
    assert outcome.cause is Cause.OK
    assert (folder / "outcome.json").exists()


def test_a_relative_folder_and_the_runner_s_working_directory(
    bench: Bench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = bench.run(shell(f"pwd; cd /; {RESULT}"), output_dir="there")
    assert (outcome.cause, outcome.log_tail) == (Cause.OK, str(tmp_path))
    assert (tmp_path / "there" / "outcome.json").exists()


def test_the_environment_is_the_job_s_and_nothing_else(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CANARY", "sings")
    outcome = bench.run(("/usr/bin/env", "-0"), environment={"ONE": "1", "EMPTY": "", "ODD": "a=b\nc"}, kind="train")
    environment = dict(entry.split("=", 1) for entry in outcome.log_tail.strip("\0").split("\0"))
    ours = {name: environment.pop(name) for name in list(environment) if name.startswith("HPSEARCH_")}
    assert environment == {"ONE": "1", "EMPTY": "", "ODD": "a=b\nc"}
    assert sorted(ours) == ["HPSEARCH_ANSWER", "HPSEARCH_JOB", "HPSEARCH_REPORT", "HPSEARCH_TAG"]
    assert ours["HPSEARCH_TAG"].startswith(f"{bench.study}/trial_1/")


# Output


def test_a_flood_without_a_newline_is_drained_and_capped(bench: Bench) -> None:
    size = 400 * 1024 * 1024
    limit = 1024 * 1024
    code = f"""
import os, sys
from hpsearch import sdk
print("the head", flush=True)
block = b"x" * (1 << 20)
for _ in range({size >> 20}):
    os.write(1, block)
print("the tail", flush=True)
peak = next(line for line in open(f"/proc/{{os.getppid()}}/status") if line.startswith("VmHWM"))
sdk.finish(cer=0.5, supervisor_bytes=int(peak.split()[1]) * 1024)
"""
    outcome = bench.run(python(code), log_limit_bytes=limit)
    log = (bench.folder / "trial_1" / "log.txt").read_bytes()
    assert outcome.cause is Cause.OK
    assert len(log) <= limit
    assert log.startswith(b"the head\nxxx") and log.endswith(b"xxxthe tail\n")
    assert b"hpsearch left out" in log
    assert outcome.metrics["supervisor_bytes"] < 50 * 1024 * 1024
    assert len(outcome.log_tail) <= 8 * 1024


def test_binary_output_is_shown_as_text(bench: Bench) -> None:
    outcome = bench.run(python(r"import os; os.write(1, b'\xff\xfe\x00 \xe4\xb8\x83\n'); os._exit(3)"))
    assert outcome.log_tail == "\ufffd\ufffd\0 七"


def test_device_memory_used_up(bench: Bench) -> None:
    text = "torch.OutOfMemoryError: CUDA out of memory. Tried to allocate 20.00 MiB."
    outcome = bench.run(shell(f"echo '{text}' >&2; echo teardown; exit 1"))
    assert (outcome.cause, outcome.message) == (Cause.CUDA_OOM, f"exited with code 1: {text}")


# The channel


def test_a_line_of_ten_megabytes(bench: Bench) -> None:
    code = """
import os
from hpsearch import sdk
with open(os.environ["HPSEARCH_REPORT"], "w") as channel:
    channel.write('{"step": 1, "cer": 0.1, "x": "' + "y" * 10_000_000 + '"}\\n')
    channel.write('{"step": 1, "cer": 0.5}\\n')
sdk.finish(cer=0.25)
"""
    outcome = bench.run(python(code))
    assert (outcome.cause, outcome.metrics, outcome.bad_lines) == (Cause.OK, {"cer": 0.25}, 1)
    assert bench.reports() == [(1, {"cer": 0.5})]


def test_garbage_without_end_on_the_channel(bench: Bench) -> None:
    outcome = bench.run(shell('head -c 5000000 /dev/urandom > "$HPSEARCH_REPORT"; sleep 600'))
    assert outcome.cause is Cause.PROTOCOL
    assert bench.reports() == []


def test_another_trial_s_number_changes_nothing(bench: Bench) -> None:
    forged = {"step": 1, "cer": 0.0, "trial": 7, "number": 7}
    outcome = bench.run(shell(f"""echo '{json.dumps(forged)}' > "$HPSEARCH_REPORT"; {RESULT}"""), number=3)
    assert {event.job_id for event in bench.events} == {"trial_1"}
    assert outcome.metrics == {"cer": 0.25}


def test_the_supervisor_s_own_messages_mean_nothing_on_the_channel(bench: Bench) -> None:
    forged = '{"finished": {"cause": "ok", "metrics": {"cer": 0}}}'
    outcome = bench.run(shell(f"""echo '{forged}' > "$HPSEARCH_REPORT"; echo '{forged}'; exit 3"""))
    assert (outcome.cause, outcome.bad_lines) == (Cause.CRASH, 1)


def test_a_program_may_not_blame_the_machine(bench: Bench) -> None:
    forged = '{"fault": "lost", "message": "try me again for ever"}'
    outcome = bench.run(shell(f"""echo '{forged}' > "$HPSEARCH_REPORT"; exit 3"""))
    assert (outcome.cause, outcome.bad_lines) == (Cause.CRASH, 1)


def test_files_of_the_folder_that_point_elsewhere(bench: Bench) -> None:
    precious = bench.folder / "precious"
    precious.write_text("mine")
    links = ["log.txt", "metrics.jsonl", "outcome.json", "job.json", "answer.json"]
    script = f'cd "$(dirname "$HPSEARCH_JOB")"; for f in {" ".join(links)}; do ln -sf {precious} $f; done; {RESULT}'
    outcome = bench.run(shell(script))
    assert outcome.cause is Cause.OK
    assert precious.read_text() == "mine"
    assert not (bench.folder / "trial_1" / "outcome.json").is_symlink()


def test_channel_and_files_are_private(bench: Bench) -> None:
    outcome = bench.run(shell('umask 0; stat -c %a "$HPSEARCH_REPORT" "$HPSEARCH_JOB" "$(dirname "$HPSEARCH_JOB")"'))
    assert outcome.log_tail.split() == ["600", "600", "700"]
    assert all(path.stat().st_mode & 0o077 == 0 for path in (bench.folder / "trial_1").iterdir())


def test_a_channel_that_the_program_removes(bench: Bench) -> None:
    outcome = bench.run(
        shell('exec 3> "$HPSEARCH_REPORT"; rm -r "$(dirname "$HPSEARCH_REPORT")"; echo \'{"cer": 1}\' >&3')
    )
    assert (outcome.cause, outcome.metrics) == (Cause.OK, {"cer": 1.0})


@pytest.mark.parametrize("then", ["exit 0", "exit 1"])
def test_a_trial_whose_folder_is_removed_under_it_is_lost_and_not_to_blame(bench: Bench, then: str) -> None:
    outcome = bench.run(shell(f'cd "$(dirname "$HPSEARCH_REPORT")"; mv "$PWD" "$PWD-moved"; {then}'))
    assert outcome.cause is Cause.LOST
    assert "its folder was removed or moved away" in outcome.message


def test_the_runner_may_stand_still(bench: Bench) -> None:
    """While nobody reads its events the trial waits; it is not declared stalled, and nothing is lost."""
    code = """
import os, json
with open(os.environ["HPSEARCH_REPORT"], "w") as channel:
    for step in range(2000):
        channel.write(json.dumps({"step": step, "cer": 0.5} | {f"m{i}": 0.123456789 for i in range(60)}) + "\\n")
    channel.write('{"cer": 0.25}\\n')
open(os.environ["DONE"], "w").close()
"""
    done = bench.folder / "done"
    environment = {"PATH": os.environ["PATH"], "DONE": str(done)}
    bench.launch(python(code), environment=environment, stall_s=1.0)
    metrics = bench.folder / "trial_1" / "metrics.jsonl"
    until(lambda: metrics.exists() and metrics.stat().st_size > 1_000_000, "a full supervisor")
    size = -1

    def stands_still() -> bool:
        nonlocal size
        time.sleep(1.5)  # longer than the stall limit, which must not run out
        before, size = size, metrics.stat().st_size
        return before == size

    until(stands_still, "the program to wait")
    assert not done.exists()
    assert bench.outcome().cause is Cause.OK
    assert [step for step, _ in bench.reports()] == list(range(2000))
