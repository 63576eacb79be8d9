import gzip
import json
import os
import zlib
from collections.abc import AsyncIterator
from itertools import accumulate
from typing import Any

import pytest

from antiphon.core.errors import InvalidRequestError, RequestTooLarge
from antiphon.server.http.encodings import (
    LOOK_AHEAD,
    MOST_MEMBERS,
    STEP,
    Inflater,
    decoded_pieces,
    inflated,
    inflated_parts,
)
from support.asgi import HELLO, Answer

pytestmark = pytest.mark.anyio

BODY = json.dumps(HELLO).encode()


def code_of(answer: Answer) -> tuple[int, str, Any]:
    status, kind, _ = answer.error
    return status, kind, answer.json["error"]["details"]


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        # Without the time of now: the bytes name the test, and all workers have to name it alike.
        ("gzip", gzip.compress(BODY, mtime=0)),
        ("GZIP", gzip.compress(BODY, mtime=0)),
        ("x-gzip", gzip.compress(BODY[:20], mtime=0) + gzip.compress(BODY[20:], mtime=0)),
        ("identity", BODY),
        ("", BODY),
    ],
)
async def test_a_compressed_body_is_read(client, encoding, body) -> None:
    caller = await client()
    for path in ("/v1/messages", "/v1/messages?beta=true"):
        answer = await caller.post(path, body, content_encoding=encoding)
        assert answer.status == 200


@pytest.mark.parametrize("encoding", ["br", "zstd", "deflate", "gzip, gzip", "rot13"])
async def test_another_encoding_is_refused(client, encoding) -> None:
    caller = await client()
    answer = await caller.post("/v1/messages", BODY, content_encoding=encoding)
    assert code_of(answer) == (
        400,
        "invalid_request_error",
        {"error_code": "request_body_encoding_unsupported"},
    )


@pytest.mark.parametrize(
    "body",
    [
        b"",
        BODY,
        gzip.compress(BODY, mtime=0)[:-3],
        gzip.compress(BODY, mtime=0) + b"more",
        zlib.compress(BODY),
    ],
    ids=["empty", "plain", "cut", "more", "zlib"],
)
async def test_a_body_that_is_no_gzip_is_refused(client, body) -> None:
    caller = await client()
    answer = await caller.post("/v1/messages", body, content_encoding="gzip")
    assert code_of(answer) == (
        400,
        "invalid_request_error",
        {"error_code": "request_body_encoding_invalid"},
    )


async def test_a_body_that_inflates_beyond_the_limit_is_a_413(client) -> None:
    caller = await client(settings={"max_body_bytes": 4096})
    bomb = gzip.compress(bytes(10**7))[:4000]
    answer = await caller.post("/v1/messages", bomb, content_encoding="gzip")
    assert code_of(answer) == (
        413,
        "request_too_large",
        {"error_code": "request_body_too_large_after_decoding"},
    )


async def test_a_compressed_body_over_the_limit_is_a_413_at_once(client) -> None:
    caller = await client(settings={"max_body_bytes": 1024})
    answer = await caller.post("/v1/messages", bytes(1025), content_encoding="gzip")
    assert answer.error[0] == 413
    assert answer.json["error"]["details"] is None


async def arriving(body: bytes, taken: list[int]) -> AsyncIterator[bytes]:
    """Yield a body in pieces of 64 KiB; `taken` gets the size of each one."""
    for at in range(0, len(body), 65_536):
        piece = body[at : at + 65_536]
        taken.append(len(piece))
        yield piece


async def test_nothing_is_yielded_of_a_body_whose_beginning_inflates_beyond_the_limit() -> None:
    bomb = gzip.compress(bytes(3 * LOOK_AHEAD)) + os.urandom(3 * LOOK_AHEAD)
    taken: list[int] = []
    held: list[int] = []
    decoding = decoded_pieces(arriving(bomb, taken), "gzip", 2 * LOOK_AHEAD, held.append)
    with pytest.raises(RequestTooLarge):
        await anext(decoding)
    # What follows is not awaited.
    assert sum(taken) == LOOK_AHEAD
    assert held == list(accumulate(taken))


async def test_body_that_may_fit_is_yielded_before_all_of_it_has_arrived() -> None:
    body = os.urandom(4 * LOOK_AHEAD)
    taken: list[int] = []
    decoding = decoded_pieces(arriving(gzip.compress(body), taken), "gzip", 5 * LOOK_AHEAD)
    first = await anext(decoding)
    assert sum(taken) == LOOK_AHEAD
    assert first + b"".join([piece async for piece in decoding]) == body


async def test_body_in_tiny_pieces_is_held_and_inflated_in_large_ones(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    body = os.urandom(200_000)
    data = gzip.compress(body)

    async def tiny() -> AsyncIterator[bytes]:
        for at in range(0, len(data), 2):
            yield data[at : at + 2]

    fed: list[int] = []
    feed = Inflater.feed

    def counted(inflater: Inflater, piece: bytes) -> Any:
        fed.append(len(piece))
        return feed(inflater, piece)

    monkeypatch.setattr(Inflater, "feed", counted)
    held: list[int] = []
    parts = decoded_pieces(tiny(), "gzip", 10 * LOOK_AHEAD, held.append)
    assert b"".join([part async for part in parts]) == body
    assert held == [65_536, 131_072, 196_608, len(data)]
    # To measure it, and to read it.
    assert fed == [65_536, 65_536, 65_536, len(data) - 196_608] * 2


@pytest.mark.parametrize("size", [1, 1000, 65_535, 65_536, 100_000])
async def test_body_in_pieces_of_any_size_is_yielded_whole(size: int) -> None:
    body = os.urandom(300_000)
    data = gzip.compress(body)

    async def pieces() -> AsyncIterator[bytes]:
        for at in range(0, len(data), size):
            yield data[at : at + size]

    assert b"".join([part async for part in decoded_pieces(pieces(), "gzip", 300_000)]) == body


def test_body_that_inflates_to_exactly_the_limit_is_read() -> None:
    assert inflated(gzip.compress(b"abc") + gzip.compress(b"d"), 4) == b"abcd"


class CountingDecompressor:
    """A decompressor that counts the bytes that it is given and those that it copies."""

    def __init__(self, counted: list[int]) -> None:
        self._gzip = zlib.decompressobj(zlib.MAX_WBITS | 16)
        self._counted = counted

    def decompress(self, piece: bytes, most: int) -> bytes:
        part = self._gzip.decompress(piece, most)
        unused = len(self._gzip.unused_data) + len(self._gzip.unconsumed_tail)
        self._counted.append(len(piece) + len(part) + unused)
        return part

    @property
    def eof(self) -> bool:
        return self._gzip.eof

    @property
    def unused_data(self) -> bytes:
        return self._gzip.unused_data

    @property
    def unconsumed_tail(self) -> bytes:
        return self._gzip.unconsumed_tail


EMPTY = gzip.compress(b"")
MEMBERS: dict[str, bytes] = {
    "one": gzip.compress(bytes(range(256)) * 4000),
    "empty ones": EMPTY * MOST_MEMBERS,
    "small ones": gzip.compress(b"a") * MOST_MEMBERS,
    "small ones and a large one": EMPTY * 9000 + gzip.compress(os.urandom(10**6)),
    "a bomb": gzip.compress(bytes(10**7)),
    "empty blocks": zlib.compressobj(wbits=31).flush(zlib.Z_FULL_FLUSH)
    + b"\0\0\0\xff\xff" * 100_000
    + b"\3\0" + bytes(8),
}  # fmt: skip


@pytest.mark.parametrize("body", MEMBERS.values(), ids=MEMBERS)
def test_inflating_takes_linear_steps(body: bytes) -> None:
    counted: list[int] = []
    parts = list(inflated_parts(body, 2 * 10**7, lambda: CountingDecompressor(counted)))
    assert max(map(len, parts), default=0) <= STEP
    inflated_bytes = sum(map(len, parts))
    # Every member may be given a few bytes that belong to the next one.
    assert sum(counted) <= 8 * (len(body) + inflated_bytes) + 64 * MOST_MEMBERS
    assert len(counted) <= 3 * MOST_MEMBERS + (len(body) + inflated_bytes) / 30_000


@pytest.mark.parametrize("sizes", [(1,), (0, 1, 0), (63, 64, 65), (10**6, 0, 3 * 10**6), (7,) * 99])
def test_members_of_any_size_are_inflated(sizes: tuple[int, ...]) -> None:
    parts = [os.urandom(size // 2) + bytes(size - size // 2) for size in sizes]
    body = b"".join(map(gzip.compress, parts))
    assert inflated(body, 10**7) == b"".join(parts)


async def test_body_of_too_many_members_is_refused(client) -> None:
    caller = await client()
    answer = await caller.post("/v1/messages", EMPTY * 100_000, content_encoding="gzip")
    assert code_of(answer)[::2] == (400, {"error_code": "request_body_encoding_invalid"})
    assert answer.error[2].endswith("It has more than 10000 members.")


@pytest.mark.parametrize("cut", [1, 5, 9, 1000])
def test_member_that_is_cut_is_refused(cut: int) -> None:
    body = EMPTY + gzip.compress(os.urandom(100_000))
    with pytest.raises(InvalidRequestError, match="not valid gzip"):
        inflated(body[:-cut], 10**6)
