"""Labels are plain text for the tokenizer, and what a model cannot write is no reference."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from hpsearch.data.prepared_rows import PreparedRow
from hpsearch.settings import TrainSettings
from hpsearch.training.backends import BACKENDS, Training
from hpsearch.training.evaluate.batches import EvaluationBatches
from hpsearch.training.models.chat import Chat, special_tokens
from hpsearch.training.models.families import FAMILIES
from hpsearch.training.prepared import PreparedData, open_rows, table_of, training_rows
from hpsearch.training.schedule import Batching
from tests.training.conftest import Door, picture, write_words


def test_no_label_teaches_a_special_token(family_name: str, tiny_bases: dict[str, Path], tmp_path: Path) -> None:
    settings = TrainSettings(instruction="Read.", max_new_tokens=4)
    loaded = BACKENDS["hf"]().load(FAMILIES[family_name], tiny_bases[family_name], settings)
    chat, tokenizer = Chat(loaded.processor, "Read."), loaded.processor.tokenizer
    marks = special_tokens(loaded.processor)
    assert len(marks) > 4
    texts = [text for mark in marks.values() for text in (f"a {mark} b", mark, f"{mark}004")] + ["cat"]
    rows = [PreparedRow(str(number), picture("cat"), text) for number, text in enumerate(texts)]
    dataset = training_rows(table_of(rows), chat)
    trainer = BACKENDS["hf"]().trainer(loaded, Training(dataset, settings, Batching(1, 1), tmp_path))
    taught = trainer.data_collator([dataset[number] for number in range(len(rows))])["labels"]
    batches = EvaluationBatches(loaded.processor, rows, settings.model_copy(update={"eval_batch_size": len(rows)}))
    judged = [ids[ids != -100].tolist() for ids in next(iter(batches)).labels]
    judged = [ids for _, ids in sorted(zip(next(iter(batches)).numbers, judged, strict=True))]
    learned = [ids[ids != -100].tolist() for ids in taught]
    assert learned == judged == chat.encode([chat.answer(text) for text in texts])
    assert tokenizer.batch_decode(chat.labels([chat.answer(text) for text in texts]), skip_special_tokens=True) == texts
    assert learned[-1] == tokenizer(chat.answer("cat"), add_special_tokens=False)["input_ids"], "others stay"


def test_references_are_what_the_model_can_write(door: Door, tiny_bases: dict[str, Path], tmp_path: Path) -> None:
    base = shutil.copytree(tiny_bases["gemma3"], tmp_path / "base")
    template = base / "chat_template.jinja"
    template.write_text(template.read_text().replace("{{ item.text }}", "{{ item.text | trim }}"))  # as published
    words = [f"w{number}\n" for number in range(20)]
    data = write_words(
        tmp_path / "rows",
        {"train": [*words, "stra\N{LATIN SMALL LETTER SHARP S}e", "a <start_of_image> b"],
         "validation": ["v1\n", "v2", "v\N{GREEK SMALL LETTER PI}"], "holdout": ["<end_of_turn>h"]},
    )  # fmt: skip
    changes = {"model_name": str(base), "input_data": str(data)}
    assert door.prepare(door.settings("gemma3", **changes)) == 0
    folder = door.folder / "prepare"
    assert [row.text for row in open_rows(folder, "train")] == [*map(str.strip, words), "a <start_of_image> b"]
    assert [row.text for row in open_rows(folder, "validation")] == ["v1", "v2"]
    assert [row.text for row in open_rows(folder, "holdout")] == ["<end_of_turn>h"]
    lines = [json.loads(line) for line in (folder / "left_out.jsonl").read_text().splitlines()]
    reason = "the tokenizer has no token for {}: replace it in the text, or use another model"
    assert [(line["split"], line["reason"]) for line in lines] == [
        ("train", reason.format("'\N{LATIN SMALL LETTER SHARP S}' U+00DF")),
        ("validation", reason.format("'\N{GREEK SMALL LETTER PI}' U+03C0")),
    ]
    warnings = PreparedData.read(folder).warnings
    assert sum("they are taught and compared as it writes them" in text for text in warnings) == 1
    assert sum("2 rows left out because of their texts" in text for text in warnings) == 1


def test_too_many_rows_that_cannot_come_back_are_refused(door: Door, tmp_path: Path) -> None:
    data = write_words(tmp_path / "rows", {"train": ["a", "b", "\u017f"], "validation": ["c"], "holdout": ["d"]})
    assert door.run(door.job("preflight", door.settings(input_data=str(data)))) == 2
    (message,) = door.said("message")
    assert "1 of 5 are" in message
    assert "U+017F" in message
