"""Cache diagnostics: why a prompt is not read from the cache as far as an earlier one reached."""

from typing import Any

import pytest

from support.asgi import Client
from support.cached_requests import FIVE_MINUTES, system, text, tools, turn
from support.organization import Organization, StartOrganization

pytestmark = pytest.mark.anyio

BODY: dict[str, Any] = {
    "tools": tools(300),
    "system": system(700, mark=FIVE_MINUTES),
    "messages": [turn(100), turn(50, "assistant"), turn(20)],
}
FIRST = {"previous_message_id": None}


@pytest.fixture
def office(organization: StartOrganization) -> Any:
    async def started(**options: Any) -> Organization:
        return await organization(timed=True, text="one two", **options)

    return started


async def asked(caller: Client, **body: Any) -> Any:
    answer = await caller.create(**{**BODY, **body})
    assert answer.status == 200, answer.json
    return answer.json


async def compared(caller: Client, before: Any, **body: Any) -> Any:
    """Send a request that names an earlier answer; return its diagnostics."""
    named = {"previous_message_id": before["id"]}
    return (await asked(caller, **{"diagnostics": named, **body}))["diagnostics"]


def reason(kind: str, missed: int | None = None) -> dict[str, Any]:
    more = {} if missed is None else {"cache_missed_input_tokens": missed}
    return {"cache_miss_reason": {"type": kind, **more}}


async def test_request_without_the_object_gets_null(office) -> None:
    assert (await asked((await office()).caller))["diagnostics"] is None


@pytest.mark.covers("parameters: diagnostics", "effect")
async def test_first_request_and_unchanged_prefix_get_null(office) -> None:
    caller = (await office()).caller
    first = await asked(caller, diagnostics=FIRST)
    assert first["diagnostics"] is None
    longer = [*BODY["messages"], turn(5, "assistant"), turn(6)]
    assert await compared(caller, first, messages=longer) is None
    assert await compared(caller, first) is None


@pytest.mark.parametrize(
    ("change", "kind", "missed"),
    [
        ({"tools": tools(300, name="see")}, "tools_changed", range(1170, 1171)),
        ({"system": system(700, word="b")}, "system_changed", range(700, 900)),
        ({"messages": [turn(100, word="b")]}, "messages_changed", range(100, 300)),
        ({"messages": [turn(100), turn(50, "assistant"), turn(9)]}, "messages_changed", range(50)),
    ],
    ids=["tools", "system", "first message", "last message"],
)
async def test_earliest_change_is_named(
    office, change: dict[str, Any], kind: str, missed: range
) -> None:
    caller = (await office()).caller
    first = await asked(caller, diagnostics=FIRST)
    found = (await compared(caller, first, **change))["cache_miss_reason"]
    assert found.pop("cache_missed_input_tokens") in missed
    assert found == {"type": kind}


async def test_other_model_is_named(gateway) -> None:
    caller = await gateway({"id": "one", "engine": "scripted"}, {"id": "two", "engine": "scripted"})
    first = await asked(caller, model="one", diagnostics=FIRST)
    assert await compared(caller, first, model="two") == reason("model_changed", 1170)


async def test_unknown_and_foreign_messages_are_not_found(office) -> None:
    there = await office()
    guest, _, _ = await there.guest()
    mine = await asked(there.caller, diagnostics=FIRST)
    not_found = reason("previous_message_not_found")
    assert await compared(there.caller, {"id": "msg_1"}) == not_found
    assert await compared(there.caller, {"id": "x" * 10_000}) == not_found
    assert await compared(guest, mine) == not_found
    without = await asked(there.caller)
    assert await compared(there.caller, without) == not_found


async def test_message_is_known_for_an_hour(office) -> None:
    there = await office()
    first = await asked(there.caller, diagnostics=FIRST)
    there.clock.passes(minutes=59)
    assert await compared(there.caller, first) is None
    there.clock.passes(minutes=2)
    assert await compared(there.caller, first) == reason("previous_message_not_found")


async def test_failed_request_keeps_no_fingerprint(office) -> None:
    there = await office(replies=[{"when": "fail", "error": "failed"}])
    failed = await there.caller.create(
        **{**BODY, "messages": [{"role": "user", "content": "fail"}]}, diagnostics=FIRST
    )
    assert failed.status == 500
    assert len(there.platform.caching.index) == 0


async def test_diagnostics_need_no_breakpoint_and_no_prompt_cache(office) -> None:
    caller = (await office(kept_prefixes=0)).caller
    first = await asked(caller, system=system(700), diagnostics=FIRST)
    changed = await compared(caller, first, system=system(700, word="b"))
    assert changed["cache_miss_reason"]["type"] == "system_changed"


async def test_stream_has_them_on_its_start(office) -> None:
    caller = (await office()).caller
    first = await asked(caller, diagnostics=FIRST)
    body = {**BODY, "system": [*system(700), text(3)], "stream": True}
    named = {"previous_message_id": first["id"]}
    events = (await caller.create(**body, diagnostics=named)).events
    found = events[0]["message"]["diagnostics"]["cache_miss_reason"]
    assert found["type"] == "system_changed"


async def test_change_of_parameters_alone_is_unavailable(office) -> None:
    caller = (await office()).caller
    first = await asked(caller, diagnostics=FIRST)
    changed = await compared(caller, first, tool_choice={"type": "none"})
    assert changed == reason("unavailable")
