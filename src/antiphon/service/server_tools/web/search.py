"""`web_search`: what a model looks up, by the service of the settings."""

from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from antiphon.core.prompt import Prompt, ServerResult, WebSearchTool
from antiphon.core.server_tools.rounds import ServerCall
from antiphon.service.server_tools.web.backends import (
    Hit,
    Query,
    SearchFailedError,
    WebSearchBackend,
)
from antiphon.service.server_tools.web.opened import WebResults
from antiphon.wire.server_blocks import (
    WebSearchErrorBlock,
    WebSearchErrorCode,
    WebSearchResultBlock,
    WebSearchToolResultBlock,
)

LONGEST_QUERY: Final = 1000


class SearchCharge(msgspec.Struct, frozen=True):
    """Pays for the searches of one answer.

    `hold` sets the money for one aside and returns whether it was there; `record` makes one due.
    One that fails is not.
    """

    hold: Callable[[], Awaitable[bool]]
    record: Callable[[], None]


class WebSearch:
    """The searches of one answer. Without a `backend` none is possible."""

    def __init__(  # noqa: PLR0913 - what a search needs
        self,
        tool: WebSearchTool,
        backend: WebSearchBackend | None,
        results: WebResults,
        salt: str,
        *,
        most: int,
        charge: SearchCharge,
    ) -> None:
        self._tool = tool
        self._backend = backend
        self._results = results
        self._salt = salt
        self._most = most
        self._charge = charge
        # Whether the money of a search is set aside that has failed: it is there for the next one.
        self._held = False
        self._uses = 0

    async def run(self, call: ServerCall, prompt: Prompt) -> ServerResult:
        """Search, and return what was found, or why nothing was."""
        del prompt
        found = await self._found(call)
        if isinstance(found, str):
            content: tuple[WebSearchResultBlock, ...] | WebSearchErrorBlock = WebSearchErrorBlock(
                error_code=found
            )
        else:
            content = tuple(self._block(hit) for hit in found)
        block = WebSearchToolResultBlock(tool_use_id=call.id, content=content)
        return ServerResult(block, searches=not isinstance(found, str))

    async def _found(self, call: ServerCall) -> Sequence[Hit] | WebSearchErrorCode:
        words = (call.input or {}).get("query")
        if not isinstance(words, str) or not words.strip() or self._tool.domains.fault:
            return "invalid_tool_input"
        if len(words) > LONGEST_QUERY:
            return "query_too_long"
        if self._tool.max_uses is not None and self._uses >= self._tool.max_uses:
            return "max_uses_exceeded"
        self._held = self._backend is not None and (self._held or await self._charge.hold())
        # Also if no money is left for it: without this search the model can still answer.
        if self._backend is None or not self._held:
            return "unavailable"
        self._uses += 1
        query = Query(
            words=words,
            results=self._most,
            domains=self._tool.domains,
            location=self._tool.location,
        )
        try:
            hits = await self._backend.search(query)
        except SearchFailedError as error:
            return error.code
        self._held = False
        self._charge.record()
        return hits

    def _block(self, hit: Hit) -> WebSearchResultBlock:
        return WebSearchResultBlock(
            url=hit.url,
            title=hit.title,
            encrypted_content=self._results.sealed(hit.text, self._salt),
            page_age=hit.age,
        )
