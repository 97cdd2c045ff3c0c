"""hpsearch merge."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import click
from click.core import ParameterSource

from hpsearch.cli.options import command, trainer_option
from hpsearch.execution.model_export import GGUF_KINDS

if TYPE_CHECKING:
    from hpsearch.execution.model_export import Gguf, MergedModel, PublishedModel


@command(
    "hpsearch merge --lora-dir studies/gemma-ocr/best --output-dir merged",
    "hpsearch merge --lora-dir best-gemma/adapter --output-dir merged --check page1.png --check page2.png",
    "hpsearch merge --output-dir merged --save-gguf q8_0 --llama-cpp ~/llama.cpp",
    "hpsearch merge --output-dir merged --push-to-hub me/gemma-ocr",
)
@click.option(
    "--lora-dir", type=click.Path(), default="", show_default=False,
    help="The adapter's folder. Optional if --output-dir holds a merged model already.",
)  # fmt: skip
@click.option("--output-dir", required=True, type=click.Path(), help="A new or empty folder for the merged model.")
@click.option(
    "--precision",
    type=click.Choice(["bf16", "fp16", "fp32"]),
    help="Number format of the merged model, whichever the adapter was trained in. [default: bf16]",
)
@click.option(
    "--check",
    "pictures",
    multiple=True,
    metavar="PICTURE",
    type=click.Path(),
    help="An image to compare base, adapter and merged model on. Repeatable. [default: three of made-up words]",
)
@click.option("--force", is_flag=True, help="Replace an earlier merged model.")
@click.option(
    "--save-gguf",
    "gguf",
    type=click.Choice(GGUF_KINDS),
    help="Also write the model for llama.cpp: a GGUF file in this number format, and one of the vision part.",
)
@click.option(
    "--llama-cpp", metavar="DIR", envvar="LLAMA_CPP", default="", show_default=False,
    help="llama.cpp's folder, whose converter --save-gguf runs. [default: $LLAMA_CPP]",
)  # fmt: skip
@click.option(
    "--converter-python", metavar="PATH", default="", show_default=False,
    help="Python that runs the converter. [default: the one that merges]",
)  # fmt: skip
@click.option(
    "--push-to-hub", "repo", metavar="OWNER/NAME",
    help="Upload the merged model to this repository of the Hugging Face Hub, which is created if needed; with the "
    "token of HF_TOKEN, or of the Hub's own login.",
)  # fmt: skip
@click.option("--private/--public", default=True, help="Visibility of a new repository.")
@trainer_option
def merge(
    lora_dir: str, output_dir: str, precision: str | None, pictures: tuple[str, ...], force: bool, gguf: str | None,
    llama_cpp: str, converter_python: str, repo: str | None, private: bool, trainer_python: str | None,
) -> int:  # fmt: skip
    """Merge an adapter into its base, as a complete model for a server.

    The model gets its processor and chat template. It is loaded again and compared: one that answers like the base, or
    not like the adapter, is refused and deleted. Nothing is uploaded without --push-to-hub. The same command again
    continues with the unfinished steps.
    """
    from hpsearch.cli.board import Board
    from hpsearch.cli.live import watching
    from hpsearch.commands.merge_model import MergeExtras, merge_adapter
    from hpsearch.execution.model_export import MergeRequest

    _refuse_idle_options(gguf, repo)
    request = MergeRequest(lora_dir, output_dir, precision or "", pictures, force)
    extras = MergeExtras(gguf, llama_cpp, converter_python, repo, private)
    with watching(Board()) as view:
        result = merge_adapter(request, extras, view, trainer_python)
    if result.merged is not None:
        _show_merged(result.merged, Path(output_dir))
    if result.gguf is not None:
        _show_gguf(result.gguf, Path(output_dir), result.merged.tokens if result.merged else 0)
    if result.published is not None:
        _show_published(result.published)
    if result.stopped:
        left = "the merged model is complete" if result.merged is not None else "nothing was written"
        click.echo(f"stopped: {left}; the same command again does the rest", err=True)
    return result.stopped


def _refuse_idle_options(gguf: str | None, repo: str | None) -> None:
    """Refuse options that would do nothing."""
    context = click.get_current_context()
    converting, sending = ("--save-gguf", gguf), ("--push-to-hub", repo)
    uses = {"llama_cpp": converting, "converter_python": converting, "private": sending}
    for name, (needed, given) in uses.items():
        if given is None and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = "--private/--public" if name == "private" else f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} goes with {needed}, which is not given")


def _show_merged(model: MergedModel, folder: Path) -> None:
    from hpsearch.cli.tables import facts
    from hpsearch.execution.units import bytes_text

    same = sum(reading.merged == reading.adapter for reading in model.readings)
    base = sum(reading.merged == reading.base for reading in model.readings)
    lines = [
        ("base", f"{model.base} ({model.family})"),
        ("saved", f"{bytes_text(model.bytes)} in {model.precision}"),
        ("compared", f"{model.apart:.1%} of the way from the adapter to the base (at most 50% is allowed)"),
        ("texts", f"of {len(model.readings)} images {same} read as with the adapter, {base} as by the base"),
    ]
    for line in facts(lines):
        click.echo(line)
    click.echo(f"written: {folder}")
    place, name = shlex.quote(str(folder)), shlex.quote(folder.absolute().name)
    length = f" --max-model-len {model.tokens}" if model.tokens else ""
    click.echo(f"serve: vllm serve {place} --served-model-name {name}{length} --limit-mm-per-prompt '{{\"image\": 1}}'")
    click.echo(f"   or: transformers serve {place} --port 8000")


def _show_gguf(gguf: Gguf, folder: Path, tokens: int) -> None:
    from hpsearch.execution.units import bytes_text

    for file in (gguf.model, gguf.mmproj):
        click.echo(f"written: {folder / file.name} ({bytes_text(file.bytes)}, {file.architecture})")
        click.echo(
            f"   {file.compared} of {file.matrices} matrices compared with the merged model's: {file.apart:.2%} off"
        )
    model, mmproj = (shlex.quote(str(folder / file.name)) for file in (gguf.model, gguf.mmproj))
    click.echo(f"serve: llama-server -m {model} --mmproj {mmproj} {gguf.serving(tokens)} --port 8080")


def _show_published(model: PublishedModel) -> None:
    from hpsearch.execution.units import bytes_text

    who = "private" if model.private else "public"
    size = f"{model.files} files, {bytes_text(model.bytes)}"
    click.echo(f"on the Hub: {model.url} ({who}), {size}, commit {model.commit}")
