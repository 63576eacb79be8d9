"""vLLM as a token machine: it keeps the places of prompts, and their prefixes, itself."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager

from antiphon.core.hints import NO_HINTS, Hints
from antiphon.core.parking import Parking
from antiphon.core.prompt import Confirmation
from antiphon.core.prompt_cache import MINIMUM_TOKENS
from antiphon.engines.token.machine import CompletionRequest, Piece
from antiphon.engines.token.prompt.tokens import RenderedPrompt
from antiphon.engines.vllm.client import VllmClient
from antiphon.engines.vllm.examination import Examination
from antiphon.engines.vllm.prefixes import read_size, reused


class VllmCompletions:
    """The completions of one prompt."""

    def __init__(self, client: VllmClient, salt: str, *, in_batch: bool) -> None:
        self.confirmed = Confirmation(0)
        self._client = client
        self._salt = salt
        self._in_batch = in_batch

    async def tokenize(self, text: str, *, control: bool, ends: bool = False) -> Sequence[int]:
        return await self._client.vocabulary.tokenize(text, control=control, ends=ends)

    def complete(self, request: CompletionRequest) -> AsyncGenerator[Piece, None]:
        return self._client.complete(request, self._salt, in_batch=self._in_batch)


class VllmMachine:
    """One vLLM server, or a router in front of several.

    Prefixes of fewer than `minimum_tokens` are not claimed. `examination` is of a server that was
    away when it was to be examined first.
    """

    def __init__(
        self,
        client: VllmClient,
        block_tokens: int,
        *,
        minimum_tokens: int = MINIMUM_TOKENS,
        examination: Examination | None = None,
    ) -> None:
        self._client = client
        self._block = block_tokens
        self._minimum_tokens = minimum_tokens
        self._examination = examination

    @property
    def ready(self) -> bool:
        return self._client.open

    @property
    def examined(self) -> bool:
        """Whether the server has shown that it does what it has to."""
        return self._examination is None or self._examination.is_over

    @property
    def keeps_prefixes(self) -> bool:
        return self._block > 0

    async def tokenize(self, text: str, *, control: bool, ends: bool = False) -> Sequence[int]:
        return await self._client.vocabulary.tokenize(text, control=control, ends=ends)

    @asynccontextmanager
    async def completions(
        self,
        prompt: RenderedPrompt,
        salt: str,
        hints: Hints = NO_HINTS,
        parking: Parking | None = None,
    ) -> AsyncGenerator[VllmCompletions, None]:
        # vLLM itself lets more urgent requests go first.
        del parking
        if self._examination is not None:
            await self._examination.passed()
        completions = VllmCompletions(self._client, salt, in_batch=hints.in_batch)
        least = max(self._minimum_tokens, self._block)
        edges = [edge.at for edge in prompt.breakpoints if edge.at >= least]
        if self._block and edges:
            completions.confirmed = await self._read(prompt, edges, salt, hints)
        yield completions

    async def _read(
        self, prompt: RenderedPrompt, edges: Sequence[int], salt: str, hints: Hints
    ) -> Confirmation:
        """Let vLLM read a prompt up to its last breakpoint, and return what it had of it.

        A stream says so only at its end, too late for the beginning of an answer. What is read here
        is in the cache when the answer begins.
        """
        last, block = max(edges), self._block
        size = read_size(last, block, len(prompt.tokens))
        usage = await self._client.read(prompt.tokens[:size], salt, in_batch=hints.in_batch)
        found = reused(usage.cached or 0, size, last, block)
        return Confirmation(found, frozenset(edges))
