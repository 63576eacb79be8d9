"""What one process may grant alone while nobody can ask the shared counters."""

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction

from antiphon.core.limits.values import Ask, Draw, Hold, Level, Settlement, Verdict
from antiphon.store.counters.tally import Tally


class Share:
    """A tally under a part of every limit. With n processes and a share of 1/n none is exceeded.

    A bucket has this part of its limit, rounded down, and at least 1. An account has this part of
    what is left of its limit: of the limit itself, the last process might take what is spent
    already once more. Buckets begin full.
    """

    def __init__(
        self,
        share: Fraction,
        spent: Mapping[str, int],
        running: Iterable[Ask],
        clock: Callable[[], int],
    ) -> None:
        """Begin with what is spent, and with what this process's running requests hold."""
        self._share = share
        self._spent = spent
        self._clock = clock
        self._tally = Tally()
        self._tally.seed(spent, (), clock())
        for ask in running:
            known = tuple(Hold(hold.account, None, hold.amount) for hold in ask.holds)
            self._tally.admit(Ask(ask.id, (), known, ask.lease_ms), clock())

    def admit(self, ask: Ask) -> Verdict:
        draws = tuple(map(self._drawn, ask.draws))
        holds = tuple(map(self._held, ask.holds))
        return self._tally.admit(Ask(ask.id, draws, holds, ask.lease_ms, ask.waits), self._clock())

    def settle(self, settlement: Settlement) -> None:
        corrections = tuple(map(self._drawn, settlement.corrections))
        part = Settlement(settlement.id, settlement.costs, corrections)
        self._tally.settle(part, self._clock())

    def draw(self, draws: Iterable[Draw]) -> None:
        self._tally.draw(map(self._drawn, draws), self._clock())

    def renew(self, reservations: Iterable[str], lease_ms: int) -> None:
        self._tally.renew(reservations, lease_ms, self._clock())

    def levels(self, draws: Iterable[Draw]) -> tuple[Level, ...]:
        return self._tally.levels(tuple(map(self._drawn, draws)), self._clock())

    def _drawn(self, draw: Draw) -> Draw:
        limit = max(1, int(draw.limit * self._share))
        return Draw(draw.bucket, limit, draw.amount, draw.needs_positive)

    def _held(self, hold: Hold) -> Hold:
        if hold.limit is None:
            return hold
        spent = self._spent.get(hold.account, 0)
        left = max(0, hold.limit - spent)
        return Hold(hold.account, min(hold.limit, spent + int(left * self._share)), hold.amount)
