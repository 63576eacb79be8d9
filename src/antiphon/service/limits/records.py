"""Where the running record of an admitted request is kept: the port of the journal.

The ledger records requests in the journal, which survives the end of the process. A request of a
batch needs no such record: its row in the database has no result until its entry is committed with
it, so whatever is lost with the process is run again.
"""

from collections.abc import Callable
from datetime import datetime
from typing import Protocol, TypeVar

from msgspec.structs import replace

from antiphon.core.billing.ledger import Closing, LedgerEntry, Opening, entry_of
from antiphon.core.billing.usage import TokenCounts


class Record(Protocol):
    """The live token counts of one running request."""

    @property
    def tokens(self) -> TokenCounts: ...

    @property
    def searches(self) -> int: ...

    def searched(self, searches: int) -> None: ...

    def prompt(self, tokens: TokenCounts) -> None: ...

    def first_token(self, at: datetime) -> None: ...

    def produced(self, output: int, thinking: int) -> None: ...


R = TypeVar("R", bound=Record)


class Records(Protocol[R]):
    """Keeps records: `open` raises `StoreError` and `OSError`; `close` returns the bill.

    `now` is the clock of the records.
    """

    now: Callable[[], datetime]

    def open(self, opening: Opening) -> R: ...

    def close(self, record: R, opening: Opening, ending: Closing) -> LedgerEntry: ...


class RecordInMemory:
    """A record that ends with the process."""

    __slots__ = ("_output", "_prompt", "_thinking", "searches")

    def __init__(self) -> None:
        self._prompt = TokenCounts()
        self._output = 0
        self._thinking = 0
        self.searches = 0

    @property
    def tokens(self) -> TokenCounts:
        """The live counts."""
        return replace(self._prompt, output=self._output, thinking=self._thinking)

    def searched(self, searches: int) -> None:
        """Keep the searches of the web so far."""
        self.searches = searches

    def prompt(self, tokens: TokenCounts) -> None:
        """Keep the counts of the prompt."""
        self._prompt = tokens

    def first_token(self, at: datetime) -> None:
        """Do nothing: the bill has the time, and nothing else asks for it."""

    def produced(self, output: int, thinking: int) -> None:
        """Keep the tokens produced so far."""
        self._output = output
        self._thinking = thinking


class RecordsInMemory:
    """The records of batch requests. A bill is returned, and delivered nowhere."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.now = now

    def open(self, opening: Opening) -> RecordInMemory:
        """Begin a record."""
        del opening
        return RecordInMemory()

    def close(self, record: RecordInMemory, opening: Opening, ending: Closing) -> LedgerEntry:
        """Return the bill."""
        del record
        return entry_of(opening, ending)
