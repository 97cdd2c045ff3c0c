"""What hpsearch adds to optuna-dashboard's answers: notes, an attribute for each metric, predictions, pictures of the
worst pages, the report, and a banner. All of it is made when a page asks for it; nothing is stored."""

from __future__ import annotations

import base64
import csv
import io
import json
import re
from collections import Counter
from collections.abc import Callable, Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from hpsearch.data.predictions import Prediction, read_predictions
from hpsearch.errors import UsageError
from hpsearch.execution.job import PREDICTIONS_FILE
from hpsearch.report.note import study_note, trial_note
from hpsearch.report.page_pictures import PagePictures
from hpsearch.report.rows import TrialRow
from hpsearch.report.samples import trial_folder
from hpsearch.report.summary import StudySummary, summarize
from hpsearch.report.text import csv_cell, visible
from hpsearch.study import attributes as attrs
from hpsearch.study.folders import study_folders

if TYPE_CHECKING:
    from optuna.storages import BaseStorage

    from hpsearch.report.dashboard_guard import Application, Headers

_LONGEST = 80  # characters of an attribute's value; the page does not wrap it
_LONGEST_NAME = 40
_MOST_ROWS = 2000
_PICTURES = 3  # worst pages of a trial
_EDGE = 1600
_REPORT_FILE = re.compile(r"(?:index|pages(?:-\d+-\d+)?)\.html")
# An opaque origin: a script in a report cannot ask this server for anything.
_SANDBOX = "sandbox allow-scripts allow-popups"
_BANNER = b"""<style>
#hpsearch-read-only { position: fixed; bottom: 0; left: 0; right: 0; z-index: 2000; padding: 4px 12px;
  background: #7a4a00; color: #fff; font: 14px sans-serif; text-align: center; }
body { padding-bottom: 32px; }
[aria-label="delete study"], [aria-label="rename study"], [aria-label="delete artifact"],
button:has(svg[data-testid="EditIcon"]),
.MuiCard-root .MuiCard-root:has(svg[data-testid="UploadFileIcon"]) { display: none !important; }
</style>
<div id="hpsearch-read-only" role="note">Read-only: this dashboard shows studies; nothing in it can be changed or
deleted. Notes are generated.</div>
"""


class _Answer(NamedTuple):
    """A whole answer."""

    status: str
    headers: Headers
    body: bytes


_NOT_FOUND = _Answer("404 Not Found", [("Content-Type", "text/plain; charset=utf-8")], b"Not found.\n")


@dataclass(frozen=True)
class StudyView:
    """A WSGI application that passes reading requests on to optuna-dashboard and completes its answers. ``storage`` is
    the one that it shows, ``base`` the folder of the studies' folders, ``command`` the command line of a verb and a
    study."""

    application: Application
    storage: BaseStorage
    base: Path
    command: Callable[[str, str], str]
    _summaries: dict[int, tuple[str, StudySummary]] = field(default_factory=dict)
    _artifacts: dict[tuple[int, int], list[dict[str, Any]]] = field(default_factory=dict)  # of finished trials

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request."""
        path = environ.get("PATH_INFO", "").rstrip("/")
        if match := re.fullmatch(r"/artifacts/(\d+)/(?:\d+/)?([0-9a-f]+)-(\d+)", path):
            answer = self._artifact(int(match[1]), int(match[2], 16), int(match[3]))
        elif match := re.fullmatch(r"/hpsearch/report/(\d+)/([^/]+)", path):
            answer = self._report(int(match[1]), match[2])
        elif environ["REQUEST_METHOD"] != "GET" or (change := self._change(path)) is None:
            return self.application(environ, start_response)
        else:
            for name in ("HTTP_IF_MODIFIED_SINCE", "HTTP_IF_NONE_MATCH", "HTTP_RANGE"):
                environ.pop(name, None)  # they are about the page without its additions
            answer = _changed(collected(self.application, environ), change)
        headers = [(name, value) for name, value in answer.headers if name.lower() not in _OF_THE_BODY]
        start_response(answer.status, [*headers, ("Content-Length", str(len(answer.body)))])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else answer.body]

    def _change(self, path: str) -> Callable[[bytes], bytes] | None:
        """Return how the answer to this path is changed; None if it is not."""
        if path.startswith("/dashboard"):
            return lambda body: body.replace(b"<body>", b"<body>" + _BANNER, 1)
        if path == "/api/meta":
            return _of_json(lambda values: values.update(artifact_is_available=True))
        if path == "/api/studies":
            return _of_json(_shorten_all)
        match = re.fullmatch(r"/api/studies/(\d+)", path)
        return _of_json(lambda values: self._complete(int(match[1]), values)) if match else None

    def _complete(self, study_id: int, values: dict[str, Any]) -> None:
        """Complete the answer about a study and its trials."""
        _shorten(values)
        listed = [*values["trials"], *values["best_trials"]]
        for trial in listed:
            trial["artifacts"] = []  # another program's, whose store is not known here
            _shorten(trial)
        values["artifacts"] = []
        try:
            summary, folder = self._read(study_id)
        except UsageError:  # several objectives: there is nothing to say of a best trial
            return
        names = {name[:_LONGEST_NAME] for row in summary.rows for name in row.metrics}
        known = {one["key"]: one for one in values["union_user_attrs"] if one["key"] != attrs.METRICS}
        added = [{"key": name, "sortable": True} for name in sorted(names) if name not in known]
        values["union_user_attrs"] = [*known.values(), *added]
        report = folder / "report" / "index.html" if folder else None
        link = f"/hpsearch/report/{study_id}/index.html" if report is not None and report.is_file() else ""
        if not values["note"]["body"].strip():
            command = self.command
            values["note"]["body"] = study_note(summary, lambda verb: command(verb, summary.name), folder, link)
        for trial in listed:
            row = summary.rows[trial["number"]] if trial["number"] < len(summary.rows) else None
            if row is None:  # it was made since
                continue
            own = {one["key"] for one in trial["user_attrs"]}
            metrics = {name[:_LONGEST_NAME]: value for name, value in row.metrics.items()}
            scores = [{"key": name, "value": f"{value:.6g}"} for name, value in metrics.items() if name not in own]
            trial["user_attrs"] = [*scores, *trial["user_attrs"]]
            trial["artifacts"] = self._listed(study_id, row, folder)
            if not trial["note"]["body"]:
                trial["note"]["body"] = trial_note(row, summary, folder)
        if summary.best and summary.best.trial:
            values["artifacts"] = self._listed(study_id, summary.best.trial, folder)

    def _read(self, study_id: int) -> tuple[StudySummary, Path | None]:
        """Return a study's summary, and its folder if that is here and its own."""
        import optuna

        study = optuna.load_study(study_name=self.storage.get_study_name_from_id(study_id), storage=self.storage)
        own, folder = study.user_attrs.get(attrs.ID), None
        with suppress(UsageError):  # a link that leads elsewhere
            folders = study_folders(self.base, study.study_name)
            folder = folders.root if own and folders.marker == own else None
        states = Counter(trial.state.name for trial in study.get_trials(deepcopy=False))
        seen = repr((sorted(states.items()), study.user_attrs.get(attrs.CONFIRMED), folder))
        known = self._summaries.get(study_id)
        if known is None or known[0] != seen:  # what scores are worth takes a while to compute, and a page asks often
            known = self._summaries[study_id] = (seen, summarize(study, study_dir=folder))
        return known[1], folder

    def _listed(self, study_id: int, row: TrialRow, folder: Path | None) -> list[dict[str, Any]]:
        """Return a trial's artifacts: the table of its predictions, and its worst pages where pictures are kept."""
        key = (study_id, row.number)
        if key in self._artifacts:
            return self._artifacts[key]
        place = trial_folder(row, folder)
        names: list[tuple[str, str]] = []
        if place is not None and (place / PREDICTIONS_FILE).is_file():
            names = [("predictions.csv", "text/csv")]
            if folder is not None and (folder / "prepared" / "validation.arrow").is_file():
                names += [(f"worst-page-{rank}.jpg", "image/jpeg") for rank in range(1, _PICTURES + 1)]
        listed = [
            {"artifact_id": f"{row.number:x}-{kind}", "filename": name, "mimetype": mime, "encoding": None}
            for kind, (name, mime) in enumerate(names)
        ]
        if row.ending.group != "open":
            self._artifacts[key] = listed
        return listed

    def _artifact(self, study_id: int, number: int, kind: int) -> _Answer:
        """Answer with a trial's predictions, the worst first, or with the picture of one of its worst pages."""
        try:
            summary, folder = self._read(study_id)
        except (KeyError, UsageError):
            return _NOT_FOUND
        place = trial_folder(summary.rows[number], folder) if number < len(summary.rows) else None
        if place is None or folder is None:
            return _NOT_FOUND
        texts = read_predictions(place / PREDICTIONS_FILE, skip_bad=True, most=_MOST_ROWS)
        texts.sort(key=lambda text: -text.rate)
        if kind == 0 and texts:
            return _Answer("200 OK", [("Content-Type", "text/csv; charset=utf-8")], _table(texts))
        if not 0 < kind <= min(_PICTURES, len(texts)):
            return _NOT_FOUND
        # A storage may hold another's definition, which may name any file of this machine: so own=False.
        pictures, text = PagePictures(folder, summary.definition, own=False), texts[kind - 1]
        picture = pictures.data_url(text, pictures.original(text, place), _EDGE)
        body = base64.b64decode(picture.partition(",")[2])
        return _Answer("200 OK", [("Content-Type", "image/jpeg")], body) if body else _NOT_FOUND

    def _report(self, study_id: int, name: str) -> _Answer:
        """Answer with a file of the study's report."""
        try:
            _, folder = self._read(study_id)
            if folder is None or not _REPORT_FILE.fullmatch(name):
                return _NOT_FOUND
            body = (folder / "report" / name).read_bytes()
        except (KeyError, UsageError, OSError):
            return _NOT_FOUND
        kind = [("Content-Type", "text/html; charset=utf-8"), ("Content-Security-Policy", _SANDBOX)]
        return _Answer("200 OK", kind, body)


_OF_THE_BODY = ("content-length", "etag", "last-modified", "accept-ranges")


def collected(application: Application, environ: dict[str, Any]) -> _Answer:
    """Return an application's whole answer."""
    started: list[tuple[str, Headers]] = []

    def start(status: str, headers: Headers, *_: Any) -> None:
        started.append((status, headers))

    answer = application(environ, start)
    try:
        body = b"".join(answer)
    finally:
        if hasattr(answer, "close"):
            answer.close()
    return _Answer(*started[-1], body)


def _changed(answer: _Answer, change: Callable[[bytes], bytes]) -> _Answer:
    return answer._replace(body=change(answer.body)) if answer.status.startswith("200") else answer


def _of_json(change: Callable[[Any], object]) -> Callable[[bytes], bytes]:
    """Return a change of JSON text by one of its values."""

    def changed(body: bytes) -> bytes:
        values = json.loads(body)
        change(values)
        return json.dumps(values).encode()

    return changed


def _shorten(values: dict[str, Any]) -> None:
    """Leave out hpsearch's structured attributes, which notes and the report show, and cut long values."""
    values["user_attrs"] = [
        {"key": one["key"], "value": _short(one["value"])}
        for one in values["user_attrs"]
        if not (one["key"].startswith("hps:") and one["value"].startswith("{"))
    ]


def _shorten_all(values: dict[str, Any]) -> None:
    for study in values["study_summaries"]:
        _shorten(study)


def _short(text: str) -> str:
    shown = visible(text)
    return shown if len(shown) <= _LONGEST else f"{shown[: _LONGEST - 1]}…"


def _table(texts: Iterable[Prediction]) -> bytes:
    table = io.StringIO()
    writer = csv.writer(table)
    writer.writerow(("split", "id", "CER", "reference", "prediction"))
    for text in texts:
        cells = (text.split, text.id, float(f"{text.rate:.4g}"), text.reference, text.prediction)
        writer.writerow(map(csv_cell, cells))
    return table.getvalue().encode(errors="replace")
