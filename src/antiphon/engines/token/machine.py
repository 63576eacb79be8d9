"""The interface to a token machine: a server that continues arrays of tokens.

A machine only computes. Antiphon gives the tokens their meaning: it owns the chat template, the
tools, reasoning, the grammar of the answer and its parsing. So an engine for another server is an
implementation of `TokenMachine`, and options.
"""

from collections.abc import AsyncGenerator, Sequence
from contextlib import AbstractAsyncContextManager
from enum import StrEnum
from typing import Protocol

import msgspec

from antiphon.core.hints import NO_HINTS, Hints
from antiphon.core.parking import Parking
from antiphon.core.prompt import Confirmation
from antiphon.engines.token.prompt.edges import Edge
from antiphon.engines.token.prompt.images import RenderedPart
from antiphon.engines.token.prompt.tokens import RenderedPrompt


class CompletionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A prompt to continue. `None` leaves a sampling parameter to the machine.

    - `tokens`: the prompt. With `max_tokens` of 0 it is only read, and the answer is ignored.
    - `grammar`: the grammar of the answer, as GBNF with the rule `root`.
    - `stop`: texts that end the answer when the model writes them.
    - `shown`: spellings of control tokens that come back as text when the model writes them; a
      machine hides its other control tokens.
    """

    tokens: list[int]
    max_tokens: int
    temperature: float
    top_p: float | None = None
    top_k: int | None = None
    grammar: str | None = None
    stop: tuple[str, ...] = ()
    shown: tuple[str, ...] = ()


class PieceEnd(StrEnum):
    """Why an answer ended."""

    MODEL = "model"  # by its end token
    LIMIT = "limit"  # `max_tokens` are used up
    STOP = "stop"  # the model wrote one of the texts in `stop`


class Piece(msgspec.Struct, frozen=True, kw_only=True):
    """A piece of an answer: whole characters, and their tokens.

    `count` is the number of tokens of the piece, with those before it that made no text. `tokens`
    are these tokens, or `None` if the machine does not show all of them. Tokens without text
    (control tokens, or held back) have pieces of their own or belong to the next one. U+FFFD stands
    for bytes that are no character. The text of a stop sequence is in no piece, its tokens are.

    Only the last piece has an `end`. It has no text and no `tokens`, and counts the tokens that no
    piece before it counted.
    """

    text: str = ""
    count: int = 0
    tokens: tuple[int, ...] | None = ()
    end: PieceEnd | None = None


class Completer(Protocol):
    """Continues arrays of tokens. Its methods raise `EngineError`."""

    async def tokenize(self, text: str, *, control: bool, ends: bool = False) -> Sequence[int]:
        """Tokenize `text`.

        With `control`, spellings of control tokens in it are control tokens, else plain text.
        `ends` adds the tokens that the model expects at both ends of a prompt.
        """
        ...

    def complete(self, request: CompletionRequest) -> AsyncGenerator[Piece, None]:
        """Continue a prompt. Closing the generator early ends the work on the server."""
        ...


class Completions(Completer, Protocol):
    """The completions of one prompt, one after the other, in one place of a machine."""

    @property
    def confirmed(self) -> Confirmation:
        """The tokens that were reused, and the prefixes that are kept.

        It is known when the first completion has begun; before that, nothing is reused.
        """
        ...


class PromptReader(Protocol):
    """A machine as one prompt sees it."""

    def completions(
        self,
        prompt: RenderedPrompt,
        salt: str,
        hints: Hints = NO_HINTS,
        parking: Parking | None = None,
    ) -> AbstractAsyncContextManager[Completions]:
        """Take a place for the completions of a prompt, and read it up to its last breakpoint.

        Waits while all places are taken. What the machine keeps of prompts is used for those of the
        same `salt` only; `hints` may steer what it keeps, and who waits. With `parking` the work
        may stop for others and go on later. The tokens of each completion begin with those of the
        prompt.
        """
        ...


class TokenMachine(PromptReader, Protocol):
    """A model on a server. Its methods raise `EngineError`."""

    @property
    def ready(self) -> bool:
        """Whether the machine can answer now."""
        ...

    @property
    def keeps_prefixes(self) -> bool:
        """Whether it keeps prefixes that end at breakpoints, and confirms what it reuses."""
        ...

    async def tokenize(self, text: str, *, control: bool, ends: bool = False) -> Sequence[int]:
        """Tokenize `text`, as a `Completer` does."""
        ...


class PreparedPrompt(msgspec.Struct, frozen=True):
    """A prompt as tokens, and what reads it, if it needs a reader of its own.

    The number of tokens is exact. Those of an image may be any numbers.
    """

    rendered: RenderedPrompt
    reader: PromptReader | None = None


class ImagePreparer(Protocol):
    """Prepares prompts with images, for a machine whose model reads images."""

    async def prepare(
        self, parts: Sequence[RenderedPart], edges: Sequence[Edge] = ()
    ) -> PreparedPrompt:
        """Prepare a rendered prompt with images; its edges lie behind parts.

        An edge that is not between two tokens is left out. Raises `EngineError`.
        """
        ...
