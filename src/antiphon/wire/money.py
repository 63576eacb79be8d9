"""Money on the wire, in the form of the Admin API."""

from typing import Literal

from antiphon.wire.base import AnswerStruct


class Money(AnswerStruct, kw_only=True, frozen=True):
    """An amount in cents, exact to the nano-dollar."""

    amount: str
    currency: Literal["USD"] = "USD"
