"""What llama.cpp streams, as pieces of a token machine."""

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from antiphon.engines.base import EngineError, EngineErrorKind
from antiphon.engines.llama.client import LlamaClient, _tokens_in
from antiphon.engines.llama.server_types import MediaPrompt
from antiphon.engines.llama.session import open_session
from antiphon.engines.llama.supervisor import RemoteServer
from antiphon.engines.token.machine import CompletionRequest, Piece, PieceEnd
from support.upstreams import FakeUpstream, fake_upstream

pytestmark = pytest.mark.anyio

ASKED = CompletionRequest(
    tokens=[1, 2], max_tokens=5, temperature=0.5, stop=("END",), shown=("<tool_call>",)
)


@pytest.fixture
async def server() -> AsyncIterator[FakeUpstream]:
    async with fake_upstream() as server:
        yield server


async def pieces_of(server: FakeUpstream, media: MediaPrompt | None = None) -> list[Piece]:
    async with open_session(None) as session:
        client = LlamaClient(RemoteServer(server.url), session)
        return [piece async for piece in client.complete(ASKED, media)]


def events(*events: dict[str, Any]) -> bytes:
    return b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)


async def test_piece_counts_its_tokens_and_shows_them_if_all_are_known(
    server: FakeUpstream,
) -> None:
    server.streams(
        events(
            {"content": "", "tokens": [0], "tokens_predicted": 0, "prompt_progress": {}},
            {"content": "a", "tokens": [7], "tokens_predicted": 1},
            {"content": "é", "tokens": [9], "tokens_predicted": 3},
            {"content": "", "tokens": [], "tokens_predicted": 4, "stop": True, "stop_type": "eos"},
        )
    )
    assert await pieces_of(server) == [
        Piece(text="a", count=1, tokens=(7,)),
        Piece(text="é", count=2, tokens=None),
        Piece(count=1, end=PieceEnd.MODEL),
    ]


TOKENS = list(range(20_000))


@pytest.mark.parametrize("size", [1, 7, 10_000, 100_000])
async def test_large_answer_of_tokens_is_read_in_pieces_and_turns(size: int) -> None:
    answer = json.dumps({"tokens": TOKENS}).encode()
    turns = 0

    async def arriving() -> AsyncIterator[bytes]:
        for start in range(0, len(answer), size):
            yield answer[start : start + size]

    async def count_turns() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count_turns())
    assert list(await _tokens_in(arriving())) == TOKENS
    counting.cancel()
    # An answer that arrives at once is one piece.
    assert turns >= min(2, len(answer) // size)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"[1]",
        b'{"tokens":[1,-1]}',
        b'{"tokens":[2147483648]}',
        json.dumps({"tokens": TOKENS}).encode()[:-1],
        json.dumps({"tokens": [*TOKENS, "x"]}).encode(),
        json.dumps({"tokens": ["x", *TOKENS]}).encode(),
    ],
)
async def test_answer_without_tokens_is_an_error(answer: bytes) -> None:
    async def arriving() -> AsyncIterator[bytes]:
        yield answer

    with pytest.raises(EngineError, match="what it should not"):
        await _tokens_in(arriving())


@pytest.mark.parametrize(
    ("kind", "end"),
    [("eos", PieceEnd.MODEL), ("limit", PieceEnd.LIMIT), ("word", PieceEnd.STOP)],
)
async def test_stop_type_is_the_end_of_the_last_piece(
    server: FakeUpstream, kind: str, end: PieceEnd
) -> None:
    server.streams(events({"tokens_predicted": 1, "stop": True, "stop_type": kind}))
    assert await pieces_of(server) == [Piece(count=1, end=end)]


@pytest.mark.parametrize(
    ("event", "complaint"),
    [
        ({"stop": True, "stop_type": "none"}, "unknown reason: 'none'"),
        ({"error": {"message": "no memory"}}, "gave up: no memory"),
        ({"content": "a", "tokens_predicted": 1}, "in the middle"),
        ({"content": 1}, "answered what it should not"),
    ],
)
async def test_stream_without_a_known_end_is_an_error(
    server: FakeUpstream, event: dict[str, Any], complaint: str
) -> None:
    server.streams(events(event))
    with pytest.raises(EngineError, match=complaint) as error:
        await pieces_of(server)
    assert error.value.kind is EngineErrorKind.FAILED


async def test_request_is_written_as_llama_cpp_reads_it(server: FakeUpstream) -> None:
    server.streams(events({"stop": True, "stop_type": "eos"}))
    await pieces_of(server)
    await pieces_of(server, MediaPrompt("<m>?", ("aW1hZ2U=",)))
    (path, _, body), (_, _, with_image) = server.asked
    assert path == "/completion"
    assert body["prompt"] == [1, 2]
    assert (body["n_predict"], body["stop"], body["temperature"]) == (5, ["END"], 0.5)
    assert body["preserved_tokens"] == ["<tool_call>"]
    assert "grammar" not in body
    assert with_image["prompt"] == {"prompt_string": "<m>?", "multimodal_data": ["aW1hZ2U="]}
