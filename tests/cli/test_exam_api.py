"""A server that is examined, and does not answer as the Claude API: a sentence, no traceback."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from typing import Any

import pytest

from antiphon.cli.command import CommandError
from antiphon.cli.exam.api import ExamApi, RefusedError, opened_api
from support.web import Site, answer, site

pytestmark = pytest.mark.anyio

MODELS = {"data": [{"id": "m", "max_input_tokens": 5}, {"id": "other"}]}
STRANGE: list[Any] = [5, None, [], {}, {"content": 5}, {"content": [5]}, {"data": {}}]
STRANGE += [{"content": [{"type": "text"}]}, {"content": [{"type": "tool_use", "id": "a"}]}]


def told(value: Any, **headers: str) -> bytes:
    body = value if isinstance(value, bytes) else json.dumps(value).encode()
    return answer(body, **{"Content_Type": "application/json", **headers})


@asynccontextmanager
async def asking(there: Site, admin_key: str | None = None) -> AsyncGenerator[ExamApi]:
    there.pages.setdefault("/v1/models?limit=1000", told(MODELS))
    url = there.url("", host="127.0.0.1")
    async with opened_api(url, "k", "m", lambda: 0.0, admin_key) as (api, _):
        yield api


ENGINES = [{"data": [{"id": "m", "engines": engines}]} for engines in (5, {}, [5, {}])]
RAW = (b"<html>", b"\xff\xfe{", b"[" * 50_000, b"")


@pytest.mark.parametrize("said", [*STRANGE, *RAW, {"data": [{"id": "\x1b[2J"}]}, {"data": [5]}])
async def test_list_of_models_of_another_form_is_told(said: Any) -> None:
    async with site({"/v1/models?limit=1000": told(said)}) as there:
        with pytest.raises(CommandError, match=r"cannot be asked|does not answer as|models of"):
            async with asking(there):
                pass


@pytest.mark.parametrize("said", [*STRANGE, *RAW])
async def test_answer_of_another_form_is_told(said: Any) -> None:
    pages: Any = {"/v1/messages": told(said), "/v1/messages/count_tokens": told(said)}
    async with site(pages) as there, asking(there) as api:
        with pytest.raises(CommandError, match="does not answer as the Claude API does"):
            await api.message({})
        with pytest.raises(CommandError, match="does not answer as the Claude API does"):
            await api.count({})


@pytest.mark.parametrize("event", [b"5", b"[]", b'{"message": 5}', b'{"usage": {"x": "y"}}'])
async def test_events_of_another_form_count_nothing(event: bytes) -> None:
    said = told(b"data: " + event + b"\n\n")
    async with site({"/v1/messages": said}) as there, asking(there) as api:
        timed = await api.timed({})
    assert (timed.input_tokens, timed.output_tokens) == (0, 0)


async def test_events_that_are_no_json_are_told() -> None:
    async with site({"/v1/messages": told(b"data: {\n\n")}) as there, asking(there) as api:
        with pytest.raises(CommandError, match="does not answer as"):
            await api.timed({})


@pytest.mark.parametrize("said", [*STRANGE, *RAW, *ENGINES])
async def test_memory_that_nobody_tells_is_not_known(said: Any) -> None:
    pages: Any = {"/v1/organizations/models": told(said)}
    async with site(pages) as there, asking(there, "admin") as api:
        assert await api.memory() is None
        there.pages["/v1/organizations/models"] = b""
        assert await api.memory() is None


async def test_refusal_has_its_words_without_what_moves_the_cursor() -> None:
    refused = answer(b"\x1b[2Jno", "500 No")
    async with site({"/v1/messages": refused}) as there, asking(there) as api:
        with pytest.raises(RefusedError, match=r"^\\x1b\[2Jno$"):
            await api.message({})


async def test_whole_answers_are_read() -> None:
    block = {"type": "text", "text": "Hi"}
    memory = {
        "data": [{"id": "m", "engines": [{"memory": {"process_bytes": 7}}, {"memory": None}]}]
    }
    events = [
        {"type": "message_start", "message": {"usage": {"input_tokens": 3}}},
        {"type": "content_block_delta"},
        {"type": "message_delta", "usage": {"output_tokens": 4, "input_tokens": 0}},
    ]
    stream = b"".join(b"data: " + json.dumps(one).encode() + b"\n\n" for one in events)
    pages: Any = {
        "/v1/messages": told({"content": [block]}),
        "/v1/messages/count_tokens": told({"input_tokens": 5}),
        "/v1/organizations/models": told(memory),
    }
    async with site(pages) as there, asking(there, "admin") as api:
        assert (await api.message({}))["content"] == [block]
        assert await api.count({}) == 5
        assert await api.memory() == 7
        there.pages["/v1/messages"] = told(stream)
        timed = await api.timed({})
    assert (timed.input_tokens, timed.output_tokens) == (3, 4)
