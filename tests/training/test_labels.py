"""Labels are plain text for the tokenizer, and what a model cannot write is no reference."""

from __future__ import annotations

from pathlib import Path

from hpsearch.settings import TrainSettings
from hpsearch.training.backends import BACKENDS, Training
from hpsearch.training.evaluate.batches import EvaluationBatches
from hpsearch.training.models.chat import Chat, special_tokens
from hpsearch.training.models.families import FAMILIES
from hpsearch.training.prepared import PreparedRow, table_of, training_rows
from hpsearch.training.schedule import Batching
from tests.training.conftest import picture


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
