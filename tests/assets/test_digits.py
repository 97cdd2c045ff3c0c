"""The demo's files: small, clean of leaks, made again by their maker, and known to nothing but themselves."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest
from PIL import ImageChops

import hpsearch
from hpsearch.assets import asset_path, known_assets
from hpsearch.data.images import open_image
from hpsearch.errors import UsageError

PACKAGE = Path(hpsearch.__file__).parent
BASES = ("gemma3", "qwen3_vl")
SPLITS = ("train", "validation", "holdout")
pytestmark = pytest.mark.filterwarnings(
    "ignore:`is_gradient_checkpointing` is deprecated:FutureWarning", "ignore:`torch.jit.script:DeprecationWarning"
)


def columns(folder: Path, split: str) -> dict[str, list[Any]]:
    return dict(pq.read_table(folder / f"{split}.parquet").to_pydict())


def without_version(path: Path) -> object:
    """A configuration, but for the release of transformers that wrote it."""
    values = json.loads(path.read_text(encoding="utf-8"))
    values.pop("transformers_version", None)
    return values


def test_assets_are_found_by_name() -> None:
    assert {"digits/data", "digits/gemma3", "digits/qwen3_vl"} <= set(known_assets())
    assert asset_path("asset:digits/gemma3") == asset_path("digits/gemma3") == PACKAGE / "assets" / "digits" / "gemma3"


@pytest.mark.parametrize(
    "name", ["", ".", "..", "digits", "digits/../digits/data", "/etc", "digits/data/train.parquet", "report"]
)
def test_nothing_else_is_an_asset(name: str) -> None:
    with pytest.raises(UsageError, match="use one of: digits/data, digits/gemma3, digits/qwen3_vl"):
        asset_path(name)


@pytest.mark.parametrize("name", BASES)
def test_a_base_is_small(name: str) -> None:
    assert sum(path.stat().st_size for path in asset_path(f"digits/{name}").iterdir()) <= 3_000_000


def test_no_picture_of_a_digit_is_in_two_splits() -> None:
    from sklearn.datasets import load_digits

    pictures = load_digits().images
    used = {}
    for split in SPLITS:
        numbers = {number for line in columns(asset_path("digits/data"), split)["sources"] for number in line}
        used[split] = {pictures[number].tobytes() for number in numbers}
    assert not used["train"] & used["validation"]
    assert not used["train"] & used["holdout"]
    assert not used["validation"] & used["holdout"]
    assert {split: len(columns(asset_path("digits/data"), split)["text"]) for split in SPLITS} == {
        "train": 800, "validation": 96, "holdout": 96,
    }  # fmt: skip


def test_a_line_reads_what_its_sources_are() -> None:
    from sklearn.datasets import load_digits

    target = load_digits().target
    data = columns(asset_path("digits/data"), "validation")
    for text, sources in zip(data["text"], data["sources"], strict=True):
        assert text == "".join(str(target[number]) for number in sources)
        assert 3 <= len(str(text)) <= 5


def test_the_data_are_made_again_just_so(tmp_path: Path) -> None:
    from tools.make_demo import main

    main(["data", "--folder", str(tmp_path)])
    for split in SPLITS:
        made, shipped = columns(tmp_path / "data", split), columns(asset_path("digits/data"), split)
        assert (made["text"], made["sources"]) == (shipped["text"], shipped["sources"])
        for one, other in zip(made["image"], shipped["image"], strict=True):
            difference = ImageChops.difference(open_image(one), open_image(other))
            assert max(top for _, top in difference.getextrema()) <= 2, "another Pillow may round, but no more"


@pytest.mark.parametrize("name", BASES)
def test_a_base_can_be_made_again(tmp_path: Path, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    from tools.make_demo import main

    main([name, "--short", "--folder", str(tmp_path)])
    assert f"{name}: CER" in capsys.readouterr().out
    made = {path.name for path in (tmp_path / name).iterdir()}
    assert made == {path.name for path in asset_path(f"digits/{name}").iterdir()}
    for path in (tmp_path / name).glob("*.json"):
        assert without_version(path) == without_version(asset_path(f"digits/{name}") / path.name), path.name


def test_a_short_run_never_replaces_what_ships() -> None:
    from tools.make_demo import main

    with pytest.raises(UsageError, match="--short would overwrite"):
        main(["bases", "--short"])


def test_no_module_knows_the_demo() -> None:
    hints = re.compile(r"load_digits|digits[-/]|asset:digits|handwrit", re.IGNORECASE)
    own = PACKAGE / "assets" / "digits"
    knowing = [
        str(path.relative_to(PACKAGE))
        for path in PACKAGE.rglob("*.py")
        if own not in path.parents and hints.search(path.read_text(encoding="utf-8"))
    ]
    assert knowing == []
