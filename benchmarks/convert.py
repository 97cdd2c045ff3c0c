"""How fast pages become a dataset, and whether memory stays flat: ``python benchmarks/convert.py``, some minutes.

Pages of 20 lines with PAGE-XML are made, a tenth of them and all of them converted by the command, and of both is told:
pages a second, the peak memory of the process that does it, and what the disk has afterwards.
"""

from __future__ import annotations

import argparse
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from tests.made_pages import made_page, write_page  # noqa: E402

SIZE = (1654, 2339)  # pixels: A4 at 200 to the inch


def convert(source: Path, target: Path) -> tuple[float, float]:
    """Convert a folder; seconds, and the greatest memory of a process so far in megabytes."""
    started = time.perf_counter()
    command = (
        sys.executable,
        "-m",
        "hpsearch",
        "data",
        "convert",
        "--input-dir",
        str(source),
        "--output-dir",
        str(target),
    )
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL, cwd=ROOT)
    seconds = time.perf_counter() - started
    return seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1000


def main() -> None:
    """Print the table."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--pages", type=int, default=1000)
    pages = options.parse_args().pages
    print(f"{'pages':>6}{'lines':>8}{'seconds':>9}{'pages/s':>9}{'peak MB':>9}{'disk MB':>9}")
    for count in (max(1, pages // 10), pages):  # the greater one last: memory is the greatest so far
        with tempfile.TemporaryDirectory() as folder:
            source, target = Path(folder, "scans"), Path(folder, "letters")
            for number in range(count):  # one at a time: what a process has when it starts another counts for that one
                write_page(source, number, made_page(number, size=SIZE))
            seconds, memory = convert(source, target)
            lines = len((target / "metadata/train.jsonl").read_text().splitlines())
            disk = sum(path.stat().st_size for path in target.rglob("*") if path.is_file()) / 1e6
            print(f"{count:6}{lines:8}{seconds:9.1f}{count / seconds:9.1f}{memory:9.0f}{disk:9.0f}", flush=True)


if __name__ == "__main__":
    main()
