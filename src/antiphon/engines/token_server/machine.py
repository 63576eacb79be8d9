"""A server of token arrays as a token machine: it keeps the places of prompts itself."""

from abc import ABC, abstractmethod
from collections.abc import AsyncGenerator, Sequence
from contextlib import asynccontextmanager
from typing import Generic, TypeVar

from antiphon.core.hints import NO_HINTS, Hints
from antiphon.core.parking import Parking
from antiphon.core.prompt import Confirmation
from antiphon.core.prompt_cache import MINIMUM_TOKENS
from antiphon.engines.token.machine import CompletionRequest, Piece
from antiphon.engines.token.prompt.tokens import RenderedPrompt
from antiphon.engines.token_server.client import TokenServerClient
from antiphon.engines.token_server.examination import Examination

Client = TypeVar("Client", bound=TokenServerClient)


class ServerCompletions(Generic[Client]):
    """The completions of one prompt."""

    def __init__(self, client: Client, salt: str, *, in_batch: bool) -> None:
        self.confirmed = Confirmation(0)
        self._client = client
        self._salt = salt
        self._in_batch = in_batch

    async def tokenize(self, text: str, *, control: bool, ends: bool = False) -> Sequence[int]:
        return await self._client.vocabulary.tokenize(text, control=control, ends=ends)

    def complete(self, request: CompletionRequest) -> AsyncGenerator[Piece, None]:
        return self._client.complete(request, self._salt, in_batch=self._in_batch)


class ServerMachine(ABC, Generic[Client]):
    """One server, or a router in front of several.

    Prefixes of fewer than `minimum_tokens` are not claimed. `examination` is of a server that was
    away when it was to be examined first.
    """

    def __init__(
        self,
        client: Client,
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
    ) -> AsyncGenerator[ServerCompletions[Client], None]:
        # The server itself lets more urgent requests go first.
        del parking
        if self._examination is not None:
            await self._examination.passed()
        least = max(self._minimum_tokens, self._block)
        edges = [edge.at for edge in prompt.breakpoints if edge.at >= least] if self._block else []
        yield await self._begun(prompt, edges, salt, in_batch=hints.in_batch)

    @abstractmethod
    async def _begun(
        self, prompt: RenderedPrompt, edges: Sequence[int], salt: str, *, in_batch: bool
    ) -> ServerCompletions[Client]:
        """Return the completions of a prompt whose prefixes up to `edges` may be claimed."""
