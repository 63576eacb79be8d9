"""What answers took: a line behind an answer, and a sum at the end of a conversation."""

from decimal import Decimal
from typing import Any

import msgspec


class Used(msgspec.Struct, kw_only=True):
    """The tokens, the time in seconds and the money of some answers; `dollars` if it is known.

    `read` and `written` are the parts of the prompts that the prompt cache served and took.
    """

    answers: int = 0
    fresh: int = 0
    read: int = 0
    written: int = 0
    output: int = 0
    seconds: float = 0.0
    dollars: Decimal | None = Decimal(0)

    @property
    def input(self) -> int:
        """All tokens of the prompts."""
        return self.fresh + self.read + self.written

    def add(self, usage: Any, seconds: float, dollars: Decimal | None) -> None:
        """Add the usage of an answer. One answer without a price makes the sum unknown."""
        self.answers += 1
        self.fresh += usage.input_tokens
        self.read += usage.cache_read_input_tokens or 0
        self.written += usage.cache_creation_input_tokens or 0
        self.output += usage.output_tokens
        self.seconds += seconds
        self.dollars = None if self.dollars is None or dollars is None else self.dollars + dollars

    def line(self) -> str:
        """Return all of it in a line: `1,204 tokens in (1,100 cached), 85 out, 3.1 s, $0.0012`."""
        cached = f" ({self.read:,} cached)" if self.read else ""
        parts = [f"{self.input:,} tokens in{cached}", f"{self.output:,} out"]
        parts.append(f"{self.seconds:.1f} s")
        if self.seconds > 0 and self.output:
            parts.append(f"{self.output / self.seconds:.1f} tokens/s")
        if self.dollars is not None:
            parts.append(dollars_text(self.dollars))
        return ", ".join(parts)

    def summary(self) -> str:
        """Return the line of a whole conversation, with the share that the cache served."""
        turns = "1 answer" if self.answers == 1 else f"{self.answers} answers"
        share = f", {self.read / self.input:.0%} of the input from the cache" if self.read else ""
        return f"{turns}: {self.line()}{share}"


def dollars_text(amount: Decimal) -> str:
    """Return an amount of US dollars with the digits that say something: `$0.0012`, `$1.25`."""
    if amount == 0:
        return "$0"
    if amount >= 1:
        return f"${amount:,.2f}"
    return f"${amount:.{max(2, 1 - amount.adjusted())}f}"
