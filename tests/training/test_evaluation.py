"""Judging: what is learned is what is judged, and neither padding nor batches nor sampling settings change a score."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
import torch

from hpsearch.data.predictions import read_predictions
from hpsearch.data.prepared_rows import PreparedRow, RowFile
from hpsearch.settings import TrainSettings
from hpsearch.training.backends import BACKENDS, Loaded, Training
from hpsearch.training.evaluate.batches import EvaluationBatches
from hpsearch.training.evaluate.scores import evaluate, write_predictions
from hpsearch.training.models.chat import Chat
from hpsearch.training.models.families import FAMILIES
from hpsearch.training.prepared import table_of, training_rows, write_rows
from hpsearch.training.schedule import Batching
from tests.training.conftest import picture

END_MARKS = {
    "gemma3": "<end_of_turn>\n",
    "gemma4": "<turn|>\n",
    "paddleocr_vl": "</s>",
    "qwen2_5_vl": "<|im_end|>\n",
    "qwen3_5": "<|im_end|>\n",
    "qwen3_vl": "<|im_end|>\n",
}
# What the model takes beside tokens, their mask and the pictures.
OWN_INPUTS = {
    "gemma3": {"token_type_ids"},
    "gemma4": {"image_position_ids", "mm_token_type_ids"},
    "paddleocr_vl": {"image_grid_thw", "mm_token_type_ids"},
    "qwen2_5_vl": {"image_grid_thw", "mm_token_type_ids"},
    "qwen3_5": {"image_grid_thw", "mm_token_type_ids"},
    "qwen3_vl": {"image_grid_thw", "mm_token_type_ids"},
}
ROWS = [PreparedRow(str(number), picture(text, size), text) for number, (text, size) in enumerate([
    ("cat", (48, 16)), ("a", (32, 16)), ("gnu gnu", (80, 16)), ("ox", (48, 16)), ("zebra", (64, 32)),
])]  # fmt: skip


@pytest.fixture
def loaded(tiny_bases: dict[str, Path], family_name: str) -> Loaded:
    """A tiny model, in inference mode."""
    backend = BACKENDS["hf"]()
    model = backend.load(FAMILIES[family_name], tiny_bases[family_name], settings())
    backend.to_inference(model)
    return model


@pytest.fixture
def words_model(tiny_bases: dict[str, Path], typical_family: str) -> Loaded:
    """A tiny model of a typical family, in inference mode."""
    backend = BACKENDS["hf"]()
    model = backend.load(FAMILIES[typical_family], tiny_bases[typical_family], settings())
    backend.to_inference(model)
    return model


def settings(**changes: Any) -> TrainSettings:
    return TrainSettings(**{"instruction": "Read.", "max_new_tokens": 4, **changes})


def collated(loaded: Loaded, rows: list[PreparedRow], folder: Path) -> Any:
    """A batch as the trainer makes it."""
    dataset = training_rows(table_of(rows), Chat(loaded.processor, "Read."))
    trainer = BACKENDS["hf"]().trainer(loaded, Training(dataset, settings(), Batching(1, 1), folder))
    return trainer.data_collator([dataset[number] for number in range(len(rows))])


def test_only_the_answer_is_learned(loaded: Loaded, family_name: str, tmp_path: Path) -> None:
    tokenizer = loaded.processor.tokenizer
    labels = collated(loaded, ROWS, tmp_path)["labels"]
    learned = [tokenizer.decode(row[row != -100]) for row in labels]
    assert learned == [row.text + END_MARKS[family_name] for row in ROWS]


def test_what_the_trainer_sees_is_what_is_judged(loaded: Loaded, tmp_path: Path) -> None:
    chat = Chat(loaded.processor, "Read.")
    batch = collated(loaded, ROWS[:1], tmp_path)
    text = loaded.processor.tokenizer.decode(batch["input_ids"][0])
    assert text.endswith(chat.answer(ROWS[0].text))
    assert text.count("Read.") == 1
    assert batch["input_ids"].shape[1] > 10, "the image's tokens are missing"


def test_the_loss_is_that_of_training(loaded: Loaded, tmp_path: Path) -> None:
    batch = collated(loaded, ROWS, tmp_path)
    with torch.no_grad():
        theirs = loaded.model.eval()(**batch).loss
    assert evaluate(loaded, ROWS, settings(eval_batch_size=2)).loss == pytest.approx(float(theirs), rel=1e-4)


def test_all_that_the_processor_gives_reaches_the_trainer(loaded: Loaded, family_name: str, tmp_path: Path) -> None:
    (batch,) = EvaluationBatches(loaded.processor, ROWS, settings())
    assert set(batch.inputs) - set(collated(loaded, ROWS, tmp_path)) == set()
    assert set(batch.inputs) == {"input_ids", "attention_mask", "pixel_values", *OWN_INPUTS[family_name]}


def test_the_picture_is_seen_where_the_question_ends(loaded: Loaded) -> None:
    pair = [PreparedRow("one", picture("cat"), "x"), PreparedRow("other", picture("owl"), "x")]
    alike = [pair[0], replace(pair[0], id="again")]
    losses = [[row.loss for row in evaluate(loaded, rows, settings()).rows] for rows in (pair, alike)]
    assert abs(losses[0][0] - losses[0][1]) > 1e-3, "the answer's probability does not depend on the picture"
    assert losses[1][0] == pytest.approx(losses[1][1], abs=1e-6)


def test_a_rows_document_goes_from_the_prepared_folder_into_its_prediction(tmp_path: Path, words_model: Loaded) -> None:
    rows = [replace(ROWS[0], document="letter 3"), ROWS[1]]
    write_rows(tmp_path / "rows.arrow", rows)
    assert list(RowFile(tmp_path / "rows.arrow")) == rows
    write_predictions(tmp_path / "new.jsonl", {"holdout": evaluate(words_model, rows, settings())})
    assert [(row.split, row.document) for row in read_predictions(tmp_path / "new.jsonl")] == [
        ("holdout", "letter 3"),
        ("holdout", "1"),
    ]
    table = table_of(rows).drop_columns("document")  # as older releases wrote it
    with pa.OSFile(str(tmp_path / "old.arrow"), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    assert list(RowFile(tmp_path / "old.arrow")) == [replace(row, document=None) for row in rows]


@pytest.mark.parametrize("size", [1, 2, 5])
def test_neither_batches_nor_padding_change_a_score(loaded: Loaded, size: int) -> None:
    together, apart = (
        evaluate(loaded, ROWS, settings(eval_batch_size=5)),
        evaluate(loaded, ROWS, settings(eval_batch_size=size)),
    )
    assert [row.prediction for row in together.rows] == [row.prediction for row in apart.rows]
    assert together.loss == pytest.approx(apart.loss, rel=1e-4)
    assert [row.reference for row in apart.rows] == [row.text for row in ROWS]


def test_the_larger_gemma_4s_attend_both_ways_within_a_picture(tiny_bases: dict[str, Path], tmp_path: Path) -> None:
    """As the small ones and the tiny model do not: then the marks of image tokens decide what is attended to."""
    shutil.copytree(tiny_bases["gemma4"], tmp_path / "model")
    path = tmp_path / "model" / "config.json"
    config = json.loads(path.read_text())
    config["text_config"]["use_bidirectional_attention"] = "vision"
    path.write_text(json.dumps(config))
    backend = BACKENDS["hf"]()
    causal, both_ways = (
        backend.load(FAMILIES["gemma4"], folder, settings()) for folder in (tiny_bases["gemma4"], tmp_path / "model")
    )
    together, apart = (evaluate(both_ways, ROWS, settings(eval_batch_size=size)) for size in (5, 1))
    assert [row.prediction for row in together.rows] == [row.prediction for row in apart.rows]
    assert together.loss == pytest.approx(apart.loss, rel=1e-4)
    with torch.no_grad():
        theirs = both_ways.model.eval()(**collated(both_ways, ROWS, tmp_path)).loss
    assert together.loss == pytest.approx(float(theirs), rel=1e-4)
    assert abs(together.loss - evaluate(causal, ROWS, settings()).loss) > 1e-3


def test_generation_is_greedy_and_bounded_whatever_the_model_asks_for(loaded: Loaded) -> None:
    own = loaded.model.generation_config
    before = evaluate(loaded, ROWS, settings())
    own.do_sample, own.temperature, own.top_p, own.max_length = True, 5.0, 0.5, 7
    state = torch.get_rng_state()
    after = evaluate(loaded, ROWS, settings())
    assert [row.prediction for row in after.rows] == [row.prediction for row in before.rows]
    assert torch.equal(torch.get_rng_state(), state)
    tokenizer = loaded.processor.tokenizer
    assert all(len(tokenizer(row.prediction)["input_ids"]) <= 4 for row in after.rows)


def test_someone_may_look_on(loaded: Loaded) -> None:
    seen: list[tuple[str, float]] = []
    evaluate(loaded, ROWS, settings(eval_batch_size=2), lambda judged, done: seen.append((judged.reference, done)))
    assert seen == [("gnu gnu", pytest.approx(0.4)), ("cat", pytest.approx(0.8)), ("a", 1.0)]


def test_texts_are_normalized_before_they_are_compared(loaded: Loaded) -> None:
    rows = [replace(row, text=row.text + "  ") for row in ROWS]
    raw, folded = (evaluate(loaded, rows, settings(text_normalization=name)) for name in ("nfc", "whitespace"))
    assert raw.rows[0].characters.length == 5
    assert folded.rows[0].characters.length == 3


def test_a_template_that_thinks_before_it_answers_is_refused(loaded: Loaded) -> None:
    loaded.processor.chat_template += "{%- if add_generation_prompt -%}<think>{% endif -%}"
    with pytest.raises(Exception, match="must write the answer straight after the question"):
        Chat(loaded.processor, "Read.")
