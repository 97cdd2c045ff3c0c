"""The guard in front of optuna-dashboard: read-only, by names of this machine only, and with the token if there is one;
its tables are safe in a spreadsheet.

optuna-dashboard itself lets anyone who reaches it delete studies and set trials' values.
"""

from __future__ import annotations

import csv
import hmac
import io
import ipaddress
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode

from hpsearch.errors import UsageError
from hpsearch.report.text import csv_cell

VARIABLE = "HPSEARCH_DASHBOARD_TOKEN"
SHORTEST_TOKEN = 16
HOW_TO_MAKE_ONE = "python3 -c 'import secrets; print(secrets.token_urlsafe(24))'"

Headers = list[tuple[str, str]]
Application = Callable[[dict[str, Any], Callable[..., Any]], Iterable[bytes]]

_READING = ("GET", "HEAD")
_HOST = re.compile(r"(?P<name>\[[^\[\]]+\]|[^:\[\]]+)(?::\d+)?")
_ALWAYS = (
    ("X-Content-Type-Options", "nosniff"),
    ("X-Frame-Options", "DENY"),
    ("Referrer-Policy", "no-referrer"),
    ("Cross-Origin-Resource-Policy", "same-origin"),
)
# The page's own files hold nothing of a study and may be cached; everything else is requested each time.
_CACHEABLE = "/static/"
_TABLES = "/csv/"
_NUMBER = re.compile(r"[-+]?(?:[0-9]*\.?[0-9]+(?:e[-+]?[0-9]+)?|nan|inf)", re.IGNORECASE)


class _Answer(NamedTuple):
    """A response made by the guard itself."""

    status: str
    text: str
    headers: tuple[tuple[str, str], ...] = ()


_NOT_READING = _Answer("405 Method Not Allowed", "This dashboard is read-only.\n", (("Allow", ", ".join(_READING)),))
_NOT_OURS = _Answer(
    "403 Forbidden", "This dashboard answers to the addresses and the name of its machine: open it by one of these.\n"
)
_NO_TOKEN = _Answer(
    "401 Unauthorized",
    """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>hpsearch dashboard</title>
<p>This dashboard needs its token.
<form><label>Token: <input name="token" type="password" autocomplete="off" autofocus></label>
<button>Show</button></form>
""",
    (
        ("WWW-Authenticate", 'Bearer realm="hpsearch dashboard"'),
        ("Content-Security-Policy", "default-src 'none'; form-action 'self'"),
    ),
)


@dataclass(frozen=True)
class ReadOnlyGuard:
    """A WSGI application that passes reading requests on to another. ``own_names`` are this machine's names in lower
    case, beside its addresses; with ``token``, only requests that present it are passed on.
    """

    application: Application
    own_names: frozenset[str]
    token: str | None = None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request, or pass it to the application."""

        def start(status: str, headers: Headers, *error: Any) -> Any:
            return start_response(status, [*headers, *_missing(headers, environ.get("PATH_INFO", ""))], *error)

        answer = self._own_answer(environ)
        if answer is None:
            environ.setdefault("HTTP_ACCEPT_ENCODING", "identity")  # the dashboard fails without one
            of_table = environ.get("PATH_INFO", "").startswith(_TABLES)
            return _without_formulas(self.application, environ, start) if of_table else self.application(environ, start)
        body = answer.text.encode()
        kind = "text/html" if answer is _NO_TOKEN else "text/plain"
        about = (("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(body))))
        start(answer.status, [*answer.headers, *about])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    def _own_answer(self, environ: Mapping[str, Any]) -> _Answer | None:
        """Return the response to a request that is not passed on."""
        if environ["REQUEST_METHOD"] not in _READING:
            return _NOT_READING
        if not self._is_ours(environ.get("HTTP_HOST", "")):
            return _NOT_OURS
        return None if self.token is None else _answer_about_token(environ, self.token)

    def _is_ours(self, host: str) -> bool:
        """Return False if another site may have sent this request by pointing its own name at this machine (DNS
        rebinding). An address cannot be redirected, and the port, which forwarding changes, proves nothing.
        """
        match = _HOST.fullmatch(host)
        if match is None:
            return False
        try:
            ipaddress.ip_address(match["name"].strip("[]"))
        except ValueError:
            return match["name"].lower() in self.own_names
        return True


def _without_formulas(
    application: Application, environ: dict[str, Any], start_response: Callable[..., Any]
) -> Iterable[bytes]:
    """Answer with the application's CSV, in which no text is a formula to a spreadsheet."""
    started: list[tuple[str, Headers]] = []

    def start(status: str, headers: Headers, *_: Any) -> None:
        started.append((status, headers))

    body = b"".join(application(environ, start))
    status, headers = started[-1]
    if status.startswith("200"):
        made = io.StringIO()
        rows = csv.reader(io.StringIO(body.decode(errors="replace"), newline=""))
        csv.writer(made).writerows(
            [cell if _NUMBER.fullmatch(cell) else csv_cell(cell) for cell in row] for row in rows
        )
        body = made.getvalue().encode()
        headers = [(name, value) for name, value in headers if name.lower() != "content-length"]
        headers += [] if environ["REQUEST_METHOD"] == "HEAD" else [("Content-Length", str(len(body)))]
    start_response(status, headers)
    return [body]


def read_token(file: Path | None) -> str | None:
    """Read the token in ``file``, or else in HPSEARCH_DASHBOARD_TOKEN; None if neither is given.

    Raises:
        UsageError: it can be guessed or cannot be read; the message does not show it.
    """
    if file is None:
        token, source = os.environ.get(VARIABLE), VARIABLE
    else:
        try:
            token, source = file.read_text(encoding="utf-8").strip(), str(file)
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not text"
            raise UsageError(
                f"the token's file {file} cannot be read: {why}", f"make one: {HOW_TO_MAKE_ONE} > FILE"
            ) from None
    if token is None:
        return None
    if len(token) < SHORTEST_TOKEN or not re.fullmatch(r"[!-~]+", token):
        rule = f"a token has at least {SHORTEST_TOKEN} characters, of ASCII and without spaces, but the one in {source}"
        raise UsageError(f"{rule} does not ({len(token)} characters)", f"make one: {HOW_TO_MAKE_ONE}")
    return token


def _answer_about_token(environ: Mapping[str, Any], token: str) -> _Answer | None:
    """Return the response to a request without the token, or to one with it in its URL, which redirects without it."""
    query = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    given = next((value for name, value in query if name == "token"), None)
    cookie, mark = f"hpsearch_{environ['SERVER_PORT']}", _mark(token)
    if given is not None and _same(given, token):
        left = urlencode([pair for pair in query if pair[0] != "token"])
        kept = ("Set-Cookie", f"{cookie}={mark}; Path=/; HttpOnly; SameSite=Strict")
        return _Answer("303 See Other", "", (("Location", _path(environ) + (f"?{left}" if left else "")), kept))
    if _same(_cookie(environ, cookie), mark) or _same(environ.get("HTTP_AUTHORIZATION", ""), f"Bearer {token}"):
        return None
    return _NO_TOKEN


def _mark(token: str) -> str:
    """Return the value of the cookie: it stays valid when the dashboard is restarted, and does not reveal the token to
    other servers on this machine, to which a browser sends its cookies too."""
    return hmac.digest(token.encode(), b"hpsearch dashboard", "sha256").hex()


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _cookie(environ: Mapping[str, Any], name: str) -> str:
    """Return a cookie's value. Cookies of this machine's other servers, in any spelling, must not hide it."""
    pairs = (cookie.strip().partition("=") for cookie in environ.get("HTTP_COOKIE", "").split(";"))
    return next((value for key, _, value in pairs if key == name), "")


def _path(environ: Mapping[str, Any]) -> str:
    """Return the request's path with one slash in front, so that it cannot name another server."""
    return "/" + quote(environ.get("PATH_INFO", "").lstrip("/").encode("latin-1"))


def _missing(headers: Headers, path: str) -> Headers:
    """Return the safety headers that a response lacks."""
    there = {name.lower() for name, _ in headers}
    wanted = _ALWAYS if path.startswith(_CACHEABLE) else (*_ALWAYS, ("Cache-Control", "no-store"))
    return [(name, value) for name, value in wanted if name.lower() not in there]
