"""Figures as PNG, by kaleido and a browser in a process of their own: whatever happens there, the report stands."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpsearch.report.figures.style import WIDTH, Figure

# One browser draws six figures in about 6 s on two busy cores; a browser that hangs is given up after this.
TIMEOUT_S = 120.0
_SCALE = 2  # pixels of the file for each of the figure, so that print is sharp


def write_pngs(figures: Sequence[Figure], folder: Path, timeout_s: float = TIMEOUT_S) -> tuple[tuple[Path, ...], str]:
    """Draw each figure into ``folder`` as KEY.png, in place of earlier ones; never raises for what a browser does.

    Returns:
        The files, and one line that says why there are none ("" where there are).
    """
    for figure in figures:
        (folder / f"{figure.key}.png").unlink(missing_ok=True)
    drawn = [figure for figure in figures if figure.drawn]
    if not drawn:
        return (), ""
    if importlib.util.find_spec("kaleido") is None:
        return (
            (),
            "No PNG of the figures: kaleido is not installed; pip install 'hpsearch[png]' and a Chromium or Chrome.",
        )
    folder.mkdir(parents=True, exist_ok=True)
    jobs = [
        {"path": str(folder / f"{figure.key}.png"), "figure": figure.painted(), "opts": _size(figure)}
        for figure in drawn
    ]
    problem = _draw_apart(jobs, timeout_s)
    if problem:
        return (), f"No PNG of the figures: {problem}"
    return tuple(folder / f"{figure.key}.png" for figure in drawn), ""


def _draw_apart(jobs: Sequence[Mapping[str, Any]], timeout_s: float) -> str:
    """Draw in a child process; "" or what went wrong, in one line."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "jobs.json"
        path.write_text(json.dumps(jobs), encoding="utf-8")
        argv = (sys.executable, "-P", str(Path(__file__).with_name("png_process.py")), str(path))
        try:
            done = subprocess.run(
                argv, capture_output=True, text=True, errors="replace", timeout=timeout_s, check=False
            )
        except subprocess.TimeoutExpired:
            return f"the browser did not finish within {timeout_s:g} s."
        except OSError as error:
            return f"the drawing process could not be started: {error}."
    if done.returncode == 0:
        return ""
    return (done.stderr.strip().splitlines() or ["the drawing process ended without a word"])[-1][:300]


def _size(figure: Figure) -> dict[str, Any]:
    return {"format": "png", "width": WIDTH, "height": figure.height, "scale": _SCALE}
