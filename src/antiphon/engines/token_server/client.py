"""The interface to a client of a server of token arrays, and what all of them are made of."""

from collections.abc import AsyncGenerator, Sequence
from typing import Protocol

from antiphon.engines.token.machine import CompletionRequest, Piece
from antiphon.engines.token_server.vocabulary import Vocabulary
from antiphon.engines.upstream.http import Upstream


class Read(Protocol):
    """What a server says of a prompt that it has read."""

    @property
    def cached(self) -> int | None:
        """The tokens that it had before; `None` if it does not tell."""
        ...


class TokenServerClient(Protocol):
    """The client of one server, for its model of the name `model`. Its methods raise `EngineError`.

    With `priority` the server is told which requests can wait.
    """

    model: str
    priority: bool
    vocabulary: Vocabulary

    @property
    def open(self) -> bool: ...

    async def version(self) -> str | None:
        """Return the version of the server; `None` if it does not tell, as routers do not."""
        ...

    async def read(self, tokens: Sequence[int], salt: str, *, in_batch: bool = False) -> Read:
        """Let the server read a prompt, and return what it says of it."""
        ...

    async def echoed(self, tokens: Sequence[int]) -> str:
        """Return what the server takes tokens for; more may follow."""
        ...

    def complete(
        self, request: CompletionRequest, salt: str, *, in_batch: bool = False
    ) -> AsyncGenerator[Piece, None]:
        """Continue a prompt. Closing the generator early ends the work on the server."""
        ...


class ServerClient:
    """The server that a client asks, its model, and whether it is told which requests can wait."""

    def __init__(
        self, upstream: Upstream, model: str, vocabulary: Vocabulary, *, priority: bool = False
    ) -> None:
        self.upstream = upstream
        self.model = model
        self.vocabulary = vocabulary
        self.priority = priority

    @property
    def open(self) -> bool:
        return self.upstream.open
