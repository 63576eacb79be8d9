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

    def share(self) -> "BodyShare":
        """Return the share of one request, which has to `release` it."""
        return BodyShare(self)


class BodyShare:
    """The bytes that one request has taken from the budget: those of its body that have arrived.

    If it took the announced length, a few callers who send nothing could take the whole budget.
    """

    __slots__ = ("_budget", "_size", "_taken")

    def __init__(self, budget: BodyBudget) -> None:
        self._budget = budget
        self._size = self._taken = 0

    def expect(self, size: int) -> None:
        """Raise `OverloadedError` if `size` bytes are more than is free now; take nothing."""
        if size >= LARGE_BODY and size > self._budget.free:
            raise _overloaded()

    def add(self, size: int) -> None:
        """Take `size` bytes more. Raises `OverloadedError` if fewer are free."""
        self._size += size
        if self._size < LARGE_BODY:
            return
        more = self._size - self._taken
        if more > self._budget.free:
            raise _overloaded()
        self._budget.free -= more
        self._taken = self._size

    def release(self) -> None:
        """Give everything back."""
        self._budget.free += self._taken
        self._size = self._taken = 0


def _overloaded() -> OverloadedError:
    return OverloadedError(
        "The server is reading too many large requests. Please try again in a moment.",
        headers={"retry-after": str(RETRY_AFTER_S)},
    )
