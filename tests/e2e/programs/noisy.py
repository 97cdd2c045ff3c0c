"""A trial for tests whose score depends on its seed: it reads ten documents of 100 characters, as validation rows and
as held-out ones, and writes its predictions as the built-in training does.

About 10 * (x - 3)^2 + 4 characters of each are wrong. With --wait it stays before its result until the named file is
there.
"""

from __future__ import annotations

import argparse
import json
import random
import time
from pathlib import Path

from hpsearch import sdk


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--x", type=float, required=True)
    parser.add_argument("--size", type=int, default=1)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--wait", type=Path)
    arguments = parser.parse_args()
    rng = random.Random(arguments.seed)
    lines, metrics = [], {}
    for prefix, split in (("eval", "validation"), ("holdout", "holdout")):
        shift, total = rng.gauss(0, 0.5), 0
        for number in range(10):
            errors = round(max(0.0, min(100.0, 10 * (arguments.x - 3) ** 2 + 4 + shift + rng.gauss(0, 1))))
            total += errors
            row = {"split": split, "id": f"{split}-{number}", "reference": "a" * 100}
            lines.append({**row, "prediction": "b" * errors + "a" * (100 - errors), "cer": errors / 100})
        metrics[f"{prefix}_cer"] = total / 1000
    adapter = arguments.out / "adapter"
    adapter.mkdir(parents=True)
    (adapter / "weights.txt").write_text(f"{arguments.x} {arguments.seed} " + "w" * arguments.size)
    (arguments.out / "predictions.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    sdk.report(1, eval_cer=metrics["eval_cer"])
    while arguments.wait and not arguments.wait.exists():
        time.sleep(0.02)
    sdk.finish(**metrics)


if __name__ == "__main__":
    main()
