"""The bytes of files that requests of batches keep in memory together.

The body of an interactive request has a share of the server's budget, and its files count there. A
request of a batch is a row of the database, and a small one may name files of megabytes.
"""

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Final

from antiphon.core.errors import OverloadedError

USUAL: Final = 96 * 1024 * 1024


class FileBudget:
    """Lets requests hold at most `most` bytes together; one alone has what it needs."""

    def __init__(self, most: int = USUAL) -> None:
        self._most = most
        self._taken = 0

    @contextmanager
    def share(self) -> Generator[Callable[[int], None]]:
        """Yield what takes bytes for one request; they are given back at the end of the block.

        Raises `OverloadedError` if others have too many: the request is run again later.
        """
        own = 0

        def hold(size: int) -> None:
            nonlocal own
            if self._taken > own and self._taken + size > self._most:
                raise OverloadedError
            self._taken += size
            own += size

        try:
            yield hold
        finally:
            self._taken -= own
