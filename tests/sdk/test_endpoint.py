import asyncio
import gc
import inspect
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import antiphon
from antiphon.sdk.call import path_of, query_pairs
from antiphon.sdk.environment import Environment
from antiphon.sdk.models import ModelInfo
from antiphon.transport.base import ConnectError, HttpRequest, TransportError
from support.sdk import AsyncScriptedTransport, FakeClock, Interrupt, Reply, ScriptedTransport

MODEL = {"id": "m", "type": "model", "display_name": "M", "created_at": "then"}


def client_of(*replies: Reply | ConnectError) -> tuple[antiphon.Client, ScriptedTransport]:
    clock = FakeClock()
    transport = ScriptedTransport(*replies, clock=clock)
    client = antiphon.Client(api_key="k", transport=transport, now=clock, sleep=clock.sleep)
    return client, transport


def async_client_of(*replies: Reply | ConnectError) -> tuple[antiphon.AsyncClient, Any]:
    clock = FakeClock()
    transport = AsyncScriptedTransport(*replies, clock=clock)
    client = antiphon.AsyncClient(
        api_key="k", transport=transport, now=clock, sleep=clock.async_sleep
    )
    return client, transport


def page(*ids: str, **more: Any) -> Reply:
    rows = [{**MODEL, "id": one} for one in ids]
    ends = {"first_id": ids[0], "last_id": ids[-1]} if ids else {}
    return Reply(json={"data": rows, "has_more": False, **ends, **more})


def test_operation_is_a_method_of_both_clients() -> None:
    client, transport = client_of(Reply(json=MODEL))
    assert client.models.retrieve("a/b").id == "m"
    assert transport.requests[0].url.endswith("/v1/models/a%2Fb")
    other, async_transport = async_client_of(Reply(json=MODEL))

    async def retrieve() -> ModelInfo:
        return await other.models.retrieve("a/b")

    assert asyncio.run(retrieve()).id == "m"
    assert async_transport.requests == transport.requests


def test_raw_answer_has_headers_and_result() -> None:
    for raw in ("raw", "with_raw_response"):
        client, _ = client_of(Reply(200, {"request-id": "req_1", "x-a": "1"}, json=MODEL))
        models = client.models
        answer = (
            models.retrieve.raw("m") if raw == "raw" else models.with_raw_response.retrieve("m")
        )
        assert (answer.status_code, answer.request_id, answer.retries) == (200, "req_1", 0)
        assert answer.headers["X-A"] == "1"
        assert answer.json() == MODEL
        assert answer.read() == answer.text().encode()
        assert answer.parse().id == "m"


PAGE = {"data": [MODEL], "has_more": True, "first_id": "m", "last_id": "m"}


def test_list_has_the_same_forms_as_other_calls() -> None:
    replies = [Reply(200, {"request-id": "req_1"}, json=PAGE) for _ in range(3)]
    client, _ = client_of(*replies)
    answer = client.models.with_raw_response.list(limit=1)
    assert (answer.request_id, [model.id for model in answer.parse().data]) == ("req_1", ["m"])
    assert client.models.list.raw(limit=1).parse().has_next_page()
    with client.models.with_streaming_response.list(limit=1) as response:
        assert response.json() == PAGE


def test_list_of_an_async_client_has_the_same_forms() -> None:
    async def ask() -> list[str]:
        client, _ = async_client_of(*[Reply(json=PAGE) for _ in range(3)])
        answer = await client.models.with_raw_response.list(limit=1)
        page = await answer.parse()
        short = await client.models.list.raw(limit=1)
        async with client.models.with_streaming_response.list(limit=1) as response:
            streamed = await response.parse()
        return [page.data[0].id, short.parse().data[0].id, streamed.data[0].id]

    assert asyncio.run(ask()) == ["m", "m", "m"]


@pytest.mark.parametrize("more", [{}, {"next_page": "p", "has_more": False}])
def test_list_that_does_not_end_is_told(more: dict[str, Any]) -> None:
    pages = [Reply(json=PAGE | more) for _ in range(3)]
    client, transport = client_of(*pages)
    with pytest.raises(antiphon.APIResponseValidationError, match="the list does not end"):
        list(client.models.list())
    assert len(transport.requests) == 2


def test_async_raw_answer_has_the_same() -> None:
    async def ask() -> str:
        client, _ = async_client_of(Reply(json=MODEL))
        return (await client.models.retrieve.raw("m")).parse().id

    assert asyncio.run(ask()) == "m"


def test_operation_has_its_own_text_and_signature() -> None:
    retrieve: Any = antiphon.sdk.models.Models.retrieve
    assert retrieve.__doc__ == "Return one model, by its id or an alias."
    assert "model_id" in inspect.signature(retrieve.make).parameters


def test_call_is_repeated_by_both_clients() -> None:
    gone = ConnectError("refused")
    client, transport = client_of(gone, Reply(529), Reply(json=MODEL))
    answer = client.models.retrieve.raw("m")
    assert (answer.parse().id, answer.retries) == ("m", 2)
    assert transport.headers()["x-stainless-retry-count"] == "2"
    other, async_transport = async_client_of(gone, Reply(529), Reply(json=MODEL))

    async def retrieve() -> ModelInfo:
        return await other.models.retrieve("m")

    assert asyncio.run(retrieve()).id == "m"
    assert len(async_transport.requests) == 3


def test_call_can_say_itself_how_often_it_is_repeated() -> None:
    client, transport = client_of(Reply(529), Reply(json=MODEL))
    with pytest.raises(antiphon.OverloadedError):
        client.models.retrieve("m", max_retries=0)
    assert len(transport.requests) == 1


def test_answer_that_is_none_of_the_api_is_told() -> None:
    for body in (b"<html>", b"\xff", b'{"type":"model"}'):
        client, _ = client_of(Reply(200, {"request-id": "req_1"}, chunks=[body]))
        with pytest.raises(antiphon.APIResponseValidationError) as caught:
            client.models.retrieve("m")
        assert str(caught.value).startswith("the answer to GET /v1/models/m is none of the API: ")
        assert (caught.value.status_code, caught.value.request_id) == (200, "req_1")


def test_interrupt_in_an_answer_closes_its_connection() -> None:
    reply = Reply(chunks=[b"{"], interrupt=True)
    client, _ = client_of(reply)
    with pytest.raises(Interrupt):
        client.models.retrieve("m")
    assert reply.closed
    other, _ = async_client_of(again := Reply(chunks=[b"{"], interrupt=True))

    async def retrieve() -> ModelInfo:
        return await other.models.retrieve("m")

    with pytest.raises(Interrupt):
        asyncio.run(retrieve())
    assert again.closed


def test_any_path_can_be_called() -> None:
    client, transport = client_of(*[Reply(json={"a": 1}) for _ in range(3)])
    kind = dict[str, int]
    assert client.get("v1/new", cast_to=kind, query={"x": True}) == {"a": 1}
    assert client.post("/v1/new", cast_to=kind, body={"b": 2}, extra_body={"c": 3}) == {"a": 1}
    assert client.delete("/v1/new", cast_to=kind) == {"a": 1}
    assert [one.method for one in transport.requests] == ["GET", "POST", "DELETE"]
    assert transport.requests[0].url.endswith("/v1/new?x=true")
    assert transport.body(1) == {"b": 2, "c": 3}
    with pytest.raises(TypeError, match="unknown options: retries"):
        client.get("/v1/new", cast_to=kind, retries=3)


def test_client_closes_only_what_it_made() -> None:
    client, transport = client_of()
    with client:
        pass
    assert not transport.closed
    own = antiphon.Client(api_key="k")
    own.close()
    assert "transport" not in own.__dict__
    assert repr(own) == "Client(base_url='http://127.0.0.1:8000')"


def test_iterating_walks_through_all_pages() -> None:
    client, transport = client_of(page("a", "b", has_more=True), page("c"))
    first = client.models.list(limit=2)
    assert [model.id for model in first.data] == ["a", "b"]
    assert (first.first_id, first.last_id, first.has_more) == ("a", "b", True)
    assert first.has_next_page()
    assert [model.id for model in first] == ["a", "b", "c"]
    assert [one.url.partition("?")[2] for one in transport.requests] == [
        "limit=2",
        "limit=2&after_id=b",
    ]


def test_async_list_can_be_awaited_or_iterated_over() -> None:
    async def read() -> None:
        client, transport = async_client_of(
            page("a", has_more=True), page("b"), page("a", has_more=True), page("b")
        )
        first = await client.models.list()
        assert [model.id for model in first.data] == ["a"]
        assert [model.id async for model in first] == ["a", "b"]
        assert [model.id async for model in client.models.list()] == ["a", "b"]
        assert len(transport.requests) == 4

    asyncio.run(read())


def test_list_goes_on_backwards() -> None:
    client, transport = client_of(page("c", "d", has_more=True), page("b"))
    assert [model.id for model in client.models.list(before_id="e")] == ["c", "d", "b"]
    assert transport.requests[1].url.endswith("?before_id=c")


def test_list_goes_on_by_a_cursor() -> None:
    client, transport = client_of(page("a", next_page="p2"), page("b"))
    assert [model.id for model in client.models.list(after_id="0")] == ["a", "b"]
    assert transport.requests[1].url.endswith("?page=p2")


@pytest.mark.parametrize("more", [{}, {"has_more": True}])
def test_list_ends_with_an_empty_page(more: dict[str, Any]) -> None:
    client, transport = client_of(page(**more))
    assert list(client.models.list()) == []
    assert len(transport.requests) == 1


@given(st.text(min_size=1).filter(lambda text: text not in {".", ".."}))
def test_id_of_any_text_is_one_step_of_a_path(text: str) -> None:
    try:
        path = path_of("models", text)
    except UnicodeEncodeError:
        return
    assert path.isascii()
    assert path.count("/") == 3
    assert not set("?#% ") & set(path.replace("%", "", path.count("%")))


@pytest.mark.parametrize("text", ["", ".", ".."])
def test_id_that_would_be_another_path_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"^an id "):
        path_of("models", text)


def test_values_of_a_query_are_written_as_the_api_reads_them() -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    pairs = query_pairs({"a": None, "b": True, "c": [1, "x"], "d": at, "e": 1.5})
    assert pairs == (
        ("b", "true"),
        ("c[]", "1"),
        ("c[]", "x"),
        ("d", "2026-01-02T00:00:00+00:00"),
        ("e", "1.5"),
    )


def test_client_with_other_options_shares_the_connections() -> None:
    environment = Environment(auth_token="t")
    transport = ScriptedTransport(*[Reply(json=MODEL) for _ in range(3)])
    client = antiphon.Client(
        transport=transport, environment=environment, default_headers={"x-a": "1"}
    )
    client.with_options(timeout=7.0, max_retries=0).models.retrieve("m")
    assert transport.timeouts[-1][0] == 5.0
    assert transport.headers()["authorization"] == "Bearer t"
    assert transport.headers()["x-a"] == "1"
    with client.with_options(auth_token="mine") as other:
        other.with_options(api_key="k").models.retrieve("m")
    assert transport.headers()["x-api-key"] == "k"
    assert "authorization" not in transport.headers()
    assert not transport.closed


def test_forgotten_client_closes_its_connections() -> None:
    client = antiphon.Client(api_key="k")
    connections = client.transport
    # A resource and its client hold each other.
    assert client.models is client.models
    del client
    gc.collect()
    with pytest.raises(TransportError, match="closed"):
        connections.open(
            HttpRequest(method="GET", url="http://127.0.0.1:9"), connect_timeout=1, timeout=1
        )


def test_client_that_shares_connections_keeps_who_made_them() -> None:
    copy = antiphon.Client(api_key="k").with_options(max_retries=0)
    gc.collect()
    # Not closed with its first client, which nobody holds: so it says that nobody is there.
    with pytest.raises(antiphon.APIConnectionError, match="refused"):
        copy.with_options(base_url="http://127.0.0.1:9").models.retrieve("m")


def test_async_client_with_other_options_shares_the_connections() -> None:
    async def retrieve() -> None:
        client, transport = async_client_of(Reply(json=MODEL))
        await client.with_options(default_headers={"x-a": "1"}).models.retrieve("m")
        assert transport.headers()["x-a"] == "1"
        await client.close()
        assert not transport.closed

    asyncio.run(retrieve())


def test_async_raw_answer_of_the_official_name_is_awaited() -> None:
    async def ask() -> None:
        client, _ = async_client_of(Reply(200, {"request-id": "req_1"}, json=MODEL))
        answer = await client.models.with_raw_response.retrieve("m")
        assert (answer.status_code, answer.request_id, answer.retries) == (200, "req_1", 0)
        assert answer.headers["request-id"] == "req_1"
        assert answer.elapsed >= 0
        assert (await answer.parse()).id == "m"
        assert await answer.json() == MODEL
        assert (await answer.text()).encode() == await answer.read()

    asyncio.run(ask())


def test_page_says_how_the_next_one_is_asked_for() -> None:
    client, _ = client_of(page("a", "b", has_more=True))
    following = client.models.list(limit=2).next_page_info()
    assert following is not None
    assert following.params == {"limit": "2", "after_id": "b"}
    client, _ = client_of(page("a"))
    assert client.models.list().next_page_info() is None


def test_model_keeps_what_is_new() -> None:
    client, _ = client_of(Reply(json={**MODEL, "of_next_year": [1]}))
    model: Any = client.models.retrieve("m")
    assert model.of_next_year == [1]
    assert model.to_dict() == {**MODEL, "of_next_year": [1]}
