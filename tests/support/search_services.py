"""Stand-ins for the services that search the web, on this machine."""

import json
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from aiohttp import web

HITS: list[dict[str, Any]] = [
    {"url": "https://example.com/rain", "title": "Rain", "text": "It rains in Oslo. Take care."},
    {"url": "https://docs.example.org/snow", "title": "Snow", "text": "It snows.", "age": "2 days"},
]


@dataclass
class Asked:
    """A request that a service got."""

    method: str
    query: dict[str, str]
    headers: dict[str, str]
    body: Any


@dataclass
class SearchService:
    """A service, what it was asked, and what it says: `status` and `raw` in place of results."""

    url: str = ""
    hits: list[dict[str, Any]] = field(default_factory=lambda: list(HITS))
    asked: list[Asked] = field(default_factory=list)
    status: int = 200
    raw: bytes | None = None

    async def handle(self, request: web.Request) -> web.Response:
        body = await request.read()
        self.asked.append(
            Asked(
                request.method,
                dict(request.query),
                {name.lower(): value for name, value in request.headers.items()},
                json.loads(body) if body else None,
            )
        )
        said = getattr(self, request.path.strip("/"))()
        raw = json.dumps(said).encode() if self.raw is None else self.raw
        return web.Response(status=self.status, body=raw, content_type="application/json")

    def _results(self, text: str, age: str) -> list[dict[str, Any]]:
        return [
            {"url": hit["url"], "title": hit["title"], text: hit["text"], age: hit.get("age")}
            for hit in self.hits
        ]

    def searxng(self) -> Any:
        return {"query": "", "results": self._results("content", "publishedDate")}

    def brave(self) -> Any:
        results = [
            {**one, "extra_snippets": ["More."]} for one in self._results("description", "age")
        ]
        return {"type": "search", "web": {"type": "search", "results": results}}

    def tavily(self) -> Any:
        return {"query": "", "results": self._results("content", "published_date")}

    def own(self) -> Any:
        return {"results": self._results("content", "page_age")}


@asynccontextmanager
async def search_service() -> AsyncGenerator[SearchService]:
    """Run a stand-in until the block ends. The path of its URL says which service it is."""
    service = SearchService()
    app = web.Application()
    app.router.add_route("*", "/{name}", service.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    try:
        there = web.TCPSite(runner, "127.0.0.1", 0)
        await there.start()
        port = runner.addresses[0][1]
        service.url = f"http://127.0.0.1:{port}/"
        yield service
    finally:
        await runner.cleanup()
