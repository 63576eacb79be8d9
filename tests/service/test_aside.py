import threading

import pytest

from antiphon.service.background import BODY_FOR_A_THREAD, offload
from support.asgi import HELLO, Client

pytestmark = pytest.mark.anyio


async def test_work_on_a_large_body_runs_in_a_thread() -> None:
    here = threading.get_ident()
    assert await offload(BODY_FOR_A_THREAD - 1, threading.get_ident) == here
    assert await offload(BODY_FOR_A_THREAD, threading.get_ident) != here


async def test_exception_of_offloaded_work_is_raised() -> None:
    with pytest.raises(ValueError, match="no-number"):
        await offload(BODY_FOR_A_THREAD, int, "no-number")


@pytest.mark.parametrize("path", ["/v1/messages", "/v1/messages/count_tokens"])
async def test_a_large_body_is_refused_as_a_small_one_is(client, path: str) -> None:
    caller: Client = await client()
    wrong = {"role": "assistant", "content": " "}
    sentence = "messages: text content blocks must contain non-whitespace text"
    for many in (1, 10_000):
        body = {**HELLO, "messages": [*HELLO["messages"] * many, wrong, *HELLO["messages"]]}
        if path.endswith("count_tokens"):
            del body["max_tokens"]
        assert (await caller.post(path, body)).error == (400, "invalid_request_error", sentence)
        body["stop_sequences" if "max_tokens" in body else "cache_control"] = 5
        assert "Input should be" in (await caller.post(path, body)).error[2]
