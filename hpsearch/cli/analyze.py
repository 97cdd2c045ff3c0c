"""hpsearch analyze, hpsearch export, hpsearch dashboard."""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from hpsearch.cli.options import COUNT, FILE, FOLDER, Command, command, storage_options, study_option
from hpsearch.errors import UsageError
from hpsearch.execution.files import is_read_only
from hpsearch.report.text import visible
from hpsearch.study.storage.open import StorageUrl

if TYPE_CHECKING:
    from hpsearch.report.analyze import AnalysisResult, ComparisonResult
    from hpsearch.study.run import RunSummary

ALL = "\0all"


class CompareCommand(Command):
    """A command whose --compare takes any number of names, or none."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Turn ``--compare A B`` into one ``--compare A --compare B``, and a bare one into "all"."""
        rewritten: list[str] = []
        words = deque(args)
        while words:
            word = words.popleft()
            option, equals, first = word.partition("=")
            if option != "--compare":
                rewritten.append(word)
                continue
            names = [first] if equals else []
            while words and not words[0].startswith("-"):
                names.append(words.popleft())
            rewritten += [part for name in names or [ALL] for part in ("--compare", name)]
        return super().parse_args(ctx, rewritten)


@command(
    "hpsearch analyze --study gemma-ocr --top 5",
    "hpsearch analyze --study gemma-ocr --pages 7 12",
    "hpsearch analyze --study gemma-ocr --compare chandra-ocr",
    "hpsearch analyze --compare",
    "hpsearch analyze --storage sqlite:///other.db --study theirs",
    cls=CompareCommand,
)
@study_option()
@click.option(
    "--compare", multiple=True, metavar="[NAME ...]", help="Compare with these studies; without names, with all."
)
@click.option(
    "--pages",
    nargs=2,
    type=click.IntRange(0),
    metavar="A B",
    help="Also write the pages as trials A and B read them; first those that B broke.",
)
@click.option("--output-dir", type=FOLDER, help="Folder for the report. [default: the study's report/]")
@click.option("--top", type=COUNT, default=10, help="Number of trials in the table of the best.")
@click.option("--archive", type=FILE, help="Read an archive made by `hpsearch export`.")
@storage_options
def analyze(
    study: str | None,
    compare: tuple[str, ...],
    pages: tuple[int, int] | None,
    output_dir: Path | None,
    top: int,
    archive: Path | None,
    storage: str | None,
    base_output_dir: Path,
) -> None:
    """Show the results of a search: tables, figures, one HTML file that works offline.

    Reads any Optuna database, also one made by another program.
    """
    from hpsearch.commands.archive import open_archive

    if pages and compare and study is None:
        raise UsageError("--pages compares two trials of one study, but --compare alone names none", "add --study NAME")
    with ExitStack() as stack:
        url, base = StorageUrl.of(storage, base_output_dir), base_output_dir
        if output_dir is not None:
            output_dir.mkdir(parents=True, exist_ok=True)  # read by others too, so with the umask's rights
        if archive is not None:
            opened = stack.enter_context(open_archive(archive))
            url, base = opened.url, opened.base
            output_dir = output_dir or Path("reports") / archive.stem
        if study is not None or not compare:
            _analyze_one(study, url, base, output_dir, top, pages or (), archive is None)
        if compare:
            _compare(study, compare, url, base, output_dir)


@command("hpsearch export --study gemma-ocr --archive gemma-ocr.zip")
@study_option()
@click.option("--archive", type=FILE, help="Also write the whole study as one file, for a colleague.")
@click.option("--output-dir", type=FOLDER, help="Folder for the files. [default: the study's]")
@storage_options
def export(
    study: str | None, archive: Path | None, output_dir: Path | None, storage: str | None, base_output_dir: Path
) -> None:
    """Write a study's best parameters and configuration again, or all of it as one archive."""
    from hpsearch.commands.export import export_study

    for path in export_study(study, storage, base_output_dir, output_dir, archive):
        click.echo(str(path))


@command(
    "hpsearch dashboard",
    "hpsearch dashboard --host 0.0.0.0 --token-file dashboard.token",
)
@click.option(
    "--host",
    metavar="ADDRESS",
    default="127.0.0.1",
    help="Address to listen on; 0.0.0.0: all addresses of this machine. One that other machines reach needs a token.",
)
@click.option("--port", type=click.IntRange(0, 65535), default=8080, help="Port to listen on; 0: any free port.")
@click.option(
    "--token-file",
    metavar="FILE",
    type=FILE,
    help="File with the token that requests must present. [default: the token in $HPSEARCH_DASHBOARD_TOKEN]",
)
@storage_options
def dashboard(host: str, port: int, token_file: Path | None, storage: str | None, base_output_dir: Path) -> None:
    """Show the studies of the storage in optuna-dashboard, read-only. End it with Ctrl-C.

    With a token, open http://ADDRESS:PORT/ and enter it there, or add ?token=TOKEN once; programs send the header
    "Authorization: Bearer TOKEN".
    """
    from hpsearch.report.dashboard import serve
    from hpsearch.report.dashboard_guard import read_token

    url = StorageUrl.of(storage, base_output_dir)
    serve(url, base_output_dir, (host, port), read_token(token_file), click.echo)


def show_report(summary: RunSummary, *, quiet: bool = False) -> None:
    """Write the report of a run's study, and unless ``quiet`` print its tables, the best configuration and the paths.
    A failing report never fails the run."""
    if summary.best_number is None:
        return
    result = written_report(summary.study, StorageUrl(summary.storage), summary.folder)
    if quiet or result is None:
        return
    from hpsearch.cli.tables import say

    _print_tables(result)
    best, score = visible(json.dumps(summary.best_params, ensure_ascii=False)), result.summary.best
    name = score.trial.label if score and score.trial else summary.best_number
    say(f"best: trial {name}, {summary.best_value:.6g}: {best}")
    say(f"best config: {_short(summary.best_config_path)}")
    say(f"report: {_short(result.report)}")


def written_report(study: str, url: StorageUrl, folder: Path) -> AnalysisResult | None:
    """Write the report of a study into its folder; None if that fails, which is said."""
    try:
        # A PNG of each figure costs seconds.
        return study_report(study, url, folder, folder / "report", png=False)
    except Exception as error:  # noqa: BLE001 - the search is done and safe; report it and continue
        click.echo(f"no report: {error}; `hpsearch analyze` writes it again")
        return None


def _short(path: Path | None) -> str:
    if path is None:
        return "-"
    return str(path.relative_to(Path.cwd())) if path.is_relative_to(Path.cwd()) else str(path)


def study_report(study: str, url: StorageUrl, study_dir: Path, output_dir: Path, **how: Any) -> AnalysisResult:
    """Analyse one study of the storage at ``url``; ``how`` are options of ``analyze_study``."""
    from hpsearch.report.analyze import analyze_study
    from hpsearch.study.open import read_study

    with url.opened() as storage:
        return analyze_study(read_study(storage, study), study_dir=study_dir, output_dir=output_dir, **how)


def _analyze_one(
    study: str | None,
    url: StorageUrl,
    base: Path,
    output_dir: Path | None,
    top: int,
    pages: Sequence[int],
    own: bool,
) -> None:
    from hpsearch.study.folders import study_folders
    from hpsearch.study.open import only_study

    if study is None:
        with url.opened() as storage:
            study = only_study(storage)
    folders = study_folders(base, study)
    target = output_dir or folders.report
    if output_dir is None and is_read_only(target):
        target = Path("reports") / folders.root.name
        click.echo(f"{folders.root} is read-only: the report goes into {target}")
    result = study_report(study, url, folders.root, target, top=top, compared=pages, own=own)
    _print_tables(result)
    for path in result.files:
        click.echo(str(path))


def _compare(study: str | None, compare: tuple[str, ...], url: StorageUrl, base: Path, output_dir: Path | None) -> None:
    from hpsearch.report.analyze import compare_studies
    from hpsearch.study.folders import study_folders
    from hpsearch.study.open import read_study, study_names

    with url.opened() as storage:
        names = study_names(storage) if ALL in compare else [*([study] if study else []), *compare]
        studies = [read_study(storage, name) for name in dict.fromkeys(names)]
        target = output_dir or base / "comparison"
        if output_dir is None and is_read_only(target):
            target = Path("reports") / "comparison"
            click.echo(f"{base} is read-only: the comparison goes into {target}")
        folders = {one.study_name: study_folders(base, one.study_name).root for one in studies}
        result = compare_studies(studies, output_dir=target, folders=folders)
    _print_tables(result)
    for path in result.files:
        click.echo(str(path))


def _print_tables(result: AnalysisResult | ComparisonResult) -> None:
    from hpsearch.cli.tables import console

    console().print(*result.tables, sep="\n")
    for note in result.notes:
        click.echo(note)
