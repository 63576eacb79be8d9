import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon import testing
from antiphon.testing import CassetteError, CassetteMismatchError, Server, cassette
from antiphon.testing.tape_file import (
    Exchange,
    Secrets,
    TapeAnswer,
    TapeRequest,
    answer_of,
    canonical,
    read_tape,
    request_of,
    write_tape,
)
from antiphon.transport.base import ConnectionLost, HttpRequest, ResponseStream, Transport
from support.in_process import HELLO, request

KEY = "sk-ant-api03-abcdefghijklmnopqrstuvwxyz"


@pytest.fixture(scope="module")
def running() -> Iterator[Server]:
    with testing.server() as server:
        yield server


@pytest.fixture
def server(running: Server) -> Server:
    """The server of the module, as new."""
    running.reset()
    return running


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "cassettes" / "one.jsonl"


def hello(text: str = "Hi", **changes: object) -> HttpRequest:
    body = {**HELLO, "messages": [{"role": "user", "content": text}], **changes}
    headers = (("x-api-key", KEY), ("anthropic-version", "2023-06-01"))
    url = f"https://api.example.org/v1/messages?b=2&a={KEY}"
    return HttpRequest(method="POST", url=url, headers=headers, body=json.dumps(body).encode())


def sent(transport: Transport, asked: HttpRequest) -> ResponseStream:
    return transport.open(asked, connect_timeout=None, timeout=10)


def text_of(stream: ResponseStream) -> str:
    return str(json.loads(stream.read(10))["content"][0]["text"])


def test_recorded_exchange_is_played_without_a_server(server: Server, path: Path) -> None:
    with cassette(path) as tape:
        assert tape.recording
        first = sent(tape.transport(server.transport()), request(server, body=HELLO))
        body = first.read(10)
    with cassette(path) as tape:
        assert not tape.recording
        assert [one.path for one in tape.unplayed] == ["/v1/messages"]
        again = sent(tape.transport(), request(server, body=dict(reversed(HELLO.items()))))
        assert (again.status, again.headers["request-id"]) == (200, first.headers["request-id"])
        assert json.loads(again.read(10)) == json.loads(body)
        assert tape.unplayed == []
    assert len(server.requests) == 1


def test_stream_is_played_in_its_chunks(server: Server, path: Path) -> None:
    server.answers("één twee", tokens_per_second=50)
    with cassette(path) as tape:
        stream = sent(
            tape.transport(server.transport()), request(server, body={**HELLO, "stream": True})
        )
        chunks = list(iter(lambda: stream.read_chunk(10), b""))
    assert len(chunks) > 1
    with cassette(path, "none") as tape:
        stream = sent(tape.transport(), request(server, body={**HELLO, "stream": True}))
        assert list(iter(lambda: stream.read_chunk(10), b"")) == chunks


def test_stream_that_was_left_ends_as_it_did(server: Server, path: Path) -> None:
    server.answers("one two three", tokens_per_second=50)
    asked = request(server, body={**HELLO, "stream": True})
    with cassette(path) as tape:
        stream = sent(tape.transport(server.transport()), asked)
        first = stream.read_chunk(10)
        stream.close()
    with cassette(path) as tape:
        stream = sent(tape.transport(), asked)
        assert stream.read_chunk(10) == first
        with pytest.raises(ConnectionLost, match="recording ends"):
            stream.read_chunk(10)


@pytest.mark.anyio
async def test_asynchronous_transport_records_and_plays(server: Server, path: Path) -> None:
    asked = request(server, body=HELLO)
    streamed = request(server, body={**HELLO, "stream": True})
    came = []
    for _ in range(2):
        async with cassette(path) as tape:
            transport = tape.async_transport(server.async_transport())
            stream = await transport.open(asked, connect_timeout=None, timeout=10)
            whole = json.loads(await stream.read(10))
            stream.close()
            stream = await transport.open(streamed, connect_timeout=None, timeout=10)
            parts = []
            while part := await stream.read_chunk(10):
                parts.append(part)
            transport.close()
            came.append((whole, parts))
    assert came[0] == came[1]
    assert len(server.requests) == 2


def test_secrets_come_into_no_file(server: Server, path: Path) -> None:
    cookie = ("cookie", "session=of-somebody")
    told = f"The key {server.key} and {KEY}, my-own-secret, of-somebody"
    plain = request(server, f"/v1/messages?key={KEY}", {**HELLO, "system": told})
    asked = HttpRequest(
        method="POST", url=plain.url, headers=(*plain.headers, cookie), body=plain.body
    )
    server.answers(told)
    with cassette(path, secrets=["my-own-secret"]) as tape:
        sent(tape.transport(server.transport()), asked).read(10)
    text = path.read_text()
    for secret in (server.key, KEY, "my-own-secret", "of-somebody", "organization-id"):
        assert secret not in text
    with cassette(path, secrets=["my-own-secret"]) as tape:
        assert "sk-removed" in text_of(sent(tape.transport(), asked))
    with cassette(path, "all", organization=True) as tape:
        sent(tape.transport(server.transport()), asked).read(10)
    assert "organization-id" in path.read_text()


def test_modes_record_what_they_say(server: Server, path: Path) -> None:
    def asks(mode: str, *texts: str) -> list[str]:
        with cassette(path, mode) as tape:
            transport = tape.transport(server.transport())
            return [
                text_of(
                    sent(
                        transport,
                        request(
                            server,
                            body={**HELLO, "messages": [{"role": "user", "content": text}]},
                        ),
                    )
                )
                for text in texts
            ]

    with pytest.raises(CassetteMismatchError, match="does not exist"):
        asks("none", "a")
    server.answers("first")
    assert asks("once", "a") == ["first"]
    with pytest.raises(CassetteMismatchError):
        asks("once", "b")
    assert asks("new", "a", "b") == ["first", "b"]
    assert asks("none", "b", "a") == ["b", "first"]
    assert asks("all", "a") == ["a"]
    assert asks("none", "a") == ["a"]
    with pytest.raises(CassetteMismatchError, match="each recording is played once"):
        asks("once", "a", "a")
    with pytest.raises(ValueError, match="'some'"):
        cassette(path, "some")


def test_equal_requests_are_played_in_their_order(server: Server, path: Path) -> None:
    server.fails(testing.overloaded_error).answers("At last")
    asked = request(server, body=HELLO)
    for _ in range(2):
        with cassette(path) as tape:
            transport = tape.transport(server.transport())
            first, second = (sent(transport, asked) for _ in range(2))
            assert (first.status, second.status) == (529, 200)
            first.read(10)
            assert text_of(second) == "At last"


def test_mismatch_says_what_differs(server: Server, path: Path) -> None:
    with cassette(path) as tape:
        for text in ("Hi", "Good evening"):
            sent(tape.transport(server.transport()), request(server, body=body(text))).read(10)
    with cassette(path) as tape:
        transport = tape.transport()
        with pytest.raises(CassetteMismatchError) as told:
            sent(transport, request(server, body={**body("Hi there"), "top_k": 1}))
        assert str(told.value).splitlines()[1:] == [
            "  body.messages[0].content: 'Hi' recorded, 'Hi there' asked",
            "  body.top_k: not recorded, 1 asked",
            "Record it with mode='new', or all of it with mode='all'.",
        ]
        with pytest.raises(CassetteMismatchError, match="knows POST /v1/messages"):
            sent(transport, request(server, "/v1/models", method="GET"))


def body(text: str) -> dict[str, object]:
    return {**HELLO, "messages": [{"role": "user", "content": text}]}


def test_concurrent_requests_are_matched_by_their_content(server: Server, path: Path) -> None:
    texts = [f"Text {number}" for number in range(30)]

    def answers(texts: list[str]) -> list[str]:
        with cassette(path) as tape, ThreadPoolExecutor(8) as threads:
            transport = tape.transport(server.transport())
            asked = [request(server, body=body(text)) for text in texts]
            return list(threads.map(lambda one: text_of(sent(transport, one)), asked))

    assert answers(texts) == texts
    assert answers(texts[::-1]) == texts[::-1]
    assert len(server.requests) == 30


def test_failed_block_leaves_the_file_as_it_was(server: Server, path: Path) -> None:
    def fail() -> None:
        with cassette(path) as tape:
            sent(tape.transport(server.transport()), request(server, body=HELLO)).read(10)
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert not path.exists()


def test_form_is_the_same_with_another_boundary() -> None:
    def form(boundary: str) -> str:
        content = f'--{boundary}\r\ncontent-disposition: form-data; name="file"\r\n\r\nx'.encode()
        headers = [("content-type", f"multipart/form-data; boundary={boundary}")]
        return canonical(request_of("POST", "http://a/v1/files", headers, content, Secrets()))

    assert form("one") == form("two")


def test_every_line_of_a_cut_file_is_told(path: Path) -> None:
    one = Exchange(TapeRequest("POST", "/v1/messages", {}, {"a": 1}), TapeAnswer(200, {}, {"b": 1}))
    write_tape(path, [one, one])
    whole = path.read_bytes()
    assert read_tape(path) == [one, one]
    lines = whole.splitlines(keepends=True)
    for size in range(len(whole)):
        path.write_bytes(whole[:size])
        with pytest.raises(CassetteError, match=rf"{path.name}, line {cut_line(lines, size)}:"):
            read_tape(path)
    path.write_bytes(lines[0] + b'{"request": 1}\n' + lines[2])
    with pytest.raises(CassetteError, match="line 2: no exchange"):
        read_tape(path)
    path.write_bytes(whole.replace(b'"cassette":1', b'"cassette":9'))
    with pytest.raises(CassetteError, match="line 1: version 9"):
        read_tape(path)


def cut_line(lines: list[bytes], size: int) -> int:
    """Return the number of the line that is not whole, from 1 on."""
    for number, line in enumerate(lines, 1):
        if size < len(line):
            return number
        size -= len(line)
    raise AssertionError


@given(chunks=st.lists(st.binary(min_size=1, max_size=9), max_size=5), cut=st.booleans())
def test_any_bytes_survive_the_file(
    chunks: list[bytes], cut: bool, tmp_path_factory: pytest.TempPathFactory
) -> None:
    path = tmp_path_factory.getbasetemp() / "any.jsonl"
    headers = [("content-type", "text/event-stream")]
    answer = answer_of(200, headers, chunks, Secrets(), organization=False, cut=cut)
    write_tape(path, [Exchange(TapeRequest("GET", "/"), answer)])
    (read,) = read_tape(path)
    assert read.answer.content() == chunks
    assert read.answer.cut == cut


def test_words_that_look_like_the_end_of_a_key_stay() -> None:
    text = "a task-oriented-things-of-every-day, sk-short and desk-lamps-of-the-whole-house"
    assert Secrets().removed({text: [text]}) == {text: [text]}


@pytest.mark.parametrize(
    "content",
    [
        b'{"a":NaN}',
        b'{"a":-Infinity}',
        rb'{"a":"\ud800"}',
        b"[" * 5000 + b"]" * 5000,
        b"[" * 400 + b"]" * 400,
        b'{"a":1' + b"0" * 400 + b"}",
        b'{"a":' + b"9" * 5000 + b"}",
    ],
    ids=["nan", "infinity", "surrogate", "deep", "less deep", "large", "larger"],
)
def test_json_that_cannot_be_written_is_kept_as_it_came(path: Path, content: bytes) -> None:
    secrets = Secrets()
    asked = request_of("POST", "http://a/v1/messages", [], content, secrets)
    told = {"content-type": "application/json"}
    answer = answer_of(200, told.items(), [content], secrets, organization=False, cut=False)
    write_tape(path, [Exchange(asked, answer)])
    (read,) = read_tape(path)
    assert b"".join(read.answer.content()) == content
    assert canonical(read.request) == canonical(asked)


@pytest.mark.parametrize("place", [0, 1, 9, 30])
def test_secret_that_is_cut_into_chunks_comes_into_no_file(place: int) -> None:
    text = f"my key is {KEY}, and my word is s3cret w/rd+ü".encode()
    chunks = [text[: 10 + place], text[10 + place : -4], text[-4:]]
    secrets = Secrets(["s3cret w/rd+ü"])
    answer = answer_of(200, [], chunks, secrets, organization=False, cut=False)
    assert b"".join(answer.content()) == b"my key is sk-removed, and my word is sk-removed"
    assert answer_of(200, [], [b"a", b"b"], secrets, organization=False, cut=False).chunks == [
        "a",
        "b",
    ]


def test_secret_of_bytes_and_of_a_query_comes_into_no_file() -> None:
    secrets = Secrets(["s3cret w/rd"])
    asked = request_of(
        "POST",
        "http://a/v1/files?x=s3cret+w%2Frd",
        [],
        b"\xff s3cret w/rd " + KEY.encode(),
        secrets,
    )
    assert asked.path == "/v1/files?x=sk-removed"
    assert asked.body == {"base64": "/yBzay1yZW1vdmVkIHNrLXJlbW92ZWQ="}


def test_file_that_cannot_be_written_leaves_nothing(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_tape(path, [])
    before = path.read_bytes()

    def full(_: Path, _to: Path) -> Path:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(OSError, match="No space"):
        write_tape(path, [])
    assert [one.name for one in path.parent.iterdir()] == [path.name]
    assert path.read_bytes() == before
