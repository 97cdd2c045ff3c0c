"""FIFOs, sockets, devices and links to them among data are refused at once, by kind."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from hpsearch.data.check_images import Opener
from hpsearch.data.places import refuse_special_in
from hpsearch.data.progress import ProgressReporter
from hpsearch.data.rows import read_splits
from hpsearch.data.sources import find_source
from hpsearch.errors import UsageError
from hpsearch.settings import TrainSettings


def make_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as made, contextlib.chdir(path.parent):  # a socket's path is short
        made.bind(path.name)


def endless(path: Path) -> None:
    path.symlink_to("/dev/zero")


KINDS: dict[str, Callable[[Path], None]] = {"FIFO": os.mkfifo, "socket": make_socket, "device.*link to /dev": endless}


@pytest.mark.parametrize("kind", KINDS)
def test_special_files_are_refused(tmp_path: Path, kind: str) -> None:
    for name in ("rows", "rows/deep"):
        (tmp_path / name).mkdir()
    special = f"data are read from files, but {tmp_path}/.* is a {kind}.*delete it"
    rows = [{"image_path": "x.png", "ocr_text": "x"} for _ in range(20)]
    (tmp_path / "rows/train.json").write_text(json.dumps(rows))
    KINDS[kind](tmp_path / "rows/x.png")
    samples = read_splits(tmp_path / "rows")["train"]
    with pytest.raises(UsageError, match=special):
        Opener(20, 200.0, ProgressReporter("check")).usable(samples, "train")

    KINDS[kind](tmp_path / "train.json")
    with pytest.raises(UsageError, match=special):
        read_splits(tmp_path)
    with pytest.raises(UsageError, match=special):
        find_source(TrainSettings(input_data=str(tmp_path / "train.json")))
    (tmp_path / "rows/x.png").rename(tmp_path / "rows/.hidden")
    KINDS[kind](tmp_path / "rows/deep/data.parquet")
    with pytest.raises(UsageError, match=r"deep/data\.parquet is a"):
        refuse_special_in(tmp_path / "rows")
    (tmp_path / "rows/deep/data.parquet").unlink()
    refuse_special_in(tmp_path / "rows")
