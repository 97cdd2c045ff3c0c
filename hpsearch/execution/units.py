"""Byte counts and durations as text, for messages, tables and reports."""

from __future__ import annotations


def bytes_text(count: float) -> str:
    """Format a number of bytes to three digits, with decimal units: "1.5 GB", "320 MB", "12 bytes"."""
    for size, unit in ((1e9, "GB"), (1e6, "MB"), (1e3, "kB")):
        if count >= size:
            return f"{count / size:.3g} {unit}"
    return f"{count:.0f} bytes"


def duration_text(seconds: float) -> str:
    """Format seconds as "42s", "3m05s" or "2h10m"."""
    whole = round(seconds)
    if whole < 60:
        return f"{whole}s"
    if whole < 3600:
        return f"{whole // 60}m{whole % 60:02d}s"
    return f"{whole // 3600}h{whole % 3600 // 60:02d}m"
