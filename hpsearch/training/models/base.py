"""The base model of a study: its files, downloaded once, and its configuration, known before any weight is read."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch.assets import PREFIX, asset_path
from hpsearch.data import hub
from hpsearch.data.progress import ProgressReporter
from hpsearch.errors import UsageError
from hpsearch.settings import TrainSettings
from hpsearch.training.models.families import FAMILIES, Family, find_family
from hpsearch.training.models.processors import load_processor
from hpsearch.training.models.profiles import PROFILES, Difference, Profile, differences, find_profile, prompt_of

WEIGHTS = "*.safetensors"
# The files that a model needs; repositories also hold other formats of the same weights.
PATTERNS = ("*.json", "*.jinja", "*.txt", "*.model", WEIGHTS)
SAMPLE_BYTES = 1 << 20  # the first and the last of a larger file go into its fingerprint


@dataclass(frozen=True)
class BaseCheckpoint:
    """A model's folder, family and profile (None: only its family is known)."""

    folder: Path
    family: Family
    profile: Profile | None

    @property
    def prompt(self) -> str:
        """The instruction for where the settings have none."""
        return prompt_of(self.profile, self.family)

    def config(self) -> Mapping[str, Any]:
        """Read config.json. Older ones of Qwen2.5-VL and PaddleOCR-VL have the language model's values at the top:
        those are found as text_config too, where transformers puts them."""
        config: dict[str, Any] = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        return {"text_config": dict(config), **config}

    def differences(self) -> list[Difference]:
        """Compare it with what its family and profile expect."""
        processor = load_processor(self.family, self.folder, TrainSettings())
        return differences(self.config(), processor, self.family, self.profile)


def find_base(settings: TrainSettings, progress: ProgressReporter, *, weights: bool = True) -> BaseCheckpoint:
    """Find the base model that the settings name; of a Hub model only the small files where ``weights`` is false.

    Raises:
        UsageError: there is no such model, no access to it, or its family is not known.
    """
    folder = find_model(settings.model_name, settings.model_revision, progress, weights=weights)
    family = find_family(settings.family, folder)
    return BaseCheckpoint(folder, family, find_profile(settings.profile, settings.model_name, family))


def known_base(folder: Path, family: str, profile: str | None) -> BaseCheckpoint:
    """Return the base model that an earlier ``find_base`` found."""
    return BaseCheckpoint(folder, FAMILIES[family], PROFILES[profile] if profile else None)


def find_model(name: str, revision: str | None, progress: ProgressReporter, *, weights: bool = True) -> Path:
    """Return the folder of a model, ready to be read without a network: one that ships with hpsearch, a folder, or a
    Hub id, which is downloaded; without ``weights`` only its small files are.

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
        patterns = [pattern for pattern in PATTERNS if weights or pattern != WEIGHTS]
        folder = hub.download(hub.MODEL, name, revision, patterns, progress)
    if weights:
        require_safetensors(folder)
    return folder


def require_safetensors(folder: Path) -> None:
    """Refuse a folder without weights in the one format that holds numbers and nothing that could be run.

    Raises:
        UsageError: it has none.
    """
    if not any(folder.glob(WEIGHTS)):
        raise UsageError(
            f"weights are read from safetensors files alone, but {folder} has no weights as {WEIGHTS}",
            "name a folder that has them, or save it again with save_pretrained",
        )


def commit_of(folder: Path) -> str | None:
    """Return the commit of a model from the Hub, by where its library keeps it; None for any other folder."""
    return folder.name if folder.parent.name == "snapshots" else None


def bytes_to_download(name: str, revision: str | None) -> tuple[int, Path]:
    """Return the bytes of a model that are not on this machine yet, and the folder for them. 0 for a local model, and
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
    """List the files of a model's folder that make the model, by name."""
    return sorted({path for pattern in PATTERNS for path in folder.glob(pattern) if path.is_file()})


def model_fingerprint(folder: Path) -> str:
    """Compute a digest of a model's files: their names, sizes, and of large ones only the beginning and the end."""
    digest = hashlib.sha256()
    for path in model_files(folder):
        size = path.stat().st_size
        digest.update(f"{path.name}\0{size}\0".encode())
        with path.open("rb") as source:
            digest.update(source.read(SAMPLE_BYTES))
            source.seek(max(size - SAMPLE_BYTES, 0))
            digest.update(source.read(SAMPLE_BYTES))
    return digest.hexdigest()
