"""What is spent and held now: the counters are asked about accounts, by the caps that apply."""

from collections.abc import Mapping, Sequence

from antiphon.core.errors import OverloadedError
from antiphon.core.limits.periods import Period
from antiphon.core.limits.spend import SpendCap, spend_caps
from antiphon.core.limits.values import Account, Balance, Scope
from antiphon.settings import LimitSettings
from antiphon.store.counters.base import Counters, CountersAwayError
from antiphon.store.database.records import PORTION


class CurrentSpending:
    """The spending in the current periods. The counters hold it, the settings have the cap."""

    def __init__(self, settings: LimitSettings, counters: Counters) -> None:
        self._settings = settings
        self._counters = counters

    def caps(
        self, scope: Scope, scope_id: str, amounts: Mapping[Period, int]
    ) -> Mapping[Period, SpendCap]:
        """Return what caps a scope in each period, by its own limits; the tighter of two."""
        return spend_caps(scope, scope_id, amounts, self._settings.monthly_nano_dollars)

    async def balances(self, accounts: Sequence[Account]) -> tuple[Balance, ...]:
        """Return the balances of accounts. Raises `OverloadedError` if the counters are away."""
        found: tuple[Balance, ...] = ()
        try:
            for start in range(0, len(accounts), PORTION):
                found += await self._counters.balance(accounts[start : start + PORTION])
        except CountersAwayError as error:
            raise OverloadedError("The counters cannot be asked now.") from error
        return found
