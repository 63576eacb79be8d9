"""Which keys are noted as used together with what is charged to them: each about once a minute."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.store.accounts import AT_MOST_BEHIND

MOST_KEPT: Final = 10_000
"""So many keys are remembered; noting a key once more costs some microseconds."""


class ChargedKeys:
    """The keys that were charged, with the use of each that is noted in the database."""

    def __init__(self) -> None:
        self._noted: dict[str, datetime] = {}

    def uses(self, entries: Sequence[LedgerEntry]) -> dict[str, datetime]:
        """Return the uses to note with these entries: by key, the last one."""
        found: dict[str, datetime] = {}
        for entry in entries:
            key, at = entry.api_key_id, entry.started_at
            if key is None or ((known := self._noted.get(key)) and at < known + AT_MOST_BEHIND):
                continue
            found[key] = max(at, found.get(key, at))
        return found

    def noted(self, uses: Mapping[str, datetime]) -> None:
        """Remember uses that are in the database now."""
        if len(self._noted) + len(uses) > MOST_KEPT:
            self._noted.clear()
        self._noted |= uses
