"""The gguf job: a merged model as files for llama.cpp, by its own converter, and a look at whether they hold it.

The converter is no package: it is run from a folder of llama.cpp that the user names, by a Python that has what it
wants.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import IO, Any

from hpsearch import sdk
from hpsearch.data.progress import ProgressReporter
from hpsearch.errors import UsageError
from hpsearch.execution.files import require_space, write_text
from hpsearch.execution.job import Job
from hpsearch.execution.model_export import CONVERTED, SUMMARY, WORK, Gguf, GgufFile, GgufRequest, MergedModel
from hpsearch.execution.output_folder import filling
from hpsearch.training.export import gguf_check
from hpsearch.training.export.model_card import renew_model_card
from hpsearch.training.models.serving import llama_options

SCRIPT = "convert_hf_to_gguf.py"
PACKAGE = "gguf-py"  # in llama.cpp's folder: the reader and the names that the converter writes with
MODULES = ("torch", "transformers", "safetensors", "sentencepiece", "yaml", "gguf")
PIP_NAMES = {"yaml": "pyyaml"}
LAST_LINES = 12
# What sees pictures is small, and suffers from 8 bits.
SIGHT = {"q8_0": "f16"}
VISION = "clip"  # the architecture of what sees pictures, whatever the model
PREDICTING = ("qwen3_5",)  # families of such bases; transformers neither loads nor saves those layers
NO_PREDICTION = "--no-mtp"
BYTES = {"q8_0": 1.07, "f16": 2.0, "bf16": 2.0, "f32": 4.0}  # of a weight
# How far a matrix may be from the merged model's: 8 bits with a scale for each 32 weights are about 0.005 off.
MOST_APART = {"q8_0": 0.02, "f16": 0.002, "bf16": 0.005, "f32": 1e-6}
_PERCENT = re.compile(r"(\d+)%\|")


def convert(job: Job) -> None:
    """Write a merged model's two GGUF files beside it, or only see whether that could be done.

    Raises:
        UsageError: the converter or what it needs is missing, it does not take the model, the disk is full, or what it
            wrote is not the merged model; then nothing is left of it.
    """
    progress = ProgressReporter("look at the converter")
    wanted = GgufRequest(**job.settings)
    _refuse_converter(wanted)
    found = {}
    if not wanted.only_ask:
        with filling(Path(wanted.folder)):
            found = asdict(_written(wanted, progress))
    (Path(job.output_dir) / CONVERTED).write_text(json.dumps(found), encoding="utf-8")
    sdk.finish(bytes=sum(found[name]["bytes"] for name in ("model", "mmproj") if found))


def _refuse_converter(wanted: GgufRequest) -> None:
    script = Path(wanted.llama_cpp, SCRIPT)
    if not script.is_file():
        raise UsageError(
            f"--save-gguf is done by llama.cpp's {SCRIPT}, but "
            + (f"{wanted.llama_cpp} has none" if wanted.llama_cpp else "its folder is not named"),
            "get llama.cpp (git clone https://github.com/ggml-org/llama.cpp), and name its folder with --llama-cpp or "
            "LLAMA_CPP",
        )
    tried = "import importlib.util as u, sys; print(*[m for m in sys.argv[1:] if u.find_spec(m) is None])"
    try:
        done = subprocess.run(
            (_python(wanted), "-c", tried, *MODULES), env=_environment(wanted), capture_output=True, text=True,
            timeout=120, check=True,
        )  # fmt: skip
    except (OSError, subprocess.SubprocessError) as error:
        raise UsageError(
            f"the converter needs a Python, but {_python(wanted)} does not run: {error}", "mend --converter-python"
        ) from error
    missing = [PIP_NAMES.get(name, name) for name in done.stdout.split()]
    if missing:
        raise UsageError(
            f"llama.cpp's converter needs {', '.join(missing)}, which {_python(wanted)} has not",
            f"{_python(wanted)} -m pip install {' '.join(missing)}, or name another Python with --converter-python",
        )


def _python(wanted: GgufRequest) -> str:
    return wanted.python or sys.executable


def _environment(wanted: GgufRequest) -> dict[str, str]:
    """The job's, with the gguf package of llama.cpp's folder in front, if it has one."""
    before = os.environ.get("PYTHONPATH")
    paths = [path for path in (_package(wanted), before) if path]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}


def _package(wanted: GgufRequest) -> str:
    folder = Path(wanted.llama_cpp, PACKAGE)
    return str(folder) if folder.is_dir() else ""


def _written(wanted: GgufRequest, progress: ProgressReporter) -> Gguf:
    folder = Path(wanted.folder)
    summary = MergedModel.from_json((folder / SUMMARY).read_text(encoding="utf-8"))
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    needed = weights / 2 * BYTES[wanted.kind] * 1.1  # the merged model has two bytes a weight, or more
    require_space(folder, needed, "GGUF files", "free some space", spare=0)
    work = folder / WORK
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        sight = SIGHT.get(wanted.kind, wanted.kind)
        paths = [work / f"model-{wanted.kind}.gguf", work / f"mmproj-{sight}.gguf"]
        more_words = (_no_prediction(wanted, summary.family), ("--mmproj",))
        for path, kind, more in zip(paths, (wanted.kind, sight), more_words, strict=True):
            progress.phase(f"convert to {path.name}", fraction=0.0)
            _convert(wanted, ("--outtype", kind, "--outfile", str(path), *more), progress)
        progress.phase("compare with the merged model", fraction=1.0)
        model, mmproj = _look(wanted, paths)
        made = Gguf(wanted.kind, model, mmproj, llama_options(folder))
        _refuse_other_model(made.model, wanted.kind, vision=False)
        _refuse_other_model(made.mmproj, sight, vision=True)
        mode = (folder / SUMMARY).stat().st_mode
        for path in paths:
            path.chmod(mode)
            path.rename(folder / path.name)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    files = tuple(sorted({*summary.files, made.model.name, made.mmproj.name}))
    others = tuple(each for each in summary.gguf if each.kind != made.kind)
    before, summary = summary, replace(summary, files=files, gguf=(*others, made))
    renew_model_card(folder, before, summary, folder.name)
    write_text(folder / SUMMARY, summary.to_json())
    return made


def _no_prediction(wanted: GgufRequest, family: str) -> tuple[str, ...]:
    """Where bases have layers that predict tokens further on, the option that says the merged model has none: without
    it the converter counts them, or fails where the configuration has none. One from before it never looks for them."""
    script = Path(wanted.llama_cpp, SCRIPT).read_text(encoding="utf-8")
    return (NO_PREDICTION,) if family in PREDICTING and NO_PREDICTION in script else ()


def _convert(wanted: GgufRequest, words: Sequence[str], progress: ProgressReporter) -> None:
    command = (_python(wanted), str(Path(wanted.llama_cpp, SCRIPT)), wanted.folder, *words)
    last: deque[str] = deque(maxlen=LAST_LINES)
    with subprocess.Popen(
        command, env=_environment(wanted), stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL
    ) as process:
        for line in _lines(process.stdout):
            percent = _PERCENT.search(line)
            if percent:
                progress.show(fraction=int(percent[1]) / 100)
            else:
                last.append(line)
                print(line)
    if process.returncode:
        said = "".join(f"\n    {line}" for line in last)
        raise UsageError(
            f"llama.cpp's converter must take the merged model, but ended with {process.returncode}:{said}\n",
            "the merged model is as it was; a newer llama.cpp may know the model, or other versions of its packages "
            "(--converter-python)",
        )


def _lines(output: IO[bytes] | None) -> Iterator[str]:
    """The lines that a program prints, as it prints them; a bar that it draws over itself is a line each time."""
    rest = b""
    while output is not None and (read := os.read(output.fileno(), 65_536)):
        *whole, rest = re.split(rb"[\r\n]+", rest + read)
        yield from (line.decode(errors="replace") for line in whole if line)
    if rest:
        yield rest.decode(errors="replace")


def _look(wanted: GgufRequest, paths: Sequence[Path]) -> list[GgufFile]:
    """What the files hold, beside the merged model."""
    command = (_python(wanted), str(gguf_check.__file__), _package(wanted), wanted.folder, *map(str, paths))
    done = subprocess.run(command, env=_environment(wanted), capture_output=True, text=True, check=False)
    try:
        found: list[dict[str, Any]] = json.loads(done.stdout)
    except ValueError as error:
        raise UsageError(
            f"GGUF files must be ones that can be read, but these cannot: {done.stderr.strip()[-500:]}",
            "see whether llama.cpp's folder is whole and new enough",
        ) from error
    return [
        GgufFile(name=path.name, bytes=path.stat().st_size, **{**each, "kinds": tuple(each["kinds"])})
        for path, each in zip(paths, found, strict=True)
    ]


def _refuse_other_model(file: GgufFile, kind: str, vision: bool) -> None:
    """Refuse a file that is not the merged model, or not in the number format."""
    most = MOST_APART[kind]
    wrong = None
    if (file.architecture == VISION) != vision:
        wrong = f"is of the architecture {file.architecture}"
    elif kind.upper() not in file.kinds:
        wrong = f"has its matrices in {', '.join(file.kinds)}, not {kind.upper()}"
    elif file.lacking:
        wrong = f"says that it has {file.lacking} layers more than are in it"
    elif 2 * file.compared < file.matrices:
        wrong = f"has only {file.compared} matrices of the merged model among {file.matrices}"
    elif not file.apart <= most:
        wrong = f"has a matrix that is {file.apart:.2g} off (at most {most} is allowed)"
    if wrong is not None:
        raise UsageError(
            f"a GGUF file must hold the merged model, but {file.name} {wrong}", "tell the maintainers of llama.cpp"
        )
