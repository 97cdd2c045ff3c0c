"""hpsearch merge."""

from __future__ import annotations

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
    help="The adapter's folder. May be left out where --output-dir is merged already.",
)  # fmt: skip
@click.option("--output-dir", required=True, type=click.Path(), help="A new or empty folder for the merged model.")
@click.option(
    "--precision",
    type=click.Choice(["bf16", "fp16", "fp32"]),
    help="The number format it is merged and saved in, whatever the adapter was trained on. [default: bf16]",
)
@click.option(
    "--check",
    "pictures",
    multiple=True,
    metavar="PICTURE",
    type=click.Path(),
    help="A picture that base, adapter and merged model are compared on. Repeatable. [default: three of made-up words]",
)
@click.option("--force", is_flag=True, help="Replace an earlier merged model.")
@click.option(
    "--save-gguf",
    "gguf",
    type=click.Choice(GGUF_KINDS),
    help="Write the merged model for llama.cpp, too: a GGUF file in this number format, and one of the vision part.",
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
    help="Send the merged model to this repository of the Hugging Face Hub, which is made if it is not there; with the "
    "token of HF_TOKEN, or of the Hub's own login.",
)  # fmt: skip
@click.option("--private/--public", default=True, help="Who may see the repository, where it is made.")
@trainer_option
def merge(
    lora_dir: str, output_dir: str, precision: str | None, pictures: tuple[str, ...], force: bool, gguf: str | None,
    llama_cpp: str, converter_python: str, repo: str | None, private: bool, trainer_python: str | None,
) -> int:  # fmt: skip
    """Merge an adapter into its base, for a server: a model of its own, with its processor and chat template.

    What was saved is loaded again and compared: a merged model that answers as the base, or not as the adapter does, is
    refused, and nothing is left of it. Nothing is sent anywhere without --push-to-hub. The same command again goes on
    with what is not done yet.
    """
    from hpsearch.cli.live import Board, watching
    from hpsearch.commands.merge_model import MergeExtras, merge_adapter
    from hpsearch.execution.model_export import MergeRequest

    _refuse_idle_options(gguf, repo)
    wanted = MergeRequest(lora_dir, output_dir, precision or "", pictures, force)
    with watching(Board()) as view:
        found = merge_adapter(
            wanted, MergeExtras(gguf, llama_cpp, converter_python, repo, private), view, trainer_python
        )
    if found.merged is not None:
        _show(found.merged, Path(output_dir))
    if found.gguf is not None:
        _show_gguf(found.gguf, Path(output_dir), found.merged.tokens if found.merged else 0)
    if found.published is not None:
        _show_published(found.published)
    if found.stopped:
        left = "the merged model is whole" if found.merged is not None else "nothing was written"
        click.echo(f"stopped: {left}; the same command again does the rest", err=True)
    return found.stopped


def _refuse_idle_options(gguf: str | None, repo: str | None) -> None:
    """Refuse options that would do nothing."""
    context = click.get_current_context()
    converting, sending = ("--save-gguf", gguf), ("--push-to-hub", repo)
    uses = {"llama_cpp": converting, "converter_python": converting, "private": sending}
    for name, (needed, given) in uses.items():
        if given is None and context.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            option = "--private/--public" if name == "private" else f"--{name.replace('_', '-')}"
            raise click.UsageError(f"{option} goes with {needed}, which is not given")


def _show(found: MergedModel, folder: Path) -> None:
    import shlex

    from hpsearch.cli.tables import facts

    same = sum(each.merged == each.adapter for each in found.readings)
    base = sum(each.merged == each.base for each in found.readings)
    lines = [
        ("base", f"{found.base} ({found.family})"),
        ("saved", f"{found.bytes / 1e9:.3g} GB in {found.precision}"),
        ("compared", f"{found.apart:.1%} of the way from the adapter to the base (at most 50% is allowed)"),
        ("texts", f"of {len(found.readings)} pictures {same} read as with the adapter, {base} as by the base"),
    ]
    for line in facts(lines):
        click.echo(line)
    click.echo(f"written: {folder}")
    place, name = shlex.quote(str(folder)), shlex.quote(folder.absolute().name)
    length = f" --max-model-len {found.tokens}" if found.tokens else ""
    click.echo(f"serve: vllm serve {place} --served-model-name {name}{length} --limit-mm-per-prompt '{{\"image\": 1}}'")
    click.echo(f"   or: transformers serve {place} --port 8000")


def _show_gguf(found: Gguf, folder: Path, tokens: int) -> None:
    import shlex

    for file in (found.model, found.mmproj):
        click.echo(f"written: {folder / file.name} ({file.bytes / 1e9:.3g} GB, {file.architecture})")
        click.echo(
            f"   {file.compared} of {file.matrices} matrices compared with the merged model's: {file.apart:.2%} off"
        )
    model, mmproj = (shlex.quote(str(folder / file.name)) for file in (found.model, found.mmproj))
    click.echo(f"serve: llama-server -m {model} --mmproj {mmproj} {found.serving(tokens)} --port 8080")


def _show_published(found: PublishedModel) -> None:
    who = "private" if found.private else "public"
    size = f"{found.files} files, {found.bytes / 1e9:.3g} GB"
    click.echo(f"on the Hub: {found.url} ({who}), {size}, commit {found.commit}")
