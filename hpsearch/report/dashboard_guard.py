"""The guard before optuna-dashboard: reading only, by names of this machine only, and with the token if there is one.

optuna-dashboard itself lets whoever reaches it delete studies and tell trials their values.
"""

from __future__ import annotations

import hmac
import ipaddress
import os
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple
from urllib.parse import parse_qsl, quote, urlencode

from hpsearch.errors import UsageError

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
# What the page is made of holds nothing of a study and may stay in the browser; everything else is asked for each time.
_MAY_BE_KEPT = "/static/"


class _Answer(NamedTuple):
    """An answer of the guard's own."""

    status: str
    text: str
    headers: tuple[tuple[str, str], ...] = ()


_NOT_READING = _Answer(
    "405 Method Not Allowed", "This dashboard only shows studies.\n", (("Allow", ", ".join(_READING)),)
)
_NOT_OURS = _Answer(
    "403 Forbidden", "This dashboard answers to the addresses and the name of its machine: open it by one of these.\n"
)
_NO_TOKEN = _Answer(
    "401 Unauthorized",
    """<!DOCTYPE html>
<html lang="en"><meta charset="utf-8"><title>hpsearch dashboard</title>
<p>This dashboard is shown to those who have its token.
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
    """A WSGI application that lets reading requests through to another. ``own_names`` are the names, in lower case,
    that this machine has beside its addresses; with ``token``, only who presents it is let through.
    """

    application: Application
    own_names: frozenset[str]
    token: str | None = None

    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        """Answer a request, or have it answered by the application."""

        def start(status: str, headers: Headers, *error: Any) -> Any:
            return start_response(status, [*headers, *_missing(headers, environ.get("PATH_INFO", ""))], *error)

        answer = self._own_answer(environ)
        if answer is None:
            return self.application(environ, start)
        body = answer.text.encode()
        kind = "text/html" if answer is _NO_TOKEN else "text/plain"
        about = (("Content-Type", f"{kind}; charset=utf-8"), ("Content-Length", str(len(body))))
        start(answer.status, [*answer.headers, *about])
        return [b"" if environ["REQUEST_METHOD"] == "HEAD" else body]

    def _own_answer(self, environ: Mapping[str, Any]) -> _Answer | None:
        """The answer to a request that the application does not get."""
        if environ["REQUEST_METHOD"] not in _READING:
            return _NOT_READING
        if not self._is_ours(environ.get("HTTP_HOST", "")):
            return _NOT_OURS
        return None if self.token is None else _answer_about_token(environ, self.token)

    def _is_ours(self, host: str) -> bool:
        """Whether a page of another site cannot have brought this request here by pointing its own name at this machine
        (DNS rebinding). An address cannot be pointed elsewhere, and the port, which forwarding changes, says nothing.
        """
        found = _HOST.fullmatch(host)
        return found is not None and (found["name"].lower() in self.own_names or _is_address(found["name"]))


def read_token(file: Path | None) -> str | None:
    """The token in ``file``, or else in HPSEARCH_DASHBOARD_TOKEN; None where neither is given.

    Raises:
        UsageError: it can be guessed or cannot be read; the message does not show it.
    """
    if file is None:
        token, source = os.environ.get(VARIABLE), VARIABLE
    else:
        token, source = _content(file), str(file)
    if token is None:
        return None
    if len(token) < SHORTEST_TOKEN or not re.fullmatch(r"[!-~]+", token):
        rule = f"a token has at least {SHORTEST_TOKEN} characters, of ASCII and without spaces, but the one in {source}"
        raise UsageError(f"{rule} does not ({len(token)} characters)", f"make one: {HOW_TO_MAKE_ONE}")
    return token


def _content(file: Path) -> str:
    try:
        return file.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is no text"
        raise UsageError(
            f"the token's file {file} cannot be read: {why}", f"make one: {HOW_TO_MAKE_ONE} > FILE"
        ) from None


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _answer_about_token(environ: Mapping[str, Any], token: str) -> _Answer | None:
    """The answer to a request without the token, or to one that has it in its URL, from where it is taken away."""
    query = parse_qsl(environ.get("QUERY_STRING", ""), keep_blank_values=True)
    given = next((value for name, value in query if name == "token"), None)
    cookie, mark = f"hpsearch_{environ['SERVER_PORT']}", _mark(token)
    if given is not None and _same(given, token):
        left = urlencode([each for each in query if each[0] != "token"])
        kept = ("Set-Cookie", f"{cookie}={mark}; Path=/; HttpOnly; SameSite=Strict")
        return _Answer("303 See Other", "", (("Location", _path(environ) + (f"?{left}" if left else "")), kept))
    if _same(_cookie(environ, cookie), mark) or _same(environ.get("HTTP_AUTHORIZATION", ""), f"Bearer {token}"):
        return None
    return _NO_TOKEN


def _mark(token: str) -> str:
    """What the cookie holds: it stays good when the dashboard is started again, and does not give the token away to
    other servers of this machine, which a browser shows its cookies to."""
    return hmac.digest(token.encode(), b"hpsearch dashboard", "sha256").hex()


def _same(given: str, wanted: str) -> bool:
    return hmac.compare_digest(given.encode(), wanted.encode())


def _cookie(environ: Mapping[str, Any], name: str) -> str:
    """A cookie's value. Others of this machine's servers come along, in whatever spelling, and must not hide it."""
    pairs = (each.strip().partition("=") for each in environ.get("HTTP_COOKIE", "").split(";"))
    return next((value for each, _, value in pairs if each == name), "")


def _path(environ: Mapping[str, Any]) -> str:
    """The request's path on this server: with one slash in front, so that it names no other one."""
    return "/" + quote(environ.get("PATH_INFO", "").lstrip("/").encode("latin-1"))


def _missing(headers: Headers, path: str) -> Headers:
    """The headers for safety that an answer lacks."""
    there = {name.lower() for name, _ in headers}
    wanted = _ALWAYS if path.startswith(_MAY_BE_KEPT) else (*_ALWAYS, ("Cache-Control", "no-store"))
    return [(name, value) for name, value in wanted if name.lower() not in there]
