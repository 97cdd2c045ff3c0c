"""The guard in front of the real optuna-dashboard: tables without formulas, and requests without Accept-Encoding."""

from __future__ import annotations

import csv
import io
from typing import Any
from wsgiref.util import setup_testing_defaults

import optuna
import optuna_dashboard

from hpsearch.report.dashboard_guard import ReadOnlyGuard


def ask(guard: ReadOnlyGuard, path: str) -> tuple[str, dict[str, str], bytes]:
    """The status, headers and body of the response to a request without Accept-Encoding."""
    environ: dict[str, Any] = {"PATH_INFO": path}
    setup_testing_defaults(environ)
    started: list[Any] = []
    answer: Any = guard(environ, lambda *parts: started.append(parts))
    body = b"".join(answer)
    if hasattr(answer, "close"):  # as a server does
        answer.close()
    status, headers = started[-1][:2]
    return status, dict(headers), body


def test_the_table_holds_no_formula_and_static_files_need_no_accepted_encoding() -> None:
    storage = optuna.storages.InMemoryStorage()
    study = optuna.create_study(storage=storage)
    trial = study.ask({"x": optuna.distributions.CategoricalDistribution(["=1+1", "@x"])})
    trial.set_user_attr("said", '=HYPERLINK("http://host")')
    trial.set_user_attr("small", -0.5)
    study.tell(trial, -1e-05)
    guard = ReadOnlyGuard(optuna_dashboard.wsgi(storage), frozenset())
    status, headers, body = ask(guard, "/csv/0")
    assert status == "200 OK" and headers["Content-Length"] == str(len(body))
    cells = [cell for row in csv.reader(io.StringIO(body.decode(), newline="")) for cell in row]
    assert {"-1e-05", "-0.5"} <= set(cells)
    assert any(cell.startswith("'=HYPERLINK") for cell in cells)
    assert [cell for cell in cells if cell[:1] in "=+@\t\r" and cell] == []
    assert "attachment" in headers["Content-Disposition"] and headers["X-Content-Type-Options"] == "nosniff"
    for path in ("/static/bundle.js", "/favicon.ico"):
        assert ask(guard, path)[0] == "200 OK"
    assert ask(guard, "/csv/7")[0].startswith("404")
