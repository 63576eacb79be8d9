"""Increase requests: somebody asks for a higher limit, and an administrator decides.

open ──► granted     an administrator sets the limit: as it was asked for, or to another amount
     ├─► refused     an administrator says why not
     ├─► withdrawn   by whoever has asked
     └─► replaced    by a later request of the same asker for the same limit

A request ends once. Amounts are integers: a number a minute for a rate limit, nano-dollars for a
spend limit.
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from typing import Final, Literal, TypeAlias

import msgspec

from antiphon.core.billing.money import cents, nano_dollars_of
from antiphon.core.errors import InvalidRequestError
from antiphon.core.limits.values import LARGEST_LIMIT

MOST_OPEN_OF_ONE: Final = 20
MOST_OPEN: Final = 500
MOST_A_DAY: Final = 100
KEPT_FOR: Final = timedelta(days=365)
"""How long a request is kept after its end. Its audit entries are kept for ever."""

LimitKind: TypeAlias = Literal["rate_limit", "spend_limit"]
IncreaseStatus: TypeAlias = Literal["open", "granted", "refused", "withdrawn", "replaced"]


class Step(StrEnum):
    """What ends a request; the value is what it is called in the audit log."""

    GRANT = "grant"
    REFUSE = "refuse"
    WITHDRAW = "withdraw"
    REPLACE = "replace"


_ENDS: Mapping[Step, IncreaseStatus] = {
    Step.GRANT: "granted",
    Step.REFUSE: "refused",
    Step.WITHDRAW: "withdrawn",
    Step.REPLACE: "replaced",
}


def after(status: IncreaseStatus, step: Step) -> IncreaseStatus:
    """Return the status after a step. Raises `InvalidRequestError` if the request has ended."""
    if status != "open":
        raise InvalidRequestError(
            f"This increase request is {status} already: nothing was changed now."
        )
    return _ENDS[step]


class Asked(msgspec.Struct, frozen=True):
    """How much an asker has asked for: open requests, all of the last day, and open ones of all."""

    open_of_asker: int
    of_last_day: int
    open_of_all: int


def check_count(asked: Asked) -> None:
    """Raise `InvalidRequestError` if nothing more may be asked for now."""
    if asked.open_of_asker >= MOST_OPEN_OF_ONE:
        raise InvalidRequestError(
            f"You have {asked.open_of_asker} open increase requests, and may have "
            f"{MOST_OPEN_OF_ONE}: withdraw one first."
        )
    if asked.of_last_day >= MOST_A_DAY:
        raise InvalidRequestError(
            f"You have made {asked.of_last_day} increase requests within a day, and may make "
            f"{MOST_A_DAY}."
        )
    if asked.open_of_all >= MOST_OPEN:
        raise InvalidRequestError(
            f"{asked.open_of_all} increase requests are open: an administrator has to decide on "
            "some of them first."
        )


class LimitNow(msgspec.Struct, frozen=True):
    """A limit as it is now: `None` without one. `ceiling` is the limit above it, if it has one."""

    value: int | None
    ceiling: int | None = None


class Limit(msgspec.Struct, frozen=True):
    """A limit, and how its amounts are read and written."""

    kind: LimitKind
    now: LimitNow

    def amount(self, given: int | str, field: str) -> int:
        """Return an amount of the wire. Raises `InvalidRequestError` for one of another kind."""
        if self.kind == "spend_limit":
            if isinstance(given, int):
                raise InvalidRequestError(f"{field}: Input should be a valid string")
            try:
                return nano_dollars_of(given)
            except ValueError as error:
                raise InvalidRequestError(f"{field}: {error}") from error
        if isinstance(given, str):
            raise InvalidRequestError(f"{field}: Input should be a valid integer")
        if not 1 <= given <= LARGEST_LIMIT:
            raise InvalidRequestError(f"{field}: Input should be from 1 to {LARGEST_LIMIT}")
        return given

    def wanted(self, given: int | str) -> int:
        """Return the amount that somebody asks for.

        Raises `InvalidRequestError` if it is no increase, or above what can be granted.
        """
        present = self._present()
        amount = self.amount(given, "requested")
        if amount <= present:
            raise InvalidRequestError(
                f"requested: the limit is {self._said(present)} now, so this is no increase"
            )
        self._check_ceiling(amount, "requested")
        return amount

    def granted(self, asked: int, given: int | str | None) -> int:
        """Return the amount to which a request that asks for `asked` raises the limit.

        A grant lowers nothing: where the limit has been raised meanwhile it stays as it is. Raises
        `InvalidRequestError` for an amount below the limit, or above what can be granted.
        """
        present = self._present()
        if given is None:
            amount = max(asked, present)
        else:
            amount = self.amount(given, "granted")
            if amount < present:
                raise InvalidRequestError(
                    f"granted: the limit is {self._said(present)} now, and a grant lowers no limit"
                )
        if amount > present:
            self._check_ceiling(amount, "granted")
        return amount

    def _present(self) -> int:
        if self.now.value is None:
            raise InvalidRequestError(
                "limit: no such limit is set, so nothing has to be raised; a limit above it may "
                "refuse"
            )
        return self.now.value

    def _check_ceiling(self, amount: int, field: str) -> None:
        ceiling = self.now.ceiling
        if ceiling is None or amount <= ceiling:
            return
        above = "organization's limit" if self.kind == "rate_limit" else "cap of this server"
        raise InvalidRequestError(
            f"{field}: {self._said(amount)} is above the {above}, {self._said(ceiling)}"
        )

    def _said(self, amount: int) -> str:
        said = shown(self.kind, amount)
        return f"{said:,}" if isinstance(said, int) else f"{said} cents"


def shown(kind: LimitKind, amount: int) -> int | str:
    """Return an amount as the wire has it: a number a minute, or cents as a decimal string."""
    return amount if kind == "rate_limit" else cents(amount)
