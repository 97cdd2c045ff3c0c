"""Asking a server, and all the ways in which it may not answer."""

from __future__ import annotations

import io
import threading
from collections.abc import Callable
from typing import Any

import pytest
from PIL import Image

from hpsearch.commands.openai_client import Endpoint, NoAnswer, ReadRequest, ServerAnswer, completions_url
from hpsearch.errors import UsageError
from tests.commands.servers import Request, serving

QUESTION = ReadRequest("model", "Read it.", 64)


def picture(kind: str = "PNG", mode: str = "RGB", **options: Any) -> bytes:
    target = io.BytesIO()
    Image.new(mode, (6, 2), "white").save(target, kind, **options)
    return target.getvalue()


def ask(
    handle: Callable[[Request], None], retries: int = 2, timeout_s: float = 5.0, image: bytes | None = None
) -> ServerAnswer:
    with serving(handle) as server, Endpoint(server.url, QUESTION, "secret", timeout_s, retries) as endpoint:
        return endpoint.read(picture() if image is None else image)


@pytest.fixture(autouse=True)
def at_once(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Waits are not waited for, but written down."""
    waits: list[float] = []
    monkeypatch.setattr("hpsearch.commands.openai_client.time.sleep", waits.append)
    return waits


def test_what_is_asked_is_a_picture_then_the_instruction() -> None:
    answering = serving(lambda request: request.reply(" text\n"))
    with answering as server, Endpoint(server.url, QUESTION, "secret", 5.0, 0) as endpoint:
        assert endpoint.read(picture()) == ServerAnswer(" text\n")
    (body,) = server.bodies
    image, text = body["messages"][0]["content"]
    assert image["image_url"]["url"].startswith("data:image/png;base64,")
    assert text == {"type": "text", "text": "Read it."}
    assert (body["model"], body["max_tokens"], body["temperature"], body["stream"]) == ("model", 64, 0.0, False)
    assert server.headers[0]["Authorization"] == "Bearer secret"


@pytest.mark.parametrize(
    ("image", "same", "size"),
    [
        (picture("JPEG"), True, (6, 2)),
        (picture("PNG", "L"), True, (6, 2)),
        (picture("TIFF"), False, (6, 2)),
        (picture("PNG", "RGBA"), False, (6, 2)),
        (
            picture("JPEG", exif=b"Exif\0\0MM\0*\0\0\0\x08\0\x01\x01\x12\0\x03\0\0\0\x01\0\x06\0\0\0\0\0\0"),
            False,
            (2, 6),
        ),
    ],
)
def test_pictures_go_as_they_are_unless_a_server_would_see_another(
    image: bytes, same: bool, size: tuple[int, int]
) -> None:
    sent: list[bytes] = []

    def take(request: Request) -> None:
        sent.append(request.picture)
        request.reply("x")

    ask(take, image=image)
    assert (sent[0] == image) is same
    assert Image.open(io.BytesIO(sent[0])).size == size


def after(count: int, first: Callable[[Request], None]) -> Callable[[Request], None]:
    """A server that fails so often, and then answers."""
    seen = [0]

    def handle(request: Request) -> None:
        seen[0] += 1
        if seen[0] <= count:
            first(request)
        else:
            request.reply("at last")

    return handle


def cut_off(request: Request) -> None:
    request.send_response(200)
    request.send_header("Content-Length", "1000")
    request.end_headers()
    request.wfile.write(b'{"choices"')
    request.close_connection = True


PASSING: dict[str, Callable[[Request], None]] = {
    "500": lambda request: request.send(b"oops", 500),
    "503": lambda request: request.send(b"loading", 503),
    "429": lambda request: request.send(b"slow down", 429, Retry_After="7"),
    "no JSON": lambda request: request.send(b"<html>"),
    "far too deep": lambda request: request.send(b"[" * 200_000),
    "no choices": lambda request: request.send(b'{"choices": []}'),
    "no message": lambda request: request.send(b'{"choices": [{"text": "x"}]}'),
    "a list": lambda request: request.send(b"[1]"),
    "content of no text": lambda request: request.reply(5),
    "cut off": cut_off,
    "hung up": lambda request: request.connection.shutdown(2),
    "not HTTP": lambda request: request.wfile.write(b"SSH-2.0-x\r\n\r\n"),
}


@pytest.mark.parametrize("how", PASSING)
def test_what_may_pass_is_asked_again(how: str, at_once: list[float]) -> None:
    assert ask(after(2, PASSING[how])) == ServerAnswer("at last")
    assert at_once == ([7.0, 7.0] if how == "429" else [1.0, 2.0])


@pytest.mark.parametrize("how", PASSING)
def test_a_fault_that_persists_is_reported(how: str) -> None:
    with pytest.raises(NoAnswer, match=r"\(asked 2 times\)") as error:
        ask(PASSING[how], retries=1)
    assert not error.value.lasting


def test_a_server_that_hangs_is_not_waited_for_longer_than_the_limit() -> None:
    free = threading.Event()

    def hang(request: Request) -> None:
        free.wait(30)

    try:
        with pytest.raises(NoAnswer, match=r"no answer within 0\.3 s"):
            ask(hang, retries=0, timeout_s=0.3)
    finally:
        free.set()


def test_a_server_that_goes_on_for_ever_is_left() -> None:
    free = threading.Event()

    def drip(request: Request) -> None:
        request.send_response(200)
        request.send_header("Transfer-Encoding", "chunked")
        request.end_headers()
        while not free.wait(0.05):
            request.wfile.write(b"1\r\n \r\n")

    try:
        with pytest.raises(NoAnswer, match=r"no answer within 0\.4 s"):
            ask(drip, retries=0, timeout_s=0.4)
    finally:
        free.set()


def test_an_answer_without_end_is_left() -> None:
    with pytest.raises(NoAnswer, match="more than 8 MB") as error:
        ask(lambda request: request.send(b" " * 9_000_000))
    assert error.value.lasting


@pytest.mark.parametrize("code", [400, 413, 422])
def test_a_refused_picture_is_not_sent_again(code: int, at_once: list[float]) -> None:
    with pytest.raises(NoAnswer, match=f"the server answered {code}: too large") as error:
        ask(lambda request: request.send(b"too  large", code))
    assert error.value.lasting and at_once == []


@pytest.mark.parametrize(
    ("code", "remedy"), [(401, "OPENAI_API_KEY"), (403, "OPENAI_API_KEY"), (404, "--model-name"), (308, "--vllm-url")]
)
def test_what_concerns_all_rows_ends_the_evaluation(code: int, remedy: str, at_once: list[float]) -> None:
    with pytest.raises(UsageError, match=str(code)) as error:
        ask(lambda request: request.send(b"no", code))
    assert remedy in error.value.remedy and "secret" not in str(error.value) and at_once == []


def test_a_server_that_is_not_there_is_reported() -> None:
    with serving(lambda request: request.reply("x")) as server:
        url = server.url
    with (
        Endpoint(url, QUESTION, None, 5.0, 1) as endpoint,
        pytest.raises(NoAnswer, match=r"ConnectError.*asked 2 times"),
    ):
        endpoint.read(picture())


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (lambda request: request.reply(None), ServerAnswer("")),
        (lambda request: request.reply("x", finish="length"), ServerAnswer("x", cut_off=True)),
        (
            lambda request: request.reply([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}]),
            ServerAnswer("ab"),
        ),
        (lambda request: request.reply([{"type": "text", "text": None}, {"type": "image"}, "x"]), ServerAnswer("")),
        (lambda request: request.reply("a\ud800b"), ServerAnswer("a?b")),
    ],
)
def test_answers_of_other_forms(answer: Callable[[Request], None], expected: ServerAnswer) -> None:
    assert ask(answer) == expected


@pytest.mark.parametrize("image", [b"", b"text", picture()[:40]])
def test_a_broken_picture_is_not_sent(image: bytes) -> None:
    with pytest.raises(NoAnswer, match="its picture cannot be opened") as error:
        ask(lambda request: request.reply("x"), image=image)
    assert error.value.lasting


@pytest.mark.parametrize(
    ("url", "asked"),
    [
        ("http://a:1/v1/chat/completions", "http://a:1/v1/chat/completions"),
        ("http://a:1/v1/", "http://a:1/v1/chat/completions"),
        ("http://a:1", "http://a:1/v1/chat/completions"),
        ("a:8000/v1", "http://a:8000/v1/chat/completions"),
        ("https://a/openai/v1?version=2", "https://a/openai/v1/chat/completions?version=2"),
    ],
)
def test_addresses_are_taken_as_people_write_them(url: str, asked: str) -> None:
    assert completions_url(url) == asked


@pytest.mark.parametrize(
    "url",
    ["", "ftp://a/v1", "http://", "http://u:secret@a/v1", "a:port/v1", "u:secret@a:port", "http://[::1", "a:99999"],
)
def test_what_is_no_address_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(UsageError) as error:
        completions_url(url)
    assert "secret" not in str(error.value)


@pytest.mark.parametrize("key", ["sk-7f3\n", " sk-7f3\r\n"])
def test_white_space_around_a_key_is_no_part_of_it(key: str) -> None:
    with serving(lambda request: request.reply("x")) as server, Endpoint(server.url, QUESTION, key, 5.0, 0) as endpoint:
        assert endpoint.read(picture()) == ServerAnswer("x")
    assert server.headers[0]["Authorization"] == "Bearer sk-7f3"


@pytest.mark.parametrize("key", ["sk-7f3\nX-Other: 1", "sk-7f3\u00e9"])
def test_a_key_that_no_header_takes_is_refused_and_not_shown(key: str) -> None:
    with pytest.raises(UsageError, match="a key is printable ASCII") as error:
        Endpoint("http://a", QUESTION, key, 5.0, 0)
    assert "7f3" not in str(error.value)
