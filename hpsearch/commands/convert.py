"""Making a dataset of transcribed pages: `hpsearch data convert`."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path

from hpsearch.data.convert import SUMMARY, WORK, ConversionRequest, ConversionResult
from hpsearch.errors import UsageError
from hpsearch.execution.run_job import run_errand
from hpsearch.study.events import View, silent


def convert_pages(
    wanted: ConversionRequest, view: View = silent, trainer_python: str | None = None
) -> ConversionResult:
    """Convert a folder of pages.

    Raises:
        Interrupted: a stop signal came.
        UsageError: there are no pages, none can be used, or the output folder is one of something else.
        JobFailed: it failed for another reason.
    """
    places = {name: str(Path(getattr(wanted, name)).expanduser().absolute()) for name in ("input_dir", "output_dir")}
    if places["input_dir"] == places["output_dir"]:
        what = "pages are converted into another folder, but both are the same"
        raise UsageError(what, "choose another --output-dir")
    found = run_errand(
        "convert", asdict(wanted) | places, SUMMARY, view, trainer_python, work=Path(places["output_dir"], WORK)
    )
    return ConversionResult.from_json(found)
