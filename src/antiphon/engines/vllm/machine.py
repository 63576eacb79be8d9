"""vLLM as a token machine: a prompt with breakpoints is read first."""

from collections.abc import Sequence

from antiphon.core.prompt import Confirmation
from antiphon.engines.token.prompt.tokens import RenderedPrompt
from antiphon.engines.token_server.machine import ServerCompletions, ServerMachine
from antiphon.engines.token_server.prefixes import read_size, reused
from antiphon.engines.vllm.client import VllmClient


class VllmMachine(ServerMachine[VllmClient]):
    """One vLLM server, or a router in front of several."""

    async def _begun(
        self, prompt: RenderedPrompt, edges: Sequence[int], salt: str, *, in_batch: bool
    ) -> ServerCompletions[VllmClient]:
        completions = ServerCompletions(self._client, salt, in_batch=in_batch)
        if edges:
            completions.confirmed = await self._read(prompt, edges, salt, in_batch=in_batch)
        return completions

    async def _read(
        self, prompt: RenderedPrompt, edges: Sequence[int], salt: str, *, in_batch: bool
    ) -> Confirmation:
        """Let vLLM read a prompt up to its last breakpoint, and return what it had of it.

        A stream says so only at its end, too late for the beginning of an answer. What is read here
        is in the cache when the answer begins.
        """
        last, block = max(edges), self._block
        size = read_size(last, block, len(prompt.tokens))
        usage = await self._client.read(prompt.tokens[:size], salt, in_batch=in_batch)
        return Confirmation(reused(usage.cached or 0, size, last, block), frozenset(edges))
