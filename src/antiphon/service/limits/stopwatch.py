"""A stopwatch, which its owner tells the time."""


class Stopwatch:
    """The seconds in which something was on, until they are taken."""

    __slots__ = ("_seconds", "_since")

    def __init__(self) -> None:
        self._seconds = 0.0
        self._since: float | None = None

    @property
    def runs(self) -> bool:
        """Whether it is on."""
        return self._since is not None

    def start(self, now: float) -> None:
        """Go on, if it does not run yet."""
        if self._since is None:
            self._since = now

    def stop(self, now: float) -> None:
        if self._since is not None:
            self._seconds += now - self._since
            self._since = None

    def seconds(self, now: float) -> float:
        """Return the seconds until now."""
        return self._seconds + (0.0 if self._since is None else now - self._since)

    def take(self, now: float) -> float:
        """Return the seconds, which are then 0 again; it runs as before."""
        seconds, self._seconds = self.seconds(now), 0.0
        if self._since is not None:
            self._since = now
        return seconds
