"""Fetching from the Hugging Face Hub: once, with the token of the environment, and with errors a person can act on."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch.data.progress import ProgressReporter
from hpsearch.errors import UsageError


@dataclass(frozen=True)
class RepoKind:
    """A kind of repository, and the words for it: the settings that name one, the forms that these may have, and the
    folder of such pages on the Hub's site."""

    name: str
    setting: str
    revision_setting: str
    forms: str
    pages: str


MODEL = RepoKind("model", "model_name", "model_revision", "a Hub id, a folder or asset:NAME", "")
DATASET = RepoKind(
    "dataset", "input_data", "dataset_revision", "a file, a folder, a dataset on the Hub or asset:NAME", "datasets/"
)


def download(
    kind: RepoKind, name: str, revision: str | None, patterns: Sequence[str], progress: ProgressReporter
) -> Path:
    """Download a repository's files that match the patterns. Returns their folder in the Hub's cache, which is named
    for the commit.

    Raises:
        UsageError: there is no such repository or revision, no access to it, or no way to it.
    """
    from huggingface_hub import snapshot_download

    progress.phase("download", fraction=0.0)
    with _explained(kind, name, revision):
        return Path(
            snapshot_download(
                name,
                repo_type=kind.name,
                revision=revision,
                allow_patterns=list(patterns),
                tqdm_class=_bar_for(progress),
                token=None,
            )
        )


@contextmanager
def _explained(kind: RepoKind, name: str, revision: str | None) -> Iterator[None]:
    """Turn an error of the Hub into one that a person can act on."""
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    try:
        yield
    except HFValidationError as error:
        raise UsageError(
            f"{kind.setting} must be {kind.forms}, but {name!r} is none of them",
            "correct the path, or write the id as owner/name",
        ) from error
    except GatedRepoError as error:
        raise gated(kind, name) from error
    except RevisionNotFoundError as error:
        raise UsageError(
            f"the {kind.name} {name} has no revision {revision!r}", f"correct {kind.revision_setting}"
        ) from error
    except RepositoryNotFoundError as error:
        raise UsageError(
            f"{kind.setting} must be {kind.forms}, but {name!r} is not on the Hub or is private",
            f"correct the name (a path is written ./{name}), or set HF_TOKEN to a token that may read it",
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise UsageError(
            f"the {kind.name} {name} could not be downloaded: {error}",
            f"correct {kind.setting} (a path is written ./{name}), or try again with the network",
        ) from error


def gated(kind: RepoKind, name: str) -> UsageError:
    """Return the refusal of a repository whose terms must be accepted first."""
    return UsageError(
        f"the {kind.name} {name} is gated, and no token in the environment gives access to it",
        f"accept its terms on https://huggingface.co/{kind.pages}{name}, then set HF_TOKEN",
    )


def _bar_for(progress: ProgressReporter) -> Any:
    """Make a class of progress bars for the Hub's downloads that report to ``progress``."""
    from tqdm.auto import tqdm

    class Bar(tqdm):  # type: ignore[misc]  # tqdm has no types
        def __init__(self, *args: Any, **kwargs: Any) -> None:
            super().__init__(*args, **(kwargs | {"disable": False, "file": _Nowhere()}))

        def update(self, n: float | None = 1) -> bool | None:
            updated: bool | None = super().update(n)
            if self.total and self.unit == "B":
                progress.show(fraction=min(self.n / self.total, 1.0), bytes=self.n)
            return updated

    return Bar


class _Nowhere:
    """A text file that keeps nothing."""

    def write(self, text: str) -> int:
        return len(text)

    def flush(self) -> None:
        return None
