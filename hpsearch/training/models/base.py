"""The base model of a study: where its files are, and what is known of it before any weight is read."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hpsearch.data.progress import Progress
from hpsearch.settings import TrainSettings
from hpsearch.training.models.families import FAMILIES, Family, find_family
from hpsearch.training.models.model_files import find_model
from hpsearch.training.models.processors import load_processor
from hpsearch.training.models.profiles import PROFILES, Difference, Profile, differences, find_profile, prompt_of


@dataclass(frozen=True)
class BaseModel:
    """A model's folder, family and profile (None: its family is all that is known of it)."""

    folder: Path
    family: Family
    profile: Profile | None

    @property
    def prompt(self) -> str:
        """What it is asked where the settings do not say."""
        return prompt_of(self.profile, self.family)

    def config(self) -> Mapping[str, Any]:
        """Its config.json. Older ones of Qwen2.5-VL and PaddleOCR-VL have the language model's values at the top: those
        are found as text_config too, where transformers puts them."""
        config: dict[str, Any] = json.loads((self.folder / "config.json").read_text(encoding="utf-8"))
        return {"text_config": dict(config), **config}

    def differences(self) -> list[Difference]:
        """Where it is not what its family and profile expect."""
        processor = load_processor(self.family, self.folder, TrainSettings())
        return differences(self.config(), processor, self.family, self.profile)


def find_base(settings: TrainSettings, progress: Progress, *, weights: bool = True) -> BaseModel:
    """The base model that the settings name; of a Hub model only the small files where ``weights`` is false.

    Raises:
        UsageError: there is no such model, no access to it, or its family is not known.
    """
    folder = find_model(settings.model_name, settings.model_revision, progress, weights=weights)
    family = find_family(settings.family, folder)
    return BaseModel(folder, family, find_profile(settings.profile, settings.model_name, family))


def known_base(folder: Path, family: str, profile: str | None) -> BaseModel:
    """The base model that was found before: see ``Prepared``."""
    return BaseModel(folder, FAMILIES[family], PROFILES[profile] if profile else None)
