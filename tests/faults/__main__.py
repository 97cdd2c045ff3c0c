"""``python -m tests.faults [GOAL...]``: measures the promises of a run and prints their table.

``--quick`` tries each fault few times; ``--write FILE`` puts the table into a page, between its two marks.
"""

from __future__ import annotations

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor, as_completed
from pathlib import Path

from tests.faults.all_goals import GOALS, measure
from tests.faults.goals import Found, Goal

MARKS = ("<!-- table of make faults -->", "<!-- end of the table -->")
HEAD = ("| | promise | target | plain Optuna | hpsearch |", "|---|---|---|---|---|")


def main() -> int:
    """Measure, print and maybe write; 1 where a target was missed."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults")
    parser.add_argument("names", nargs="*", metavar="GOAL", help=f"of {', '.join(GOALS)}; all where none is named")
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--write", type=Path)
    arguments = parser.parse_args()
    names = arguments.names or list(GOALS)
    measured: dict[str, Found] = {}
    with ProcessPoolExecutor(arguments.workers, max_tasks_per_child=1) as pool:
        tasks = {pool.submit(measure, name, not arguments.quick): name for name in names}
        for task in as_completed(tasks):
            name = tasks[task]
            seconds, measured[name] = task.result()
            said = measured[name]
            print(f"{name} {'met' if said.met else 'MISSED'} in {seconds:.0f} s: {said.hpsearch} (plain: {said.plain})")
            sys.stdout.flush()
            lines = [*HEAD, *(_row(GOALS[each], measured[each]) for each in names if each in measured)]
            if arguments.write:
                _write(arguments.write, lines)
    print("\n".join(lines))
    return int(not all(found.met for found in measured.values()))


def _row(goal: Goal, found: Found) -> str:
    mine = found.hpsearch if found.met else f"**missed**: {found.hpsearch}"
    cells = (goal.name, goal.promise, goal.target, found.plain, mine)
    return "| " + " | ".join(" ".join(cell.replace("|", "/").split()) for cell in cells) + " |"


def _write(page: Path, lines: list[str]) -> None:
    before, _, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
    after = rest.partition(MARKS[1])[2]
    text = "\n".join((MARKS[0], "", *lines, "", MARKS[1]))
    page.write_text(before + text + after, encoding="utf-8")


if __name__ == "__main__":
    sys.exit(main())
