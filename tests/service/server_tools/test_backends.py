"""The services that search the web, against stand-ins of each."""

import json
import time
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.server_tools.domains import Domains
from antiphon.secret import Secret
from antiphon.service.server_tools.web.backends import (
    LARGEST_ANSWER,
    LONGEST_TEXT,
    MOST_READ,
    Hit,
    Query,
    SearchFailedError,
    WebSearchBackend,
    hits_of,
)
from antiphon.web_settings import WebSettings
from antiphon.wire.tools import UserLocation
from support.logs import capture_logs
from support.search_services import SearchService, search_service

pytestmark = pytest.mark.anyio

SERVICES = ("searxng", "brave", "tavily", "own")
OSLO = UserLocation(type="approximate", city="Oslo", country="NO", timezone="Europe/Oslo")


def backend(service: SearchService, name: Any, **more: Any) -> WebSearchBackend:
    given = {"search": name, "url": service.url + name, "key": Secret("the-key"), **more}
    return WebSearchBackend(WebSettings(**given))


def query(words: str = "rain", results: int = 5, **more: Any) -> Query:
    return Query(words=words, results=results, **more)


@pytest.mark.parametrize("name", SERVICES)
async def test_results_are_read_alike(name: str) -> None:
    async with search_service() as service:
        one, two = await backend(service, name).search(query())
    more = "\nMore." if name == "brave" else ""
    assert one == Hit("https://example.com/rain", "Rain", f"It rains in Oslo. Take care.{more}")
    assert two.age == "2 days"


async def test_each_service_is_asked_in_its_own_words() -> None:
    domains = Domains(allowed=("example.com/a/*/b", "example.org"))
    asking = query(domains=domains, location=OSLO)
    async with search_service() as service:
        for name in SERVICES:
            await backend(service, name).search(asking)
        searxng, brave, tavily, own = service.asked
    sites = "rain (site:example.com/a/ OR site:example.org)"
    assert (searxng.method, searxng.query) == ("GET", {"q": sites, "format": "json"})
    assert (brave.query["q"], brave.query["count"], brave.query["country"]) == (sites, "5", "NO")
    assert brave.headers["x-subscription-token"] == "the-key"
    assert (brave.headers["x-loc-city"], brave.headers["x-loc-timezone"]) == ("Oslo", "Europe/Oslo")
    assert tavily.headers["authorization"] == own.headers["authorization"] == "Bearer the-key"
    assert tavily.body == {
        "query": "rain",
        "max_results": 5,
        "include_domains": ["example.com", "example.org"],
        "exclude_domains": [],
    }
    assert own.body == {
        "query": "rain",
        "count": 5,
        "allowed_domains": ["example.com/a/*/b", "example.org"],
        "blocked_domains": [],
        "user_location": {
            "type": "approximate",
            "city": "Oslo",
            "region": None,
            "country": "NO",
            "timezone": "Europe/Oslo",
        },
    }


@pytest.mark.parametrize("name", SERVICES)
async def test_what_a_service_finds_elsewhere_is_left_out(name: str) -> None:
    async with search_service() as service:
        asked = backend(service, name)
        allowed = await asked.search(query(domains=Domains(allowed=("example.org",))))
        blocked = await asked.search(query(domains=Domains(blocked=("docs.example.org",))))
        few = await asked.search(query(results=1))
    assert [hit.title for hit in allowed] == ["Snow"]
    assert [hit.title for hit in blocked] == ["Rain"]
    assert len(few) == 1


@pytest.mark.parametrize(
    "hit",
    [
        {"url": "javascript:alert()", "title": "a", "text": "b"},
        {"url": 5, "title": "a", "text": "b"},
        {"url": "https://a.example/" + "b" * 2000, "title": "a", "text": "b"},
    ],
)
async def test_result_without_an_address_is_left_out(hit: dict[str, Any]) -> None:
    async with search_service() as service:
        service.hits = [hit]
        assert await backend(service, "own").search(query()) == []


async def test_fields_of_another_type_and_long_texts_are_cut() -> None:
    async with search_service() as service:
        service.hits = [
            {"url": "https://a.example", "title": None, "text": 5, "age": 7},
            {"url": "https://b.example", "title": "b", "text": "c" * 9000},
        ]
        one, two = await backend(service, "own").search(query())
    assert one == Hit("https://a.example", "https://a.example", "")
    assert len(two.text) == LONGEST_TEXT


@pytest.mark.parametrize(
    "raw",
    [
        *(b"no json", b"[" * 100_000),
        *(b"[]", b"5", b'{"results": 5}', b'{"results": [5]}', b'{"web": {"results": {}}}'),
        *(b'{"web": {"results": 5}}', b'{"web": {"results": true}}', b'{"web": []}'),
        b'{"results": {"url": "https://a.example"}}',
    ],
)
@pytest.mark.parametrize("name", SERVICES)
async def test_answer_of_another_form_is_no_result(name: str, raw: bytes) -> None:
    async with search_service() as service:
        service.raw = raw
        if raw == b"no json" or raw.startswith(b"[["):
            with pytest.raises(SearchFailedError):
                await backend(service, name).search(query())
        else:
            assert await backend(service, name).search(query()) == []


@pytest.mark.parametrize(
    ("status", "code"), [(429, "too_many_requests"), (500, "unavailable"), (302, "unavailable")]
)
async def test_refusal_of_a_service_is_told_by_its_code(status: int, code: str) -> None:
    async with search_service() as service:
        service.status = status
        with capture_logs() as logs, pytest.raises(SearchFailedError) as error:
            await backend(service, "own").search(query("secret words"))
    assert error.value.code == code
    assert "the web search failed" in str(logs)
    assert "secret words" not in str(logs)
    assert "the-key" not in str(logs)


async def test_service_that_is_away_slow_or_endless_is_unavailable() -> None:
    async with search_service() as service:
        away = backend(service, "own")
        service.raw = b" " * (LARGEST_ANSWER + 1)
        with pytest.raises(SearchFailedError, match="unavailable"):
            await away.search(query())
    with pytest.raises(SearchFailedError, match="unavailable"):
        await away.search(query())


def test_backend_needs_a_service() -> None:
    with pytest.raises(ValueError, match="no search"):
        WebSearchBackend(WebSettings())


def test_answer_without_an_end_is_read_up_to_a_limit() -> None:
    results = [{"url": f"https://n{number}.example"} for number in range(60_000)]
    began = time.process_time()
    assert len(hits_of({"results": results}, "own", Domains())) == MOST_READ
    assert time.process_time() - began < 1


NAMES = ("results", "web", "url", "title", "content", "description", "age", "extra_snippets")
SCALARS = st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5)
URLS = st.sampled_from(["https://a.example/", "http://\u00fc.example", "https://[", "http://a b/"])
STRANGE = st.recursive(
    SCALARS | URLS,
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(NAMES), inner, max_size=4)
    ),
    max_leaves=12,
)


@given(STRANGE, st.sampled_from(SERVICES))
def test_any_answer_becomes_results_that_can_be_sent(answer: Any, name: str) -> None:
    results = {"results": answer}
    for said in (answer, results, {"results": [answer]}, {"web": results}, {"web": answer}):
        for hit in hits_of(json.loads(json.dumps(said)), name, Domains()):
            assert hit.url.startswith(("http://", "https://"))
            msgspec.json.encode(hit)


@pytest.mark.parametrize(
    ("url", "blocked"),
    [
        ("https://b\u00fccher.example/", "xn--bcher-kva.example"),
        ("https://\uff45vil.example/", "evil.example"),
        ("https://evil\u3002example/", "evil.example"),
        ("https://evil.example./", "evil.example"),
        ("https://example.com/a/../secret", "example.com/secret"),
        ("https://example.com/%73ecret", "example.com/secret"),
        ("https://evil.example:99999/", "example.org"),
    ],
)
async def test_result_that_is_blocked_is_left_out_however_it_is_written(
    url: str, blocked: str
) -> None:
    async with search_service() as service:
        service.hits = [{"url": url, "title": "a", "text": "b"}]
        there = backend(service, "own")
        assert await there.search(query(domains=Domains(blocked=(blocked,)))) == []
