"""What a model is asked and what it says back, in the words every engine shares.

Some are made for every token, so they are msgspec structs: a tenth of a dataclass's cost.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Literal, TypeAlias

import msgspec

from antiphon.wire.content import ContentParam, TextParam

Role: TypeAlias = Literal["user", "assistant", "system"]


class Turn(msgspec.Struct, frozen=True):
    """One voice until the next one speaks; same-role messages are already merged."""

    role: Role
    content: tuple[ContentParam, ...]

    @property
    def texts(self) -> tuple[str, ...]:
        """The text blocks' texts."""
        return tuple(block.text for block in self.content if isinstance(block, TextParam))


class Prompt(msgspec.Struct, frozen=True, eq=False, weakref=True):
    """One question to a model.

    `turns` stand in the order in which the caller sent them; a system prompt is the first turn.
    A last turn of the assistant is a prefill: the model goes on where it ends. `None` leaves a
    sampling parameter to the engine. Prompts compare by identity, so that an engine can keep
    what it computed for one (its tokens, say) for exactly as long as the prompt lives.
    """

    turns: tuple[Turn, ...]
    max_tokens: int
    temperature: float = 1.0
    top_p: float | None = None
    top_k: int | None = None


class TextChunk(msgspec.Struct, frozen=True, gc=False):
    """A piece of the answer: whole characters, and the tokens that they cost."""

    text: str
    tokens: int


class FinishReason(StrEnum):
    """Why the model stopped by itself."""

    END_TURN = "end_turn"
    MAX_TOKENS = "max_tokens"
    CONTEXT_WINDOW = "model_context_window_exceeded"


class Finished(msgspec.Struct, frozen=True, gc=False):
    """The end of an answer, and the tokens no chunk has accounted for (an end token, say)."""

    reason: FinishReason
    tokens: int = 0


EngineEvent: TypeAlias = TextChunk | Finished


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What a model can do. Validation refuses the rest before the engine is asked.

    `context_tokens` is the largest sum of prompt and answer. `max_output_tokens` is the largest
    answer that may be asked for; `None` takes any number, and the context ends the answer.
    """

    context_tokens: int
    max_output_tokens: int | None = None
