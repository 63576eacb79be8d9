"""The tokens and the costs of a request: the values that the ledger keeps."""

from enum import StrEnum
from typing import Literal, Self, TypeAlias

import msgspec

from antiphon.wire.messages import Usage

ContextWindow: TypeAlias = Literal["0-200k", "200k-1M"]

_LARGE_CONTEXT = 200_000


class TokenCounts(msgspec.Struct, frozen=True, kw_only=True):
    """The counters of one request, or of many.

    `input` excludes tokens written to or read from the prompt cache, as on the wire, so the prompt
    is the sum of the first four. `thinking` is a part of `output`.
    """

    input: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    cache_read: int = 0
    output: int = 0
    thinking: int = 0

    def __add__(self, other: Self) -> Self:
        sums = (getattr(self, name) + getattr(other, name) for name in self.__struct_fields__)
        return type(self)(**dict(zip(self.__struct_fields__, sums, strict=True)))

    @property
    def prompt(self) -> int:
        return self.input + self.cache_write_5m + self.cache_write_1h + self.cache_read

    @property
    def context_window(self) -> ContextWindow:
        """The size class of the prompt in the reports."""
        return "0-200k" if self.prompt <= _LARGE_CONTEXT else "200k-1M"

    @classmethod
    def of(cls, usage: Usage) -> Self:
        """Return the counters of a usage on the wire."""
        return cls(
            input=usage.input_tokens,
            cache_write_5m=usage.cache_creation.ephemeral_5m_input_tokens,
            cache_write_1h=usage.cache_creation.ephemeral_1h_input_tokens,
            cache_read=usage.cache_read_input_tokens,
            output=usage.output_tokens,
            thinking=usage.output_tokens_details.thinking_tokens,
        )


class Costs(msgspec.Struct, frozen=True, kw_only=True):
    """The cost of each counter, in whole nano-dollars. Thinking is billed as output.

    `web_search` is that of searches of the web, which have a price each.
    """

    input: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    cache_read: int = 0
    output: int = 0
    web_search: int = 0

    @property
    def total(self) -> int:
        """The sum of all of them."""
        return sum(msgspec.structs.astuple(self))


class Outcome(StrEnum):
    """The end of a request: complete; broken off by either side; or an error."""

    COMPLETED = "completed"
    INTERRUPTED = "interrupted"
    FAILED = "failed"
