"""Studies side by side."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import optuna
import pytest

from hpsearch.errors import UsageError
from hpsearch.report.analyze import compare_studies
from hpsearch.report.compare import best_places, spaces, verdict
from hpsearch.report.summary import summarize
from hpsearch.study import attributes as attrs
from tests.report.pages import read_page
from tests.report.sample_studies import PREPARED, foreign_study, sample_study


def test_the_table_has_a_row_for_each_study_with_numbers_in_full(tmp_path: Path) -> None:
    studies = [sample_study(), sample_study("second", 25, 5), foreign_study(), optuna.create_study(study_name="empty")]
    result = compare_studies(studies, output_dir=tmp_path, png=False)
    with (tmp_path / "comparison.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["study"] for row in rows] == ["digits-ocr", "second", "old-search", "empty"]
    assert float(rows[0]["best"]) == studies[0].best_value
    assert rows[3]["best"] == ""
    record = json.loads((tmp_path / "comparison.json").read_text(encoding="utf-8"))
    assert record["studies"][1]["best"]["value"] == studies[1].best_value
    page = read_page(result.report.read_text(encoding="utf-8"))
    assert page.unclosed == []
    assert [path.name for path in result.files] == ["comparison.html", "comparison.csv", "comparison.json"]
    assert any("digits-ocr" in line and "0.9140" in line for line in result.lines(80))


def test_the_verdict_names_the_best_and_by_how_much() -> None:
    summaries = [summarize(sample_study()), summarize(sample_study("second", 25, 5))]
    sentence, held_out, *others = verdict(summaries)
    winner = min(summaries, key=lambda summary: summary.best.value if summary.best and summary.best.value else 9)
    assert sentence.startswith(f"{winner.name} has the best CER on the validation rows") and "against" in sentence
    assert held_out.startswith("On held-out rows it is ") and "No interval, so this may be luck" in held_out
    assert all("held-out rows, which chose nothing" in line for line in others)
    assert best_places(summaries) == {summaries.index(winner)}


def test_different_objectives_and_data_are_reported() -> None:
    other = sample_study("other")
    other.set_user_attr(attrs.PREPARED, PREPARED | {"fingerprint": "another"})
    sentences = verdict([summarize(sample_study()), summarize(other), summarize(foreign_study())])
    assert any("different objectives" in sentence for sentence in sentences)
    assert any("different data" in sentence for sentence in sentences)
    assert not any("best CER" in sentence for sentence in sentences)
    assert best_places([summarize(sample_study()), summarize(other)]) == set()


def test_each_objective_has_a_race_of_its_own(tmp_path: Path) -> None:
    result = compare_studies(
        [sample_study(), foreign_study(), sample_study("second", 9)], output_dir=tmp_path, png=False
    )
    headings = read_page(result.report.read_text(encoding="utf-8")).headings
    assert [heading for heading in headings if "so far" in heading] == [
        "## Best so far", "### CER: best so far", "### value: best so far",
    ]  # fmt: skip


def test_spaces_say_who_searched_what() -> None:
    table = dict(spaces([summarize(sample_study()), summarize(foreign_study())]))
    assert table["lora_r"][0][0] == "{8, 16, 32, 64}" and table["lora_r"][1] == ("not searched", "")
    assert table["lr"][1][0] == "1e-05 … 0.01 (log)"


def test_a_study_with_several_objectives_is_left_out_with_a_note(tmp_path: Path) -> None:
    several = optuna.create_study(study_name="pareto", directions=["minimize", "minimize"])
    result = compare_studies([several, sample_study()], output_dir=tmp_path, png=False)
    assert result.notes == ("pareto is left out: it has several objectives.",)
    assert [summary.name for summary in result.summaries] == ["digits-ocr"]
    with pytest.raises(UsageError, match="one objective"):
        compare_studies([several], output_dir=tmp_path, png=False)


def test_empty_studies_alone_can_be_compared(tmp_path: Path) -> None:
    result = compare_studies([optuna.create_study(), optuna.create_study()], output_dir=tmp_path, png=False)
    assert "No trial for value has completed." in result.report.read_text(encoding="utf-8")
