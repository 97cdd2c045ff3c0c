"""`hpsearch data convert`: a dataset of transcribed pages."""

from __future__ import annotations

from dataclasses import asdict, replace
from pathlib import Path

from hpsearch.data.convert import SUMMARY, WORK, ConversionRequest, ConversionResult
from hpsearch.errors import UsageError
from hpsearch.execution.run_job import run_standalone
from hpsearch.study.events import View, silent


def convert_pages(
    request: ConversionRequest, view: View = silent, trainer_python: str | None = None
) -> ConversionResult:
    """Convert a folder of pages.

    Raises:
        Interrupted: a stop signal came.
        UsageError: there are no pages, none can be used, or the output folder is one of something else.
        JobFailed: it failed for another reason.
    """
    source, target = (Path(place).expanduser().absolute() for place in (request.input_dir, request.output_dir))
    if source == target:
        what = "pages are converted into another folder, but both are the same"
        raise UsageError(what, "choose another --output-dir")
    settings = asdict(replace(request, input_dir=str(source), output_dir=str(target)))
    text = run_standalone("convert", settings, SUMMARY, view, trainer_python, work=target / WORK)
    return ConversionResult.from_json(text)
