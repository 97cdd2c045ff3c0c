"""The gguf job: a merged model as files for llama.cpp, made by its own converter, and compared with the model.

The converter is no package: it is run from a folder of llama.cpp that the user names, by a Python that has what it
needs.
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
# The vision part is small, and suffers from 8 bits.
VISION_KIND = {"q8_0": "f16"}
VISION = "clip"  # the architecture of the vision part, whatever the model
PREDICTING = ("qwen3_5",)  # families of bases with layers that predict tokens further on; transformers drops those
NO_PREDICTION = "--no-mtp"
BYTES = {"q8_0": 1.07, "f16": 2.0, "bf16": 2.0, "f32": 4.0}  # of a weight
# How far a matrix may be from the merged model's: 8 bits with a scale for each 32 weights are about 0.005 off.
MOST_APART = {"q8_0": 0.02, "f16": 0.002, "bf16": 0.005, "f32": 1e-6}
_PERCENT = re.compile(r"(\d+)%\|")


def convert(job: Job) -> None:
    """Write a merged model's two GGUF files beside it, or only check whether that could be done.

    Raises:
        UsageError: the converter or what it needs is missing, it does not take the model, the disk is full, or its
            result is not the merged model; then nothing is left of it.
    """
    progress = ProgressReporter("look at the converter")
    request = GgufRequest(**job.settings)
    converter = Converter(request)
    converter.check()
    made = {}
    if not request.only_ask:
        with filling(Path(request.folder)):
            made = asdict(_write_files(request, converter, progress))
    (Path(job.output_dir) / CONVERTED).write_text(json.dumps(made), encoding="utf-8")
    sdk.finish(bytes=sum(made[name]["bytes"] for name in ("model", "mmproj") if made))


class Converter:
    """llama.cpp's converter, and the Python that runs it, with the gguf package of llama.cpp's folder, if it has
    one."""

    def __init__(self, request: GgufRequest) -> None:
        self._request = request
        self._python = request.python or sys.executable
        self._script = Path(request.llama_cpp, SCRIPT)
        package = Path(request.llama_cpp, PACKAGE)
        self._package = str(package) if package.is_dir() else ""
        paths = [path for path in (self._package, os.environ.get("PYTHONPATH")) if path]
        self._environment = {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}

    def check(self) -> None:
        """Refuse a converter that is missing, or that lacks packages.

        Raises:
            UsageError: it names what is missing.
        """
        if not self._script.is_file():
            folder = self._request.llama_cpp
            raise UsageError(
                f"--save-gguf is done by llama.cpp's {SCRIPT}, but "
                + (f"{folder} has none" if folder else "its folder is not named"),
                "get llama.cpp (git clone https://github.com/ggml-org/llama.cpp), and name its folder with --llama-cpp "
                "or LLAMA_CPP",
            )
        code = "import importlib.util as u, sys; print(*[m for m in sys.argv[1:] if u.find_spec(m) is None])"
        try:
            done = subprocess.run(
                (self._python, "-c", code, *MODULES), env=self._environment, capture_output=True, text=True,
                timeout=120, check=True,
            )  # fmt: skip
        except (OSError, subprocess.SubprocessError) as error:
            raise UsageError(
                f"the converter needs a Python, but {self._python} does not run: {error}", "fix --converter-python"
            ) from error
        missing = [PIP_NAMES.get(name, name) for name in done.stdout.split()]
        if missing:
            raise UsageError(
                f"llama.cpp's converter needs {', '.join(missing)}, which {self._python} has not",
                f"{self._python} -m pip install {' '.join(missing)}, or name another Python with --converter-python",
            )

    def no_prediction(self, family: str) -> tuple[str, ...]:
        """Return the option that says the merged model has no layers that predict tokens further on, where its base has
        some: without it the converter counts them, or fails where the configuration has none. An older one never looks
        for them."""
        known = NO_PREDICTION in self._script.read_text(encoding="utf-8")
        return (NO_PREDICTION,) if family in PREDICTING and known else ()

    def run(self, arguments: Sequence[str], progress: ProgressReporter) -> None:
        """Convert the model.

        Raises:
            UsageError: the converter failed.
        """
        last: deque[str] = deque(maxlen=LAST_LINES)
        with subprocess.Popen(
            (self._python, str(self._script), self._request.folder, *arguments), env=self._environment,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, stdin=subprocess.DEVNULL,
        ) as process:  # fmt: skip
            for line in _lines(process.stdout):
                percent = _PERCENT.search(line)
                if percent:
                    progress.show(fraction=int(percent[1]) / 100)
                else:
                    last.append(line)
                    print(line)
        if process.returncode:
            output = "".join(f"\n    {line}" for line in last)
            raise UsageError(
                f"llama.cpp's converter must take the merged model, but ended with {process.returncode}:{output}\n",
                "the merged model is as it was; a newer llama.cpp may know the model, or other versions of its "
                "packages (--converter-python)",
            )

    def inspect(self, paths: Sequence[Path]) -> list[GgufFile]:
        """Read the files, and compare them with the merged model.

        Raises:
            UsageError: they cannot be read.
        """
        command = (self._python, str(gguf_check.__file__), self._package, self._request.folder, *map(str, paths))
        done = subprocess.run(command, env=self._environment, capture_output=True, text=True, check=False)
        try:
            results: list[dict[str, Any]] = json.loads(done.stdout)
        except ValueError as error:
            raise UsageError(
                f"GGUF files must be ones that can be read, but these cannot: {done.stderr.strip()[-500:]}",
                "see whether llama.cpp's folder is whole and new enough",
            ) from error
        return [
            GgufFile(name=path.name, bytes=path.stat().st_size, **{**result, "kinds": tuple(result["kinds"])})
            for path, result in zip(paths, results, strict=True)
        ]


def _write_files(request: GgufRequest, converter: Converter, progress: ProgressReporter) -> Gguf:
    folder = Path(request.folder)
    summary = MergedModel.from_json((folder / SUMMARY).read_text(encoding="utf-8"))
    weights = sum(path.stat().st_size for path in folder.glob("*.safetensors"))
    needed = weights / 2 * BYTES[request.kind] * 1.1  # the merged model has two bytes a weight, or more
    require_space(folder, needed, "GGUF files", "free some space", spare=0)
    work = folder / WORK
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir()
    try:
        vision_kind = VISION_KIND.get(request.kind, request.kind)
        paths = [work / f"model-{request.kind}.gguf", work / f"mmproj-{vision_kind}.gguf"]
        options = (converter.no_prediction(summary.family), ("--mmproj",))
        for path, kind, more in zip(paths, (request.kind, vision_kind), options, strict=True):
            progress.phase(f"convert to {path.name}", fraction=0.0)
            converter.run(("--outtype", kind, "--outfile", str(path), *more), progress)
        progress.phase("compare with the merged model", fraction=1.0)
        model, mmproj = converter.inspect(paths)
        made = Gguf(request.kind, model, mmproj, llama_options(folder))
        refuse_other_model(made.model, request.kind, vision=False)
        refuse_other_model(made.mmproj, vision_kind, vision=True)
        mode = (folder / SUMMARY).stat().st_mode
        for path in paths:
            path.chmod(mode)
            path.rename(folder / path.name)
    finally:
        shutil.rmtree(work, ignore_errors=True)
    files = tuple(sorted({*summary.files, made.model.name, made.mmproj.name}))
    others = tuple(gguf for gguf in summary.gguf if gguf.kind != made.kind)
    before, summary = summary, replace(summary, files=files, gguf=(*others, made))
    renew_model_card(folder, before, summary, folder.name)
    write_text(folder / SUMMARY, summary.to_json())
    return made


def _lines(output: IO[bytes] | None) -> Iterator[str]:
    """Yield the lines of a program as it prints them; a bar that it draws over itself is a line each time."""
    rest = b""
    while output is not None and (read := os.read(output.fileno(), 65_536)):
        *whole, rest = re.split(rb"[\r\n]+", rest + read)
        yield from (line.decode(errors="replace") for line in whole if line)
    if rest:
        yield rest.decode(errors="replace")


def refuse_other_model(file: GgufFile, kind: str, vision: bool) -> None:
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
