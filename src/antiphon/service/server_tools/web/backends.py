"""The services that search the web, each in its own words.

What a service says is a stranger's text: it is read up to a limit, and fields of another type are
left out.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, Final, Literal, TypeAlias

import aiohttp
import msgspec

from antiphon.core.server_tools.domains import Domains
from antiphon.logs import EventLog
from antiphon.service.content.web import UnfetchableError, as_fetched
from antiphon.web_settings import WebSettings
from antiphon.wire.tools import UserLocation

LARGEST_ANSWER: Final = 4 * 1024 * 1024
LONGEST_TEXT: Final = 4000
"""The characters of one result that a model reads."""
LONGEST_FIELD: Final = 2000
MOST_READ: Final = 200
"""The results of one answer that are looked at; services find far fewer."""

ServiceName: TypeAlias = Literal["searxng", "brave", "tavily", "own"]
SearchFault: TypeAlias = Literal["unavailable", "too_many_requests"]


class Hit(msgspec.Struct, frozen=True):
    """One result of a search."""

    url: str
    title: str
    text: str
    age: str | None = None


class Query(msgspec.Struct, frozen=True, kw_only=True):
    """What is searched: words, for whom, and where."""

    words: str
    results: int
    domains: Domains = Domains()
    location: UserLocation | None = None


class SearchFailedError(Exception):
    """A service did not search. The code is for the model."""

    def __init__(self, code: SearchFault) -> None:
        super().__init__(code)
        self.code: SearchFault = code


class Ask(msgspec.Struct, frozen=True):
    """A request to a service: with `body` a POST, else a GET."""

    params: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    body: Mapping[str, Any] | None = None


Search: TypeAlias = Callable[[Query], Awaitable[Sequence[Hit]]]


class WebSearchBackend:
    """The service of the settings."""

    def __init__(self, settings: WebSettings) -> None:
        if settings.search is None:
            raise ValueError("no search is set")
        self._settings = settings
        self._service: ServiceName = settings.search

    async def search(self, query: Query) -> Sequence[Hit]:
        """Search, and return what is permitted. Raises `SearchFailedError`."""
        key = self._settings.key
        asks, _ = _SERVICES[self._service]
        ask = asks(query, "" if key is None else key.reveal())
        try:
            answer = msgspec.json.decode(await self._sent(ask))
        except (aiohttp.ClientError, OSError, ValueError, RecursionError) as error:
            self._tell(type(error).__name__)
            raise SearchFailedError("unavailable") from error
        return hits_of(answer, self._service, query.domains)[: query.results]

    async def _sent(self, ask: Ask) -> bytes:
        settings = self._settings
        timeout = aiohttp.ClientTimeout(total=settings.timeout_s)
        async with (
            aiohttp.ClientSession(
                timeout=timeout, headers={"Accept": "application/json"}
            ) as session,
            session.request(
                "GET" if ask.body is None else "POST",
                settings.search_url,
                params=dict(ask.params),
                headers=dict(ask.headers),
                json=ask.body,
                allow_redirects=False,
            ) as response,
        ):
            if response.status == 429:  # noqa: PLR2004 - its only meaning
                self._tell("429")
                raise SearchFailedError("too_many_requests")
            if response.status != 200:  # noqa: PLR2004 - nothing else is an answer
                self._tell(str(response.status))
                raise SearchFailedError("unavailable")
            body = bytearray()
            async for part in response.content.iter_any():
                body += part
                if len(body) > LARGEST_ANSWER:
                    raise ValueError("the answer is too large")
            return bytes(body)

    def _tell(self, reason: str) -> None:
        """Log a failure. What was searched is a part of a prompt and is not logged."""
        EventLog(__name__).warning("the web search failed", service=self._service, reason=reason)


def hits_of(answer: Any, service: ServiceName, domains: Domains) -> Sequence[Hit]:
    """Return the permitted results in an answer of a service, whatever it has said."""
    _, fields_of = _SERVICES[service]
    hits = (_hit(*fields) for fields in fields_of(answer)[:MOST_READ])
    return [hit for hit in hits if hit is not None and _permits(domains, hit.url)]


def _permits(domains: Domains, url: str) -> bool:
    """Return whether a result may be read: by the form of its URL in which it would be fetched."""
    try:
        return domains.permit(as_fetched(url))
    except UnfetchableError:
        return False


def _with_sites(query: Query) -> str:
    """Return the words with the allowed domains in the form that search engines know."""
    if not query.domains.allowed:
        return query.words
    sites = " OR ".join(f"site:{domain.partition('*')[0]}" for domain in query.domains.allowed)
    return f"{query.words} ({sites})"


def _searxng(query: Query, key: str) -> Ask:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    return Ask({"q": _with_sites(query), "format": "json"}, headers)


def _brave(query: Query, key: str) -> Ask:
    params = {"q": _with_sites(query)[:400], "count": str(query.results), "text_decorations": "0"}
    headers = {"X-Subscription-Token": key}
    if (location := query.location) is not None:
        named = {
            "city": location.city,
            "state-name": location.region,
            "country": location.country,
            "timezone": location.timezone,
        }
        headers |= {f"X-Loc-{name.title()}": value for name, value in named.items() if value}
        if location.country:
            params["country"] = location.country
    return Ask(params, {name: value for name, value in headers.items() if value.isascii()})


def _tavily(query: Query, key: str) -> Ask:
    hosts = [domain.partition("/")[0] for domain in query.domains.allowed]
    blocked = [domain for domain in query.domains.blocked if "/" not in domain]
    body = {
        "query": query.words,
        "max_results": query.results,
        "include_domains": hosts,
        "exclude_domains": blocked,
    }
    return Ask(headers={"Authorization": f"Bearer {key}"}, body=body)


def _own(query: Query, key: str) -> Ask:
    headers = {"Authorization": f"Bearer {key}"} if key else {}
    body: dict[str, Any] = {
        "query": query.words,
        "count": query.results,
        "allowed_domains": query.domains.allowed,
        "blocked_domains": query.domains.blocked,
    }
    if query.location is not None:
        body["user_location"] = msgspec.to_builtins(query.location)
    return Ask(headers=headers, body=body)


Fields: TypeAlias = tuple[Any, Any, Any, Any]
"""URL, title, text and age of a result, as a service says them."""


def _of_list(found: Any, text: str, age: str) -> list[Fields]:
    results = found if isinstance(found, list) else []
    return [
        (one.get("url"), one.get("title"), one.get(text), one.get(age))
        for one in results
        if isinstance(one, dict)
    ]


def _results(answer: Any, text: str, age: str) -> list[Fields]:
    return _of_list(answer.get("results") if isinstance(answer, dict) else None, text, age)


def _of_brave(answer: Any) -> list[Fields]:
    web = answer.get("web") if isinstance(answer, dict) else None
    results = web.get("results") if isinstance(web, dict) else None
    found = _of_list(results, "description", "age")
    listed = results if isinstance(results, list) else []
    extra = [one.get("extra_snippets") for one in listed if isinstance(one, dict)]
    return [
        (url, title, "\n".join(_texts([text, *(more if isinstance(more, list) else [])])), age)
        for (url, title, text, age), more in zip(found, extra, strict=True)
    ]


def _texts(values: Sequence[Any]) -> list[str]:
    return [value for value in values if isinstance(value, str)]


def _hit(url: Any, title: Any, text: Any, age: Any) -> Hit | None:
    if not isinstance(url, str) or not url.startswith(("http://", "https://")):
        return None
    if len(url) > LONGEST_FIELD:
        return None
    return Hit(
        url=url,
        title=(title if isinstance(title, str) and title else url)[:LONGEST_FIELD],
        text=(text if isinstance(text, str) else "")[:LONGEST_TEXT],
        age=age[:LONGEST_FIELD] if isinstance(age, str) and age else None,
    )


_SERVICES: Mapping[
    ServiceName, tuple[Callable[[Query, str], Ask], Callable[[Any], list[Fields]]]
] = MappingProxyType(
    {
        "searxng": (_searxng, lambda answer: _results(answer, "content", "publishedDate")),
        "brave": (_brave, _of_brave),
        "tavily": (_tavily, lambda answer: _results(answer, "content", "published_date")),
        "own": (_own, lambda answer: _results(answer, "content", "page_age")),
    }
)
