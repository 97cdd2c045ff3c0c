"""What is added to the answers of the real optuna-dashboard: notes, metrics, predictions, the report, a banner."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from wsgiref.util import setup_testing_defaults

import optuna
import optuna_dashboard
import pytest

from hpsearch.report.dashboard_view import StudyView
from hpsearch.study import attributes as attrs
from hpsearch.study.folders import MARKER
from tests.report.sample_studies import sample_study, write_predictions


def ask(view: StudyView, path: str, method: str = "GET") -> tuple[str, dict[str, str], bytes]:
    """The status, headers and body of the response to a request."""
    environ: dict[str, Any] = {"PATH_INFO": path, "REQUEST_METHOD": method, "HTTP_ACCEPT_ENCODING": "identity"}
    setup_testing_defaults(environ)
    started: list[Any] = []
    answer: Any = view(environ, lambda *parts: started.append(parts))
    body = b"".join(answer)
    if hasattr(answer, "close"):  # as a server does
        answer.close()
    return started[-1][0], dict(started[-1][1]), body


def view_of(study: optuna.Study, base: Path) -> StudyView:
    storage = study._storage
    return StudyView(
        optuna_dashboard.wsgi(storage), storage, base, lambda verb, name: f"hpsearch {verb} --study {name}"
    )


@pytest.fixture
def study(tmp_path: Path) -> optuna.Study:
    """A study whose best trial has predictions; its folder holds a report too."""
    made = sample_study()
    made.set_user_attr(attrs.ID, "an id")
    folder = tmp_path / made.study_name
    write_predictions(folder / f"trial_{made.best_trial.number}", [("ab", "ab"), ("=1+1", "=1-1"), ("cd", "xy")])
    (folder / MARKER).write_text("an id\n")
    (folder / "report").mkdir()
    (folder / "report" / "index.html").write_text("<p>the report")
    (folder / "report" / "report.json").write_text("{}")
    return made


def detail(view: StudyView) -> dict[str, Any]:
    status, headers, body = ask(view, "/api/studies/0")
    assert (status, headers["Content-Length"]) == ("200 OK", str(len(body)))
    values: dict[str, Any] = json.loads(body)
    return values


def test_a_study_has_a_note_and_each_trial_too_and_nothing_is_stored(study: optuna.Study, tmp_path: Path) -> None:
    before = json.dumps([study._storage.get_study_system_attrs(0), study.user_attrs])
    view, best = view_of(study, tmp_path), study.best_trial
    values = detail(view)
    note = values["note"]["body"]
    assert f"Trial {best.number} has the best CER" in note and f"| best | {best.number} |" in note
    assert "    hpsearch confirm --study digits-ocr\n" in note
    assert "[open it](/hpsearch/report/0/index.html)" in note
    own = values["trials"][best.number]["note"]["body"]
    assert own.startswith(f"Trial {best.number}, the best trial: completed.") and "(predictions.jsonl)" in own
    assert "exit code 1: ValueError: image is truncated" in values["trials"][3]["note"]["body"]
    assert json.dumps([study._storage.get_study_system_attrs(0), study.user_attrs]) == before


def test_each_metric_is_an_attribute_and_no_value_is_wide(study: optuna.Study, tmp_path: Path) -> None:
    study.set_user_attr("said", "word " * 100)
    values = detail(view_of(study, tmp_path))
    shown = {one["key"]: one["value"] for one in values["trials"][study.best_trial.number]["user_attrs"]}
    metrics = study.best_trial.user_attrs[attrs.METRICS]
    assert {name: f"{value:.6g}" for name, value in metrics.items()}.items() <= shown.items()
    columns = {one["key"]: one["sortable"] for one in values["union_user_attrs"]}
    assert columns["eval_cer"] is True and attrs.METRICS not in columns | shown
    listed = json.loads(ask(view_of(study, tmp_path), "/api/studies")[2])["study_summaries"]
    for owner in (values, *values["trials"], *values["best_trials"], *listed):
        assert max((len(one["value"]) for one in owner["user_attrs"]), default=0) <= 80


def test_predictions_are_a_table_without_formulas_the_worst_first(study: optuna.Study, tmp_path: Path) -> None:
    view = view_of(study, tmp_path)
    assert json.loads(ask(view, "/api/meta")[2])["artifact_is_available"] is True
    values, number = detail(view), study.best_trial.number
    (table,) = values["trials"][number]["artifacts"]
    assert (table["filename"], values["artifacts"]) == ("predictions.csv", [table])
    for path in (f"/artifacts/0/{table['artifact_id']}", f"/artifacts/0/{number}/{table['artifact_id']}"):
        status, headers, body = ask(view, path)
        assert (status, headers["Content-Type"]) == ("200 OK", "text/csv; charset=utf-8")
        assert "Access-Control-Allow-Origin" not in headers
        lines = body.decode().splitlines()
        assert lines[0] == "split,id,CER,reference,prediction"
        assert [line.split(",")[1] for line in lines[1:]] == ["2", "1", "0"]
        assert "'=1+1,'=1-1" in lines[2]
    assert ask(view, f"/artifacts/0/{table['artifact_id']}", "HEAD")[2] == b""
    for path in (f"{number:x}-1", "3-0", "fff-0"):
        assert ask(view, f"/artifacts/0/{path}")[0].startswith("404")
    assert ask(view, "/artifacts/9/0-0")[0].startswith("404")


def test_the_report_is_served_in_a_sandbox_and_no_other_file(study: optuna.Study, tmp_path: Path) -> None:
    view = view_of(study, tmp_path)
    status, headers, body = ask(view, "/hpsearch/report/0/index.html")
    assert (status, body) == ("200 OK", b"<p>the report")
    assert headers["Content-Security-Policy"].startswith("sandbox ") and "same-origin" not in str(headers)
    for name in ("0/report.json", "0/..", "0/pages.html", "7/index.html"):
        assert ask(view, f"/hpsearch/report/{name}")[0].startswith("404"), name


def test_a_folder_of_another_study_is_not_read(study: optuna.Study, tmp_path: Path) -> None:
    (tmp_path / study.study_name / MARKER).write_text("another id\n")
    view = view_of(study, tmp_path)
    values = detail(view)
    assert values["artifacts"] == [] and "Report:" not in values["note"]["body"]
    assert ask(view, f"/artifacts/0/{study.best_trial.number:x}-0")[0].startswith("404")
    assert ask(view, "/hpsearch/report/0/index.html")[0].startswith("404")


def test_notes_that_a_person_wrote_stay(study: optuna.Study, tmp_path: Path) -> None:
    optuna_dashboard.save_note(study, "mine")
    study._storage.set_study_system_attr(0, "dashboard:3:note_ver", 1)
    study._storage.set_study_system_attr(0, "dashboard:3:note_str:0", "of trial 3")
    values = detail(view_of(study, tmp_path))
    assert (values["note"]["body"], values["trials"][3]["note"]["body"]) == ("mine", "of trial 3")


def test_a_study_with_several_objectives_is_shown_as_it_is(tmp_path: Path) -> None:
    study = optuna.create_study(directions=["minimize", "maximize"])
    study.add_trial(optuna.trial.create_trial(values=[1.0, 2.0]))
    values = detail(view_of(study, tmp_path))
    assert (values["note"]["body"], len(values["trials"])) == ("", 1)


def test_every_page_says_that_it_is_read_only(study: optuna.Study, tmp_path: Path) -> None:
    for path in ("/dashboard", "/dashboard/studies/0"):
        status, headers, body = ask(view_of(study, tmp_path), path)
        assert status == "200 OK" and b"Read-only" in body and int(headers["Content-Length"]) == len(body)
        assert "Last-Modified" not in headers and "ETag" not in headers
