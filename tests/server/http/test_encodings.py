import gzip
import json
import zlib
from typing import Any

import pytest

from antiphon.server.http.encodings import inflated
from support.asgi import HELLO, Answer

pytestmark = pytest.mark.anyio

BODY = json.dumps(HELLO).encode()


def code_of(answer: Answer) -> tuple[int, str, Any]:
    status, kind, _ = answer.error
    return status, kind, answer.json["error"]["details"]


@pytest.mark.parametrize(
    ("encoding", "body"),
    [
        ("gzip", gzip.compress(BODY)),
        ("GZIP", gzip.compress(BODY)),
        ("x-gzip", gzip.compress(BODY[:20]) + gzip.compress(BODY[20:])),
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
    [b"", BODY, gzip.compress(BODY)[:-3], gzip.compress(BODY) + b"more", zlib.compress(BODY)],
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


def test_body_that_inflates_to_exactly_the_limit_is_read() -> None:
    assert inflated(gzip.compress(b"abc") + gzip.compress(b"d"), 4) == b"abcd"
