"""Does judging on few rows rank configurations as judging on all of them, and what does it cost?

    python benchmarks/evaluation.py [--study digits-ocr] [--trials 12]

Trials of the demo, drawn at random, are trained twice with the same seeds: judged as hpsearch sizes it by measurement
on this machine, and on every row at the end. The table has the share of a trial's time that judging took, and
Spearman's rank correlation of each measure with the CER on all rows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.table import Table
from scipy.stats import spearmanr

import hpsearch
from hpsearch.config.load import shipped_folder
from hpsearch.data.metrics import character_edits, total

OPEN = ("eval_stride", "eval_samples", "final_samples")  # what the demo fixes, and is measured here


def main() -> None:
    """Run both searches and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--study", default="digits-ocr", help="a shipped study of the demo")
    parser.add_argument("--trials", type=int, default=12, help="configurations")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        sized = search(options.study, options.trials, Path(folder) / "sized")
        full = search(options.study, options.trials, Path(folder) / "full", final_samples=100_000)
        show(options.study, sized, full)


def search(study: str, trials: int, folder: Path, **settings: Any) -> list[dict[str, Any]]:
    """Run the trials; for each its metrics, its evaluations on the way, and what it read at the end, by row."""
    folder.mkdir()
    definition = json.loads((shipped_folder("studies") / f"{study}.json").read_text(encoding="utf-8"))
    config = folder / "definition.json"
    config.write_text(json.dumps({name: value for name, value in definition.items() if name not in OPEN}))
    hpsearch.run(
        study=study,
        config=config, n_trials=trials, search_mode="random", pruner="none", base_output_dir=folder, verbose=False,
        keep_adapters=1, **settings,
    )  # fmt: skip
    found = []
    for number in range(trials):
        trial = folder / study / f"trial_{number}"
        results = json.loads((trial / f"trial_{number}_results.json").read_text(encoding="utf-8"))
        lines = [json.loads(line) for line in (trial / "metrics.jsonl").read_text(encoding="utf-8").splitlines()]
        results["way"] = [line["metrics"]["eval_cer"] for line in lines]
        rows = [json.loads(line) for line in (trial / "predictions.jsonl").read_text(encoding="utf-8").splitlines()]
        edits = [character_edits(row["reference"], row["prediction"]) for row in rows]
        results["all_rows"] = total(edits).rate
        results["rows"] = len(rows)
        found.append(results)
    return found


def show(study: str, sized: list[dict[str, Any]], full: list[dict[str, Any]]) -> None:
    """Print the table."""
    assert [one["params"] for one in sized] == [one["params"] for one in full]
    truth = [one["all_rows"] for one in full]
    settings = sized[0]["settings"]
    shares = [
        one["metrics"]["eval_seconds"] / (one["metrics"]["eval_seconds"] + one["metrics"]["train_seconds"])
        for one in sized
    ]
    table = Table(title=f"{study}: {len(sized)} configurations, {full[0]['rows']} rows (validation and holdout) in all")
    table.add_column("measure")
    table.add_column("rows", justify="right")
    table.add_column("rank correlation with the CER on all rows", justify="right")
    way = f"{settings['eval_samples']} at every {settings['eval_stride']}. evaluation"
    middle = len(sized[0]["way"]) // 2 - 1
    for name, rows, values in (
        ("evaluation halfway", way, [one["way"][middle] for one in sized]),
        ("last evaluation on the way", way, [one["way"][-1] for one in sized]),
        ("objective (eval_cer)", str(settings["final_samples"]), [one["metrics"]["eval_cer"] for one in sized]),
        ("objective and holdout", str(sized[0]["rows"]), [one["all_rows"] for one in sized]),
    ):
        table.add_row(name, rows, f"{spearmanr(values, truth).statistic:.3f}")
    console = Console()
    console.print(table)
    console.print(
        f"Judging took {statistics.mean(shares):.1%} of a trial's time on average, {max(shares):.1%} at most "
        f"(aimed at 13 %, promised 15 %). CER on all rows: {min(truth):.3f} to {max(truth):.3f}."
    )


if __name__ == "__main__":
    main()
