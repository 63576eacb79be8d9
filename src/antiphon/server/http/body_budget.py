"""The budget of bytes for large bodies, and for their texts in memory, over all requests."""

import asyncio

from antiphon.core.errors import OverloadedError
from antiphon.service.background import LARGE_BODY, offload

RETRY_AFTER_S = 1
# The first bytes of the characters in UTF-8 that need four bytes.
_OF_FOUR = (0xF0, 0xF1, 0xF2, 0xF3, 0xF4)


class BodyBudget:
    """Bounds the bytes of large bodies that are read, decoded or answered at one time.

    A body of less than `LARGE_BODY` bytes is free: connections and gates bound their number, and
    so large bodies never keep a small request out.
    """

    def __init__(self, most: int) -> None:
        self.most = self.free = most
        self._turn = asyncio.Lock()

    def share(self) -> "BodyShare":
        """Return the share of one request, which has to `release` it."""
        return BodyShare(self)

    async def give_way(self) -> None:
        """Wait until no other large body is in turn, and then for one turn of the event loop.

        So only one of them takes what has arrived in a turn, and small requests are not kept
        waiting by the copies of many. What is not taken waits in the sockets.
        """
        async with self._turn:
            await asyncio.sleep(0)


class BodyShare:
    """The bytes that one request has taken from the budget: those of its body that have arrived.

    Of the body of a new batch they are those that are kept until more of it arrives.

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
        whole = self._size + size
        if whole < LARGE_BODY and not self._taken:
            self._size = whole
        else:
            self.hold(whole)

    def add_files(self, size: int) -> None:
        """Take what the files of a request need: at most all, so that one that is alone fits.

        Raises `OverloadedError`.
        """
        self.add(min(size, max(0, self._budget.most - self._size)))

    def hold(self, size: int) -> None:
        """Have `size` bytes from now on. Raises `OverloadedError` if fewer are free."""
        taken = size if size >= LARGE_BODY else 0
        if taken - self._taken > self._budget.free:
            raise _overloaded()
        self._budget.free -= taken - self._taken
        self._size, self._taken = size, taken

    async def give_way(self) -> None:
        """Let other requests go first, if the body is large."""
        if self._size >= LARGE_BODY:
            await self._budget.give_way()

    async def add_texts(self, body: bytes) -> None:
        """Take what the texts of a JSON body may need beyond the bytes that were taken for it.

        Raises `OverloadedError`.
        """
        if len(body) >= LARGE_BODY:
            width = await offload(len(body), bytes_for_a_character, body)
            # A text that is alone in the budget fits, however wide it is.
            self.add(min((width - 1) * len(body), self._budget.most - self._taken))

    def release(self) -> None:
        """Give everything back."""
        if self._taken:
            self._budget.free += self._taken
        self._size = self._taken = 0


def bytes_for_a_character(body: bytes) -> int:
    """Return how many bytes each character of a text in a JSON body may need in memory: 1, 2 or 4.

    Python keeps all characters of a text as wide as its widest: one emoji makes 32 MB of ASCII 128.
    """
    if body.isascii():
        # An escape may stand for any character. Most bodies without one have no backslash.
        return 4 if b"\\" in body and b"\\u" in body else 1
    return 4 if b"\\u" in body or any(byte in body for byte in _OF_FOUR) else 2


def _overloaded() -> OverloadedError:
    return OverloadedError(
        "The server is reading too many large requests. Please try again in a moment.",
        headers={"retry-after": str(RETRY_AFTER_S)},
    )
