"""hpsearch storage copy, hpsearch storage upgrade, hpsearch storage rebuild."""

from __future__ import annotations

from pathlib import Path

import click

from hpsearch.cli.options import (
    FILE,
    SETTINGS,
    base_option,
    command,
    storage_options,
    study_option,
    without_password,
)
from hpsearch.errors import UsageError
from hpsearch.study.storage.open import STORAGE_VARIABLE, StorageUrl


@click.group(context_settings=SETTINGS)
def storage() -> None:
    """Copy studies between storages, upgrade files of an older Optuna, make lost studies again."""


@command(
    "hpsearch storage copy --study gemma-ocr --to sqlite:////backup/searches.db",
    "hpsearch storage copy --study gemma-ocr --from sqlite:///studies/hpsearch.db",
    name="copy",
)
@study_option(required=True)
@click.option(
    "--from",
    "source",
    metavar="URL",
    callback=without_password,
    help="The storage to copy from. [default: with --to the one that other commands use, else hpsearch.db in the "
    "folder of studies]",
)
@click.option(
    "--to",
    "target",
    metavar="URL",
    callback=without_password,
    help=f"The storage to copy to. [default: the URL in ${STORAGE_VARIABLE}]",
)
@base_option
def copy(study: str, source: str | None, target: str | None, base_output_dir: Path) -> int:
    """Copy a study to another storage, trial for trial, completely or not at all.

    The original stays. Continue only one of the two: both use the same folder.
    """
    import os

    from hpsearch.commands.copy_study import copy_study
    from hpsearch.study.confirmed import confirming
    from hpsearch.study.open import study_names

    usual = os.environ.get(STORAGE_VARIABLE)
    if not (target or usual):
        raise UsageError("a copy needs a target, but --to is not given", f"name a storage, or set {STORAGE_VARIABLE}")
    from_url = StorageUrl.of(source, base_output_dir) if source or target else StorageUrl.default(base_output_dir)
    to_url = StorageUrl(target or str(usual))
    count = copy_study(study, from_url, to_url)
    click.echo(f"{study}: {count} trials copied to {to_url}")
    with from_url.opened() as opened:
        if (fresh := confirming(study)) in study_names(opened):
            click.echo(f"its fresh runs are a study of their own: copy {fresh} too")
    return 0


@command(
    "hpsearch storage upgrade",
    "hpsearch storage upgrade --storage sqlite:////data/searches.db",
    name="upgrade",
)
@storage_options
def upgrade(storage: str | None, base_output_dir: Path) -> int:
    """Upgrade a SQLite file of an older Optuna to the tables of this one.

    A copy of the file is kept beside it; if the upgrade fails, the file is unchanged.
    """
    from hpsearch.study.storage.upgrade import upgrade_storage

    url = StorageUrl.of(storage, base_output_dir)
    done = upgrade_storage(url)
    if done.copy is None:
        click.echo(f"nothing to do: {url} has the tables of this Optuna ({done.after})")
    else:
        click.echo(f"{url} is upgraded from {done.before} to {done.after}; the old file is kept as {done.copy}")
    return 0


@command(
    "hpsearch storage rebuild --study gemma-ocr",
    "hpsearch storage rebuild --study mine --config mine.json",
    name="rebuild",
)
@study_option(required=True)
@storage_options
@click.option(
    "--config", type=FILE, help="Definition of a study that an older hpsearch ran: its folder has no study.json."
)
def rebuild(study: str, storage: str | None, base_output_dir: Path, config: Path | None) -> int:
    """Make a study again from its folder, after its storage was lost.

    Also after it was damaged, or replaced by an older copy: trials that the storage has are left as they are. A damaged
    SQLite file is kept under another name.
    """
    from hpsearch.commands.rebuild_study import rebuild_study

    url = StorageUrl.of(storage, base_output_dir)
    result = rebuild_study(study, url, base_output_dir, config)
    made = result.rebuilt
    if result.damaged is not None:
        click.echo(f"the damaged file is kept as {result.damaged}; make its other studies again in the same way")
    click.echo(f"{study}: {len(made.added)} trials were added to {url}")
    for what, numbers in (("the folder holds nothing of", made.missing), ("to be run again:", made.queued)):
        if numbers:
            click.echo(f"{what} trial {', '.join(map(str, numbers))}")
    return 0


storage.add_command(copy)
storage.add_command(rebuild)
storage.add_command(upgrade)
