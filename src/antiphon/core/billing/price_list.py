"""The list prices of the Claude API by model id, and the price of a request.

So an open model under a Claude name shows what the same tokens cost on the Claude API.
"""

import re
from collections.abc import Mapping
from decimal import Decimal
from types import MappingProxyType

from antiphon.core.billing.pricing import FREE, Price, nano_dollars


def _usd(input_: str, write_5m: str, write_1h: str, read: str, output: str) -> Price:
    """Read a line of the price page: dollars for a million tokens."""
    return Price(
        input=nano_dollars(Decimal(input_)),
        cache_write_5m=nano_dollars(Decimal(write_5m)),
        cache_write_1h=nano_dollars(Decimal(write_1h)),
        cache_read=nano_dollars(Decimal(read)),
        output=nano_dollars(Decimal(output)),
    )


def _with_long(card: Price, above: int, long: Price) -> Price:
    return Price(
        input=card.input,
        cache_write_5m=card.cache_write_5m,
        cache_write_1h=card.cache_write_1h,
        cache_read=card.cache_read,
        output=card.output,
        long_above=above,
        long=long,
    )


_FABLE_5_2 = _usd("8", "10", "16", "0.20", "40")
_FABLE_5_1 = _usd("10", "12.50", "20", "0.25", "50")
_FABLE_5 = _usd("10", "12.50", "20", "1", "50")
_OPUS_5_5 = _usd("4", "5", "8", "0.20", "20")
_OPUS_5 = _usd("5", "6.25", "10", "0.50", "25")
_OPUS_4 = _usd("15", "18.75", "30", "1.50", "75")
_SONNET_5_5 = _usd("2", "2.50", "4", "0.10", "10")
_SONNET_5 = _usd("2", "2.50", "4", "0.20", "10")
_SONNET_4 = _usd("3", "3.75", "6", "0.30", "15")
_HAIKU_5_5 = _with_long(
    _usd("0.10", "0.125", "0.20", "0.01", "0.50"),
    100_000,
    _usd("0.50", "0.625", "1", "0.05", "2.50"),
)
_HAIKU_4_5 = _usd("1", "1.25", "2", "0.10", "5")
_HAIKU_3_5 = _usd("0.80", "1", "1.60", "0.08", "4")

LIST_PRICES: Mapping[str, Price] = MappingProxyType(
    {
        "claude-fable-5-2": _FABLE_5_2,
        "claude-mythos-5-2": _FABLE_5_2,
        "claude-fable-5-1": _FABLE_5_1,
        "claude-mythos-5-1": _FABLE_5_1,
        "claude-fable-5": _FABLE_5,
        "claude-mythos-5": _FABLE_5,
        "claude-opus-5-5": _OPUS_5_5,
        "claude-opus-5": _OPUS_5,
        "claude-opus-4-8": _OPUS_5,
        "claude-opus-4-7": _OPUS_5,
        "claude-opus-4-6": _OPUS_5,
        "claude-opus-4-5": _OPUS_5,
        "claude-opus-4-1": _OPUS_4,
        "claude-opus-4-0": _OPUS_4,
        "claude-opus-4": _OPUS_4,
        "claude-sonnet-5-5": _SONNET_5_5,
        "claude-sonnet-5": _SONNET_5,
        "claude-sonnet-4-6": _SONNET_4,
        "claude-sonnet-4-5": _SONNET_4,
        "claude-sonnet-4-0": _SONNET_4,
        "claude-sonnet-4": _SONNET_4,
        "claude-haiku-5-5": _HAIKU_5_5,
        "claude-haiku-4-5": _HAIKU_4_5,
        "claude-3-5-haiku": _HAIKU_3_5,
    }
)

# The end of `claude-opus-4-5-20251101` and `claude-3-5-haiku-latest`: it changes no price.
_EDITION = re.compile(r"-(?:20[0-9]{6}|latest)\Z")


def list_price(name: str) -> Price | None:
    """Return the list price of a Claude id, with or without its date; `None` for other names."""
    found = LIST_PRICES.get(name)
    if found is None and name.startswith("claude-"):
        return LIST_PRICES.get(_EDITION.sub("", name))
    return found


def price_for(asked: str, served: str, own: Price | None) -> Price:
    """Return the price of a request: the served model's own; else the list price of its name.

    The list price of the requested name precedes that of the serving model's id. A model with
    neither is free.
    """
    if own is not None:
        return own
    return list_price(asked) or list_price(served) or FREE
