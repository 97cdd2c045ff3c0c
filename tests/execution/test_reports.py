"""The report channel's rules, and what a program's words mean, without any process."""

from __future__ import annotations

import json
import math
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from hpsearch.execution.files import open_new
from hpsearch.execution.job import (
    MAX_LINE_BYTES,
    BadLine,
    FaultLine,
    FinalLine,
    Line,
    ProgressLine,
    StepLine,
    parse_line,
)
from hpsearch.execution.outcome import Cause
from hpsearch.execution.reports import LineSplitter, Record


@pytest.fixture
def record(tmp_path: Path) -> Iterator[Record]:
    record = Record("cer", open_new(str(tmp_path / "metrics.jsonl")))
    yield record
    record.close()


@pytest.mark.parametrize(
    ("raw", "line"),
    [
        (b'{"step": 3, "cer": 0.5, "n": 2}', StepLine(3, {"cer": 0.5, "n": 2.0})),
        (b' {"cer": -1e-3}\r', FinalLine({"cer": -0.001})),
        (b'{"step": 0, "cer": "inf"}', StepLine(0, {"cer": math.inf})),
        (b'{"step": 2147483647, "cer": 1e400}', StepLine(2**31 - 1, {"cer": math.inf})),
        ('{"错误率": 1}'.encode(), FinalLine({"错误率": 1.0})),
        (
            b'{"progress": {"fraction": 0.5, "x": [1, {"y": null}]}}',
            ProgressLine({"fraction": 0.5, "x": [1, {"y": None}]}),
        ),
        (b'{"fault": "cuda_oom"}', FaultLine(Cause.CUDA_OOM, "")),
        (b'{"fault": "invalid", "message": "why"}', FaultLine(Cause.INVALID, "why")),
    ],
)
def test_good_lines(raw: bytes, line: Line) -> None:
    assert parse_line(raw) == line


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"null",
        b"[]",
        b"7",
        b'"cer"',
        b"step=1 cer=0.5",
        b"{",
        b"{}",
        b'{"step": 1}',
        b'{"step": 1, "cer": 0.5} {"cer": 0.5}',
        b'{"step": 1.0, "cer": 0.5}',
        b'{"step": 1.5, "cer": 0.5}',
        b'{"step": "3", "cer": 0.5}',
        b'{"step": true, "cer": 0.5}',
        b'{"step": -1, "cer": 0.5}',
        b'{"step": 2147483648, "cer": 0.5}',
        b'{"step": 1e400, "cer": 0.5}',
        b'{"step": NaN, "cer": 0.5}',
        b'{"step": ' + b"9" * 5000 + b', "cer": 0.5}',
        b'{"cer": ' + b"9" * 5000 + b"}",
        b'{"cer": ' + b"9" * 400 + b"}",
        b'{"cer": "0.5"}',
        b'{"cer": "NaN"}',
        b'{"cer": true}',
        b'{"cer": null}',
        b'{"cer": [0.5]}',
        b'{"cer": {"value": 0.5}}',
        b'{"cer": 0.5, "cer": 0.4}',
        b'{"step": 1, "step": 2, "cer": 0.5}',
        b'{"": 0.5}',
        b'{"a\\u0000b": 0.5}',
        b'{"\\u001b[2J": 0.5}',
        b'{"\\ud800": 0.5}',
        b'{"progress": {"prediction": "\\udfff"}}',
        b'{"fault": "crash", "message": "\\ud800"}',
        b'{"' + b"n" * 129 + b'": 0.5}',
        b'{"progress": {"a": ' + b"[" * 9 + b"]" * 9 + b"}}",
        b'{"progress": ' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}",
        b'{"progress": ' + b"[" * 600 + b"]" * 600 + b"}",
        b"[" * 30000,
        b'{"progress": 0.5}',
        b'{"progress": {}, "cer": 0.5}',
        b'{"fault": "lost"}',
        b'{"fault": "ok"}',
        b'{"fault": "interrupted"}',
        b'{"fault": "timeout"}',
        b'{"fault": 7}',
        b'{"fault": ["crash"]}',
        b'{"fault": "crash", "message": 7}',
        b'{"fault": "crash", "cer": 0.5}',
        b"\xff\xfe\x00",
        b'{"cer": 0.5\xff}',
        b"\xef\xbb\xbf" + b'{"cer": 0.5}',
        b'{"cer": 0.5, "pad": "' + b"x" * MAX_LINE_BYTES + b'"}',
        json.dumps({f"m{i}": 0.5 for i in range(257)}).encode(),
    ],
)
def test_bad_lines(raw: bytes) -> None:
    with pytest.raises(BadLine):
        parse_line(raw)


def test_ten_thousand_fuzzed_lines_are_lines_or_bad(record: Record) -> None:
    """Mutations of good lines: whatever comes, no other error, and no metric that was not on the line."""
    rng = random.Random(7)
    seeds = [b'{"step": 3, "cer": 0.5}', b'{"cer": "nan"}', b'{"progress": {"a": [1]}}', b'{"fault": "crash"}']
    pieces = [
        b"\\ud800",
        b"[" * 50,
        b'"',
        b"\0",
        b"\xff",
        b"1e999",
        b"-",
        b"NaN",
        b"{",
        b"}",
        b"9" * 30,
        b"true",
        b":",
        b",",
    ]
    for _ in range(10_000):
        raw = bytearray(rng.choice(seeds))
        for _ in range(rng.randint(1, 4)):
            position = rng.randrange(len(raw) + 1)
            kind = rng.random()
            if kind < 0.4:
                raw[position : position + rng.randint(0, 3)] = rng.choice(pieces)
            elif kind < 0.7:
                raw[position : position + 1] = bytes([rng.randrange(256)])
            else:
                del raw[position : position + rng.randint(1, 4)]
        line = record.take(bytes(raw))
        if isinstance(line, StepLine):
            assert 0 <= line.step < 2**31 and all(isinstance(value, float) for value in line.metrics.values())


def split(*parts: bytes) -> list[bytes]:
    splitter = LineSplitter()
    lines = [line for part in parts for line in splitter.feed(part)]
    return lines + list(splitter.end())


@pytest.mark.parametrize("size", [1, 2, 3, 7, 1000])
def test_lines_are_the_same_however_the_stream_is_cut(size: int) -> None:
    stream = b'{"a": 1}\n\n  \n{"b": 2}\nrest'
    parts = [stream[start : start + size] for start in range(0, len(stream), size)]
    assert split(*parts) == [b'{"a": 1}', b'{"b": 2}', b"rest"]


def test_a_line_that_is_too_long_comes_once_and_cut_off() -> None:
    lines = split(b"good\n", *[b"x" * 10_000] * 100, b"x\nnext\n", b"y" * 200_000 + b"\nlast")
    assert [len(line) for line in lines] == [4, MAX_LINE_BYTES + 1, 4, MAX_LINE_BYTES + 1, 4]
    assert lines[2::2] == [b"next", b"last"]


def test_the_longest_line_allowed_is_read(record: Record) -> None:
    room = MAX_LINE_BYTES - len(b'{"progress": {"text": ""}}')
    (line,) = split(b'{"progress": {"text": "' + b"x" * room + b'"}}\n')
    assert isinstance(record.take(line), ProgressLine)


def test_the_hundredth_bad_line_breaks_the_protocol(record: Record) -> None:
    for _ in range(99):
        record.take(b"bad")
    assert record.verdict is None
    record.take(b"bad")
    assert record.verdict is not None and record.verdict[0] is Cause.PROTOCOL


def test_the_first_verdict_holds(record: Record) -> None:
    record.take(b'{"fault": "cuda_oom", "message": "first"}')
    record.take(b'{"step": 1, "cer": NaN}')
    record.take(b'{"fault": "crash", "message": "third"}')
    assert record.verdict == (Cause.CUDA_OOM, "first")


def test_steps_and_bytes_are_limited(record: Record, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hpsearch.execution.reports._MOST_STEPS", 2)
    monkeypatch.setattr("hpsearch.execution.reports._MOST_METRIC_BYTES", 100)
    for step in range(4):
        record.take(json.dumps({"step": step, "cer": 0.5}).encode())
    assert record.bad_lines == 2
    for _ in range(4):
        record.take(b'{"wer": 0.123456789012345}')
    assert (record.bad_lines, record.final) == (4, {"wer": 0.123456789012345})


def test_final_metrics_are_limited_together(record: Record) -> None:
    record.take(json.dumps({f"m{i}": 0.5 for i in range(256)}).encode())
    record.take(b'{"cer": 0.5}')
    assert (record.bad_lines, record.has_result) == (1, False)


def test_metrics_are_written_as_strict_json(record: Record, tmp_path: Path) -> None:
    record.take(b'{"step": 1, "cer": NaN, "wer": -Infinity}')
    (line,) = (tmp_path / "metrics.jsonl").read_text().splitlines()
    entry = json.loads(line, parse_constant=pytest.fail)
    assert entry["metrics"] == {"cer": "nan", "wer": "-inf"}
