"""Settings of the base model and of its loading."""

from __future__ import annotations

import json

import pytest

from hpsearch.data.progress import ProgressReporter
from hpsearch.errors import UsageError
from hpsearch.settings import FIXED_BY_PREPARE, TrainSettings
from hpsearch.training.backends import BACKENDS
from hpsearch.training.backends.choose import Obstacle, choose_backend
from hpsearch.training.backends.hf import four_bits
from hpsearch.training.models.base import find_model
from hpsearch.training.models.families import find_family
from hpsearch.training.models.profiles import PROFILES, find_profile
from tests.training.settings.bench import QWEN, Bench, shows


@shows("model_name")
def _(bench: Bench) -> None:
    assert find_model(str(bench.door.bases["gemma3"]), None, ProgressReporter("test")) == bench.door.bases["gemma3"]
    assert "model_name" in FIXED_BY_PREPARE


@shows("model_revision")
def _(bench: Bench) -> None:
    with pytest.raises(UsageError, match="model_revision names a revision of a Hub model"):
        find_model(str(bench.door.bases["gemma3"]), "v1", ProgressReporter("test"))


@shows("family")
def _(bench: Bench) -> None:
    with pytest.raises(UsageError, match="family 'gemma3' must fit the model"):
        find_family("gemma3", bench.door.bases["qwen3_vl"])


@shows("backend")
def _(bench: Bench) -> None:
    assert choose_backend("hf")[0] == "hf"
    assert choose_backend("auto", obstacle=lambda: Obstacle("no GPU", ""))[0] == "hf"
    with pytest.raises(UsageError, match="backend unsloth cannot work here: no GPU; buy one"):
        choose_backend("unsloth", obstacle=lambda: Obstacle("no GPU", "buy one"))
    assert set(BACKENDS) == set(TrainSettings.model_json_schema()["properties"]["backend"]["enum"]) - {"auto"}


@shows("profile")
def _(bench: Bench) -> None:
    assert find_profile("auto", "datalab-to/chandra", QWEN) is find_profile("chandra", "my-model", QWEN)
    assert find_profile("none", "datalab-to/chandra", QWEN) is None
    with pytest.raises(UsageError, match="must be of the model's family, qwen3_vl, but 'gemma-3-4b' is of gemma3"):
        find_profile("gemma-3-4b", "my-model", QWEN)
    assert set(PROFILES) == set(TrainSettings.model_json_schema()["properties"]["profile"]["enum"]) - {"auto", "none"}


@shows("skip_verification")
def _(bench: Bench) -> None:
    changes = {"profile": "chandra", "max_seq_length": 100}
    for skips in (False, True):
        folder = f"verify-{skips}"
        settings = bench.door.settings(**changes, skip_verification=skips)
        assert bench.door.run(bench.door.job("preflight", settings, folder)) == 0
        found = json.loads((bench.door.folder / folder / "preflight.json").read_text())
        assert skips is not any("patch_size is 8, expected 16" in text for text in found["warnings"])


@shows("bnb_4bit_quant_type")
def _(bench: Bench) -> None:
    assert four_bits(QWEN, bench.settings(bnb_4bit_quant_type="fp4"), "bf16").bnb_4bit_quant_type == "fp4"


@shows("bnb_4bit_use_double_quant")
def _(bench: Bench) -> None:
    for wanted in (True, False):
        config = four_bits(QWEN, bench.settings(bnb_4bit_use_double_quant=wanted), "bf16")
        assert config.bnb_4bit_use_double_quant is wanted
