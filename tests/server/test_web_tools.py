"""`web_search` and `web_fetch`, over the application: blocks, citations, limits of use, bills."""

from base64 import b64decode
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from decimal import Decimal
from typing import Any

import pytest

from antiphon.secret import Secret
from antiphon.server.app import build_app
from antiphon.service.content.file_reader import BorrowedChild, FileReader
from antiphon.service.content.web import Web
from antiphon.service.messages import Messages
from antiphon.service.server_tools.web.backends import WebSearchBackend
from antiphon.service.server_tools.web.opened import WebResults
from antiphon.service.server_tools.web.seals import Seals
from antiphon.service.server_tools.web.tools import WebTools
from antiphon.web_settings import WebSettings
from support.asgi import Client
from support.organization import NOON, Organization, StartOrganization
from support.pdf import pdf
from support.search_services import SearchService, search_service
from support.tool_search import REGEX
from support.web import FakeNameServer, Site, allow_loopback, answer, redirect, site

pytestmark = pytest.mark.anyio

SEARCH = {"type": "web_search_20250305", "name": "web_search"}
FETCH = {"type": "web_fetch_20250910", "name": "web_fetch"}
LOOK = {"name": "web_search", "input": {"query": "rain in Oslo"}}
QUESTION = {"role": "user", "content": "How is the weather?"}


def fetching(url: str) -> dict[str, Any]:
    return {"name": "web_fetch", "input": {"url": url}}


# What the tests have started: a child that nobody ends has a pipe that nobody closes.
READERS: list[FileReader] = []


@pytest.fixture(autouse=True)
async def ended_readers() -> AsyncGenerator[None]:
    yield
    while READERS:
        await READERS.pop().aclose()


@pytest.fixture
async def service() -> AsyncGenerator[SearchService]:
    async with search_service() as one:
        yield one


@pytest.fixture
async def there() -> AsyncGenerator[Site]:
    async with site() as one:
        yield one


class TiredReader(FileReader):
    """Reads one PDF, and is too late for the same one when the prompt is made of it."""

    reads = 0

    @asynccontextmanager
    async def borrow(self) -> AsyncGenerator[BorrowedChild]:
        self.reads += 1
        async with super().borrow() as child:
            yield child if self.reads == 1 else BorrowedChild(child._child, 0.0)


def with_web(
    org: Organization,
    service: SearchService | None,
    *,
    fetch: bool = True,
    price: str = "0",
    reader: FileReader | None = None,
) -> Client:
    """Return a caller of the same server, whose web is on this machine."""
    platform = org.platform
    found: Any = {} if service is None else {"search": "own", "url": f"{service.url}own"}
    settings = WebSettings(**found, fetch=fetch, fetch_bytes=100_000, price=Decimal(price))
    reader = reader or FileReader()
    READERS.append(reader)
    platform.messages = Messages(
        platform.models,
        platform.admitter,
        platform.entropy,
        b"key",
        caching=platform.caching,
        file_reader=reader,
        web=WebTools(
            settings,
            reader,
            lambda: NOON,
            results=WebResults(Seals(b"key", platform.entropy)),
            backend=None if service is None else WebSearchBackend(settings),
            web=Web(FakeNameServer(), allow_loopback) if fetch else None,
        ),
    )
    return Client(build_app(platform))


async def opened(
    organization: StartOrganization, *replies: dict[str, Any], **more: Any
) -> Organization:
    return await organization(replies=list(replies), **more)


def kinds(message: Any) -> list[str]:
    return [block["type"] for block in message["content"]]


SEARCHES = [
    {"when": "It rains", "text": "In Oslo it rains [source 1]. Be careful [source 2]."},
    {"when": "weather", "text": "I look.", "tool_calls": [LOOK]},
]


@pytest.mark.covers("tools: web_search, web_fetch", "effect")
@pytest.mark.covers("blocks of an answer: web_search_tool_result", "effect")
@pytest.mark.covers("usage: server_tool_use", "effect")
async def test_model_searches_and_cites_what_it_found(organization, service) -> None:
    caller = with_web(await opened(organization, *SEARCHES), service)
    message = (await caller.create(tools=[SEARCH], messages=[QUESTION])).json
    use, result = message["content"][1:3]
    assert (use["name"], use["input"]) == (LOOK["name"], LOOK["input"])
    assert result["type"] == "web_search_tool_result"
    assert result["caller"] == {"type": "direct"}
    one, two = result["content"]
    assert (one["type"], one["url"], one["title"], one["page_age"]) == (
        "web_search_result",
        "https://example.com/rain",
        "Rain",
        None,
    )
    assert two["page_age"] == "2 days"
    assert "rains" not in one["encrypted_content"]
    assert message["usage"]["server_tool_use"] == {
        "web_search_requests": 1,
        "web_fetch_requests": 0,
    }
    cited = [block for block in message["content"][3:] if block["citations"]]
    first = cited[0]["citations"][0]
    assert first == {
        "type": "web_search_result_location",
        "cited_text": "It rains in Oslo.",
        "url": "https://example.com/rain",
        "title": "Rain",
        "encrypted_index": first["encrypted_index"],
    }
    assert first["encrypted_index"]
    assert "".join(block["text"] for block in message["content"][3:]) == (
        "In Oslo it rains. Be careful."
    )


async def test_search_that_is_found_late_is_cited_too(organization, service) -> None:
    looks = {"name": REGEX["name"], "input": {"pattern": "web"}}
    replies = [
        {"when": "It rains", "text": "In Oslo it rains [source 1]."},
        {"when": "Tool: web_search", "text": "", "tool_calls": [LOOK]},
        {"text": "", "tool_calls": [looks]},
    ]
    caller = with_web(await opened(organization, *replies), service)
    tools = [REGEX, SEARCH | {"defer_loading": True}]
    message = (await caller.create(tools=tools, messages=[QUESTION], max_tokens=500)).json
    assert message["content"][-1]["text"] == "In Oslo it rains."
    (citation,) = message["content"][-1]["citations"]
    assert citation["type"] == "web_search_result_location"


@pytest.mark.covers("blocks of a request: web_search_tool_result", "effect")
async def test_results_come_back_and_are_read_again(organization, service) -> None:
    org = await opened(organization, *SEARCHES)
    caller = with_web(org, service)
    message = (await caller.create(tools=[SEARCH], messages=[QUESTION])).json
    said = {"role": "assistant", "content": message["content"][:3]}
    counted = await count(caller, tools=[SEARCH], messages=[QUESTION, said])
    bare = await count(caller, tools=[SEARCH], messages=[QUESTION])
    assert message["usage"]["input_tokens"] == bare + counted
    # Another workspace can open nothing: it reads titles and addresses.
    guest, _, _ = await org.guest()
    there = Client(build_app(org.platform), guest._headers)
    assert await count(there, tools=[SEARCH], messages=[QUESTION, said]) < counted
    # So it is with results of another server.
    for hit in said["content"][2]["content"]:
        hit["encrypted_content"] = "EqgfCioIARgBIiQ3YTAwMjY1"
    assert await count(caller, tools=[SEARCH], messages=[QUESTION, said]) < counted


async def count(caller: Client, **body: Any) -> int:
    answered = await caller.post("/v1/messages/count_tokens", {"model": "claude-x", **body})
    assert answered.status == 200, answered.json
    tokens: int = answered.json["input_tokens"]
    return tokens


def errors(message: Any) -> list[str]:
    return [
        block["content"]["error_code"]
        for block in message["content"]
        if block["type"].endswith("_tool_result")
        and isinstance(block["content"], dict)
        and "error_code" in block["content"]
    ]


@pytest.mark.parametrize(
    ("tool", "given", "code"),
    [
        ({}, {"query": " "}, "invalid_tool_input"),
        ({}, {"query": "a" * 1001}, "query_too_long"),
        ({"allowed_domains": ["https://example.com"]}, {"query": "a"}, "invalid_tool_input"),
    ],
)
async def test_search_that_cannot_be_made_is_told(
    organization, service, tool: dict[str, Any], given: dict[str, Any], code: str
) -> None:
    call = {"name": "web_search", "input": given}
    replies = [{"when": code, "text": "So."}, {"text": "", "tool_calls": [call]}]
    caller = with_web(await opened(organization, *replies), service)
    message = (await caller.create(tools=[SEARCH | tool], messages=[QUESTION])).json
    assert errors(message) == [code]
    assert message["content"][-1]["text"] == "So."
    assert service.asked == []
    assert message["usage"]["server_tool_use"]["web_search_requests"] == 0


async def test_uses_have_a_limit(organization, service) -> None:
    replies = [{"when": "max_uses", "text": "So."}, {"text": "", "tool_calls": [LOOK]}]
    caller = with_web(await opened(organization, *replies), service)
    tools = [SEARCH | {"max_uses": 2}]
    message = (await caller.create(tools=tools, messages=[QUESTION], max_tokens=500)).json
    assert errors(message) == ["max_uses_exceeded"]
    assert message["usage"]["server_tool_use"]["web_search_requests"] == len(service.asked) == 2


async def test_failure_of_the_service_is_told(organization, service) -> None:
    replies = [{"when": "too_many", "text": "So."}, {"text": "", "tool_calls": [LOOK]}]
    caller = with_web(await opened(organization, *replies), service)
    service.status = 429
    message = (await caller.create(tools=[SEARCH], messages=[QUESTION])).json
    assert errors(message) == ["too_many_requests"]
    assert message["usage"]["server_tool_use"]["web_search_requests"] == 0


@pytest.mark.parametrize(("tool", "call"), [(SEARCH, LOOK), (FETCH, fetching("https://a.example"))])
async def test_tools_that_are_not_set_are_unavailable(organization, tool: Any, call: Any) -> None:
    replies = [{"when": "unavailable", "text": "So."}, {"text": "", "tool_calls": [call]}]
    org = await opened(organization, *replies)
    message = (await org.caller.create(tools=[tool], messages=[QUESTION])).json
    assert errors(message) == ["unavailable"]
    assert message["stop_reason"] == "end_turn"


PAGE = b"<title>Rain</title><p>It rains in Oslo.</p><nav>menu</nav>"


CODES = ("accessible", "allowed", "context", "type", "large", "long", "input")


def fetches(url: str) -> list[dict[str, Any]]:
    return [
        {
            "when": f"It rains|{'|'.join(CODES)}",
            "text": "So [source 1].",
        },
        {"text": "", "tool_calls": [fetching(url)]},
    ]


async def fetched(organization: StartOrganization, url: str, *, said: str = "", **tool: Any) -> Any:
    """Return the answer to a question that names a URL, which the model fetches."""
    caller = with_web(await opened(organization, *fetches(url)), None)
    question = {"role": "user", "content": f"Read {said or url}"}
    answered = await caller.create(tools=[FETCH | tool], messages=[question], max_tokens=2000)
    assert answered.status == 200, answered.json
    return answered.json


@pytest.mark.covers("blocks of an answer: web_fetch_tool_result", "effect")
async def test_page_is_fetched_as_text(organization, there) -> None:
    url = there.url("/rain")
    there.pages["/rain"] = answer(PAGE, Content_Type="text/html; charset=utf-8")
    message = await fetched(organization, url)
    result = message["content"][1]
    assert result == {
        "type": "web_fetch_tool_result",
        "tool_use_id": message["content"][0]["id"],
        "content": {
            "type": "web_fetch_result",
            "url": url,
            "content": {
                "type": "document",
                "source": {"type": "text", "media_type": "text/plain", "data": "It rains in Oslo."},
                "title": "Rain",
                "citations": None,
            },
            "retrieved_at": "2026-11-23T12:00:00Z",
        },
        "caller": {"type": "direct"},
    }
    assert message["usage"]["server_tool_use"]["web_fetch_requests"] == 1


@pytest.mark.covers("blocks of a request: web_fetch_tool_result", "effect")
async def test_document_is_cited_if_the_caller_wants_it_and_comes_back(organization, there) -> None:
    url = there.url("/rain")
    there.pages["/rain"] = answer(PAGE, Content_Type="text/html")
    tool = {"citations": {"enabled": True}}
    message = await fetched(organization, url, **tool)
    (citation,) = message["content"][-1]["citations"]
    assert (citation["type"], citation["document_title"]) == ("char_location", "Rain")
    caller = with_web(await opened(organization, *fetches(url)), None)
    said = [{"role": "user", "content": f"Read {url}"}, {"role": "assistant",
            "content": message["content"][:2]}]  # fmt: skip
    first = await count(caller, tools=[FETCH | tool], messages=said[:1])
    again = await count(caller, tools=[FETCH | tool], messages=said)
    assert message["usage"]["input_tokens"] == first + again


async def test_document_that_is_fetched_is_counted_behind_those_of_the_caller(
    organization, there
) -> None:
    url = there.url("/rain")
    there.pages["/rain"] = answer(PAGE, Content_Type="text/html")
    caller = with_web(await opened(organization, *fetches(url)), None)
    # None of these may be cited, and yet the first is number 0.
    source = {"type": "text", "media_type": "text/plain", "data": "Nothing of it."}
    content = [{"type": "document", "source": source}] * 2 + [{"type": "text", "text": url}]
    tool = FETCH | {"citations": {"enabled": True}}
    question = {"role": "user", "content": content}
    message = (await caller.create(tools=[tool], messages=[question], max_tokens=2000)).json
    (citation,) = message["content"][-1]["citations"]
    assert (citation["document_index"], citation["cited_text"]) == (2, "It rains in Oslo.")
    assert (citation["start_char_index"], citation["end_char_index"]) == (0, 17)
    said = {"role": "assistant", "content": message["content"]}
    following = {"role": "user", "content": "And now?"}
    again = await caller.create(tools=[tool], messages=[question, said, following])
    assert again.status == 200, again.json


async def test_pdf_is_a_document(organization, there) -> None:
    url = there.url("/a.pdf")
    data = pdf(["It rains in Oslo."])
    there.pages["/a.pdf"] = answer(b64decode(data), Content_Type="application/pdf")
    message = await fetched(organization, url)
    document = message["content"][1]["content"]["content"]
    assert document["source"] == {"type": "base64", "media_type": "application/pdf", "data": data}
    assert message["content"][-1]["text"].startswith("So")


async def test_pdf_that_is_late_the_second_time_is_no_fault_of_the_caller(
    organization, there
) -> None:
    url = there.url("/a.pdf")
    there.pages["/a.pdf"] = answer(
        b64decode(pdf(["It rains in Oslo."])), Content_Type="application/pdf"
    )
    org = await opened(organization, *fetches(url))
    caller = with_web(org, None, reader=TiredReader())
    asked = {"tools": [FETCH], "messages": [{"role": "user", "content": f"Read {url}"}]}
    refused = await caller.create(**asked)
    assert (refused.status, refused.error[1]) == (529, "overloaded_error")
    assert sum(one.cost for one in (await org.entries()).values()) == 0


@pytest.mark.parametrize(
    ("page", "code"),
    [
        (answer(status="404 Not Found"), "url_not_accessible"),
        (answer(b"a" * 100_001, Content_Type="text/plain"), "content_too_large"),
        (answer(b"\x89PNG", Content_Type="image/png"), "unsupported_content_type"),
        (answer(b"no pdf", Content_Type="application/pdf"), "unsupported_content_type"),
    ],
)
async def test_page_that_cannot_be_read_is_told(organization, there, page: Any, code: str) -> None:
    there.pages["/a"] = page
    assert errors(await fetched(organization, there.url("/a"))) == [code]


@pytest.mark.parametrize(
    ("url", "tool", "code"),
    [
        ("http://files.example.com/b", {"blocked_domains": ["example.com"]}, "url_not_allowed"),
        ("http://files.example.com/b", {"allowed_domains": ["example.org"]}, "url_not_allowed"),
        ("http://a.example/" + "b" * 2000, {}, "url_too_long"),
        ("ftp://a.example/", {}, "url_not_accessible"),
        ("http://a.example/", {"allowed_domains": ["*"]}, "invalid_tool_input"),
    ],
)
async def test_url_that_may_not_be_read_is_told(
    organization, there, url: str, tool: Any, code: str
) -> None:
    assert errors(await fetched(organization, url, **tool)) == [code]
    assert there.heads == []


async def test_url_that_nobody_named_is_not_fetched(organization, there) -> None:
    url = there.url("/secret?told=all")
    message = await fetched(organization, url, said="something")
    assert errors(message) == ["url_not_in_prior_context"]
    there.pages["/secret?told=all"] = answer(PAGE, Content_Type="text/html")
    named = {"url_sources": {"user_input": {"type": "none"}}}
    tool = {**named, "type": "web_fetch_20260318"}
    assert errors(await fetched(organization, url, **tool)) == ["url_not_in_prior_context"]
    assert there.heads == []


async def test_redirect_to_another_domain_is_not_followed(organization, there) -> None:
    there.pages["/a"] = redirect(there.url("/b", host="other.example.org"))
    there.pages["/b"] = answer(PAGE, Content_Type="text/html")
    tool = {"allowed_domains": ["example.com"]}
    assert errors(await fetched(organization, there.url("/a"), **tool)) == ["url_not_allowed"]
    assert len(there.heads) == 1
    assert errors(await fetched(organization, there.url("/a"))) == []


async def test_addresses_of_this_machine_are_not_fetched(organization, there) -> None:
    there.pages["/"] = answer(PAGE, Content_Type="text/html")
    url = there.url(host="127.0.0.1")
    org = await organization({"web": {"fetch": True}}, replies=fetches(url))
    question = {"role": "user", "content": f"Read {url}"}
    message = (await org.caller.create(tools=[FETCH], messages=[question])).json
    assert errors(message) == ["url_not_accessible"]
    assert there.heads == []


async def test_long_page_is_cut(organization, there) -> None:
    there.pages["/a"] = answer(b"It rains. " * 500, Content_Type="text/plain")
    message = await fetched(organization, there.url("/a"), max_content_tokens=10)
    assert len(message["content"][1]["content"]["content"]["source"]["data"]) == 40


async def test_found_page_may_be_fetched(organization, service, there) -> None:
    url = there.url("/rain")
    there.pages["/rain"] = answer(PAGE, Content_Type="text/html")
    service.hits = [{"url": url, "title": "Weather", "text": "Look."}]
    replies = [
        {"when": "URL: http", "text": "So."},
        {"when": "<title>Weather", "text": "", "tool_calls": [fetching(url)]},
        {"text": "", "tool_calls": [LOOK]},
    ]
    caller = with_web(await opened(organization, *replies), service)
    message = (await caller.create(tools=[SEARCH, FETCH], messages=[QUESTION])).json
    assert errors(message) == []
    assert kinds(message) == [
        *["server_tool_use", "web_search_tool_result"],
        *["server_tool_use", "web_fetch_tool_result", "text"],
    ]


async def test_keys_are_no_text_of_the_settings() -> None:
    assert "k" * 20 not in repr(WebSettings(search="brave", key=Secret("k" * 20)))


async def test_searches_are_billed_and_reported(organization, service) -> None:
    org = await opened(organization, *SEARCHES)
    caller = with_web(org, service, price="10")
    message = (await caller.create(tools=[SEARCH], messages=[QUESTION])).json
    assert message["usage"]["server_tool_use"]["web_search_requests"] == 1
    await caller.create(messages=[QUESTION])
    entries = (await org.entries()).values()
    assert sorted((one.row["web_searches"], one.cost) for one in entries if one.cost) == [
        (1, 10_000_000)
    ]
    span = "starting_at=2026-11-23T00:00:00Z"
    (day,) = (await org.get(f"/usage_report/messages?{span}"))["data"]
    (used,) = day["results"]
    assert used["server_tool_use"] == {"web_search_requests": 1}
    (day,) = (await org.get(f"/cost_report?{span}&group_by[]=description"))["data"]
    (line,) = day["results"]
    assert (line["cost_type"], line["description"], line["amount"]) == (
        "web_search",
        "Web Search Usage",
        "1",
    )
    (id_,) = [name for name, one in (await org.entries()).items() if one.cost]
    explained = await org.get(f"/requests/{id_}")
    assert explained["costs"][-1]["token_type"] == "web_search_requests"
    assert explained["cost"]["amount"] == "1"


async def test_search_that_no_money_is_left_for_is_unavailable(organization, service) -> None:
    replies = [{"when": "unavailable", "text": "So."}, *SEARCHES]
    org = await opened(organization, *replies)
    caller = with_web(org, service, price="10")
    await org.spend_limit({"type": "organization"}, 15_000_000)
    first = (await caller.create(tools=[SEARCH], messages=[QUESTION])).json
    second = (await caller.create(tools=[SEARCH], messages=[QUESTION])).json
    assert (errors(first), errors(second)) == ([], ["unavailable"])
    assert len(service.asked) == 1
    assert sum(one.cost for one in (await org.entries()).values()) == 10_000_000


async def test_search_that_fails_is_free(organization, service) -> None:
    replies = [{"when": "unavailable", "text": "So."}, *SEARCHES]
    org = await opened(organization, *replies)
    caller = with_web(org, service, price="10")
    service.status = 500
    await caller.create(tools=[SEARCH], messages=[QUESTION])
    (entry,) = (await org.entries()).values()
    assert (entry.cost, entry.row["web_searches"]) == (0, None)
