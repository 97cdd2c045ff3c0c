"""The tables of a study as files: trials.csv for a spreadsheet, report.json for a program."""

from __future__ import annotations

import csv
import io
import json
import math
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from hpsearch.report.rows import TrialRow
from hpsearch.report.summary import HeadlineScore, StudySummary
from hpsearch.report.text import csv_cell

_STRICT: dict[str, Any] = {"sort_keys": True, "ensure_ascii": True, "allow_nan": False}
_COLUMNS = ("number", "root", "attempt", "state", "cause", "value", "holdout_value", "duration_s", "seed")


def trials_csv(summary: StudySummary) -> str:
    """Return a row for each attempt: how it ended, the value, then parameters, metrics and the message.

    A text that a spreadsheet would take for a formula gets a ' in front.
    """
    parameters = sorted({name for row in summary.rows for name in row.params})
    metrics = sorted({name for row in summary.rows for name in row.metrics})
    head = [*_COLUMNS, *(f"param {name}" for name in parameters), *(f"metric {name}" for name in metrics), "message"]
    out = io.StringIO()
    writer = csv.writer(out, lineterminator="\n")
    writer.writerow([csv_cell(name) for name in head])
    for row in summary.rows:
        own = [getattr(row, column) for column in _COLUMNS]
        cells = [*own, *map(row.params.get, parameters), *map(row.metrics.get, metrics), row.message]
        writer.writerow([csv_cell(cell) for cell in cells])
    return out.getvalue()


def report_json(summary: StudySummary) -> str:
    """Return the summary, and each row on its own line, as strict JSON; times in seconds, inf and nan as text."""
    head, end = json_text(summary_record(summary)).rsplit("\n}", 1)
    rows = ",\n".join(f"  {json.dumps(_strict(_record(row)), **_STRICT)}" for row in summary.rows)
    return f'{head},\n "rows": [\n{rows}\n ]\n}}{end}'


def summary_record(summary: StudySummary) -> dict[str, Any]:
    """Return the summary without its rows, as JSON values."""
    return {
        "study": summary.name,
        "objective": asdict(summary.objective),
        "counts": dict(summary.counts),
        "verdicts": [verdict.to_json() for verdict in summary.verdicts],
        "evidence": summary.evidence.to_json() if summary.evidence else None,
        "confirmed": dict(summary.confirmed) or None,
        "failing": list(summary.failing),
        "target": summary.target,
        "finished": summary.finished,
        "base": _score(summary.base),
        "default": _score(summary.default),
        "best": _score(summary.best),
        "top": [row.number for row in summary.top],
        "statistics": asdict(summary.statistics) if summary.statistics else None,
        "parameters": [asdict(parameter) for parameter in summary.parameters],
        "pruned_share": summary.pruned_share,
        "time_total_s": summary.time_total_s,
        "gpu_hours": summary.gpu_hours,
        "hours_by_use": summary.hours_by_use,
        "time_saved_s": summary.time_saved_s,
        "definition": dict(summary.definition),
        "prepared": dict(summary.prepared.values),
    }


def json_text(value: Any) -> str:
    """Return indented strict JSON with sorted keys."""
    return json.dumps(_strict(value), indent=1, **_STRICT) + "\n"


def _record(row: TrialRow) -> dict[str, Any]:
    times = {name: moment.isoformat() if moment else None for name, moment in (("start", row.start), ("end", row.end))}
    record = vars(row) | times | {"params": dict(row.params), "metrics": dict(row.metrics)}
    del record["counts"]  # follows from state and cause
    return record


def _score(score: HeadlineScore | None) -> dict[str, Any] | None:
    if score is None:
        return None
    row = score.trial
    trial = {"trial": row.number, "params": dict(row.params), "seed": row.seed} if row else {}
    return {"value": score.value, "holdout": score.holdout} | trial


def _strict(value: Any) -> Any:
    if isinstance(value, dict):
        return {str(key): _strict(item) for key, item in value.items()}
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, str) or value is None or isinstance(value, (bool, int)):
        return value
    return [_strict(item) for item in value] if isinstance(value, Iterable) else str(value)
