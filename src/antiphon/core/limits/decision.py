"""Decides whether a request may begin: by spend first, then rate limits, all or nothing."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

import msgspec

from antiphon.core.limits import buckets as rates
from antiphon.core.limits import spend
from antiphon.core.limits.buckets import Bucket
from antiphon.core.limits.spend import AccountState
from antiphon.core.limits.values import Account, Ask, Busy, Exceeded, Granted, Limited

NO_ACCOUNTS: Final[Mapping[Account, AccountState]] = MappingProxyType({})


class Decision(msgspec.Struct, frozen=True, gc=False):
    """The answer, and the buckets and accounts that it changes."""

    verdict: Granted | Limited | Exceeded | Busy
    buckets: Mapping[str, Bucket]
    accounts: Mapping[Account, AccountState]


def admit(
    ask: Ask, buckets: Mapping[str, Bucket], accounts: Mapping[Account, AccountState], now: int
) -> Decision:
    """Decide an ask. A refusal takes nothing, neither money nor tokens."""
    held: Mapping[Account, AccountState] = NO_ACCOUNTS
    # A free request holds no money.
    if ask.holds:
        refusal, held = spend.reserve(ask, accounts, now)
        if refusal is not None:
            return Decision(refusal, {}, held)
    verdict, drawn = rates.decide(ask.draws, buckets, now)
    if isinstance(verdict, Limited):
        return Decision(verdict, drawn, spend.without_turn(ask, accounts))
    return Decision(verdict, drawn, held)
