"""The order in which several engines get a request: by weight, in turn, failed ones last.

    healthy ── fails ──► left out ── its pause is over ──► on trial ── answers ──► healthy
                             ▲                                │
                             └───────── fails: a longer pause ┘

While an engine is on trial, it gets one request; the others go to other engines if they can. An
engine that is left out is still the last resort: no request fails that any engine could answer.

Marked prompts do not take turns: among the healthy engines, each goes to the one that has the
highest rank for its beginning (`rendezvous`) and is not busy, so that it finds what that engine
keeps of the prompt.
"""

from collections.abc import Iterable, Sequence
from typing import Final

from antiphon.engines.rendezvous import rank

FIRST_PAUSE_S: Final = 1.0
LONGEST_PAUSE_S: Final = 60.0
# An engine is busy with more running requests than these and than so many times its share of all.
# To read a prompt again takes less time than to wait behind others.
_NEVER_BUSY: Final = 4
_BUSY: Final = 1.5


class _EngineState:
    """One engine: its weight, its credit in the turns, its failures in a row, what it works on."""

    __slots__ = ("credit", "failures", "on_trial", "running", "until", "weight")

    def __init__(self, weight: int) -> None:
        self.weight = weight
        self.credit = 0
        self.failures = 0
        self.until = 0.0
        self.on_trial = False
        self.running = 0

    def is_open(self, now: float) -> bool:
        return not self.failures or (now >= self.until and not self.on_trial)


class Rotation:
    """Turns among engines, by index. An engine of weight 0 is used only when no other one works.

    The turns are smooth: with weights 3 and 1, every fourth request goes to the second engine, and
    over as many requests as the weights sum up to each engine gets exactly its share.
    """

    def __init__(self, weights: Iterable[int]) -> None:
        self._engines = [_EngineState(weight) for weight in weights]

    def candidates(self, able: Sequence[bool], now: float, key: bytes | None = None) -> list[int]:
        """Return all engines in the order of preference; those that are not `able` come last.

        `key` is that of a marked prompt.
        """
        turns = sorted(range(len(self._engines)), key=lambda index: self._rank(index, able, now))
        if key is None:
            return turns
        preferred = self._by_rank(key, self._taking_part(able, now))
        return [*preferred, *(index for index in turns if index not in preferred)]

    def order(self, able: Sequence[bool], now: float, key: bytes | None = None) -> list[int]:
        """Return the engines to try for one request, in order; the first one's turn is taken.

        A marked prompt, which has a key, takes no turn.
        """
        candidates = self.candidates(able, now, key)
        if key is None:
            takes_part = [self._engines[index] for index in self._taking_part(able, now)]
            for one in takes_part:
                one.credit += one.weight
            if takes_part:
                self._engines[candidates[0]].credit -= sum(one.weight for one in takes_part)
        return candidates

    def began(self, index: int) -> None:
        """Note that a request tries this engine; `ended` follows."""
        one = self._engines[index]
        one.running += 1
        one.on_trial = one.failures > 0

    def ended(self, index: int) -> None:
        """Note that a request has left this engine, with or without an answer."""
        self._engines[index].running -= 1

    def answered(self, index: int) -> None:
        """Note that this engine works."""
        one = self._engines[index]
        one.failures, one.until, one.on_trial = 0, 0.0, False

    def failed(self, index: int, now: float, wait_s: float = 0.0) -> float:
        """Note that this engine does not work, and return how long it is left out, in seconds.

        `wait_s` is the pause that the engine asks for. A request that fails while the engine is
        left out began before, and does not prolong the pause.
        """
        one = self._engines[index]
        if not one.failures or now >= one.until:
            one.failures += 1
            pause = FIRST_PAUSE_S * 2.0 ** min(one.failures - 1, 30)
            one.until = now + min(max(pause, wait_s), LONGEST_PAUSE_S)
        one.on_trial = False
        return one.until - now

    def running(self, index: int) -> int:
        """Return on how many requests this engine works."""
        return self._engines[index].running

    def left_out_s(self, index: int, now: float) -> float:
        """Return for how many seconds this engine is left out; 0 if it is not."""
        one = self._engines[index]
        return max(0.0, one.until - now) if one.failures else 0.0

    def gave_up(self, index: int) -> None:
        """Note that a request left this engine before the engine answered or failed."""
        self._engines[index].on_trial = False

    def _rank(self, index: int, able: Sequence[bool], now: float) -> tuple[bool, bool, bool, float]:
        one = self._engines[index]
        is_open = one.is_open(now)
        # Among engines that are left out, the one that returns first precedes.
        due = -(one.credit + one.weight) if is_open else one.until
        return (not able[index], not is_open, not one.weight, due)

    def _taking_part(self, able: Sequence[bool], now: float) -> list[int]:
        """Return the engines among which requests are spread."""
        return [
            index
            for index, one in enumerate(self._engines)
            if able[index] and one.weight and one.is_open(now)
        ]

    def _by_rank(self, key: bytes, indices: Sequence[int]) -> list[int]:
        """Return these engines in the order of their ranks for a key, the busy ones last."""
        engines = [self._engines[index] for index in indices]
        weights, running = sum(one.weight for one in engines), sum(one.running for one in engines)

        def place(index: int) -> tuple[bool, float]:
            one = self._engines[index]
            most = max(_NEVER_BUSY, _BUSY * one.weight / weights * (running + 1))
            return one.running + 1 > most, -rank(key, index, one.weight)

        return sorted(indices, key=place)
