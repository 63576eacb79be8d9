"""Made-up accounts of spend limits."""

from datetime import date

from antiphon.core.limits.values import Account

# Later than every clock of the tests, so that no counters forget it.
START = date(2126, 11, 1)


def account(name: str) -> Account:
    """Return the account of a key of this name."""
    return Account("key", name, "monthly", START)
