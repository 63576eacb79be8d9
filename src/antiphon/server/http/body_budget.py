"""The budget of bytes for large bodies, over all requests of the server."""

from antiphon.core.errors import OverloadedError
from antiphon.service.background import LARGE_BODY

RETRY_AFTER_S = 1


class BodyBudget:
    """Bounds the bytes of large bodies that are read, decoded or answered at one time.

    A body of less than `LARGE_BODY` bytes is free: connections and gates bound their number, and
    so large bodies never keep a small request out.
    """

    def __init__(self, most: int) -> None:
        self.free = most

    def hold(self) -> "BodyHold":
        """Return the part of one request, which has to `release` it."""
        return BodyHold(self)


class BodyHold:
    """The bytes that one request holds of the budget. It holds those that have arrived.

    If it held the announced length, a few callers who send nothing could take the whole budget.
    """

    __slots__ = ("_budget", "_held", "_size")

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._size = self._held = 0

    def expect(self, size: int) -> None:
        """Raise `OverloadedError` if `size` bytes are more than is free now; hold nothing."""
        if size >= LARGE_BODY and size > self._budget.free:
            raise _overloaded()

    def add(self, size: int) -> None:
        """Hold `size` bytes more. Raises `OverloadedError` if fewer are free."""
        self._size += size
        if self._size < LARGE_BODY:
            return
        more = self._size - self._held
        if more > self._budget.free:
            raise _overloaded()
        self._budget.free -= more
        self._held = self._size

    def release(self) -> None:
        """Give everything back."""
        self._budget.free += self._held
        self._size = self._held = 0


def _overloaded() -> OverloadedError:
    return OverloadedError(
        "The server is reading too many large requests. Please try again in a moment.",
        headers={"retry-after": str(RETRY_AFTER_S)},
    )
