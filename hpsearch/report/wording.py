"""How numbers, times and values are written for a person."""

from __future__ import annotations


def number_text(value: float | None) -> str:
    """A score as a person reads it: four significant figures, all of them shown so that columns line up; — for None."""
    if value is None:
        return "—"
    return f"{value:#.4g}".rstrip(".") if value else "0"


def duration_text(seconds: float | None) -> str:
    """Seconds as a person reads them: 12 s, 3 min 20 s, 2 h 05 min."""
    if seconds is None:
        return "—"
    whole = round(seconds)
    if whole < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02d} s"
    return f"{whole // 3600:,} h {whole % 3600 // 60:02d} min"


def value_text(value: object) -> str:
    """A parameter's value as a person reads it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)
