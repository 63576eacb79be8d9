"""The seam between Antiphon and a token machine: a server that continues arrays of tokens.

A machine computes and nothing else. What the tokens mean is decided on this side of the seam: the
chat template, the tools, reasoning, what may be answered and what an answer was. So an engine for
another server is an implementation of `TokenMachine`, and options.
"""

from collections.abc import AsyncGenerator, Sequence
from enum import StrEnum
from typing import Protocol

import msgspec

from antiphon.engines.token.prompt.edges import Edge
from antiphon.engines.token.prompt.images import RenderedPart
from antiphon.engines.token.prompt.tokens import RenderedPrompt


class CompletionRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What to continue, and how. `None` leaves a sampling parameter to the machine.

    - `tokens`: the prompt. `max_tokens` of 0 has it read, and whatever comes back is ignored.
    - `grammar`: what may be answered, as GBNF with the rule `root`.
    - `stop`: texts that end the answer when the model writes them.
    - `shown`: spellings of control tokens that shall come back as text when the model writes them;
      a machine hides its other control tokens.
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
    """A piece of an answer: whole characters, and what they cost.

    `count` is how many tokens the piece cost, those included that made no text before it. `tokens`
    are these tokens, or `None` where the machine does not show all of them. Tokens that are no
    text (of control, or held back) have pieces of their own or are in the next one. U+FFFD stands
    for bytes that are no character. The text of a stop sequence is in no piece, its tokens are.

    The last piece, and no other one, has an `end`. It has no text and no `tokens`, and counts what
    no piece before it has.
    """

    text: str = ""
    count: int = 0
    tokens: tuple[int, ...] | None = ()
    end: PieceEnd | None = None


class TokenMachine(Protocol):
    """A model on a server. Its methods raise `EngineError`."""

    @property
    def ready(self) -> bool:
        """Whether the machine answers at present."""
        ...

    async def tokenize(self, text: str, *, control: bool, ends: bool = False) -> list[int]:
        """Tokenize `text`.

        With `control`, spellings of control tokens in it are control tokens, else plain text.
        `ends` adds what the model wants at both ends of every prompt.
        """
        ...

    def complete(self, request: CompletionRequest) -> AsyncGenerator[Piece, None]:
        """Continue a prompt. Closing the generator early ends the work on the server."""
        ...


class PreparedPrompt(msgspec.Struct, frozen=True):
    """A prompt as tokens, and the machine for every completion of it, if that is a special one.

    The number of tokens is exact. Those of an image may be any numbers.
    """

    rendered: RenderedPrompt
    machine: TokenMachine | None = None


class ImagePreparer(Protocol):
    """Prepares prompts with images, for a machine whose model sees."""

    async def prepare(
        self, parts: Sequence[RenderedPart], edges: Sequence[Edge] = ()
    ) -> PreparedPrompt:
        """Take a rendered prompt with its images, and behind which parts its edges lie.

        An edge that is not between two tokens is left out. Raises `EngineError`.
        """
        ...
