"""Pictures' sizes and tokens: with the numbers of the published models' processors, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from hpsearch.errors import UsageError
from hpsearch.settings import TrainSettings
from hpsearch.training.models.base import known_base
from hpsearch.training.models.families import FAMILIES
from hpsearch.training.models.image_size import budget_areas, check_sizing
from hpsearch.training.models.processors import load_processor
from hpsearch.training.preflight.lengths import Lengths, Measure, Shape, refuse_too_long, refuse_unreadable
from tests.training.conftest import OfFamilies

PAGE = (2048, 2896)


# Where the published models' image processors differ from the tiny ones'. Qwen2.5-VL: 4 to 16384 tokens of 28 x 28
# pixels (its README); the others: as they ship.
REAL: dict[str, dict[str, Any]] = {
    "gemma3": {"size": {"height": 896, "width": 896}},
    "gemma4": {"patch_size": 16, "pooling_kernel_size": 3, "max_soft_tokens": 280},
    "paddleocr_vl": {"patch_size": 14, "size": {"shortest_edge": 147_456, "longest_edge": 2_359_296}},
    "qwen2_5_vl": {"patch_size": 14, "size": {"shortest_edge": 3136, "longest_edge": 12_845_056}},
    "qwen3_5": {"patch_size": 16, "size": {"shortest_edge": 65_536, "longest_edge": 16_777_216}},
    "qwen3_vl": {"patch_size": 16, "size": {"shortest_edge": 65_536, "longest_edge": 16_777_216}},
}


@pytest.fixture(scope="module")
def full_size(tiny_bases: dict[str, Path], tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The tiny models with image processors of the real models' numbers."""

    def made(family: str) -> Path:
        folder = tmp_path_factory.mktemp(f"full-{family}") / family
        shutil.copytree(tiny_bases[family], folder)
        processor = load_processor(FAMILIES[family], folder, TrainSettings())
        for name, value in REAL[family].items():
            of_size = type(processor.image_processor.size) if name == "size" else dict
            setattr(processor.image_processor, name, of_size(**value) if isinstance(value, dict) else value)
        if family == "gemma3":
            processor.image_seq_length = 256
        processor.save_pretrained(folder)
        return folder

    return OfFamilies(made)


def lengths(folder: Path, family: str, shapes: list[Shape], **changes: Any) -> Lengths:
    settings = TrainSettings(instruction="Read.", **changes)
    return Measure(known_base(folder, family, None), shapes, lambda _: None).lengths(settings)


def page_tokens(folder: Path, family: str, size: tuple[int, int] = PAGE, **changes: Any) -> int:
    return lengths(folder, family, [Shape("page", "x", size)], **changes).pictures[0]


@pytest.mark.parametrize(
    ("family", "changes", "tokens"),
    [
        ("qwen3_vl", {}, 5760),  # the model's own limit does not touch the page: 64 x 90 tokens of 32 pixels
        ("qwen3_vl", {"longest_edge": 2048}, 4028),
        ("qwen3_vl", {"max_pixels": 2048 * 2048}, 4028),
        ("qwen3_vl", {"longest_edge": 1024}, 988),
        ("qwen3_vl", {"max_pixels": 2048}, 1),  # an edge read as an area
        ("qwen3_5", {}, 5760),
        ("qwen3_5", {"longest_edge": 1024}, 988),
        ("qwen2_5_vl", {}, 7519),  # 73 x 103 of 28 pixels
        ("qwen2_5_vl", {"longest_edge": 1024}, 1290),
        # With the marks around them: 19 x 14, 39 x 28 and 9 x 7 of 48 pixels.
        ("gemma4", {}, 266 + 2),
        ("gemma4", {"max_pixels": 1120 * 48 * 48}, 1092 + 2),
        ("gemma4", {"max_pixels": 70 * 48 * 48}, 63 + 2),
        ("paddleocr_vl", {}, 2990),  # 46 x 65 of 28 pixels, within its own limit
        ("paddleocr_vl", {"longest_edge": 1024}, 1290),
    ],
)
def test_tokens_of_a_page(full_size: dict[str, Path], family: str, changes: dict[str, Any], tokens: int) -> None:
    assert page_tokens(full_size[family], family, **changes) == tokens


def test_gemma_makes_one_square_of_any_page_and_crops_only_where_asked(full_size: dict[str, Path]) -> None:
    whole = page_tokens(full_size["gemma3"], "gemma3")
    assert 256 <= whole < 270  # with the marks around them
    assert page_tokens(full_size["gemma3"], "gemma3", pan_and_scan=True) > 3 * 256


def test_gemma_4_takes_its_own_numbers_of_tokens_alone(full_size: dict[str, Path], tmp_path: Path) -> None:
    family, folder = FAMILIES["gemma4"], full_size["gemma4"]
    for name, value in (("longest_edge", 1024), ("max_pixels", 1_000_000), ("max_pixels", 1000)):
        with pytest.raises(UsageError, match=f"280, 560 or 1120 tokens of 48x48 .*{name}={value} is none") as told:
            check_sizing(TrainSettings(**{name: value}), family)
        assert "set max_pixels to one of 161280, 322560, 645120, 1290240, 2580480, and leave" in told.value.remedy
    found = []
    for area in budget_areas(family):
        settings = TrainSettings(max_pixels=area)
        check_sizing(settings, family)
        load_processor(family, folder, settings).save_pretrained(tmp_path)
        again = load_processor(family, tmp_path, TrainSettings())  # as who serves the model would
        assert (again.image_processor.max_soft_tokens, again.image_seq_length) == (area // 48**2, area // 48**2)
        found.append([page_tokens(folder, "gemma4", max_pixels=area, size=size) for size in (PAGE, (240, 339))])
    assert found == [[tokens, tokens] for tokens in (65, 128, 268, 534, 1094)], "small pictures are scaled up"


def test_tokens_of_another_size_than_gemma_4s_are_refused(full_size: dict[str, Path], tmp_path: Path) -> None:
    shutil.copytree(full_size["gemma4"], tmp_path / "model")
    path = tmp_path / "model" / "processor_config.json"
    config = json.loads(path.read_text())
    config["image_processor"]["patch_size"] = 14
    path.write_text(json.dumps(config))
    with pytest.raises(
        UsageError, match=r"a token of gemma4 must stand for 48x48 pixels, but the model's .* has 42x42"
    ):
        load_processor(FAMILIES["gemma4"], tmp_path / "model", TrainSettings())


def test_the_size_is_kept_with_the_processor_for_whoever_serves_the_model(
    full_size: dict[str, Path], tmp_path: Path
) -> None:
    family = FAMILIES["qwen3_vl"]
    load_processor(family, full_size["qwen3_vl"], TrainSettings(longest_edge=1024)).save_pretrained(tmp_path)
    again = load_processor(family, tmp_path, TrainSettings())
    assert again.image_processor.size["longest_edge"] == 1024 * 1024


def test_an_edge_read_as_an_area_is_refused_before_anything_is_trained(full_size: dict[str, Path]) -> None:
    page = Shape("page", "a line of sixty characters, as there are on the page " * 20, PAGE)
    shrunk = lengths(full_size["qwen3_vl"], "qwen3_vl", [page], max_pixels=2048)
    with pytest.raises(UsageError) as refusal:
        refuse_unreadable(shrunk, TrainSettings(max_pixels=2048))
    assert "one of 2048x2896 pixels becomes 1 visual tokens for 1062 tokens of text" in refusal.value.what
    assert refusal.value.remedy.startswith("max_pixels is an area: for an edge of 2048 pixels set longest_edge")
    assert refuse_unreadable(lengths(full_size["qwen3_vl"], "qwen3_vl", [page]), TrainSettings()) == []
    dense = Shape("page", "x" * 2000, PAGE)
    with pytest.raises(UsageError) as refusal:
        refuse_unreadable(
            lengths(full_size["gemma4"], "gemma4", [dense], max_pixels=161_280), TrainSettings(max_pixels=161_280)
        )
    assert refusal.value.remedy.startswith("give more pixels"), "no edge was meant"


def test_a_limit_below_the_pictures_tokens_is_refused_with_what_takes_them(full_size: dict[str, Path]) -> None:
    found = lengths(full_size["qwen3_vl"], "qwen3_vl", [Shape("page", "x" * 100, PAGE)], longest_edge=2048)
    with pytest.raises(UsageError) as refusal:
        refuse_too_long(found, 2048)
    assert "of the longest, 4028 are its picture's and 102 its answer's" in refusal.value.what
    assert refusal.value.remedy.startswith(f"set max_seq_length to {max(found.rows)} or more")


@pytest.mark.parametrize("family", FAMILIES)
def test_what_is_known_of_oblong_pictures_is_the_processors(full_size: dict[str, Path], family: str) -> None:
    most = FAMILIES[family].most_oblong
    for size in ((20 * min(int(min(most, 1000)), 1000), 20), (20, 20 * int(min(most, 1000)))):
        assert lengths(full_size[family], family, [Shape("strip", "x", size)]).pictures[0] > 0
    if most < 1000:
        with pytest.raises(ValueError, match="aspect ratio"):
            lengths(full_size[family], family, [Shape("strip", "x", (int(20 * most) + 1, 20))])


@pytest.mark.parametrize(
    ("family", "sizing"), [("qwen3_vl", {"longest_edge": 700}), *((family, {}) for family in FAMILIES)]
)
def test_sizes_that_are_only_counted_have_the_processors_lengths(
    full_size: dict[str, Path], family: str, sizing: dict[str, Any]
) -> None:
    sizes = [(640, 480), (100, 1900), (33, 47), PAGE, (1999, 61)]
    shapes = [Shape(str(size), "x", size) for size in sizes]
    alone = [lengths(full_size[family], family, [shape], **sizing).pictures[0] for shape in shapes]
    assert lengths(full_size[family], family, shapes, **sizing).pictures == alone


@pytest.mark.parametrize("family", [name for name, family in FAMILIES.items() if family.sizing == "area"])
def test_an_image_processor_of_another_kind_is_refused(full_size: dict[str, Path], family: str, tmp_path: Path) -> None:
    shutil.copytree(full_size[family], tmp_path / "model")
    path = tmp_path / "model" / "processor_config.json"
    config = json.loads(path.read_text())
    config["image_processor"]["size"] = {"height": 384, "width": 384}
    path.write_text(json.dumps(config))
    with pytest.raises(UsageError, match=rf"{family} must be sized by longest_edge and shortest_edge, two areas, but"):
        load_processor(FAMILIES[family], tmp_path / "model", TrainSettings())


def test_each_size_is_processed_once(full_size: dict[str, Path]) -> None:
    shapes = [Shape(str(number), "x" * number, (320, 320)) for number in range(1, 40)]
    found = lengths(full_size["qwen3_vl"], "qwen3_vl", shapes)
    assert set(found.pictures) == {100}
    assert found.answers == [number + 2 for number in range(1, 40)]
