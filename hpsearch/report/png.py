"""Figures as PNG, by kaleido and a browser in a separate process: a failure there does not affect the report."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from hpsearch.execution.temporary import temporary_folder
from hpsearch.report.figures.style import WIDTH, Figure

# One browser draws six figures in about 6 s on two busy cores; a browser that hangs is killed after this.
TIMEOUT_S = 120.0
_SCALE = 2  # pixels of the file per pixel of the figure, for sharp print


def write_pngs(figures: Sequence[Figure], folder: Path, timeout_s: float = TIMEOUT_S) -> tuple[tuple[Path, ...], str]:
    """Draw each figure into ``folder`` as KEY.png, replacing earlier ones; a browser's failure never raises.

    Returns:
        The files, and one line that says why there are none ("" if there are).
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
    paths = tuple(folder / f"{figure.key}.png" for figure in drawn)
    size = {"format": "png", "width": WIDTH, "scale": _SCALE}
    jobs = [
        {"path": str(path), "figure": figure.painted(), "opts": size | {"height": figure.height}}
        for path, figure in zip(paths, drawn, strict=True)
    ]
    problem = _draw(jobs, timeout_s)
    return ((), f"No PNG of the figures: {problem}") if problem else (paths, "")


def _draw(jobs: Sequence[Mapping[str, Any]], timeout_s: float) -> str:
    """Draw in a child process; return "" or the error, in one line."""
    with temporary_folder() as folder:
        path = folder / "jobs.json"
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
    return (done.stderr.strip().splitlines() or ["the drawing process ended without a message"])[-1][:300]
