"""SGLang as a token machine: the first token of an answer tells what it had of the prompt."""

from collections.abc import AsyncGenerator, Sequence

from antiphon.core.prompt import Confirmation
from antiphon.engines.sglang.client import SglangClient
from antiphon.engines.token.machine import CompletionRequest, Piece
from antiphon.engines.token.prompt.tokens import RenderedPrompt
from antiphon.engines.token_server.machine import ServerCompletions, ServerMachine
from antiphon.engines.token_server.prefixes import reused


class SglangCompletions(ServerCompletions[SglangClient]):
    """The completions of one prompt, whose prefixes up to `edges` may be claimed."""

    def __init__(
        self,
        client: SglangClient,
        salt: str,
        *,
        in_batch: bool,
        edges: Sequence[int],
        block_tokens: int,
    ) -> None:
        super().__init__(client, salt, in_batch=in_batch)
        self._edges = edges
        self._block = block_tokens

    def complete(self, request: CompletionRequest) -> AsyncGenerator[Piece, None]:
        edges, self._edges = self._edges, ()

        def confirm(cached: int) -> None:
            found = reused(cached, len(request.tokens), max(edges), self._block)
            self.confirmed = Confirmation(found, frozenset(edges))

        return self._client.complete(
            request,
            self._salt,
            in_batch=self._in_batch,
            # Later completions go on from the tokens of the first one.
            tell_cached=confirm if edges else None,
        )


class SglangMachine(ServerMachine[SglangClient]):
    """One SGLang server, or a router in front of several."""

    async def _begun(
        self, prompt: RenderedPrompt, edges: Sequence[int], salt: str, *, in_batch: bool
    ) -> ServerCompletions[SglangClient]:
        del prompt
        return SglangCompletions(
            self._client, salt, in_batch=in_batch, edges=edges, block_tokens=self._block
        )
