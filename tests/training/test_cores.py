"""The number of processes that prepare batches beside the training."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import pytest

from hpsearch.execution.cores import MAX_WORKERS, cores, data_workers

Memory = Callable[[int], None]


@pytest.fixture
def shared_memory(monkeypatch: pytest.MonkeyPatch) -> Memory:
    """Sets what is free of the shared memory, and that there are 16 cores."""
    monkeypatch.setattr("hpsearch.execution.cores.cores", lambda: 16)

    def free(count: int) -> None:
        monkeypatch.setattr(shutil, "disk_usage", lambda _: SimpleNamespace(free=count))

    return free


def test_a_setting_is_obeyed() -> None:
    assert [data_workers(3, device) for device in ("cpu", "cuda")] == [3, 3]
    assert data_workers(0, "cuda") == 0


def test_a_gpu_gets_some_and_a_cpu_none(shared_memory: Memory, tmp_path: Path) -> None:
    shared_memory(10**10)
    assert data_workers(None, "cuda", tmp_path) == MAX_WORKERS
    assert data_workers(None, "cpu", tmp_path) == 0


def test_none_where_a_container_has_no_room_to_hand_batches_over(shared_memory: Memory, tmp_path: Path) -> None:
    shared_memory(64 * 2**20)
    assert data_workers(None, "cuda", tmp_path) == 0
    shared_memory(10**10)
    assert data_workers(None, "cuda", tmp_path / "missing") == 0


def test_a_single_core_is_left_to_the_training(
    shared_memory: Memory, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shared_memory(10**10)
    monkeypatch.setattr("hpsearch.execution.cores.cores", lambda: 1)
    assert data_workers(None, "cuda", tmp_path) == 0


def test_there_is_a_core() -> None:
    assert cores() >= 1
