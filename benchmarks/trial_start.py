"""What it costs to start a trial: ``python benchmarks/trial_start.py [TRIALS]``, about seven minutes.

The same trials (imports of a LoRA fine-tune, then ten steps of 0.05 s that compute nothing) by a shell's loop, by
Optuna with a subprocess for each, by the Trainer's own search inside one process, and by hpsearch, cold and not. In one
run, one after the other; nothing else should run on the machine.

    first      seconds from the command to the first step of the first trial
    overhead   seconds between the end of a trial and the end of the next, less the half that its steps take; median
    CPU        seconds of all processes, for each trial
    memory     most at once of the trial's processes, fork server and supervisors too (PSS: shared pages are divided
               among those who share them), and of everything

Then the demo (``make demo``): what its wall time went into.
"""

from __future__ import annotations

import itertools
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PROGRAMS = Path(__file__).with_name("programs")
TRIAL = PROGRAMS / "imports.py"
STEPS_S = 0.5
DEMO_TRIALS = 12  # as in the Makefile
LEARNING = ("train", "final evaluation", "judge the base")
SHARED = ("torch", "transformers", "peft", "trl", "trl.trainer.sft_trainer", "hpsearch.sdk")


@dataclass(frozen=True)
class Cost:
    """What a tool took, in seconds and MB."""

    first: float
    overhead: float
    cpu: float
    trial_mb: float
    all_mb: float


def measure(command: list[str], times: Path, count: int, folder: Path) -> Cost:
    """Run a tool that has ``count`` trials write their times."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.time()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
    ) as process:
        memory = Memory(process.pid)
        _, said = process.communicate()
        memory.stop()
    if process.returncode:
        raise SystemExit(f"{command} failed:\n{said[-2000:]}")
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    steps = [tuple(map(float, line.split())) for line in times.read_text().splitlines()]
    ends = [last for _, last in steps]
    gaps = [later - sooner for sooner, later in itertools.pairwise(ends)]
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(steps[0][0] - began, statistics.median(gaps) - STEPS_S, cpu / count, memory.trial, memory.all)


class Memory(threading.Thread):
    """Looks at a process tree, ten times a second: the most MB of what does a trial's work, and of all."""

    def __init__(self, root: int) -> None:
        super().__init__(daemon=True)
        self.trial = self.all = 0.0
        self._root, self._over = root, threading.Event()
        self.start()

    def run(self) -> None:
        """Look until told to stop."""
        while not self._over.wait(0.1):
            sizes = list(_sizes(self._root))
            self.trial = max(self.trial, sum(size for size, of_trial in sizes if of_trial))
            self.all = max(self.all, sum(size for size, _ in sizes))

    def stop(self) -> None:
        """Look no more."""
        self._over.set()
        self.join()


def _sizes(root: int) -> Iterator[tuple[float, bool]]:
    """MB of each process of the tree, and whether a trial needs it."""
    waiting = [root]
    while waiting:
        process = Path(f"/proc/{waiting.pop()}")
        try:
            waiting += [
                int(pid) for task in (process / "task").iterdir() for pid in (task / "children").read_text().split()
            ]
            words = (process / "cmdline").read_bytes().decode()
            pss = next(line for line in (process / "smaps_rollup").read_text().splitlines() if line.startswith("Pss:"))
        except (OSError, StopIteration):
            continue
        yield int(pss.split()[1]) / 1000, any(word in words for word in ("fork_server.py", "supervisor", TRIAL.name))


def study(folder: Path, times: Path) -> Path:
    """The study of the same trials."""
    fields = {
        "command": [sys.executable, str(TRIAL), str(times), "{rate}"],
        "search_space": {"rate": {"type": "loguniform", "low": 1e-5, "high": 1e-3}},
        "objective": {"metric": "score", "direction": "minimize"},
        "search_mode": "random",
        "pruner": {"type": "none"},
        "preload": list(SHARED),
    }
    path = folder / "study.json"
    path.write_text(json.dumps(fields))
    return path


def tools(folder: Path, count: int) -> Iterator[tuple[str, list[str], Path]]:
    """Each tool's name, command and times file."""
    python = sys.executable
    times = folder / "loop"
    yield "a shell's loop", ["sh", "-c", f"for n in $(seq {count}); do {python} {TRIAL} {times}; done"], times
    times = folder / "optuna"
    yield (
        "Optuna, a subprocess each",
        [python, str(PROGRAMS / "optuna_subprocess.py"), str(times), str(count)],
        times,
    )
    times = folder / "trainer"
    yield "the Trainer's own search", [python, str(PROGRAMS / "trainer_search.py"), str(times), str(count)], times
    for name, words in (("hpsearch --cold", ["--cold"]), ("hpsearch", [])):
        times = folder / name.replace(" ", "")
        config = study(folder, times)
        run = [python, "-m", "hpsearch", "run", "--study", times.name, "--config", str(config)]
        yield name, [*run, "--n-trials", str(count), *words], times


def main() -> None:
    """Print the table."""
    count = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        found = {tool: measure(command, times, count, folder) for tool, command, times in tools(folder, count)}
    loop, optuna = found["a shell's loop"], found["Optuna, a subprocess each"]
    print(f"{'':27}{'first':>9}{'':>8}{'overhead':>10}{'':>8}{'CPU':>8}{'trial MB':>10}{'':>8}{'all MB':>9}")
    for tool, cost in found.items():
        print(
            f"{tool:27}{cost.first:8.2f}s{cost.first / loop.first:7.2f}x{cost.overhead:9.3f}s"
            f"{optuna.overhead / cost.overhead:7.1f}x{cost.cpu:7.2f}s{_memory(cost, loop)}{cost.all_mb:9.0f}"
        )
    print("first and memory: beside a shell's loop; overhead: how many times less than Optuna with a subprocess each")
    with tempfile.TemporaryDirectory() as name:
        demo(Path(name))


def _memory(cost: Cost, loop: Cost) -> str:
    """What a trial takes; nothing where it has no process of its own."""
    return f"{cost.trial_mb:10.0f}{cost.trial_mb / loop.trial_mb:7.2f}x" if cost.trial_mb else f"{'-':>10}{'':8}"


def demo(folder: Path) -> None:
    """Run the demo, and print what its time went into."""
    began = time.time()
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "BEGAN": str(began)}
    command = [sys.executable, str(PROGRAMS / "demo.py"), str(DEMO_TRIALS)]
    done = subprocess.run(command, cwd=folder, env=environment, check=True, capture_output=True, text=True)
    wall, phases = time.time() - began, json.loads(done.stdout.splitlines()[-1])
    learning = sum(phases.pop(phase, 0.0) for phase in LEARNING)
    print(f"\nthe demo, {DEMO_TRIALS} trials: {wall:.0f} s, of which {learning / wall:.1%} trained and evaluated")
    others = sorted(phases.items(), key=lambda one: -one[1])
    print("the others: " + ", ".join(f"{phase} {seconds:.1f} s" for phase, seconds in others if seconds >= 0.1))


if __name__ == "__main__":
    main()
