"""The tools that this server runs, for the answers of one server."""

from collections.abc import Callable
from functools import partial

from msgspec.structs import replace

from antiphon.core.blocks import walk
from antiphon.core.citations.sources import Sources
from antiphon.core.errors import InvalidRequestError, OverloadedError
from antiphon.core.ids import ID_ENTROPY, server_tool_use_id
from antiphon.core.prompt import (
    FinishReason,
    Prompt,
    ServerTool,
    Turn,
    WebFetchTool,
    WebSearchTool,
)
from antiphon.engines.base import Engine
from antiphon.engines.step_runner import StepRunner
from antiphon.service.background import offload
from antiphon.service.caching import CachedRequest
from antiphon.service.content.documents import ReadPrompt, read_documents
from antiphon.service.content.file_reader import FileReader
from antiphon.service.limits.admission import Admission, AdmissionRequest
from antiphon.service.limits.admitter import Admitter
from antiphon.service.prompt_size import size_of_round
from antiphon.service.server_tools.loop import (
    BATCH_ROUNDS,
    ROUNDS,
    Rounds,
    ServerToolRunner,
)
from antiphon.service.server_tools.tool_search import ToolSearch
from antiphon.service.server_tools.web.tools import WebTools
from antiphon.wire.content import DocumentParam


class ServerTools:
    """Makes the rounds of each answer whose prompt offers tools of the server."""

    def __init__(
        self,
        admitter: Admitter,
        entropy: Callable[[int], bytes],
        file_reader: FileReader,
        web: WebTools,
    ) -> None:
        self._admitter = admitter
        self._entropy = entropy
        self._file_reader = file_reader
        self._web = web
        self._searches = StepRunner()

    @property
    def search_price(self) -> int:
        """The price of a search of the web, in nano-dollars."""
        return self._web.search_price

    def opened(self, prompt: Prompt) -> Prompt:
        """Return a prompt with what the web said in earlier answers."""
        return self._web.results.opened(prompt)

    def sources(self, read: ReadPrompt) -> Sources | None:
        """Return what an answer may cite: also what its tools are yet to find."""
        if read.sources is None and any(
            isinstance(tool, WebSearchTool | WebFetchTool) for tool in _offered(read.prompt)
        ):
            return read.counted or Sources()
        return read.sources

    def rounds(  # noqa: PLR0913 - what an answer is made of
        self,
        engine: Engine,
        prompt: Prompt,
        request: AdmissionRequest,
        admission: Admission,
        *,
        cached: CachedRequest | None,
        sources: Sources | None,
    ) -> Rounds | None:
        """Return the rounds of an answer; `None` if it offers none of these tools."""
        offered = _offered(prompt)
        if not offered:
            return None
        search = ToolSearch(prompt.searchable, runner=self._searches)

        def runner(tool: ServerTool) -> ServerToolRunner:
            match tool:
                case WebSearchTool():
                    hold = partial(
                        self._admitter.hold_more, admission, request, request.search_price
                    )
                    return self._web.search(tool, prompt.cache_salt, hold, admission.searched)
                case WebFetchTool():
                    return self._web.fetch(tool)
            return search

        async def read(turn: Turn, before: Prompt) -> Turn:
            """Read the results of a round, with the sources of the rounds before."""
            alone = replace(before, turns=(turn,), breakpoints=(), pdf_paths=(), sealed=True)
            opened = self.opened(alone)
            size = _size_of(turn)
            try:
                done = await read_documents(opened, self._file_reader, size, sources)
            except InvalidRequestError as error:
                # Of a PDF that was read once already, so the caller's request has no fault.
                raise OverloadedError from error
            if sources is not None:
                # Here, as a long page would keep the event loop at the first sentence about it.
                await offload(size, sources.quotes)
            return done.prompt.turns[0]

        return Rounds(
            runners={tool.name: runner(tool) for tool in offered},
            admit=_RoundAdmission(self._admitter, engine, request, admission).admit,
            claimed=(lambda started: started) if cached is None else cached.claimed_again,
            new_id=self._new_id,
            read=read,
            most=ROUNDS if request.batch_id is None else BATCH_ROUNDS,
        )

    def _new_id(self) -> str:
        return server_tool_use_id(self._entropy(ID_ENTROPY))


def _offered(prompt: Prompt) -> list[ServerTool]:
    """Return the tools of the server in a prompt, also those that a search may find later."""
    if not prompt.tools and not prompt.offered and not prompt.searchable:
        return []
    tools = (*prompt.callable_tools, *prompt.searchable)
    return [tool for tool in tools if isinstance(tool, ServerTool)]


def _size_of(turn: Turn) -> int:
    """Return about how many bytes the documents in a turn have."""
    documents = (block for _, block in walk(turn.content) if isinstance(block, DocumentParam))
    return sum(len(getattr(document.source, "data", "")) for document in documents)


class _RoundAdmission:
    """Admits the further rounds of one answer. Their prompts are billed with the first one."""

    def __init__(
        self,
        admitter: Admitter,
        engine: Engine,
        request: AdmissionRequest,
        admission: Admission,
    ) -> None:
        self._admitter = admitter
        self._engine = engine
        self._request = request
        self._admission = admission
        self._tokens = request.input_tokens

    async def admit(self, prompt: Prompt) -> FinishReason | None:
        size = await size_of_round(self._engine, prompt)
        if size is None:
            return FinishReason.CONTEXT_WINDOW
        before, self._tokens = self._tokens, self._tokens + size
        extend = self._admitter.extend
        if await extend(self._admission, self._request, before, self._tokens):
            return None
        return FinishReason.PAUSE_TURN
