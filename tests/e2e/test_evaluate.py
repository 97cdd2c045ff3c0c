"""`hpsearch evaluate` by the real command line: against servers that answer, fail and are served by transformers."""

from __future__ import annotations

import hashlib
import io
import json
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.commands.servers import Request, Server, serving
from tests.conftest import CommandLine
from tests.e2e.conftest import Runner

ROWS = 12


def made(number: int) -> bytes:
    target = io.BytesIO()
    Image.new("RGB", (8, 8), (number, 0, 0)).save(target, "PNG")
    return target.getvalue()


TEXTS = {hashlib.sha256(made(number)).hexdigest(): f"text number {number}" for number in range(ROWS)}


@pytest.fixture
def rows(tmp_path: Path) -> Path:
    """Twelve pictures of their own, and a file that names them."""
    folder = tmp_path / "data"
    folder.mkdir()
    for number in range(ROWS):
        (folder / f"{number}.png").write_bytes(made(number))
    lines = [{"image_path": f"{number}.png", "ocr_text": f"text number {number}"} for number in range(ROWS)]
    (folder / "test.json").write_text(json.dumps(lines))
    return folder / "test.json"


def right(request: Request) -> None:
    """Read without a mistake."""
    request.reply(TEXTS[request.digest])


def words(server: Server, *more: str) -> tuple[str, ...]:
    return ("evaluate", "--vllm-url", server.url, "--data-file", "data/test.json", "--model-name", "tiny", *more)


def report(folder: Path, name: str = "evaluation.json") -> dict[str, Any]:
    results: dict[str, Any] = json.loads((folder / name).read_text())
    return results


def test_what_is_written_has_the_keys_that_scripts_know(rows: Path, tmp_path: Path, command_line: CommandLine) -> None:
    def read(request: Request) -> None:
        text = TEXTS[request.digest]
        request.reply("" if text.endswith(" 3") else text.replace("number 5", "nunber 5"))

    with serving(read) as server:
        done = command_line(*words(server, "--output_file", "out/table.json", "--save_interval", "5"))
    assert done.returncode == 0, done.stderr
    characters = sum(map(len, TEXTS.values()))
    assert f"CER: {14 / characters:.4f} (95 %:" in done.stdout
    assert "rows: 12 answered, 0 failed, 0 open; 10 perfect, 1 empty, 0 cut off" in done.stdout
    assert "evaluate: 12 of 12, CER" in done.stderr
    results = report(tmp_path, "out/table.json")
    assert results["overall_cer"] == pytest.approx(14 / characters, abs=1e-6)
    assert (results["total_samples"], results["model_name"]) == (12, "tiny")
    assert results["timestamp"].startswith("20")
    assert [sample["label"] for sample in results["samples"]] == [f"text number {number}" for number in range(ROWS)]
    sample = results["samples"][5]
    assert (sample["image_path"], sample["prediction"]) == ("../data/5.png", "text nunber 5")
    assert (sample["cer_score"], sample["f1_score"]) == (
        pytest.approx(1 / 13, abs=1e-6),
        pytest.approx(24 / 26, abs=1e-6),
    )


def test_a_second_run_asks_for_nothing_again(rows: Path, tmp_path: Path, command_line: CommandLine) -> None:
    with serving(right) as server:
        assert command_line(*words(server, "--top-k", "5")).returncode == 0
        assert (report(tmp_path)["total_samples"], sum(server.asked.values())) == (5, 5)
        again = command_line(*words(server, "--top-k", "None"))
        assert "5 answered before" in again.stderr
        assert (report(tmp_path)["overall_cer"], report(tmp_path)["total_samples"]) == (0.0, 12)
        assert set(server.asked.values()) == {1} and len(server.asked) == ROWS
        other = command_line(*words(server, "--instruction", "Read it otherwise."))
        assert other.returncode == 2
        assert (
            "'Read all text in this image.', and this evaluation has instruction 'Read it otherwise.'" in other.stderr
        )
        anew = command_line(*words(server, "--instruction", "Read it otherwise.", "--restart"))
        assert anew.returncode == 0 and set(server.asked.values()) == {2}


def test_a_damaged_line_costs_no_other_answer(rows: Path, tmp_path: Path, command_line: CommandLine) -> None:
    with serving(right) as server:
        assert command_line(*words(server)).returncode == 0
        kept = tmp_path / "evaluation.json.answers.jsonl"
        lines = kept.read_text().splitlines()
        kept.write_text("\n".join([lines[0], "garbage", "[1]", *lines[2:]])[:-5])
        assert command_line(*words(server)).returncode == 0
        assert sum(server.asked.values()) == ROWS + 2, "the spoilt one, and the last, which was broken off"
        assert command_line(*words(server)).returncode == 0
        assert sum(server.asked.values()) == ROWS + 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL])
def test_what_was_answered_before_an_interruption_is_kept(
    number: signal.Signals, rows: Path, tmp_path: Path, command_line: CommandLine, start: Callable[..., Runner]
) -> None:
    hold, many = threading.Event(), threading.Semaphore(7)

    def some(request: Request) -> None:
        if many.acquire(blocking=False) or hold.is_set():
            right(request)
        else:
            hold.wait(60)

    with serving(some) as server:
        running = start(*words(server, "--workers", "3"))
        running.wait_for("evaluate: 7 of 12")
        if number is signal.SIGKILL:
            running.process.kill()
            running.process.wait()
        else:
            running.send(number)
            code, output = running.end()
            assert (code, "stopped: the same command continues with the rest" in output) == (128 + number, True), output
            assert (report(tmp_path)["total_samples"], report(tmp_path)["open_samples"]) == (7, 5)
        first = dict(server.asked)
        hold.set()
        done = command_line(*words(server))
        assert done.returncode == 0 and "7 answered before" in done.stderr, done.stderr
        assert report(tmp_path)["overall_cer"] == 0.0
        assert sum(server.asked.values()) == sum(first.values()) + 5
        assert sum(count > 1 for count in server.asked.values()) <= 3, "only what was under way is asked again"


def test_rows_without_an_answer_are_named_and_asked_for_again(
    rows: Path, tmp_path: Path, command_line: CommandLine
) -> None:
    failing = [True]

    def some(request: Request) -> None:
        if failing[0] and TEXTS[request.digest].endswith(" 7"):
            request.send(b"picture too large", 413)
        else:
            right(request)

    (tmp_path / "data/9.png").write_bytes(b"no picture")
    with serving(some) as server:
        done = command_line(*words(server))
        assert done.returncode == 4
        assert "2 rows have no answer; the same command asks for them again" in done.stderr
        assert "warning: the server answered 413: picture too large" in done.stdout
        assert "warning: its picture cannot be opened" in done.stdout
        results = report(tmp_path)
        assert (results["total_samples"], results["failed_samples"], results["overall_cer"]) == (10, 2, 0.0)
        assert [sample["error"][:15] for sample in results["samples"] if "error" in sample] == [
            "the server answ",
            "its picture can",
        ]
        failing[0] = False
        (tmp_path / "data/9.png").write_bytes(made(9))
        assert command_line(*words(server)).returncode == 0
        assert report(tmp_path)["failed_samples"] == 0


def test_a_server_that_refuses_from_the_first_row_on_ends_it(
    rows: Path, tmp_path: Path, command_line: CommandLine
) -> None:
    def refuse(request: Request) -> None:
        request.send(b"Server is pinned to 'merged'", 400)

    with serving(refuse) as server:
        done = command_line(*words(server, "--workers", "2"))
        assert done.returncode == 2, done.stderr
        assert "refuses all of the first 6 rows, the last one: the server answered 400: Server is pinned" in done.stderr
        assert "CER -" in done.stderr and "CER 0" not in done.stderr
        assert sum(server.asked.values()) < ROWS


def test_rows_of_one_document_have_no_interval(rows: Path, tmp_path: Path, command_line: CommandLine) -> None:
    lines = [row | {"document": "a page"} for row in json.loads(rows.read_text())]
    rows.write_text(json.dumps(lines))
    with serving(right) as server:
        done = command_line(*words(server))
    assert "CER: 0.0000 (no interval: all rows are of one document)" in done.stdout
    assert report(tmp_path)["intervals"] == {"cer": None, "f1": None, "wer": None, "f1_macro": None}
    assert command_line("score", "--input", "evaluation.json", "--output", "scores.json").returncode == 0


def test_a_server_that_goes_away_ends_it_and_nothing_is_lost(
    rows: Path, tmp_path: Path, command_line: CommandLine
) -> None:
    left = threading.Semaphore(4)
    with serving(lambda request: right(request) if left.acquire(blocking=False) else request.send(b"", 500)) as server:
        gone = command_line(*words(server, "--workers", "1", "--retries", "0"))
        assert gone.returncode == 4
        assert "the server answers no more: 3 rows in a row have no answer" in gone.stderr
        assert "run the same command again: what it has answered is kept" in gone.stderr
        assert (report(tmp_path)["total_samples"], report(tmp_path)["failed_samples"]) == (4, 3)
        for _ in range(20):
            left.release()
        assert command_line(*words(server)).returncode == 0
        assert sorted(server.asked.values())[:4] == [1] * 4 and max(server.asked.values()) == 2


def test_a_model_is_asked_what_it_was_trained_with(rows: Path, tmp_path: Path, command_line: CommandLine) -> None:
    for name, settings in (
        ("tiny", {"instruction": "Read.", "max_new_tokens": 9}),
        ("other", {"instruction": "Look."}),
    ):
        (tmp_path / name).mkdir()
        (tmp_path / name / "hpsearch.json").write_text(json.dumps({"settings": settings}))
    for more, asked, said in (
        ((), ("Read.", 9), "asked: 'Read.', at most 9 tokens (defaults from tiny/hpsearch.json)"),
        (("--model-dir", "other"), ("Look.", 4096), "other/hpsearch.json"),
        (("--instruction", "Say.", "--max-tokens", "7"), ("Say.", 7), "at most 7 tokens"),
    ):
        with serving(right) as server:
            done = command_line(*words(server, "--restart", *more))
            assert done.returncode == 0 and said in done.stderr, done.stderr
            body = server.bodies[0]
        text = next(part["text"] for part in body["messages"][0]["content"] if part["type"] == "text")
        assert (text, body["max_tokens"]) == asked


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--model-dir", "data"), "--model-dir must be an adapter's folder or a merged model's"),
        (("--data-file", "nothing.json"), "nothing.json does not exist"),
        (("--top-k", "0"), "neither a number from 1 nor None"),
        (("--vllm-url", "ftp://a"), "a server's address is http://HOST:PORT/v1"),
        (("--workers", "0"), "--workers"),
        (("--normalization", "all"), "--normalization"),
        (("--output-file", "data/test.json"), "an evaluation does not replace its data"),
    ],
)
def test_what_is_wrong_is_refused(
    more: tuple[str, ...], said: str, rows: Path, tmp_path: Path, command_line: CommandLine
) -> None:
    before = sorted(tmp_path.rglob("*"))
    with serving(right) as server:
        refused = command_line(*words(server), *more)
    assert refused.returncode == 2 and said in refused.stderr, refused.stderr
    assert sorted(tmp_path.rglob("*")) == before


def test_a_key_goes_to_the_server_and_nowhere_else(rows: Path, tmp_path: Path, command_line: CommandLine) -> None:
    def locked(request: Request) -> None:
        if request.headers["Authorization"] == "Bearer key-7f3":
            right(request)
        else:
            request.send(b"no key", 401)

    with serving(locked) as server:
        refused = command_line(*words(server))
        assert refused.returncode == 2 and "give its key as OPENAI_API_KEY" in refused.stderr
        done = command_line(*words(server), OPENAI_API_KEY="key-7f3")
    assert done.returncode == 0
    assert "key-7f3" not in done.stdout + done.stderr
    assert not [path for path in tmp_path.rglob("*") if path.is_file() and b"key-7f3" in path.read_bytes()]
