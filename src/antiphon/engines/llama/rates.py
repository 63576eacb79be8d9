"""How fast one llama.cpp reads, writes and restores snapshots, as measured while it runs."""

from typing import Final

from antiphon.core.speeds import RecentSpeed
from antiphon.engines.llama.server_types import Timings
from antiphon.engines.states import EngineSpeeds

NEWEST: Final = 0.3
"""The weight of a new measurement among those before it."""


class _Average:
    """A moving average of what one unit takes; `None` before the first measurement."""

    def __init__(self) -> None:
        self.value: float | None = None

    def add(self, amount: float, units: float) -> None:
        if units > 0 and amount >= 0:
            new = amount / units
            old = new if self.value is None else self.value
            self.value = old + NEWEST * (new - old)

    def of(self, units: float) -> float | None:
        return None if self.value is None else self.value * units


class Rates:
    """Moving averages of one model on one machine."""

    def __init__(self) -> None:
        self._read_ms = _Average()
        self._restore_ms = _Average()
        self._bytes = _Average()

    def note_read(self, tokens: int, ms: float) -> None:
        """Note that so many tokens of a prompt were read in so many milliseconds."""
        self._read_ms.add(ms, tokens)

    def note_restored(self, size: int, ms: float) -> None:
        """Note that a file of so many bytes was restored in so many milliseconds."""
        self._restore_ms.add(ms, size)

    def note_saved(self, tokens: int, size: int) -> None:
        """Note that so many tokens were saved in so many bytes."""
        self._bytes.add(size, tokens)

    def read_ms(self, tokens: int) -> float:
        """Estimate what reading takes; 0 while nothing was measured."""
        return self._read_ms.of(tokens) or 0.0

    def size_of(self, tokens: int) -> int:
        """Estimate the bytes of a snapshot; 0 while nothing was measured."""
        return int(self._bytes.of(tokens) or 0)

    def restores_faster(self, size: int, tokens: int, read_ms: float) -> bool:
        """Return whether restoring a snapshot takes less time than reading its tokens.

        `read_ms` is what reading took when it was saved, for a server that has not read anything
        yet. What was not measured is tried.
        """
        restore_ms = self._restore_ms.of(size)
        return restore_ms is None or restore_ms < (self._read_ms.of(tokens) or read_ms)


class CompletionSpeeds:
    """What llama.cpp measured of its completions in the last minutes; times are in seconds."""

    def __init__(self) -> None:
        self._prefill, self._decode = RecentSpeed(), RecentSpeed()

    def note(self, timings: Timings, now: float) -> None:
        """Note a completion that has ended."""
        self._prefill.add(timings.prompt_n, timings.prompt_ms / 1000, now)
        self._decode.add(timings.predicted_n, timings.predicted_ms / 1000, now)

    def told(self, now: float) -> EngineSpeeds:
        """Return the tokens in a second of one completion."""
        return EngineSpeeds(
            prefill=self._prefill.per_second(now), decode=self._decode.per_second(now)
        )
