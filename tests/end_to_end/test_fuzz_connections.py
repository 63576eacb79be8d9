"""Connections with damaged HTTP: each ends with an answer in the envelope, or closed."""

import asyncio
import json
import random
from collections.abc import Iterator

import pytest

from support.asgi import HELLO
from support.processes import KEY, Program, serving

CONNECTIONS = 1500
BATCH = 100
PATIENCE_S = 20.0
BODY = json.dumps(HELLO).encode()
LINES = [
    b"POST /v1/messages?beta=true HTTP/1.1",
    b"Host: localhost",
    b"X-Api-Key: " + KEY.encode(),
    b"Anthropic-Version: 2023-06-01",
    b"Content-Type: application/json",
    b"Accept: application/json",
]
PIECES = [
    b"\r\n", b"\n", b"\r", b"\0", b" ", b"\t", b":", b",", b";", b"\xff", b"0", b"9" * 30, b"%",
    b"/", b"HTTP/1.1", b"x" * 5000, b"x" * 70_000, b"\r\nTransfer-Encoding: chunked",
    b"\r\nContent-Length: 3", b"\r\nConnection: close", b"\r\nExpect: 100-continue",
    b"\r\nUpgrade: h2c\r\nConnection: Upgrade", b"\r\nContent-Encoding: gzip", b"\r\n\r\n",
]  # fmt: skip


def raw_number(number: int) -> bytes:
    """The same bytes for the same number, at every run: a request, whole or damaged."""
    chance = random.Random(f"connection-{number}")  # noqa: S311 - nothing is a secret here
    head = list(LINES)
    if chance.random() < 0.5:
        head.append(b"Content-Length: %d" % len(BODY))
        body = BODY
    else:
        head.append(b"Transfer-Encoding: chunked")
        place = chance.randint(1, len(BODY) - 1)
        chunks = (BODY[:place], BODY[place:], b"")
        body = b"".join(b"%x\r\n%s\r\n" % (len(chunk), chunk) for chunk in chunks)
    if chance.random() < 0.3:
        head.insert(chance.randint(1, len(head)), chance.choice(head))
    if chance.random() < 0.2:
        del head[chance.randrange(len(head))]
    raw = b"\r\n".join([*head, b"", body])
    for _ in range(chance.choice([0, 1, 1, 2, 4])):
        place = chance.randint(0, len(raw))
        cut = chance.choice([0, 0, 1, 3, 20])
        raw = raw[:place] + chance.choice([*PIECES, b""]) + raw[place + cut :]
    return raw


async def head_of(answers: asyncio.StreamReader) -> tuple[int, dict[str, str]] | None:
    """The status and headers of the next answer that is one; none if the connection ends."""
    while (line := await answers.readline()).startswith(b"HTTP/1.1 1"):
        await answers.readline()
    if not line:
        return None
    assert line.startswith(b"HTTP/1.1 "), line
    pairs = []
    while (header := await answers.readline()) not in (b"\r\n", b""):
        pairs.append(header.decode("latin-1").strip().partition(": "))
    return int(line.split()[1]), {name.lower(): value for name, _, value in pairs}


async def complaint(program: Program, raw: bytes) -> str | None:
    """What is wrong with the first answer on a connection."""
    host, _, port = program.url.removeprefix("http://").partition(":")
    answers, sending = await asyncio.open_connection(host, int(port))
    try:
        sending.write(raw)
        found = await head_of(answers)
        if found is None:
            return None
        status, headers = found
        body = json.loads(await answers.readexactly(int(headers["content-length"])))
    except ConnectionResetError:
        # What was still on its way when the server closed can undo its answer.
        return None
    finally:
        sending.close()
    if not headers["request-id"].startswith("req_"):
        return f"{status} without a request-id"
    if status < 300:
        return None if body["type"] == "message" else f"{status} of no known shape"
    whole = list(body) == ["type", "error", "request_id"] and body["type"] == "error"
    if not whole or body["request_id"] != headers["request-id"]:
        return f"{status} without the envelope"
    return None if status < 500 and headers["x-should-retry"] == "false" else f"{status}"


@pytest.fixture(scope="module")
def hasty(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Program]:
    """A server that waits for no request longer than a moment."""
    environ = {"ANTIPHON_API_KEY": KEY, "ANTIPHON_REQUEST_TIMEOUT_S": "0.3"}
    folder = tmp_path_factory.mktemp("hasty")
    with serving(folder, "--engine", "scripted", environ=environ) as program:
        yield program


@pytest.mark.anyio
async def test_every_connection_ends_with_an_answer_or_closed(hasty: Program) -> None:
    wrong: dict[str, bytes] = {}
    for first in range(0, CONNECTIONS, BATCH):
        raws = [raw_number(number) for number in range(first, first + BATCH)]
        calls = (asyncio.wait_for(complaint(hasty, raw), PATIENCE_S) for raw in raws)
        for raw, found in zip(raws, await asyncio.gather(*calls), strict=True):
            if found is not None:
                wrong.setdefault(found, raw)
    assert not wrong, "\n".join(f"{found}: {raw[:600]!r}" for found, raw in wrong.items())


@pytest.mark.anyio
async def test_some_fuzz_connections_get_a_200(hasty: Program) -> None:
    """A fuzz of which nothing is taken tells nothing."""
    statuses: list[int] = []
    for number in range(60):
        host, _, port = hasty.url.removeprefix("http://").partition(":")
        answers, sending = await asyncio.open_connection(host, int(port))
        sending.write(raw_number(number))
        found = await asyncio.wait_for(head_of(answers), PATIENCE_S)
        statuses += [found[0]] if found else []
        sending.close()
    assert statuses.count(200) > 5
    assert statuses.count(400) > 5
