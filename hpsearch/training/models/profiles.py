"""Profiles of single models, as data: the prompt they were made for, and the configuration they should have."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from hpsearch.errors import UsageError
from hpsearch.training.models.families import TRANSCRIBE, Family


@dataclass(frozen=True)
class Profile:
    """One model of a family. ``models`` are its Hub ids; a folder counts as one by its name. ``expected`` are values of
    config.json by their dotted place; a model with others is warned of, never refused. ``instruction`` is its prompt,
    where that is not its family's."""

    name: str
    family: str
    models: tuple[str, ...]
    expected: Mapping[str, Any]
    instruction: str | None = None


# Special ids and the vision tower: transformers' defaults for the family; layers and widths of Gemma 3: its technical
# report (arXiv:2503.19786). For Chandra: the parameters its users have verified until now.
_GEMMA_3 = {
    "model_type": "gemma3",
    "image_token_index": 262_144,
    "boi_token_index": 255_999,
    "eoi_token_index": 256_000,
    "mm_tokens_per_image": 256,
    "vision_config.image_size": 896,
    "vision_config.patch_size": 14,
    "vision_config.hidden_size": 1152,
}
_QWEN3_VL = {
    "model_type": "qwen3_vl",
    "image_token_id": 151_655,
    "vision_start_token_id": 151_652,
    "vision_end_token_id": 151_653,
    "vision_config.patch_size": 16,
    "vision_config.spatial_merge_size": 2,
    "text_config.vocab_size": 151_936,
}
# Those of Qwen3.5's defaults in transformers that its sizes have in common.
_QWEN3_5 = {
    "model_type": "qwen3_5",
    "image_token_id": 248_056,
    "vision_start_token_id": 248_053,
    "vision_end_token_id": 248_054,
    "vision_config.patch_size": 16,
    "vision_config.spatial_merge_size": 2,
    "text_config.vocab_size": 248_320,
}
# The defaults of transformers are this model's.
_PADDLEOCR_VL = {
    "model_type": "paddleocr_vl",
    "image_token_id": 100_295,
    "vision_start_token_id": 101_305,
    "vision_end_token_id": 101_306,
    "vision_config.patch_size": 14,
    "vision_config.spatial_merge_size": 2,
    "vision_config.hidden_size": 1152,
    "text_config.vocab_size": 103_424,
    "text_config.hidden_size": 1024,
    "text_config.num_hidden_layers": 18,
}

_ALL = (
    Profile(
        "gemma-3-4b",
        "gemma3",
        ("google/gemma-3-4b-it", "unsloth/gemma-3-4b-it"),
        {**_GEMMA_3, "text_config.hidden_size": 2560, "text_config.num_hidden_layers": 34},
    ),
    Profile(
        "gemma-3-12b",
        "gemma3",
        ("google/gemma-3-12b-it", "unsloth/gemma-3-12b-it"),
        {**_GEMMA_3, "text_config.hidden_size": 3840, "text_config.num_hidden_layers": 48},
    ),
    Profile(
        "chandra",
        "qwen3_vl",
        ("datalab-to/chandra",),
        {**_QWEN3_VL, "text_config.hidden_size": 4096},
        TRANSCRIBE,
    ),
    Profile("chandra-2", "qwen3_5", ("datalab-to/chandra-ocr-2",), _QWEN3_5, TRANSCRIBE),
    Profile("paddleocr-vl", "paddleocr_vl", ("PaddlePaddle/PaddleOCR-VL",), _PADDLEOCR_VL),
)
PROFILES: dict[str, Profile] = {profile.name: profile for profile in _ALL}


@dataclass(frozen=True)
class Difference:
    """One place where a model is not as expected."""

    place: str
    expected: Any
    found: Any

    def __str__(self) -> str:
        found = "missing" if self.found is None else repr(self.found)
        return f"{self.place} is {found}, expected {self.expected!r}"


def find_profile(setting: str, model_name: str, family: Family) -> Profile | None:
    """Return the profile named by ``setting``, or with "auto" the one of the model's name, if there is one.

    Raises:
        UsageError: the profile named is of another family.
    """
    if setting == "none":
        return None
    if setting == "auto":
        mine = [profile for profile in PROFILES.values() if profile.family == family.name]
        return next((profile for profile in mine if any(_names(model_name, model) for model in profile.models)), None)
    profile = PROFILES[setting]
    if profile.family != family.name:
        raise UsageError(
            f"a profile must be of the model's family, {family.name}, but {setting!r} is of {profile.family}",
            'set "profile" to "auto"',
        )
    return profile


def prompt_of(profile: Profile | None, family: Family) -> str:
    """Return the instruction for where the settings have none."""
    return (profile.instruction if profile else None) or family.instruction


def differences(config: Mapping[str, Any], processor: Any, family: Family, profile: Profile | None) -> list[Difference]:
    """Compare a model's configuration (config.json as a mapping) with what its family and profile expect: special ids
    that are not the tokenizer's, a missing chat template, other shapes than the profile's."""
    found = [*_special_ids(config, processor, family)]
    if not getattr(processor, "chat_template", None):
        found.append(Difference("chat_template", "a template", None))
    known = {difference.place for difference in found}
    if profile is not None:
        expected = {place: value for place, value in profile.expected.items() if place not in known}
        found += [Difference(at, value, got) for at, value in expected.items() if (got := _at(config, at)) != value]
    return found


def _special_ids(config: Mapping[str, Any], processor: Any, family: Family) -> Iterator[Difference]:
    tokenizer = processor.tokenizer
    for key, attribute in family.special_tokens.items():
        token = getattr(tokenizer, attribute, None) or getattr(processor, attribute, None)
        expected = None if token is None else tokenizer.convert_tokens_to_ids(token)
        if _at(config, key) != expected:
            yield Difference(key, expected, _at(config, key))


def _at(config: Mapping[str, Any], place: str) -> Any:
    value: Any = config
    for key in place.split("."):
        value = value.get(key) if isinstance(value, Mapping) else None
    return value


def _names(model_name: str, model: str) -> bool:
    """Return True if a name means a Hub model: its id, or a folder called like it (google--gemma-3-12b-it,
    gemma-3-12b-it)."""
    owner, _, name = model.lower().partition("/")
    last = re.split(r"[/\\]", model_name.lower().rstrip("/"))[-1]
    return model_name.lower() == model.lower() or last in (name, f"{owner}--{name}", f"models--{owner}--{name}")
