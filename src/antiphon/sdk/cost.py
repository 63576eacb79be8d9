"""What an answer costs, from its usage: integer nano-dollars, never a float.

Each counter is rounded up by itself, as the server's ledger does it (`core.billing.pricing`). The
published prices of Claude models stand in `core.billing.price_list`, with their date and source in
docs/reference/prices.md; a server may charge its own, which a program then has to say.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Self

import msgspec

from antiphon.sdk.errors import AntiphonError

if TYPE_CHECKING:
    from antiphon.core.billing.pricing import Price
    from antiphon.sdk.types.message import Message, Usage

NANO = 10**9
SEARCH = 10_000_000
"""Nano-dollars for one search of the web: 10 dollars for 1,000."""

BATCH = (1, 2)
US = (11, 10)
FAST = (2, 1)


class UnknownPriceError(AntiphonError, LookupError):
    """No price is known for a model: give one with `prices`."""


class Cost(msgspec.Struct, frozen=True, kw_only=True):
    """What was paid for each kind of token, in nano-dollars. Costs may be added.

    >>> Cost(input=3_000, output=15_000).total
    18000
    """

    input: int = 0
    cache_write: int = 0
    cache_read: int = 0
    output: int = 0
    web_search: int = 0

    @property
    def total(self) -> int:
        return self.input + self.cache_write + self.cache_read + self.output + self.web_search

    @property
    def usd(self) -> Decimal:
        """The total in dollars, exactly."""
        return Decimal(self.total) / NANO

    def __add__(self, other: Self) -> Self:
        sums = {name: getattr(self, name) + getattr(other, name) for name in self.__struct_fields__}
        return type(self)(**sums)


def price(
    *,
    input: str | Decimal,  # noqa: A002 - the wire's name
    output: str | Decimal,
    cache_write_5m: str | Decimal | None = None,
    cache_write_1h: str | Decimal | None = None,
    cache_read: str | Decimal | None = None,
) -> Price:
    """Return a price, of dollars for a million tokens.

    What is not said of the cache follows the rule of the API: 1.25, 2 and 0.1 times the input.
    Raises `ValueError` for a number that is none, or finer than a thousandth of a dollar.
    """
    from antiphon.core.billing.pricing import Price, nano_dollars  # noqa: PLC0415

    base = Decimal(input)

    def rate(said: str | Decimal | None, share: str) -> int:
        return nano_dollars(base * Decimal(share) if said is None else Decimal(said))

    return Price(
        input=nano_dollars(base),
        cache_write_5m=rate(cache_write_5m, "1.25"),
        cache_write_1h=rate(cache_write_1h, "2"),
        cache_read=rate(cache_read, "0.1"),
        output=nano_dollars(Decimal(output)),
    )


def cost_of(message: Message, prices: Mapping[str, Price] | None = None) -> Cost:
    """Return what a message costs: by `prices`, of model ids, and else by the published ones.

    Requests of batches cost half, those in the US a tenth more, those at high speed twice as much,
    as far as the usage says so. Raises `UnknownPriceError`.
    """
    own = None if prices is None else prices.get(message.model)
    if own is None:
        from antiphon.core.billing.price_list import list_price  # noqa: PLC0415 - few need it

        own = list_price(message.model)
    if own is None:
        raise UnknownPriceError(
            f"no price of {message.model!r} is known; give one: `prices={{{message.model!r}: "
            'antiphon.price(input="3", output="15")}`'
        )
    return cost_of_usage(message.usage, own)


def cost_of_usage(usage: Usage, price: Price) -> Cost:
    """Return what a usage costs at a price."""
    written_5m, written_1h = _written(usage)
    read = usage.cache_read_input_tokens or 0
    card = price.card(usage.input_tokens + written_5m + written_1h + read)
    share, whole = _share(usage)

    def charge(tokens: int, rate: int) -> int:
        return -(-tokens * rate * share // whole)

    tools: Any = usage.server_tool_use
    return Cost(
        input=charge(usage.input_tokens, card.input),
        cache_write=charge(written_5m, card.cache_write_5m)
        + charge(written_1h, card.cache_write_1h),
        cache_read=charge(read, card.cache_read),
        output=charge(usage.output_tokens, card.output),
        # Half a price holds for tokens alone.
        web_search=0 if tools is None else tools.web_search_requests * SEARCH,
    )


def _written(usage: Usage) -> tuple[int, int]:
    """Return the tokens written for five minutes, and for an hour."""
    written = usage.cache_creation_input_tokens or 0
    if usage.cache_creation is None:
        return written, 0
    hour = usage.cache_creation.ephemeral_1h_input_tokens
    return usage.cache_creation.ephemeral_5m_input_tokens, hour


def _share(usage: Usage) -> tuple[int, int]:
    share, whole = 1, 1
    for applies, (numerator, denominator) in (
        (usage.service_tier == "batch", BATCH),
        (usage.inference_geo == "us", US),
        (usage.speed == "fast", FAST),
    ):
        if applies:
            share, whole = share * numerator, whole * denominator
    return share, whole
