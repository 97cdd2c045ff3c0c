"""Finding the base model's files: one that ships with hpsearch, a folder, or a Hub id, which is downloaded once."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

from hpsearch.assets import PREFIX, asset_path
from hpsearch.errors import UsageError
from hpsearch.training.progress import Progress

# What a model needs; repositories also hold other formats of the same weights.
WEIGHTS = "*.safetensors"
PATTERNS = ("*.json", "*.jinja", "*.txt", "*.model", WEIGHTS)
SAMPLE_BYTES = 1 << 20  # of a larger file, the first and the last so many are fingerprinted


def find_model(name: str, revision: str | None, progress: Progress, *, weights: bool = True) -> Path:
    """The base model's folder, ready to be read without a network; of a Hub model without its weights where these are
    not wanted.

    Raises:
        UsageError: there is no such model, or no access to it.
    """
    local = name.startswith(PREFIX) or Path(name).expanduser().is_dir()
    if local and revision is not None:
        raise UsageError(
            f"model_revision names a revision of a Hub model, but model_name is {name!r}", "set model_revision to null"
        )
    if name.startswith(PREFIX):
        folder = asset_path(name)
    elif local:
        folder = Path(name).expanduser().absolute()
    else:
        folder = _download(name, revision, progress, [one for one in PATTERNS if weights or one != WEIGHTS])
    return folder


def bytes_to_download(name: str, revision: str | None) -> tuple[int, Path]:
    """How much of a model is not on this machine yet, in bytes, and where it would be written. 0 for a local one, and
    where the Hub cannot be asked."""
    from huggingface_hub import constants, snapshot_download

    cache = Path(constants.HF_HUB_CACHE)
    if name.startswith(PREFIX) or Path(name).expanduser().is_dir():
        return 0, cache
    try:
        files = snapshot_download(name, revision=revision, allow_patterns=list(PATTERNS), dry_run=True)
    except Exception:  # noqa: BLE001 - a figure for a check; the download itself says what is wrong
        return 0, cache
    return sum(file.file_size or 0 for file in files if file.will_download), cache


def model_files(folder: Path) -> list[Path]:
    """The files of a model's folder that make the model, by name."""
    return sorted({path for pattern in PATTERNS for path in folder.glob(pattern) if path.is_file()})


def model_fingerprint(folder: Path) -> str:
    """A digest of a model's files: their names, sizes, and of large ones only the beginning and the end."""
    digest = hashlib.sha256()
    for path in model_files(folder):
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as source:
            digest.update(source.read(SAMPLE_BYTES))
            source.seek(max(size - SAMPLE_BYTES, 0))
            digest.update(source.read(SAMPLE_BYTES))
    return digest.hexdigest()


def _download(name: str, revision: str | None, progress: Progress, patterns: list[str]) -> Path:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import (
        GatedRepoError,
        HfHubHTTPError,
        HFValidationError,
        LocalEntryNotFoundError,
        RepositoryNotFoundError,
        RevisionNotFoundError,
    )

    progress.phase("download", fraction=0.0)
    try:
        found = snapshot_download(
            name, revision=revision, allow_patterns=patterns, tqdm_class=_bar_for(progress), token=None
        )
    except HFValidationError as error:
        raise UsageError(
            f"model_name must be a Hub id, a folder or asset:NAME, but {name!r} is none of them",
            "mend the path, or write the id as owner/name",
        ) from error
    except GatedRepoError as error:
        raise UsageError(
            f"the model {name} is gated, and no token in the environment gives access to it",
            f"accept its terms on https://huggingface.co/{name}, then set HF_TOKEN",
        ) from error
    except RevisionNotFoundError as error:
        raise UsageError(f"the model {name} has no revision {revision!r}", "mend model_revision") from error
    except RepositoryNotFoundError as error:
        raise UsageError(
            f"model_name must be a Hub id, a folder or asset:NAME, but {name!r} is not on the Hub or is private",
            "mend the name, or set HF_TOKEN to a token that may read it",
        ) from error
    except (LocalEntryNotFoundError, HfHubHTTPError, OSError) as error:
        raise UsageError(
            f"the model {name} could not be downloaded: {error}", "mend model_name, or try again with the network"
        ) from error
    return Path(found)


def _bar_for(progress: Progress) -> Any:
    """A progress bar for the Hub's downloads that shows itself through ``progress``."""
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
