"""The tools that this server runs, for the answers of one server."""

from collections.abc import Callable

from antiphon.core.ids import ID_ENTROPY, server_tool_use_id
from antiphon.core.prompt import FinishReason, Prompt, ServerTool
from antiphon.engines.base import Engine
from antiphon.service.caching import CachedRequest
from antiphon.service.limits.admission import Admission, AdmissionRequest
from antiphon.service.limits.admitter import Admitter
from antiphon.service.prompt_size import size_of_round
from antiphon.service.server_tools.loop import BATCH_ROUNDS, ROUNDS, Rounds
from antiphon.service.server_tools.tool_search import ToolSearch


class ServerTools:
    """Makes the rounds of each answer whose prompt offers tools of the server."""

    def __init__(self, admitter: Admitter, entropy: Callable[[int], bytes]) -> None:
        self._admitter = admitter
        self._entropy = entropy

    def rounds(
        self,
        engine: Engine,
        prompt: Prompt,
        request: AdmissionRequest,
        admission: Admission,
        cached: CachedRequest | None,
    ) -> Rounds | None:
        """Return the rounds of an answer; `None` if it offers none of these tools."""
        offered = [tool for tool in prompt.callable_tools if isinstance(tool, ServerTool)]
        if not offered:
            return None
        search = ToolSearch(prompt.searchable)
        return Rounds(
            runners={tool.name: search for tool in offered},
            admit=_RoundAdmission(self._admitter, engine, request, admission).admit,
            claimed=(lambda started: started) if cached is None else cached.claimed_again,
            new_id=self._new_id,
            most=ROUNDS if request.batch_id is None else BATCH_ROUNDS,
        )

    def _new_id(self) -> str:
        return server_tool_use_id(self._entropy(ID_ENTROPY))


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
