"""The file of pages: texts aligned, pictures within their bounds, and two trials beside each other."""

from __future__ import annotations

import base64
import io
import json
import os
from pathlib import Path

import optuna
import pytest
from PIL import Image

from hpsearch.data.predictions import read_predictions
from hpsearch.errors import UsageError
from hpsearch.report.alignment import AlignedRun, align_readings
from hpsearch.report.analyze import analyze_study
from hpsearch.report.page_pictures import PagePictures
from hpsearch.report.pages import MOST_BYTES, READING_EDGE, THUMB_EDGE
from tests.report.pages import Page, read_page, rendered
from tests.report.sample_studies import DEFINITION, sample_study

COUNT = 90


def picture(edge: int, noise: bool = False) -> bytes:
    """An encoded picture; one of noise is as large as a picture can be."""
    target = io.BytesIO()
    size = (edge, edge // 2)
    shown = Image.frombytes("RGB", size, os.urandom(3 * size[0] * size[1])) if noise else Image.new("RGB", size, "red")
    shown.save(target, "JPEG", quality=90)
    return target.getvalue()


def judged(folder: Path, name: str, wrong: dict[int, str], *, count: int = COUNT, **more: str) -> None:
    """Write a predictions file in which only the rows of ``wrong`` are not read as they are."""
    folder.mkdir(parents=True, exist_ok=True)
    lines = [
        {"split": "validation", "id": f"rows.parquet#{number}", "reference": f"page {number} end", **more}
        | {"prediction": wrong.get(number, f"page {number} end")}
        for number in range(count)
    ]
    (folder / name).write_text("".join(f"{json.dumps(line)}\n" for line in lines), encoding="utf-8")


@pytest.fixture
def studied(tmp_path: Path) -> tuple[optuna.Study, Path]:
    """A study whose base, default and best trial have judged the same pages."""
    study = sample_study()
    folder = tmp_path / "studies" / study.study_name
    judged(folder, "base_predictions.jsonl", dict.fromkeys(range(COUNT), ""))
    judged(folder / "trial_0", "predictions.jsonl", {3: "page 3 ent", 5: "pag 5 end"})
    judged(folder / f"trial_{study.best_trial.number}", "predictions.jsonl", {5: "pag 5 end", 7: "pagexx 7 end"})
    return study, folder


def pages_of(path: Path) -> Page:
    return read_page(path.read_text(encoding="utf-8"))


def order_of(page: Page) -> list[int]:
    """The pages' numbers, as they follow each other."""
    return [int(value) for _, name, value in page.attributes if name == "data-file"]


def test_all_readings_share_columns_and_each_edit_has_its_kind() -> None:
    aligned = align_readings("ab cd\nef", ["axb cd ef", "b cdd\nef"])
    first, second, last = (block.rows for line in aligned.lines for block in line)
    assert first[0] == (AlignedRun("", "a"), AlignedRun("gap", "·"), AlignedRun("", "b "))
    assert first[1] == (AlignedRun("", "a"), AlignedRun("ins", "x"), AlignedRun("", "b "))
    assert first[2] == (AlignedRun("del", "a"), AlignedRun("gap", "·"), AlignedRun("", "b "))
    assert second[1][-1] == AlignedRun("sub", "␣")  # a blank in the place of the line break
    assert second[2] == (AlignedRun("", "c"), AlignedRun("ins", "d"), AlignedRun("", "d"))
    assert last == ((AlignedRun("", "ef"),),) * 3
    assert [(edits.substituted, edits.missing, edits.extra) for edits in aligned.edits] == [(1, 0, 1), (0, 1, 1)]


def test_a_mark_is_not_parted_from_its_letter_and_empty_texts_are_fine() -> None:
    (line,) = align_readings("ଓଡ଼ିଆ", ["ଓଡିଆ"]).lines
    assert line[0].rows[1] == (AlignedRun("", "ଓ"), AlignedRun("sub", "ଡି"), AlignedRun("", "ଆ"))
    assert align_readings("", [""]).lines == ()
    (line,) = align_readings("", ["a\n"]).lines
    assert line[0].rows == ((AlignedRun("gap", "··"),), (AlignedRun("ins", "a↵"),))


def test_the_pages_of_base_default_and_best_with_pictures(studied: tuple[optuna.Study, Path], tmp_path: Path) -> None:
    pytest.importorskip("pyarrow", reason="the prepared rows are read by pyarrow")
    from hpsearch.data.prepared_rows import PreparedRow, row_file
    from hpsearch.training.prepared import write_rows

    study, folder = studied
    (folder / "prepared").mkdir()
    large, small = picture(2000), picture(300)
    rows = (PreparedRow(f"rows.parquet#{number}", large if number < 9 else small, "") for number in range(COUNT))
    write_rows(row_file(folder / "prepared", "validation"), rows)
    result = analyze_study(study, study_dir=folder, output_dir=tmp_path / "report", png=False)
    assert [path.name for path in result.files] == ["index.html", "trials.csv", "report.json", "pages.html"]

    page = pages_of(result.files[-1])
    assert page.unclosed == []
    assert order_of(page)[:2] == [7, 5]  # the worst of the best trial
    assert "read by base, default, best" in page.text
    encoded = [base64.b64decode(value.partition(",")[2]) for _, name, value in page.attributes if name == "src"]
    edges = [max(Image.open(io.BytesIO(data)).size) for data in encoded]
    assert len(edges) == COUNT and max(edges) == READING_EDGE and edges.count(THUMB_EDGE) == COUNT - 60
    html = result.report.read_text(encoding="utf-8")
    assert read_page(html).elements["img"] == 6 and "Worst pages" in html and "Median pages" in html


def test_the_file_stays_within_its_bound(tmp_path: Path) -> None:
    study, folder = sample_study(), tmp_path / "studies"
    files = folder / "trial_0"
    judged(files, "predictions.jsonl", dict.fromkeys(range(30), "x" * 4000), count=30, image_path="page.jpg")
    (files / "page.jpg").write_bytes(picture(1700, noise=True))
    judged(
        folder / f"trial_{study.best_trial.number}", "predictions.jsonl", {}, count=30, image_path="../trial_0/page.jpg"
    )
    result = analyze_study(study, study_dir=folder, output_dir=tmp_path / "report", png=False)
    size = result.files[-1].stat().st_size
    assert MOST_BYTES / 2 < size < MOST_BYTES
    page = pages_of(result.files[-1])
    assert "reading size" in page.text and page.elements["img"] == 30
    assert ("a", "href", "../studies/trial_0/page.jpg") in {
        (tag, name, os.path.normpath(value)) for tag, name, value in page.attributes
    }


def test_two_trials_are_compared_by_what_the_second_broke(studied: tuple[optuna.Study, Path], tmp_path: Path) -> None:
    study, folder = studied
    best = study.best_trial.number
    result = analyze_study(study, study_dir=folder, output_dir=tmp_path, png=False, compared=(0, best))
    page = pages_of(tmp_path / f"pages-0-{best}.html")
    assert result.files[-1].name == f"pages-0-{best}.html"
    assert order_of(page)[0] == 7 and order_of(page)[-1] == 3  # broken, and read better
    assert f"pages that trial {best} broke (against trial 0)" in page.text


@pytest.mark.parametrize(
    ("pair", "words"),
    [((0, 99), "has no trial 99"), ((0, 0), "two different trials"), ((0, 3), "trial 3 has none (crashed)")],
)
def test_trials_that_cannot_be_compared_are_refused(
    studied: tuple[optuna.Study, Path], tmp_path: Path, pair: tuple[int, int], words: str
) -> None:
    study, folder = studied
    with pytest.raises(UsageError, match=r".*") as refused:
        analyze_study(study, study_dir=folder, output_dir=tmp_path / "report", png=False, compared=pair)
    assert words in str(refused.value) and f"0, {study.best_trial.number}" in str(refused.value)
    assert not (tmp_path / "report").exists()


def test_pictures_outside_are_not_read_for_another_ones_study(tmp_path: Path) -> None:
    study_dir = tmp_path / "study"
    (tmp_path / "secret.jpg").write_bytes(picture(50))
    judged(study_dir / "trial_0", "predictions.jsonl", {}, count=1, image_path="../../secret.jpg")
    (text,) = read_predictions(study_dir / "trial_0" / "predictions.jsonl")
    (tmp_path / "rows.json").write_text(json.dumps([{"image_path": "secret.jpg", "text": "1"}]))
    definition = DEFINITION | {"input_data": str(tmp_path / "rows.json")}
    for own in (True, False):
        pictures = PagePictures(study_dir, definition, own)
        original = pictures.original(text, study_dir / "trial_0")
        assert (original is not None) == own
        assert bool(pictures.data_url(text, original, 100)) == own


def test_a_broken_or_special_file_is_no_picture(tmp_path: Path) -> None:
    judged(tmp_path, "predictions.jsonl", {}, count=1, image_path="a.png")
    (text,) = read_predictions(tmp_path / "predictions.jsonl")
    pictures = PagePictures(tmp_path, {})
    (tmp_path / "a.png").write_bytes(b"GIF89a nothing")
    assert pictures.data_url(text, pictures.original(text, tmp_path), 100) == ""
    (tmp_path / "a.png").unlink()
    os.mkfifo(tmp_path / "a.png")
    assert pictures.original(text, tmp_path) is None


DRIVEN = """
const press = (key) => document.body.dispatchEvent(new KeyboardEvent("keydown", {key, bubbles: true}));
const set = (id, value, event) => { const box = document.getElementById(id);
  if (id === "wrong") box.checked = value; else box.value = value; box.dispatchEvent(new Event(event)); };
const state = () => [...document.querySelectorAll(".judged:not([hidden])")].map((page) => page.dataset.file).join();
const log = {};
set("wrong", true, "change"); log.wrong = state();
press("j"); press("ArrowRight"); press("k"); log.focus = document.activeElement.dataset.file;
set("order", "gained", "change"); log.gained = state();
set("wrong", false, "change"); set("filter", "page 12 end", "input"); log.filter = state();
set("filter", "pagexx", "input"); log.extra = state();
document.documentElement.dataset.log = JSON.stringify(log);
"""


def test_order_filter_and_keys_in_a_browser(studied: tuple[optuna.Study, Path], tmp_path: Path, chromium: str) -> None:
    study, folder = studied
    result = analyze_study(study, study_dir=folder, output_dir=tmp_path / "report", png=False)
    html = result.files[-1].read_text(encoding="utf-8")
    policy = html[html.index('<meta http-equiv="Content') : html.index('<meta name="viewport"')]
    driven = tmp_path / "driven.html"
    driven.write_text(
        html.replace(policy, "").replace("</body>", f"<script>{DRIVEN}</script></body>"), encoding="utf-8"
    )
    document = read_page(rendered(chromium, driven.as_uri(), tmp_path / "profile"))
    log = json.loads(next(value for _, name, value in document.attributes if name == "data-log"))
    assert log == {"wrong": "7,5", "focus": "7", "gained": "5,7", "filter": "12", "extra": "7"}
