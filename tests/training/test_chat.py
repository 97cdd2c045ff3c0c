"""Questions and answers by the chat templates of published models, as trl ships them."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import Any

import pytest

from hpsearch.errors import UsageError
from hpsearch.settings import TrainSettings
from hpsearch.training.models.chat import AT_ONCE, Chat, answer_at_once, prompt
from hpsearch.training.models.families import FAMILIES
from hpsearch.training.models.processors import load_processor

# By the beginning of a template's name: a family that has its special tokens.
FAMILY_OF = {name: name for name in FAMILIES} | dict.fromkeys(("qwen3_6", "qwen3_8"), "qwen3_5")
TEMPLATES = {
    path.stem: family
    for path in Path(str(files("trl") / "chat_templates")).glob("*.jinja")
    for start, family in FAMILY_OF.items()
    if path.stem.startswith(start) and not path.stem.endswith("_training")
}
THINKING = [name for name in TEMPLATES if TEMPLATES[name] == "qwen3_5" and not name.endswith("nothink")]


def with_template(name: str, bases: dict[str, Path]) -> Any:
    """A tiny processor with a published model's template."""
    processor = load_processor(FAMILIES[TEMPLATES[name]], bases[TEMPLATES[name]], TrainSettings())
    processor.chat_template = (files("trl") / "chat_templates" / f"{name}.jinja").read_text(encoding="utf-8")
    return processor


def question(processor: Any, **options: Any) -> str:
    return str(processor.apply_chat_template(prompt("Read."), add_generation_prompt=True, tokenize=False, **options))


@pytest.mark.parametrize("name", sorted(TEMPLATES))
def test_published_templates_answer_straight_after_the_question(name: str, tiny_bases: dict[str, Path]) -> None:
    processor = with_template(name, tiny_bases)
    answer_at_once(processor)
    chat = Chat(processor, "Read.")
    assert chat.question.count("Read.") == 1
    assert "<|image_pad|>" in chat.question or any(mark in chat.question for mark in ("<start_of_image>", "<|image|>"))
    assert chat.question.endswith(("assistant\n", "model\n", "assistant\n<think>\n\n</think>\n\n"))
    assert chat.answer("cat") in ("cat<|im_end|>\n", "cat<end_of_turn>\n", "cat<turn|>\n")


def test_there_are_templates_that_think_and_some_that_do_not() -> None:
    assert {"qwen3_5_think", "qwen3_5_nothink", "qwen2_5_vl", "qwen3_vl", "gemma3", "gemma4"} <= set(TEMPLATES)


@pytest.mark.parametrize("name", THINKING)
def test_a_template_that_thinks_is_refused_as_it_is_and_thinks_on_demand_once_mended(
    name: str, tiny_bases: dict[str, Path], tmp_path: Path
) -> None:
    processor = with_template(name, tiny_bases)
    thinking = question(processor)
    assert thinking.endswith("<think>\n")
    with pytest.raises(UsageError, match="must write the answer straight after the question"):
        Chat(processor, "Read.")
    answer_at_once(processor)
    mended = processor.chat_template
    assert mended.startswith(AT_ONCE)
    answer_at_once(processor)
    assert processor.chat_template == mended, "once is enough"
    processor.save_pretrained(tmp_path)
    from transformers import AutoTokenizer

    (tmp_path / "config.json").write_text((tiny_bases["qwen3_5"] / "config.json").read_text())
    served = AutoTokenizer.from_pretrained(tmp_path)  # what a server asks by
    for asked in (processor, served):
        assert question(asked) == Chat(processor, "Read.").question
        assert question(asked, enable_thinking=True) == thinking


@pytest.mark.parametrize("name", sorted(set(TEMPLATES) - set(THINKING)))
def test_templates_that_do_not_think_stay_as_they_are(
    name: str, tiny_bases: dict[str, Path], caplog: pytest.LogCaptureFixture
) -> None:
    processor = with_template(name, tiny_bases)
    before = processor.chat_template
    caplog.clear()
    answer_at_once(processor)
    assert processor.chat_template == before
    assert not caplog.records, "transformers warns of variables that a template does not know"
