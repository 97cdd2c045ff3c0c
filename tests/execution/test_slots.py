"""Slots: which GPUs a run uses, and when a GPU is handed on."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import threading
from collections.abc import Callable
from typing import Any

import pytest

from hpsearch.errors import UsageError
from hpsearch.execution.gpu import Driver, Gpu, Holder
from hpsearch.execution.gpu_slots import TOLERANCE_BYTES, GpuRequest, Slot, Slots, share_out, without_gpus

GIB = 1024**3
FOUR = Driver("580.95.05", gpus=tuple(Gpu("NVIDIA L4", 24 * GIB, 23 * GIB, uuid=f"GPU-{n}a{n}") for n in range(4)))


def shared(environ: dict[str, str] | None = None, own_program: bool = False, **request: Any) -> list[tuple[int, ...]]:
    """The GPUs of each slot."""
    found = share_out(GpuRequest(**request), environ or {}, FOUR, own_program=own_program)
    assert [slot.number for slot in found.slots] == list(range(len(found.slots)))
    return [slot.gpus for slot in found.slots]


def test_gpus_are_shared_out_among_slots() -> None:
    assert shared(gpus="all") == [(0,), (1,), (2,), (3,)]
    assert shared(gpus="2,0") == [(2,), (0,)]
    assert shared(gpus="GPU-1a,3") == [(1,), (3,)]
    assert shared(gpus="all", gpus_per_trial=2) == [(0, 1), (2, 3)]
    assert shared(gpus="0,1,2", gpus_per_trial=2) == [(0, 1)]
    assert shared(gpus="all", slots=2) == [(0,), (1,)]
    assert shared(slots=3) == [(0,), (1,), (2,)]
    assert shared(gpus_per_trial=4) == [(0, 1, 2, 3)]
    assert shared() == [(0,)]
    assert shared(own_program=True) == [(0, 1, 2, 3)]


def test_one_kind_of_gpu_is_known_where_each_slot_has_one_and_all_are_alike() -> None:
    def kind(driver: Driver, **request: Any) -> Gpu | None:
        return share_out(GpuRequest(**request), {}, driver, own_program=False).gpu

    other = Driver("580.95.05", gpus=(*FOUR.gpus[:2], Gpu("NVIDIA L40S", 48 * GIB, 47 * GIB)))
    assert kind(FOUR, gpus="all") == FOUR.gpus[0]
    assert kind(FOUR, gpus="all", gpus_per_trial=2) is None
    assert kind(other, gpus="0,1") == FOUR.gpus[0]
    assert kind(other, gpus="all") is None
    assert kind(Driver()) is None


def test_gpus_that_cuda_visible_devices_leaves_out_are_left_out() -> None:
    assert shared({"CUDA_VISIBLE_DEVICES": "2,3"}, gpus="all") == [(2,), (3,)]
    assert shared({"CUDA_VISIBLE_DEVICES": "GPU-3a3,1"}) == [(3,)]
    assert shared({"CUDA_VISIBLE_DEVICES": "1"}, own_program=True) == [(1,)]
    assert shared({"CUDA_VISIBLE_DEVICES": ""}) == [()]
    assert shared({"CUDA_VISIBLE_DEVICES": "MIG-5d3"}) == [()]
    with pytest.raises(UsageError, match=r"CUDA_VISIBLE_DEVICES leaves out GPU 0.*choose among GPUs 2, 3"):
        shared({"CUDA_VISIBLE_DEVICES": "2,3"}, gpus="0")
    with pytest.raises(UsageError, match="CUDA_VISIBLE_DEVICES names none of those that the driver lists"):
        shared({"CUDA_VISIBLE_DEVICES": ""}, gpus="0")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"gpus": "0,7"}, r"there is no '7'; .*there are: GPUs 0, 1, 2, 3"),
        ({"gpus": "0,,1"}, "there is no ''"),
        ({"gpus": "1,1"}, "names each GPU once, but GPU 1 twice"),
        ({"gpus": "GPU-"}, "there is no 'GPU-'"),
        ({"gpus": "0", "slots": 2}, r"2 slots of 1 GPU each .* there is 1: GPU 0"),
        ({"gpus": "0,1", "gpus_per_trial": 4}, r"1 slot of 4 GPUs each .* there are 2: GPUs 0, 1"),
        ({"slots": 5}, "5 slots of 1 GPU each"),
    ],
    ids=str,
)
def test_what_is_not_there_is_refused_with_what_is(options: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        shared(**options)


def test_without_gpus_slots_are_places_on_the_cpu() -> None:
    assert share_out(GpuRequest(slots=3), {}, Driver(), own_program=False).slots == without_gpus(3)
    assert share_out(GpuRequest(), {}, Driver(), own_program=True).slots == (Slot(),)
    assert Slot().environment == {}
    for request in (GpuRequest("0"), GpuRequest(gpus_per_trial=1)):
        with pytest.raises(UsageError, match="needs NVIDIA GPUs, but no NVIDIA driver answers here"):
            share_out(request, {}, Driver(), own_program=False)


def test_idle_and_busy_gpus_are_noted() -> None:
    busy = Gpu("NVIDIA L4", 24 * GIB, 10 * GIB, (Holder(4711, "python", None),))
    (idle, used) = share_out(GpuRequest(), {}, Driver(gpus=(busy, *FOUR.gpus[1:])), own_program=False).notes
    assert idle == "trials use GPU 0; GPUs 1, 2, 3 stay idle: --gpus all uses all"
    assert used == "of GPU 0 15 GB of 25.8 GB are in use already, by python (pid 4711)"
    assert share_out(GpuRequest("1"), {}, FOUR, own_program=False).notes == ()


class Bench:
    """Slots over GPUs whose memory the test sets; each note comes with an event."""

    def __init__(self, *slots: Slot, patience_s: float = 60.0) -> None:
        self.used: dict[int, int] = dict.fromkeys((gpu for slot in slots for gpu in slot.gpus), GIB)
        self.notes: list[str] = []
        self._changed = threading.Condition()
        self.holders: tuple[Holder, ...] = ()
        self.slots = Slots(slots, self._hear, self._devices, patience_s)

    def _devices(self) -> dict[int, Gpu]:
        return {number: Gpu("NVIDIA L4", 24 * GIB, 24 * GIB - used, self.holders) for number, used in self.used.items()}

    def _hear(self, text: str) -> None:
        with self._changed:
            self.notes.append(text)
            self._changed.notify_all()

    def until(self, condition: Callable[[], Any]) -> None:
        """Wait until that is so."""
        with self._changed:
            assert self._changed.wait_for(condition, 30), (self.notes, self.slots.free)

    def taken(self) -> Slot:
        """Take a slot that must be there."""
        slot = self.slots.take()
        assert slot is not None
        return slot


def test_a_gpu_is_handed_on_when_its_memory_is_back_and_no_sooner() -> None:
    bench = Bench(Slot(0, (0,)), Slot(1, (1, 2)))
    first, second = bench.taken(), bench.taken()
    assert (first.number, second.number, bench.slots.take(), bench.slots.free) == (0, 1, None, 0)
    bench.used |= {0: 9 * GIB, 2: 9 * GIB}
    bench.slots.give_back(first)
    bench.slots.give_back(second)
    bench.used[2] = GIB
    bench.until(lambda: bench.slots.free)
    assert bench.taken().gpus == (1, 2)
    assert bench.slots.take() is None
    bench.used[0] = GIB + TOLERANCE_BYTES
    bench.until(lambda: bench.slots.free)
    assert (bench.taken().gpus, bench.slots.usable, bench.notes) == ((0,), 2, ["", ""])


def test_what_others_hold_from_the_start_is_no_leftover_and_the_baseline_only_falls() -> None:
    bench = Bench(Slot(0, (0,)))
    bench.used[0] = 20 * GIB
    bench.slots.give_back(bench.taken())
    bench.until(lambda: bench.slots.free)
    bench.used[0] = GIB
    bench.slots.give_back(bench.taken())
    bench.until(lambda: bench.slots.free)
    slot = bench.taken()
    bench.used[0] = 20 * GIB
    trouble = bench.slots._trouble(slot, "")
    assert trouble is not None and trouble.text.startswith("GPU 0 still holds 20.4 GB more")


def test_a_gpu_that_stays_full_is_waited_for() -> None:
    bench = Bench(Slot(0, (0,)), Slot(1, (1,)), patience_s=0.2)
    slot = bench.taken()
    bench.used[0] = 4 * GIB
    bench.slots.give_back(slot)
    bench.until(lambda: bench.notes)
    (note,) = bench.notes
    assert note.startswith("GPU 0 still holds 3.22 GB more than before its first job, 0.2 s after the end of its job")
    assert note.endswith("waiting for it")
    assert (bench.slots.usable, bench.taken().number, bench.slots.free) == (2, 1, 0)
    bench.used[0] = GIB
    bench.until(lambda: bench.notes[1:])
    assert bench.notes[1] == "GPU 0 can be used again"
    assert bench.taken().number == 0


def test_a_neighbour_that_the_driver_shows_keeps_no_gpu_from_the_next_job() -> None:
    bench = Bench(Slot(0, (0,)))
    slot = bench.taken()
    bench.used[0] = 9 * GIB
    bench.holders = (Holder(os.getpid(), "python", 8 * GIB), Holder(2**22 + 1, "in another namespace", None))
    bench.slots.give_back(slot, "study/trial_0/1")
    bench.until(lambda: bench.slots.free)
    assert bench.notes == [""]


def test_what_a_process_of_the_job_still_holds_leaves_the_gpu_out() -> None:
    tag = "study/trial_0/1"
    left = subprocess.Popen(("sleep", "600"), env={"HPSEARCH_TAG": tag})
    try:
        bench = Bench(Slot(0, (0,)), patience_s=0.1)
        slot = bench.taken()
        bench.used[0] = 9 * GIB
        bench.holders = (Holder(left.pid, "sleep", 8 * GIB),)
        bench.slots.give_back(slot, tag, needed=GIB)
        bench.until(lambda: bench.notes)
        assert f"(pid {left.pid})" in bench.notes[0] and bench.notes[0].endswith("it is left out for now")
        assert (bench.slots.usable, bench.slots.free) == (0, 0)
    finally:
        left.kill()
        left.wait()
    bench.holders, bench.used[0] = (), GIB
    bench.until(lambda: bench.slots.usable == 1)
    bench.slots.close()


def test_a_gpu_is_shared_with_a_neighbour_where_enough_is_free_for_a_trial() -> None:
    bench = Bench(Slot(0, (0,)), patience_s=0.1)
    slot = bench.taken()
    bench.used[0] = 12 * GIB  # of 24, none of it explained
    bench.slots.give_back(slot, needed=8 * GIB)
    bench.until(lambda: bench.slots.free)
    assert bench.notes[0].endswith("8.59 GB are enough for a trial: it is used again")
    bench.slots.give_back(bench.taken())
    bench.until(lambda: bench.slots.free)  # the neighbour is part of the baseline now


def test_a_gpu_that_the_driver_no_longer_shows_is_left_out() -> None:
    bench = Bench(Slot(0, (0,)), patience_s=0.1)
    slot = bench.taken()
    del bench.used[0]
    bench.slots.give_back(slot)
    bench.until(lambda: bench.notes)
    assert bench.notes[0].startswith("GPU 0 is lost")
    assert (bench.slots.usable, bench.slots.free) == (0, 0)
    bench.slots.close()


def test_cuda_visible_devices_is_read_as_cuda_reads_it() -> None:
    for value, gpus in {
        "0,-1": (0,),
        "-1": (),
        "1,99,2": (1,),
        "2,2": (2,),
        "1, 0": (1, 0),
        "GPU-2a2,0": (2, 0),
    }.items():
        assert shared({"CUDA_VISIBLE_DEVICES": value}, own_program=True) == [gpus], value
    lost = dataclasses.replace(FOUR, gpus=(dataclasses.replace(FOUR.gpus[0], lost=True), *FOUR.gpus[1:]))
    assert share_out(GpuRequest("all"), {}, lost, own_program=False).slots[0].gpus == (1,)
    mixed = Driver("580.95.05", gpus=(*FOUR.gpus[:1], Gpu("NVIDIA L40S", 48 * GIB, 47 * GIB, uuid="GPU-9f9")))
    number = {"CUDA_VISIBLE_DEVICES": "0"}  # CUDA's number of the L40S, nvidia-smi's of the L4
    assert share_out(GpuRequest(), number, mixed, own_program=False).slots == (Slot(),)
    with pytest.raises(UsageError, match="CUDA_DEVICE_ORDER=PCI_BUS_ID"):
        share_out(GpuRequest("0"), number, mixed, own_program=False)
    for clear in ({**number, "CUDA_DEVICE_ORDER": "PCI_BUS_ID"}, {"CUDA_VISIBLE_DEVICES": "GPU-0a0"}):
        assert share_out(GpuRequest(), clear, mixed, own_program=False).slots == (Slot(0, (0,)),)
