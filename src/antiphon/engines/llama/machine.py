"""llama.cpp as a token machine: a slot for each prompt, until its answer ends."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import asynccontextmanager

from antiphon.core.prompt import Confirmation
from antiphon.engines.llama.client import LlamaClient
from antiphon.engines.llama.server_types import MediaPrompt
from antiphon.engines.token.machine import CompletionRequest, Piece
from antiphon.engines.token.prompt.tokens import RenderedPrompt


class LlamaCompletions:
    """The completions of one prompt in one slot."""

    def __init__(self, client: LlamaClient) -> None:
        self.confirmed = Confirmation(0)
        self._client = client

    async def tokenize(self, text: str, *, control: bool, ends: bool = False) -> list[int]:
        return await self._client.tokenize(text, control=control, ends=ends)

    def complete(
        self, request: CompletionRequest, media: MediaPrompt | None = None
    ) -> AsyncGenerator[Piece, None]:
        return self._client.complete(request, media)


class LlamaMachine:
    """One llama.cpp. Requests without a slot wait here.

    In llama.cpp each of them would hold one of the threads that also tokenize and answer health
    checks.
    """

    keeps_prefixes = False

    def __init__(self, client: LlamaClient, slots: int) -> None:
        self.client = client
        self._slots = asyncio.Semaphore(slots)

    @property
    def ready(self) -> bool:
        return self.client.ready

    async def tokenize(self, text: str, *, control: bool, ends: bool = False) -> list[int]:
        return await self.client.tokenize(text, control=control, ends=ends)

    @asynccontextmanager
    async def completions(
        self, prompt: RenderedPrompt, salt: str
    ) -> AsyncGenerator[LlamaCompletions, None]:
        del prompt, salt
        async with self._slots:
            yield LlamaCompletions(self.client)

    async def evaluated(self, prompt: MediaPrompt) -> int:
        """Let llama.cpp read a prompt, and return its number of tokens."""
        async with self._slots:
            return await self.client.evaluated(prompt)
