"""The client of an OpenAI-compatible server: asks its model what a picture reads."""

from __future__ import annotations

import base64
import io
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any
from urllib.parse import urlsplit

from hpsearch.errors import UsageError

COMPLETIONS = "/chat/completions"
MOST_BYTES = 8_000_000  # of an answer: of any page's text and more
PASSED_ON = ("PNG", "JPEG", "WEBP")  # kinds of pictures that every server reads
# Worth a retry: too many requests, a gateway or server that is not there, and the server's own faults.
PASSING = (408, 409, 425, 429, 500, 502, 503, 504)
LONGEST_WAIT_S = 60.0
SHOWN = 200  # characters of a server's words


class NoAnswer(Exception):
    """A picture was not read; the message says why. ``lasting``: a retry would not help; ``refused``: the server does
    not accept the question."""

    def __init__(self, reason: str, lasting: bool = False, wait_s: float | None = None, refused: bool = False) -> None:
        super().__init__(reason)
        self.lasting, self.wait_s, self.refused = lasting, wait_s, refused


@dataclass(frozen=True)
class ServerAnswer:
    """The text of a picture; ``cut_off``: at the limit of tokens."""

    text: str
    cut_off: bool = False


@dataclass(frozen=True)
class ReadRequest:
    """The question for every picture, and how it is to be answered."""

    model: str
    instruction: str
    max_tokens: int
    temperature: float = 0.0


class Endpoint:
    """A server's address. ``key`` is sent as a bearer token and shown nowhere. May be used by several threads."""

    def __init__(self, url: str, question: ReadRequest, key: str | None, timeout_s: float, retries: int) -> None:
        import httpx

        self.url = completions_url(url)
        self._question, self._retries, self._timeout_s = question, retries, timeout_s
        headers = {"Authorization": f"Bearer {_valid(key)}"} if key and key.strip() else {}
        self._client = httpx.Client(timeout=httpx.Timeout(timeout_s, connect=min(10.0, timeout_s)), headers=headers)

    def __enter__(self) -> Endpoint:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._client.close()

    def read(self, picture: bytes) -> ServerAnswer:
        """Ask what an encoded picture reads, with retries where these may help.

        Raises:
            NoAnswer: it was not answered.
            UsageError: no picture would be: the address, the model's name or the key is wrong.
        """
        from tenacity import RetryError, Retrying, retry_if_exception, stop_after_attempt

        retrying = Retrying(
            stop=stop_after_attempt(self._retries + 1),
            wait=lambda state: _wait(state.attempt_number, state.outcome.exception() if state.outcome else None),
            retry=retry_if_exception(lambda error: isinstance(error, NoAnswer) and not error.lasting),
            sleep=time.sleep,
        )
        try:
            return retrying(self._ask, _body(self._question, picture))
        except RetryError as error:
            last = error.last_attempt.exception()
            raise NoAnswer(f"{last} (asked {self._retries + 1} times)") from last

    def _ask(self, body: dict[str, Any]) -> ServerAnswer:
        import httpx

        try:
            with self._client.stream("POST", self.url, json=body) as response:
                text = _limited(response, time.monotonic() + self._timeout_s)
        except (httpx.TimeoutException, TimeoutError) as error:
            raise NoAnswer(f"no answer within {self._timeout_s:g} s") from error
        except (httpx.TransportError, httpx.DecodingError) as error:
            raise NoAnswer(f"{type(error).__name__}: {error}"[:SHOWN]) from error
        if response.status_code != 200:
            raise self._refusal(response, text)
        return _answer(text)

    def _refusal(self, response: Any, text: str) -> Exception:
        reply = " ".join(text.split())[:SHOWN]
        code = response.status_code
        if code in (401, 403):
            return UsageError(
                f"the server refuses to be asked ({code}): {reply}", "give its key as OPENAI_API_KEY in the environment"
            )
        if 300 <= code < 400:
            return UsageError(
                f"{self.url} is elsewhere ({code}): {response.headers.get('location', reply)[:SHOWN]}",
                "name that address with --vllm-url",
            )
        if code in (404, 405):
            return UsageError(
                f"{self.url} does not answer for the model {self._question.model!r} ({code}): {reply}",
                "correct --vllm-url or --model-name; GET .../v1/models lists what is served",
            )
        if code in PASSING:
            return NoAnswer(f"the server answered {code}: {reply}", wait_s=_retry_after(response))
        return NoAnswer(f"the server answered {code}: {reply}", lasting=True, refused=True)


def completions_url(url: str) -> str:
    """Return the address that is asked, of one that may end before /v1 or after it.

    Raises:
        UsageError: it is no address, or has a password in it.
    """
    try:
        parts = urlsplit(url if "://" in url else f"http://{url}")
        sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:  # of a port, or of brackets
        sound = False
    if not sound:
        shown = url.rpartition("@")[2]  # a password may precede it
        raise UsageError(f"a server's address is http://HOST:PORT/v1, but is {shown!r}", "correct --vllm-url")
    if parts.password is not None:
        raise UsageError(
            "a server's key goes into the environment, but the address has a password", "set OPENAI_API_KEY"
        )
    path = parts.path.rstrip("/")
    if not path.endswith(COMPLETIONS):
        path = (path or "/v1") + COMPLETIONS
    return parts._replace(path=path, fragment="").geturl()


def _valid(key: str) -> str:
    """Return a key as it can be sent. The message does not show it.

    Raises:
        UsageError: it has characters that no header has.
    """
    if not key.strip().isascii() or not key.strip().isprintable():
        raise UsageError("a key is printable ASCII, but this one has other characters", "correct OPENAI_API_KEY")
    return key.strip()


def data_url(picture: bytes) -> str:
    """Return a picture as a data URL: as it is, or as PNG where a server may see another than people do.

    Raises:
        NoAnswer: it cannot be opened.
    """
    from PIL import Image

    from hpsearch.data.images import seen

    try:
        with Image.open(io.BytesIO(picture)) as opened:
            kind = str(opened.format)
            plain = opened.mode in ("RGB", "L") and opened.getexif().get(0x0112, 1) == 1
            if kind not in PASSED_ON or not plain:
                target = io.BytesIO()
                seen(opened).save(target, "PNG")
                kind, picture = "PNG", target.getvalue()
    except Exception as error:  # Pillow raises many kinds for a broken file
        raise NoAnswer(f"its picture cannot be opened: {error}"[:SHOWN], lasting=True) from error
    return f"data:image/{kind.lower()};base64,{base64.b64encode(picture).decode()}"


def _body(question: ReadRequest, picture: bytes) -> dict[str, Any]:
    content = [
        {"type": "image_url", "image_url": {"url": data_url(picture)}},
        {"type": "text", "text": question.instruction},
    ]
    return {
        "model": question.model,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": question.max_tokens,
        "temperature": question.temperature,
        "stream": False,
    }


def _limited(response: Any, until: float) -> str:
    """Return a response's text. Raises NoAnswer where it is too long, TimeoutError where it does not end."""
    data = bytearray()
    for part in response.iter_bytes():
        data += part
        if time.monotonic() > until:
            raise TimeoutError
        if len(data) > MOST_BYTES:
            raise NoAnswer(f"an answer of more than {MOST_BYTES // 1_000_000} MB", lasting=True)
    return data.decode("utf-8", errors="replace")


def _answer(text: str) -> ServerAnswer:
    import json

    try:
        choice = json.loads(text)["choices"][0]
        content = choice["message"]["content"]
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise NoAnswer(f"the answer is no chat completion: {' '.join(text.split())[:SHOWN]!r}") from error
    if isinstance(content, list):  # parts, as some servers have them
        content = "".join(str(part.get("text") or "") for part in content if isinstance(part, dict))
    if not isinstance(content, (str, type(None))):
        raise NoAnswer(f"the answer's content is no text: {content!r:.60}")
    text = (content or "").encode("utf-8", "replace").decode("utf-8")  # half a surrogate pair is no character
    return ServerAnswer(text, choice.get("finish_reason") == "length")


def _retry_after(response: Any) -> float | None:
    value = response.headers.get("retry-after", "")
    return float(value) if value.isdigit() else None


def _wait(attempt: int, error: BaseException | None) -> float:
    """Return the seconds before the next attempt: those that the server asks for, else 1, 2, 4 ..."""
    wait_s = error.wait_s if isinstance(error, NoAnswer) else None
    return min(LONGEST_WAIT_S, 2.0 ** (attempt - 1) if wait_s is None else wait_s)
