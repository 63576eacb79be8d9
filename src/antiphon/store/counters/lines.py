"""Lines of those who were told when to come back, in the memory of one process."""

from bisect import insort

from antiphon.store.counters.base import DueSlot


class RetryQueues:
    """The places of each line, in the order in which they are due. Time is an argument."""

    def __init__(self) -> None:
        self._lines: dict[str, list[tuple[int, str]]] = {}
        self._made = 0

    def add(self, line: str, due: int) -> str:
        """Add a place; returns its id."""
        self._made += 1
        place = f"{self._made}"
        insort(self._lines.setdefault(line, []), (due, place))
        return place

    def take(self, line: str, kept_ms: int, now: int) -> DueSlot | None:
        """Take the first place that is due and not over, or tell when the next one is."""
        for due, place in self._lines.get(line, ()):
            if due + kept_ms <= now:
                continue
            if due <= now:
                self.drop(line, place)
            return DueSlot(place, max(0, due - now))
        return None

    def drop(self, line: str, place: str) -> bool:
        """Forget a place; tells whether it was there."""
        places = self._lines.get(line, [])
        left = [one for one in places if one[1] != place]
        if left:
            self._lines[line] = left
        else:
            self._lines.pop(line, None)
        return len(left) < len(places)
