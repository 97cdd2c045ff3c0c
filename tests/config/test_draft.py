"""Drafts fit the machine and the rows they were made for, are sound, and say why."""

from __future__ import annotations

import itertools
import random
from dataclasses import replace
from typing import Any

import pytest

from hpsearch.config.advice import advice
from hpsearch.config.definition import StudyDefinition
from hpsearch.config.draft import Draft, draft
from hpsearch.config.fit import Resources
from hpsearch.errors import UsageError
from hpsearch.execution.survey_result import Sizing, Survey, TowerSize

GB = 10**9
# As the survey finds them for published shapes: Gemma 3 12B with one square for each page, Chandra's pages of any size.
GEMMA_12B = Survey(
    family="gemma3",
    rows={"train": 800, "validation": 80, "holdout": 40},
    edge=1700,
    sizings=(Sizing(None, False, 256, 1500),),
    answer=600,
    longest_answer=1200,
    towers={
        "language": TowerSize(48, 3840, 4_000_000),
        "vision": TowerSize(27, 1152, 800_000),
        "merger": TowerSize(0, 0, 0),
    },
    patches=16,
    parameters=12_200_000_000,
    vocabulary=262_208,
    weights=24_400_000_000,
    weights_4bit=8_500_000_000,
    device="cuda",
    memory=24 * GB,
    gpu="a GPU of 24 GB",
    bitsandbytes=True,
)
CHANDRA = replace(
    GEMMA_12B,
    family="qwen3_vl",
    edge=3500,
    sizings=(
        Sizing(None, False, 11_962, 13_462),
        *(
            Sizing(edge, False, edge * edge // 1024, edge * edge // 1024 + 1500)
            for edge in (512, 1024, 1536, 2048, 3072, 3500)
        ),
    ),
    answer=900,
    towers={
        "language": TowerSize(36, 4096, 2_700_000),
        "vision": TowerSize(27, 1152, 700_000),
        "merger": TowerSize(0, 0, 60_000),
    },
    patches=4,
    parameters=8_800_000_000,
    vocabulary=151_936,
    weights=17_600_000_000,
    weights_4bit=6_800_000_000,
)
TINY = replace(
    GEMMA_12B,
    sizings=(Sizing(None, False, 5, 92),),
    edge=36,
    answer=6,
    longest_answer=7,
    towers={"language": TowerSize(2, 96, 3000), "vision": TowerSize(2, 96, 3000), "merger": TowerSize(0, 0, 0)},
    parameters=800_000,
    vocabulary=105,
    weights=3_200_000,
    weights_4bit=1_600_000,
    device="cpu",
    memory=0,
    gpu="",
    bitsandbytes=False,
)
GIVEN = {"model_name": "google/gemma-3-12b-it", "input_data": "asset:digits/data"}


def with_rows(survey: Survey, train: int) -> Survey:
    return replace(survey, rows={"train": train, "validation": max(20, train // 10), "holdout": 20})


def drafted(survey: Survey, **given: Any) -> tuple[Draft, StudyDefinition]:
    made = draft(survey, GIVEN | given)
    values = made.study("") | {"search_space": made.space()}
    return made, StudyDefinition.from_flat(values)


def decision(made: Draft, name: str) -> Any:
    return next((each.value for each in made.decisions if each.name == name), None)


@pytest.mark.parametrize(
    ("kind", "train", "gigabytes"),
    [*itertools.product((GEMMA_12B, CHANDRA, TINY), (12, 60, 250, 1000, 5000, 100_000), (0, 16, 24, 48, 80, 141))],
)
def test_a_draft_is_sound_and_nothing_is_to_be_warned_of(kind: Survey, train: int, gigabytes: int) -> None:
    device: dict[str, Any] = {"device": "cuda" if gigabytes else "cpu", "memory": gigabytes * GB}
    made, definition = drafted(with_rows(replace(kind, **device), train))
    model = {"model_name": "asset:digits/qwen3_vl"} if kind is TINY else {}
    assert advice(StudyDefinition.from_flat(definition.flat() | model)) == []
    assert all(each.why for each in made.decisions)
    assert len(definition.description) < 10_000
    assert all(parameter.why for parameter in definition.search_space.values())
    batch = definition.searched_values().get("effective_batch_size", [definition.settings.get("effective_batch_size")])
    assert max(batch) <= max(1, train / 20)
    assert definition.settings["per_device_train_batch_size"] <= max(batch)
    sight = Resources(with_rows(replace(kind, **device), train))
    longest = max(sizing.row for sizing in sight.sizings)
    assert definition.settings["max_seq_length"] >= longest


def test_drafts_by_chance_are_sound_too_or_the_model_is_refused() -> None:
    draw = random.Random(5)
    refused = 0
    for _ in range(300):
        kind, gigabytes = draw.choice((GEMMA_12B, CHANDRA)), draw.choice((0, *range(8, 100)))
        answer, edge = int(10 ** draw.uniform(0.5, 4)), int(10 ** draw.uniform(1.5, 4))
        sizings = [Sizing(None, False, 256, 300 + answer)]
        if kind is CHANDRA:
            edges = [each for each in (512, 1024, 2048, 4096) if each < edge]
            limit = draw.choice((800, 3000, 10**6))
            tokens = {each: 1 + each * each // 1024 for each in (*edges, edge)}
            sizings = [Sizing(None, False, min(limit, tokens[edge]), min(limit, tokens[edge]) + answer)]
            sizings += [Sizing(each, False, tokens[each], tokens[each] + answer) for each in edges]
        survey = replace(
            kind, memory=gigabytes * GB, device="cuda" if gigabytes else "cpu", answer=answer, edge=edge,
            sizings=tuple(sizings), longest_answer=2 * answer,
        )  # fmt: skip
        try:
            _, definition = drafted(with_rows(survey, int(10 ** draw.uniform(0.5, 5.5))))
        except UsageError as error:
            refused += 1
            assert "the model must fit in the GPU's" in str(error)
            continue
        assert advice(definition) == []
    assert 0 < refused < 60


class TestMemory:
    """The memory decides about 4 bits, recomputation, rows in a pass, ranks and pictures."""

    @pytest.mark.parametrize(("gigabytes", "four_bit"), [(16, True), (24, True), (48, False), (80, False)])
    def test_four_bits_are_taken_where_16_do_not_fit(self, gigabytes: int, four_bit: bool) -> None:
        made, _ = drafted(replace(GEMMA_12B, memory=gigabytes * GB))
        assert decision(made, "load_in_4bit") is four_bit

    def test_a_model_that_does_not_fit_even_so_is_refused(self) -> None:
        with pytest.raises(UsageError, match=r"must fit in the GPU's 8 GB, but takes 8.5 GB in 4 bits"):
            draft(replace(GEMMA_12B, memory=8 * GB), GIVEN)

    def test_more_memory_never_means_less_of_anything(self) -> None:
        found = [drafted(replace(CHANDRA, memory=size * GB))[0] for size in (16, 24, 48, 80, 141)]
        rows = [decision(made, "per_device_train_batch_size") for made in found]
        ranks = [max(decision(made, "lora_r")["choices"]) for made in found]
        assert ranks == sorted(ranks) and rows[-1] > rows[0]
        assert decision(found[-1], "gradient_checkpointing") in (True, False)

    def test_pictures_are_as_large_as_fits_and_no_smaller_than_can_be_read(self) -> None:
        small, large = drafted(replace(CHANDRA, memory=16 * GB))[0], drafted(replace(CHANDRA, memory=141 * GB))[0]
        edges = [decision(made, "longest_edge") for made in (small, large)]
        choices = [each["choices"] if isinstance(each, dict) else [each] for each in edges]
        assert max(choices[0]) <= max(choices[1]) == 3500
        assert min(*choices[0], *choices[1]) > 512, (
            "900 tokens of text on 256 visual ones are more than can be hoped for"
        )
        dense = drafted(replace(CHANDRA, memory=141 * GB, answer=100_000))[0]
        assert decision(dense, "longest_edge") is None, "nothing smaller can be read, so nothing is shrunk"

    def test_no_picture_is_made_larger_than_the_model_itself_makes_it(self) -> None:
        limited = replace(CHANDRA, memory=141 * GB, sizings=(Sizing(None, False, 1600, 3100), *CHANDRA.sizings[1:]))
        assert decision(drafted(limited)[0], "longest_edge")["choices"] == [512, 1024]
        least = replace(limited, sizings=(Sizing(None, False, 100, 1600), *CHANDRA.sizings[1:]))
        assert decision(drafted(least)[0], "longest_edge") is None

    def test_of_a_family_with_budgets_the_largest_that_fit_are_compared(self) -> None:
        """Gemma 4 scales pictures up too: its own size is no limit."""
        sizings = (
            Sizing(None, False, 266, 1200),
            *(Sizing(None, False, tokens, tokens + 934, tokens * 48**2) for tokens in (70, 140, 280, 560, 1120)),
        )
        gemma4 = replace(GEMMA_12B, family="gemma4", memory=80 * GB, sizings=sizings)
        made, _ = drafted(gemma4)
        assert decision(made, "max_pixels")["choices"] == [280 * 48**2, 560 * 48**2, 1120 * 48**2]
        assert decision(made, "longest_edge") is None
        assert decision(made, "max_seq_length") >= 1120 + 934

    def test_on_a_cpu_there_is_no_4_bit_and_a_large_model_is_told_of(self) -> None:
        made, _ = drafted(replace(GEMMA_12B, device="cpu", memory=0))
        assert decision(made, "load_in_4bit") is False
        assert any("takes minutes on a CPU" in note for note in made.notes)


class TestRows:
    """The number of rows decides about epochs, batches, dropout and the vision tower."""

    def test_few_rows_take_more_passes_in_smaller_batches(self) -> None:
        few, many = drafted(with_rows(GEMMA_12B, 60))[0], drafted(with_rows(GEMMA_12B, 20_000))[0]
        assert decision(few, "num_train_epochs")["high"] > decision(many, "num_train_epochs")["high"]
        assert max(decision(few, "effective_batch_size")["choices"]) < max(
            decision(many, "effective_batch_size")["choices"]
        )
        assert decision(few, "lora_dropout") and not decision(many, "lora_dropout")
        assert decision(few, "finetune_vision_layers") is False
        assert decision(many, "finetune_vision_layers")["choices"] == [False, True]

    def test_the_merger_is_searched_where_the_vision_tower_is_adapted(self) -> None:
        _, definition = drafted(CHANDRA)
        assert definition.search_space["finetune_merger_layers"].when == {"finetune_vision_layers": (True,)}
        assert "finetune_merger_layers" not in drafted(GEMMA_12B)[1].search_space

    def test_so_few_steps_that_evaluations_are_fewer_too(self) -> None:
        made, definition = drafted(with_rows(TINY, 12))
        assert definition.steps == decision(made, "evaluations") == 20
        short, _ = drafted(with_rows(TINY, 2))
        assert decision(short, "evaluations") == 8

    def test_crowded_text_gets_crops_where_the_family_has_them(self) -> None:
        crowded = replace(
            GEMMA_12B, answer=3000, sizings=(Sizing(None, False, 256, 4000), Sizing(None, True, 1200, 5000))
        )
        assert decision(drafted(replace(crowded, memory=80 * GB))[0], "pan_and_scan") is True
        assert decision(drafted(GEMMA_12B)[0], "pan_and_scan") is None


class TestGiven:
    """Given settings stay, and so do those that they decide."""

    def test_it_is_fixed_and_not_searched(self) -> None:
        made, definition = drafted(GEMMA_12B, lora_r=8, gradient_accumulation_steps=4, max_steps=200)
        assert definition.settings["lora_r"] == 8
        assert not {"lora_r", "effective_batch_size", "num_train_epochs"} & set(definition.search_space)
        assert definition.settings["max_steps"] == 200
        assert decision(made, "gradient_accumulation_steps") == 4
        assert "given" not in definition.description
