"""Whether hpsearch does on this machine's GPU what it promises, and how fast: ``python benchmarks/gpu_check.py``.

Under ten minutes, one table; ``--markdown FILE`` writes it as a page with the machine and the versions. ``--quick``
does the tiny models only, ``--cpu`` all that can be done without CUDA, ``--sections`` some of it. Everything is done by
hpsearch's own jobs under its own executor, so ``--python`` may name another interpreter for them. A section that fails,
or runs out of its share of the time, says so in its row, and the others go on. Nothing else should run on the GPU
meanwhile.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from gpu.jobs import Bench, Failed, OutOfTime
from gpu.sections import SECTIONS, Plan, Section
from gpu.table import Row, markdown_page, text_table
from pydantic import ValidationError

from hpsearch.execution.gpu import find_driver
from hpsearch.settings import TrainSettings
from hpsearch.training.backends import BACKENDS

KNOWN_BACKENDS = ("hf", "unsloth")
# What the jobs' interpreter has; asked there, as it need not be this one.
ASK = """
import json
from importlib.metadata import PackageNotFoundError, version
found = {}
for name in ("torch", "transformers", "trl", "peft", "accelerate", "datasets", "bitsandbytes", "torchvision",
             "unsloth", "unsloth_zoo", "triton"):
    try:
        found[name] = version(name)
    except PackageNotFoundError:
        pass
import torch
cuda = torch.cuda.is_available()
found["GPU"] = f"{torch.cuda.get_device_name(0)}, {torch.cuda.mem_get_info()[1] / 2**30:.0f} GiB" if cuda else ""
found["CUDA of torch"] = torch.version.cuda or ""
print(json.dumps(found))
"""


def main() -> None:
    """Run the sections and print the table."""
    asked = _arguments()
    versions = _versions(asked.python)
    if not versions.get("GPU") and not asked.cpu:
        raise SystemExit("torch sees no CUDA GPU here; try: python benchmarks/gpu_check.py --cpu")
    plan = Plan(
        backends={name: _why_not(name, versions, asked.cpu) for name in KNOWN_BACKENDS},
        four_bits="bitsandbytes" in versions and not asked.cpu,
        quick=asked.quick,
        cpu=asked.cpu,
        kills=asked.kills or (1 if asked.cpu else 4 if asked.quick else 20),
    )
    rows, began = [], time.monotonic()
    with tempfile.TemporaryDirectory(prefix="gpu-check-", dir=asked.work_dir) as folder:
        for section in SECTIONS:
            if asked.sections and section.name not in asked.sections:
                continue
            share_s = min(section.share * asked.minutes * 60, asked.minutes * 60 - (time.monotonic() - began))
            bench = Bench(Path(folder), asked.python, asked.cpu, time.monotonic() + share_s)
            for row in _section(section, bench, plan, share_s):
                print(" | ".join(row.cells), file=sys.stderr, flush=True)
                rows.append(row)
    print(text_table(rows))
    if asked.markdown:
        command = shlex.join(["python", "benchmarks/gpu_check.py", *sys.argv[1:]])
        asked.markdown.write_text(markdown_page(rows, _machine(versions), command), encoding="utf-8")


def _section(section: Section, bench: Bench, plan: Plan, share_s: float) -> Iterator[Row]:
    """The rows of a section; whatever ends it early is a row too."""
    try:
        yield from section.rows(bench, plan)
    except OutOfTime:
        yield Row(section.name, "the rest", "cut", f"its {share_s:.0f} s were used up")
    except Failed as error:
        yield Row(section.name, "the rest", "failed", str(error))
    except Exception as error:  # noqa: BLE001 - the other sections are to be run whatever happens in this one
        yield Row(section.name, "the rest", "failed", f"{type(error).__name__}: {error}"[:300])


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description="Whether hpsearch does on this GPU what it promises, and how fast.")
    parser.add_argument("--quick", action="store_true", help="tiny models only")
    parser.add_argument("--cpu", action="store_true", help="everything that needs no CUDA")
    parser.add_argument("--sections", nargs="+", choices=[section.name for section in SECTIONS], help="only these")
    parser.add_argument("--minutes", type=float, default=9.8, help="for all of it; each section has a share of them")
    parser.add_argument("--kills", type=int, help="how many trials are killed (20)")
    parser.add_argument("--python", default=sys.executable, help="interpreter of the jobs")
    parser.add_argument("--markdown", type=Path, metavar="FILE", help="write the table as a page, too")
    parser.add_argument("--work-dir", type=Path, help="where models are written (25 GB at once); else TMPDIR")
    return parser.parse_args()


def _versions(python: str) -> dict[str, str]:
    done = subprocess.run((python, "-c", ASK), capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise SystemExit(f"{python} cannot run the training side; see: hpsearch doctor\n{done.stderr[-500:]}")
    found: dict[str, str] = json.loads(done.stdout.splitlines()[-1])
    return found


def _why_not(backend: str, versions: dict[str, str], cpu: bool) -> str:
    """Why a backend is left out; empty where it is not."""
    try:
        TrainSettings(backend=backend)
    except ValidationError:
        return "this hpsearch has no such backend"
    if backend not in BACKENDS:
        return "this hpsearch has no such backend"
    if backend == "unsloth" and "unsloth" not in versions:
        return "unsloth is not installed"
    return "needs CUDA" if backend == "unsloth" and cpu else ""


def _machine(versions: dict[str, str]) -> dict[str, str]:
    driver = find_driver(20.0)
    shown = f"NVIDIA {driver.version}, CUDA {driver.cuda}" if driver.version else "none"
    return {
        "date": time.strftime("%Y-%m-%d"),
        "machine": f"{platform.platform()}, {os.cpu_count()} cores",
        "Python": platform.python_version(),
        "driver": shown,
        **{name: value for name, value in versions.items() if value},
    }


if __name__ == "__main__":
    main()
