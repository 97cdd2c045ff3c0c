"""Byte counts and durations as text, for messages, tables and reports."""

from __future__ import annotations


def bytes_text(count: float) -> str:
    """Return a byte count with three significant figures: 1.53 GB, 320 MB, 4.5 kB."""
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= 0.9995 * size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} bytes"


def duration_text(seconds: float | None, *, short: bool = False) -> str:
    """Return seconds as 12 s, 3 min 20 s or 2 h 05 min; ``short``, for a narrow column, as 12s, 3m20s or 2h05m."""
    if seconds is None:
        return "—"
    whole = round(seconds)
    if whole < 60:
        text = f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    elif whole < 3600:
        text = f"{whole // 60} min {whole % 60:02d} s"
    else:
        text = f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"
    return text.replace("min", "m").replace(" ", "") if short else text
