"""The names and the amounts of limits, in tables."""

import re
from collections.abc import Mapping
from typing import Any

from antiphon.core.billing.money import dollars, nano_dollars_of
from antiphon.core.limits.rate_limits import BATCH, FILES, TOKEN_COUNT, LimitType
from antiphon.wire.admin.limits import SpendPeriod

PERIODS: dict[str, SpendPeriod] = {"day": "daily", "week": "weekly", "month": "monthly"}
PERIOD_WORDS: Mapping[str, str] = {period: word for word, period in PERIODS.items()}
# The flags of rate limits of models, by their types; those of calls, by their groups.
RATE_FLAGS = {
    LimitType.REQUESTS: "requests",
    LimitType.INPUT: "input_tokens",
    LimitType.OUTPUT: "output_tokens",
}
CALL_FLAGS = {TOKEN_COUNT: "counts", BATCH: "batch_calls", FILES: "file_calls"}
_DOLLARS = re.compile(r"\$?([0-9]{1,30})(?:\.([0-9]{1,9}))?")
_RATES = {
    LimitType.REQUESTS: "requests a minute",
    LimitType.INPUT: "input tokens a minute",
    LimitType.OUTPUT: "output tokens a minute",
}
_CALLS = {
    TOKEN_COUNT: "counts a minute",
    BATCH: "batch calls a minute",
    FILES: "file calls a minute",
}


def rate_name(kind: str, group: str) -> str:
    """Return the name of a rate limit of a group."""
    return _CALLS.get(group) or _RATES[LimitType(kind)]


def spend_name(period: str) -> str:
    """Return the name of a spend limit."""
    return f"spending a {PERIOD_WORDS[period]}"


def cents_as_dollars(amount: str) -> str:
    """Return an amount of the wire, which is in cents, in US dollars."""
    return f"${dollars(nano_dollars_of(amount))}"


def typed_dollars(text: str) -> int | None:
    """Return what a person typed as US dollars in nano-dollars; `None` for another text."""
    found = _DOLLARS.fullmatch(text)
    return None if found is None else int(found[1]) * 10**9 + int(f"{found[2] or '':0<9}")


def in_dollars(message: str) -> str:
    """Return an error of the API about an amount in US dollars, as `--spend` takes them."""
    if not message.startswith("amount: "):
        return message
    return re.sub(
        r"\b(\d+(?:\.\d+)?)(?: cents)?\b", lambda found: cents_as_dollars(found[1]), message
    )


def rate_amounts(described: Mapping[str, Any]) -> dict[str, str]:
    """Return the amounts of a group's rate limits in the form of the audit log, by name."""
    group = described["group"]["id"]
    return {rate_name(one["type"], group): f"{one['value']:,}" for one in described["limits"]}
