"""How often what `hpsearch plan` foresees comes true: ``PYTHONPATH=. python benchmarks/foresight.py``, some minutes.

Simulated searches (those of tests/study/test_plan.py: 1 to 8 epochs, median pruner) are stopped after so many trials
and asked what 30 will take; then they go on. Shown are in how many the GPU-hours came to lie in the range, which is
meant to hold nine of ten, and how wide that was: high over low, the median.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
from pathlib import Path

from hpsearch.study.budget import spent_hours
from tests.study.test_plan import Simulated

TOTAL, SEEN = 30, (1, 4, 8, 15)
FIRST_SEED = 100  # others than the tests'


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=40)
    count = parser.parse_args().seeds
    print(f"{'search':10}{'seen':>6}{'within':>10}{'high/low':>10}")
    for mode in ("random", "bayesian"):
        for seen in SEEN:
            within, widths = 0, []
            for seed in range(FIRST_SEED, FIRST_SEED + count):
                with tempfile.TemporaryDirectory() as folder:
                    study = Simulated(Path(folder), seed, search_mode=mode)
                    study.run_to(seen)
                    expected = study.foresee(TOTAL).gpu_hours
                    study.run_to(TOTAL)
                    within += expected.low <= spent_hours(study.trials) <= expected.high
                    widths.append(expected.high / expected.low)
            print(f"{mode:10}{seen:6}{within:>4} of {count}{statistics.median(widths):10.1f}", flush=True)


if __name__ == "__main__":
    main()
