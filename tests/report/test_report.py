"""The report: what it says, that it needs nothing from outside, and that the same study gives the same bytes."""

from __future__ import annotations

import base64
import csv
import hashlib
import json
import subprocess
import sys
from pathlib import Path

import optuna
import pytest

from hpsearch.report.analyze import AnalysisResult, analyze_study
from hpsearch.report.study import SECTIONS, headline, versions
from hpsearch.report.summary import summarize
from hpsearch.study import attributes as attrs
from tests.conftest import Golden
from tests.report.pages import read_page, rendered
from tests.report.sample_studies import PREPARED, foreign_study, sample_study


def analyzed(study: optuna.Study, output_dir: Path, study_dir: Path | None = None) -> tuple[AnalysisResult, str]:
    result = analyze_study(study, study_dir=study_dir, output_dir=output_dir, png=False)
    return result, result.report.read_text(encoding="utf-8")


def test_headings(study: optuna.Study, study_dir: Path, tmp_path: Path, golden: Golden) -> None:
    _, html = analyzed(study, tmp_path / "report", study_dir)
    golden.check("report_headings.txt", "\n".join(read_page(html).headings) + "\n")


def test_the_page_is_well_formed_and_its_links_lead_somewhere(study: optuna.Study, tmp_path: Path) -> None:
    _, html = analyzed(study, tmp_path)
    page = read_page(html)
    assert page.unclosed == []
    ids = {value for _, name, value in page.attributes if name == "id"}
    targets = {value.removeprefix("#") for _, name, value in page.attributes if name == "href"}
    assert targets == {key for key, _ in SECTIONS}
    assert targets <= ids


def test_it_opens_with_base_default_and_best(study: optuna.Study, study_dir: Path, tmp_path: Path) -> None:
    _, html = analyzed(study, tmp_path / "report", study_dir)
    text = read_page(html).text
    places = [text.index(words) for words in ("Base\n", "Default\n", "Best\n", "Best configuration\n", "Best trials\n")]
    assert places == sorted(places)
    for words in ("searched CER", "held out", "0.9140", "0.9210", "better than default", "held out: "):
        assert words in text[: places[-1]], words


def test_it_names_what_decided_the_results(study: optuna.Study) -> None:
    study.set_user_attr(attrs.PREPARED, PREPARED | {"data_revision": "0123abc"})
    told = dict(versions(summarize(study)))
    assert told["data"] == "asset:digits"
    assert told["data revision"] == "0123abc"
    assert told["rows"] == "320 train, 64 validation, 64 holdout"


def test_the_headline_compares_nothing(study: optuna.Study) -> None:
    summary = summarize(study)
    assert summary.best and summary.best.trial
    assert headline(summary).startswith(f"Trial {summary.best.trial.label} has the best CER on the validation rows, 0.")
    assert headline(summarize(optuna.create_study())) == "No trial has completed with a finite value yet."


def test_a_verdict_says_when_nothing_beats_the_base() -> None:
    study = sample_study()
    study.set_user_attr(attrs.PREPARED, PREPARED | {"base": {"eval_cer": 0.0, "holdout_cer": 0.0}})
    verdicts = {one.key: one for one in summarize(study).verdicts}
    assert verdicts["none_better"].kind == verdicts["against_base"].kind == "bad"
    assert "higher learning rates" in verdicts["none_better"].text


def test_failures_have_messages_and_remedies(study: optuna.Study, tmp_path: Path) -> None:
    _, html = analyzed(study, tmp_path)
    text = read_page(html).text
    assert "Out of GPU memory · 1" in text
    assert "CUDA out of memory. Tried to allocate 1.2 GiB" in text
    assert "raise gradient_accumulation_steps" in text


def test_samples_mark_the_characters_that_differ(study: optuna.Study, study_dir: Path, tmp_path: Path) -> None:
    _, html = analyzed(study, tmp_path / "report", study_dir)
    assert "<span>9921</span><span>99<mark>7</mark>1</span>" in html
    assert "<span>66</span><span><del>66</del></span>" in html
    assert "read 1 of 6 pages perfectly" in html and '<a href="pages.html">' in html
    assert "predictions.jsonl" not in html
    _, html = analyzed(study, tmp_path / "other")
    assert "folder was not given" in html


def test_the_same_study_gives_the_same_bytes(study_dir: Path, tmp_path: Path) -> None:
    first, _ = analyzed(sample_study(), tmp_path / "one", study_dir)
    second, _ = analyzed(sample_study(), tmp_path / "two", study_dir)
    for left, right in zip(first.files, second.files, strict=True):
        assert left.read_bytes() == right.read_bytes(), left.name


def test_nothing_is_loaded_and_only_our_scripts_run(study: optuna.Study, tmp_path: Path) -> None:
    _, html = analyzed(study, tmp_path)
    page = read_page(html)
    assert page.policy.startswith("default-src 'none'; script-src 'sha256-")
    assert "unsafe-eval" not in page.policy and "script-src 'unsafe-inline'" not in page.policy
    hashes = [base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in page.scripts[1:]]
    assert [f"'sha256-{value}'" for value in hashes] == page.policy.split(";")[1].split()[1:]
    outside = [item for item in page.attributes if item[1] in ("src", "href", "action", "data") and item[2][:1] != "#"]
    assert outside == []
    assert not {"link", "iframe", "img", "object", "base"} & set(page.elements)
    assert not [name for _, name, _ in page.attributes if name.startswith("on") or name == "style"]


@pytest.mark.parametrize("kind", ["another script's", "empty", "one trial", "all failed"])
def test_odd_studies_have_a_report(kind: str, tmp_path: Path) -> None:
    failed = optuna.create_study()
    failed.add_trial(optuna.trial.create_trial(state=optuna.trial.TrialState.FAIL))
    made = {
        "another script's": foreign_study(),
        "empty": optuna.create_study(),
        "one trial": sample_study("one", 1),
        "all failed": failed,
    }
    result, html = analyzed(made[kind], tmp_path)
    page = read_page(html)
    assert page.unclosed == []
    assert page.headings[1] == "## Base, default and best"
    assert result.lines()
    json.loads((tmp_path / "report.json").read_text(encoding="utf-8"))


def test_a_thousand_trials_fit_ten_megabytes(tmp_path: Path) -> None:
    result, html = analyzed(sample_study("big", 1000), tmp_path)
    assert result.report.stat().st_size < 10_000_000
    assert len((tmp_path / "trials.csv").read_text(encoding="utf-8").splitlines()) == 1002
    assert "10 of " in html


def test_the_csv_has_every_attempt_in_full(study: optuna.Study, tmp_path: Path) -> None:
    analyzed(study, tmp_path)
    with (tmp_path / "trials.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert len(rows) == len(study.trials)
    best = rows[study.best_trial.number]
    assert float(best["value"]) == study.best_value
    assert float(best["param learning_rate"]) == study.best_params["learning_rate"]
    assert rows[-1]["root"] == "17" and rows[-1]["attempt"] == "2"


def test_report_json_is_strict_and_complete(tmp_path: Path) -> None:
    analyzed(foreign_study(), tmp_path)
    record = json.loads((tmp_path / "report.json").read_text(encoding="utf-8"), parse_constant=pytest.fail)
    assert record["best"]["value"] == record["statistics"]["minimum"]
    assert len(record["rows"]) == 28
    assert set(record["rows"][0]) == {
        *("number", "state", "cause", "message", "value", "params", "metrics", "holdout_value", "duration_s", "gpus"),
        *("start", "end", "seed", "root", "attempt", "is_default", "first", "repeats", "steps"),
        "folder",
    }
    assert record["counts"]["not_finite"] == 6


def test_the_terminal_shows_the_same(study: optuna.Study, tmp_path: Path) -> None:
    result, _ = analyzed(study, tmp_path)
    text = "\n".join(result.lines(120))
    for words in ("digits-ocr: CER (lower is better)", "base", "default", "best", "learning_rate", "pruned", "median"):
        assert words in text
    assert max(map(len, result.lines(80))) <= 80


def test_figures_are_drawn_in_a_browser_without_network(
    study: optuna.Study, study_dir: Path, tmp_path: Path, chromium: str
) -> None:
    result, _ = analyzed(study, tmp_path / "report", study_dir)
    document = read_page(rendered(chromium, result.report.as_uri(), tmp_path / "profile"))
    assert ("html", "data-drawn", "true") in document.attributes
    plots = {value for _, name, value in document.attributes if name == "id" and value.startswith("plot-")}
    keys = ("history", "importance", "slice", "parallel", "intermediate", "timeline")
    assert plots == {f"plot-{key}" for key in keys}
    assert document.attributes.count(("svg", "class", "main-svg")) >= len(keys)
    assert document.elements["button"] == 7


def test_pictures_of_the_figures(tmp_path: Path, chromium: str) -> None:
    pytest.importorskip("kaleido", reason="kaleido is not installed, so no PNG is made here")
    result = analyze_study(sample_study("few", 6), study_dir=None, output_dir=tmp_path)
    assert result.notes == ()
    pictures = [path for path in result.files if path.suffix == ".png"]
    assert {path.stem for path in pictures} == {"history", "slice", "parallel", "intermediate", "timeline"}
    assert all(path.read_bytes().startswith(b"\x89PNG") for path in pictures)


def test_without_a_browser_the_report_stands(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("kaleido", reason="kaleido is not installed, so its missing browser cannot be met")
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "none"))
    stale = tmp_path / "figures" / "history.png"
    stale.parent.mkdir()
    stale.write_bytes(b"of an earlier run")
    result = analyze_study(sample_study("few", 6), study_dir=None, output_dir=tmp_path)
    assert result.notes == ("No PNG of the figures: no browser was found; install Chromium or Chrome.",)
    assert [path.name for path in result.files] == ["index.html", "trials.csv", "report.json"]
    assert not stale.exists()


def test_a_browser_that_hangs_is_given_up(tmp_path: Path, study: optuna.Study) -> None:
    from hpsearch.report.figures import study_figures
    from hpsearch.report.png import write_pngs

    files, note = write_pngs(study_figures(study, summarize(study)), tmp_path, timeout_s=0.01)
    assert files == () and note == "No PNG of the figures: the browser did not finish within 0.01 s."


def test_importing_the_service_loads_nothing_heavy() -> None:
    heavy = ("optuna", "plotly", "jinja2", "kaleido", "rich", "jiwer", "numpy")
    code = f"import sys, hpsearch.report.analyze; print([name for name in {heavy} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
