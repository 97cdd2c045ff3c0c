"""The live table: its content after each event, and that no text of a trial can draw on the terminal."""

from __future__ import annotations

from dataclasses import replace

from rich.console import Console

from hpsearch.cli.board import Board
from hpsearch.cli.live import Lines
from hpsearch.cli.tables import printable
from hpsearch.execution.job import Outcome
from hpsearch.execution.outcome import Cause
from hpsearch.study.events import NewBest, RunStarted, TrialEnded, TrialProgress, TrialReported, TrialStarted

STARTED = RunStarted("gemma-ocr", "eval_cer", "minimize", 4, 0, "bayesian", 20, None)


def drawn(board: Board, width: int = 120, height: int | None = None) -> str:
    console = Console(width=width, color_system=None, force_terminal=False)
    with console.capture() as capture:
        console.print(board.picture(height))
    return capture.get()


def board_with_a_trial() -> tuple[Board, list[float]]:
    now = [0.0]
    board = Board(clock=lambda: now[0])
    board.take(STARTED)
    board.take(TrialStarted(0, 0, 1, {"learning_rate": 1.234567e-4}, True))
    return board, now


def test_a_running_trial_shows_its_parameters_metric_speed_memory_and_latest_prediction() -> None:
    board, now = board_with_a_trial()
    now[0] = 65.0
    board.take(TrialReported(0, 3, {"eval_cer": 0.4321, "loss": 1.5}, False))
    live = {
        "fraction": 0.15,
        "step": 15,
        "steps": 100,
        "it_per_s": 2.0,
        "memory_bytes": 2**30,
        "reference": "48384",
        "prediction": "4838",
    }
    board.take(TrialProgress(0, live))
    picture = drawn(board)
    for text in (
        "0.0001235",
        "0.4321",
        "1m05s",
        "running",
        "default configuration",
        "step 15 of 100",
        "2 it/s",
        "48384",
        "1.07 GB",
    ):
        assert text in picture, text


def test_joined_characters_are_printed_unchanged_and_control_characters_are_not() -> None:
    conjunct = "\u0995\u09cd\u200d\u09b7"  # Bangla writes it with a joiner, which nobody sees
    assert printable(conjunct) == conjunct
    assert printable("a\nb\x1b[2J\u202e") == "a\u2424b⟨U+001B⟩[2J⟨U+202E⟩"


def test_the_time_left_comes_from_the_trials_that_ended() -> None:
    board, now = board_with_a_trial()
    assert board.seconds_left() is None
    now[0] = 60.0
    board.take(TrialEnded(0, Outcome(Cause.OK, duration_s=60.0), "COMPLETE", 0.2, 1))
    board.take(NewBest(0, 0.2))
    assert board.seconds_left() == 180.0
    picture = drawn(board)
    assert "1/4 finished" in picture
    assert "best eval_cer 0.2 (trial 0)" in picture
    assert "about 3m00s left" in picture


def test_trials_at_once_share_the_time_left_and_none_of_them_is_hidden() -> None:
    now = [0.0]
    board = Board(clock=lambda: now[0])
    board.take(replace(STARTED, target=40, slots=3))
    for number in range(30):
        board.take(TrialStarted(number, number, 1, {"lr": 1e-4}, False))
        if number > 2:
            board.take(TrialEnded(number, Outcome(Cause.OK, duration_s=60.0), "COMPLETE", 0.2, number - 2))
    board.take(TrialProgress(1, {"reference": "48384", "prediction": "4838"}))
    assert board.seconds_left() == 13 * 60 / 3  # three have just begun
    picture = drawn(board)
    assert "3 at once" in picture
    assert [line.split()[0] for line in picture.splitlines() if "lr" not in line and line[:5].strip().isdigit()] == [
        *("0", "1", "2"),
        *map(str, range(21, 30)),
    ]
    assert picture.count("4838") == 2, "one sample"


def test_a_failed_trial_names_its_cause() -> None:
    board, _ = board_with_a_trial()
    board.take(TrialEnded(0, Outcome(Cause.CUDA_OOM), "PRUNED", None, 1))
    assert "pruned (cuda_oom)" in drawn(board)


def test_escape_sequences_and_markup_in_predictions_are_printed_as_text() -> None:
    board, _ = board_with_a_trial()
    board.take(TrialProgress(0, {"reference": "[bold]a[/bold]", "prediction": "\x1b[2J\x07\nb"}))
    picture = drawn(board)
    assert "\x1b[2J" not in picture
    assert "\x07" not in picture
    assert "[bold]a[/bold]" in picture


def resumed() -> Board:
    """A board after a resume: trial 0 is the best, trial 1 was interrupted, trial 2 repeats it."""
    wide = {"learning_rate": 1.234567e-4, "per_device_train_batch_size": 4, "weight_decay": 1.5e-3, "lora_r": 16}
    earlier = (
        TrialStarted(0, 0, 1, wide, True),
        TrialReported(0, 20, {"eval_cer": 0.25}, False),
        TrialEnded(0, Outcome(Cause.OK, duration_s=60.0), "COMPLETE", 0.2, 0),
        TrialStarted(1, 1, 1, wide, False, first="known good"),
        TrialEnded(1, Outcome(Cause.INTERRUPTED, duration_s=9.0), "FAIL", None, 0, 2),
    )
    board = Board(clock=lambda: 0.0)
    board.take(replace(STARTED, finished=1, best=(0, 0.2), earlier=earlier))
    board.take(TrialStarted(2, 1, 2, wide, False))
    return board


def test_after_a_resume_all_trials_are_there_with_the_time_left() -> None:
    picture = drawn(resumed(), 160)
    assert "1/4 finished  best eval_cer 0.2 (trial 0)  about 3m00s left" in picture
    assert "complete * best, default configuration" in picture
    assert "interrupted, queued again, known good" in picture
    assert "fail" not in picture
    assert "1 (2nd attempt)" in picture


def test_a_narrow_terminal_splits_nothing() -> None:
    for width in (80, 60):
        lines = drawn(resumed(), width).splitlines()
        assert max(map(len, lines)) <= width
        assert len([line for line in lines if "queued again" in line]) == 1
        assert any(line.split()[:1] == ["trial"] and line.split()[-1] == "state" for line in lines)
    at_80 = drawn(resumed(), 80)
    assert all(whole in at_80 for whole in ("0.0001235", "complete * best", "1 (2nd attempt)", "no room for: "))


def test_as_many_trials_as_the_window_has_lines_and_always_the_best() -> None:
    board = resumed()
    for number in range(3, 60):
        board.take(TrialStarted(number, number, 1, {"lora_r": 8}, False))
        board.take(TrialEnded(number, Outcome(Cause.PRUNED, duration_s=6.0), "PRUNED", 0.9, number))
    picture = drawn(board, 100, height=24)
    assert len(picture.splitlines()) <= 24
    assert "* best" in picture
    assert "1 (2nd attempt)" in picture
    assert "earlier trials, not shown: " in picture


def test_lines_name_the_attempt_and_an_interruption() -> None:
    lines = Lines(resumed())
    assert lines._line(TrialStarted(2, 1, 2, {"x": 1}, False)) == "trial 1 (2nd attempt) started: x=1"
    ended = TrialEnded(2, Outcome(Cause.INTERRUPTED, duration_s=5.0), "FAIL", None, 1, 3)
    assert lines._line(ended) == "trial 1 (2nd attempt) ended: interrupted, queued again after 5.0s [1/4]"
