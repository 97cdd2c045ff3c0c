"""The capped log: the head and the tail of everything, never more than the limit, readable at any time."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from hpsearch.execution.files import open_new
from hpsearch.execution.log import CappedLog

LIMIT = 8192


def write(path: Path, *parts: bytes, limit: int = LIMIT) -> bytes:
    log = CappedLog(open_new(str(path)), limit)
    for part in parts:
        log.write(part)
        assert path.stat().st_size <= max(limit, 4096)
    log.close()
    return path.read_bytes()


@pytest.mark.parametrize("size", [0, 1, LIMIT - 1, LIMIT])
def test_what_fits_is_kept_whole(tmp_path: Path, size: int) -> None:
    data = bytes(i % 251 for i in range(size))
    assert write(tmp_path / "log", data) == data


@pytest.mark.parametrize("size", [LIMIT + 1, 2 * LIMIT, 2 * LIMIT + 7, 20 * LIMIT])
@pytest.mark.parametrize("piece", [1000, 4096, 100_000])
def test_what_does_not_fit_keeps_head_and_tail_and_says_how_much_is_missing(
    tmp_path: Path, size: int, piece: int
) -> None:
    data = b"".join(b"%07d\n" % number for number in range(size // 8 + 1))[:size]
    log = write(tmp_path / "log", *[data[start : start + piece] for start in range(0, size, piece)])
    notice = re.search(rb"\n\[hpsearch left out +(\d+) bytes here: the log is limited to 8192 bytes\]\n", log)
    assert notice is not None
    head, tail = log[: notice.start()], log[notice.end() :]
    assert head == data[: LIMIT // 2]
    assert tail == data[-len(tail) :]
    assert len(tail) >= LIMIT // 4
    assert int(notice[1]) == len(data) - len(head) - len(tail)


def test_the_tail_is_what_came_last(tmp_path: Path) -> None:
    log = CappedLog(open_new(str(tmp_path / "log")), LIMIT)
    log.write(b"x" * 100_000 + b"the end")
    assert log.tail(7) == b"the end"
    assert len(log.tail(10**9)) <= LIMIT
    log.close()


def test_a_limit_that_is_too_small_is_raised(tmp_path: Path) -> None:
    assert len(write(tmp_path / "log", b"x" * 100_000, limit=0)) <= 4096


def test_a_full_disk_stops_nothing() -> None:
    with Path("/dev/full").open("wb") as full:
        log = CappedLog(full.fileno(), LIMIT)
        log.write(b"x")
        assert "No space left" in log.error
        assert log.tail(10) in (b"", b"\0" * 10)
