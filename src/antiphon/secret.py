"""A setting that is never shown."""


class Secret:
    """A value that hides in `repr` and in tracebacks. `place` says where it stands, for errors."""

    __slots__ = ("_value", "place")

    def __init__(self, value: str, place: str = "") -> None:
        self._value = value
        self.place = place

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return "Secret(***)"
