"""What all large bodies together may share."""

import asyncio
import gzip
import json
import sys
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.errors import OverloadedError
from antiphon.server.app import build_app
from antiphon.server.http.body_budget import BodyBudget, bytes_for_a_character
from antiphon.service.background import LARGE_BODY
from antiphon.settings import Settings, SettingsError
from support.asgi import HELLO, Call, Client

pytestmark = pytest.mark.anyio

MIB = 1024 * 1024


def large(size: int, **changes: Any) -> bytes:
    return json.dumps({**HELLO, "metadata": {}, **changes}).encode().ljust(size)


def test_small_body_is_free() -> None:
    budget = BodyBudget(0)
    share = budget.share()
    share.expect(LARGE_BODY - 1)
    share.add(LARGE_BODY - 1)
    with pytest.raises(OverloadedError):
        share.add(1)
    assert budget.free == 0


def test_body_that_grows_counts_from_its_first_byte() -> None:
    budget = BodyBudget(MIB)
    first, second = budget.share(), budget.share()
    for _ in range(4):
        first.add(LARGE_BODY // 2)
    assert budget.free == MIB - 2 * LARGE_BODY
    second.expect(MIB - 2 * LARGE_BODY)
    with pytest.raises(OverloadedError):
        second.expect(MIB - 2 * LARGE_BODY + 1)
    with pytest.raises(OverloadedError):
        second.add(MIB - 2 * LARGE_BODY + 1)
    second.release()
    first.release()
    assert budget.free == MIB


def test_share_holds_what_it_was_told_last() -> None:
    budget = BodyBudget(MIB)
    first, second = budget.share(), budget.share()
    for size in (MIB, LARGE_BODY, LARGE_BODY - 1, MIB // 2):
        first.hold(size)
        assert budget.free == MIB - (size if size >= LARGE_BODY else 0)
    with pytest.raises(OverloadedError):
        second.hold(MIB // 2 + 1)
    second.hold(MIB // 2)
    first.release()
    second.release()
    assert budget.free == MIB


async def test_large_bodies_take_turns() -> None:
    """Of all large bodies one goes on in a turn of the event loop; a small one waits for none."""
    budget = BodyBudget(100 * MIB)
    turns = 0
    went_on: list[int] = []

    async def read(size: int) -> None:
        share = budget.share()
        share.add(size)
        for _ in range(5):
            await share.give_way()
            went_on.append(turns)

    await read(LARGE_BODY - 1)
    assert went_on == [0] * 5
    went_on.clear()
    reading = [asyncio.create_task(read(LARGE_BODY)) for _ in range(10)]
    while not all(task.done() for task in reading):
        await asyncio.sleep(0)
        turns += 1
    assert len(went_on) == 50
    assert max(went_on.count(turn) for turn in went_on) == 1


@given(st.text())
def test_texts_need_no_more_memory_than_their_width(text: str) -> None:
    for body in (
        json.dumps(text).encode(),
        json.dumps(text, ensure_ascii=False).encode("utf-8", "replace"),
    ):
        decoded = msgspec.json.decode(body)
        width = bytes_for_a_character(body)
        assert sys.getsizeof(decoded) - sys.getsizeof("\U0001f600") < width * (len(decoded) + 1)
        assert sys.getsizeof(decoded) - 100 < width * len(body)


@pytest.fixture
async def app(platform) -> Any:
    return build_app(
        await platform({"max_body_bytes": MIB, "body_budget_bytes": 2 * MIB}, text="Yes.")
    )


class Waiting(Call):
    """A request whose body stops before its end until `go` is set."""

    def __init__(self, app: Any, scope: dict[str, Any], body: list[bytes]) -> None:
        self.go = asyncio.Event()
        super().__init__(app, scope, body)

    async def _receive(self) -> Any:
        if len(self._body) == 1:
            await self.go.wait()
        return await super()._receive()


def waiting(app: Any, body: bytes) -> Waiting:
    headers = [
        (b"x-api-key", b"sk-antiphon-key-of-the-tests"),
        (b"anthropic-version", b"2023-06-01"),
    ]
    scope = {
        "type": "http",
        "method": "POST",
        "path": "/v1/messages",
        "query_string": b"",
        "headers": headers,
    }
    return Waiting(app, scope, [body[:-1], body[-1:]])


async def settled() -> None:
    """Let the requests run as far as they get."""
    for _ in range(50):
        await asyncio.sleep(0)


async def test_bodies_beyond_the_budget_are_refused_and_small_ones_go_on(app: Any) -> None:
    first = [waiting(app, large(MIB)) for _ in range(2)]
    await settled()
    caller = Client(app)
    refused = await caller.post("/v1/messages", large(LARGE_BODY))
    assert refused.error[:2] == (529, "overloaded_error")
    assert int(refused.headers["retry-after"]) > 0
    assert (await caller.post("/v1/messages", large(LARGE_BODY - 1))).status == 200
    assert (await caller.get("/health")).status == 200
    for call in first:
        call.go.set()
        assert (await call.task).status == 200
    assert (await caller.post("/v1/messages", large(MIB))).status == 200


@pytest.mark.parametrize(
    ("one", "status"),
    [("e", 200), ("é", 200), ("€", 200), ("a\\n", 200), ("😀", 529), ("\\ud83d\\ude00", 529)],
)
async def test_text_that_is_wide_in_memory_takes_more_of_the_budget(
    app: Any, one: str, status: int
) -> None:
    """The budget is 2 MiB, and half a MiB of it is taken."""
    caller = Client(app)
    body = large(1, system="@").replace(b"@", one.encode()).ljust(600 * 1024)
    # Alone it fits in any case.
    assert (await caller.start("POST", "/v1/messages", body).task).status == 200
    first = waiting(app, large(MIB // 2))
    await settled()
    assert (await caller.start("POST", "/v1/messages", body).task).status == status
    first.go.set()
    assert (await first.task).status == 200


async def test_announced_length_beyond_the_budget_is_refused_before_the_body(app: Any) -> None:
    first = [waiting(app, large(MIB)) for _ in range(2)]
    await settled()
    caller = Client(app)
    asked = caller.start("POST", "/v1/messages", [large(MIB)], {"content-length": str(MIB)})
    assert (await asked.task).error[0] == 529
    for call in first:
        call.hang_up()
        call.go.set()
        await call.task


@pytest.mark.parametrize(
    "encoding", [{}, {"content-encoding": "gzip"}, {"content-type": "a/b; charset=latin1"}]
)
@pytest.mark.parametrize("changes", [{}, {"max_tokens": -1}, {"model": "none"}, {"stream": True}])
async def test_budget_is_free_after_every_end(
    app: Any, encoding: dict[str, str | None], changes: dict[str, Any]
) -> None:
    caller = Client(app)
    for _ in range(4):
        body = large(MIB, **changes)
        if "content-encoding" in encoding:
            body = gzip.compress(body)
        answer = await caller.start("POST", "/v1/messages", body, encoding).task
        assert answer.status != 529


async def test_inflated_bytes_count(app: Any) -> None:
    first = waiting(app, large(MIB))
    second = waiting(app, large(MIB - LARGE_BODY))
    await settled()
    caller = Client(app)
    bomb = gzip.compress(large(MIB // 2))
    refused = await caller.post("/v1/messages", bomb, content_encoding="gzip")
    assert refused.error[0] == 529
    for call in (first, second):
        call.go.set()
        await call.task


async def test_body_that_grows_in_its_charset_counts_as_it_is_then(app: Any) -> None:
    caller = Client(app)
    body = json.dumps({**HELLO, "metadata": {}}).encode()[:-1] + b', "system": "'
    body += b"\xe9" * (MIB - len(body) - 2) + b'"}'
    headers: dict[str, str | None] = {"content-type": "a/b; charset=latin1"}
    assert (await caller.start("POST", "/v1/messages", body, headers).task).status == 200
    first = waiting(app, large(MIB // 2))
    await settled()
    assert (await caller.start("POST", "/v1/messages", body, headers).task).error[0] == 529
    first.go.set()
    await first.task


def test_budget_has_room_for_the_largest_body() -> None:
    with pytest.raises(SettingsError, match="--body-budget-bytes: is less than max_body_bytes"):
        Settings.load({"data_dir": "x", "body_budget_bytes": 10**6}, environ={})
    settings = Settings.load({"data_dir": "x", "max_body_bytes": 2048}, environ={})
    assert settings.body_budget == 3 * 2048
