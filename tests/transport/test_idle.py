from collections import deque

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from antiphon.transport.idle import IdleConnections
from antiphon.transport.targets import Origin

ORIGINS = [Origin("http", name, 80) for name in "ab"]


class Kept(RuleBasedStateMachine):
    """The same kept in one list, the oldest first."""

    def __init__(self) -> None:
        super().__init__()
        self.idle: IdleConnections[int] = IdleConnections()
        self.kept: deque[tuple[Origin, int, float]] = deque()
        self.count = 0

    @rule(origin=st.sampled_from(ORIGINS))
    def put(self, origin: Origin) -> None:
        self.count += 1
        self.idle.put(origin, self.count, float(self.count))
        self.kept.append((origin, self.count, float(self.count)))

    @rule(origin=st.sampled_from(ORIGINS))
    def take(self, origin: Origin) -> None:
        fits = [entry for entry in self.kept if entry[0] == origin]
        assert self.idle.take(origin) == (fits[-1][1] if fits else None)
        if fits:
            self.kept.remove(fits[-1])

    @rule(back=st.integers(0, 5))
    def discard(self, back: int) -> None:
        fits = [entry for entry in self.kept if entry[1] == self.count - back]
        assert self.idle.discard(self.count - back) is bool(fits)
        for entry in fits:
            self.kept.remove(entry)

    @rule()
    def oldest(self) -> None:
        assert self.idle.oldest() == (self.kept.popleft()[1] if self.kept else None)

    @rule(back=st.integers(0, 5))
    def expire(self, back: int) -> None:
        now = float(self.count - back)
        expected = self.kept.popleft()[1] if self.kept and self.kept[0][2] <= now else None
        assert self.idle.expired(now) == expected

    @rule()
    def clear(self) -> None:
        assert self.idle.clear() == [entry[1] for entry in self.kept]
        self.kept.clear()

    @invariant()
    def same_number(self) -> None:
        assert len(self.idle) == len(self.kept)


TestIdleConnections = Kept.TestCase
