"""Accounts of spend limits, made up."""

from datetime import date

from antiphon.core.limits.values import Account

# In the future of every clock, so that no counters forget it.
START = date(2126, 11, 1)


def account(name: str) -> Account:
    """The account of a key of this name."""
    return Account("key", name, "monthly", START)
