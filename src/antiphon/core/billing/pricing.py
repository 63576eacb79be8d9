"""The cost of tokens: integer nano-dollars, exact for every counter, never a float.

A dollar for a million tokens is 1,000 nano-dollars for one token. Half of a price may be half a
nano-dollar; the cost of a counter is then rounded up, and a total is the sum of the counters'
costs, so that every sum over any of them is the same.
"""

from collections.abc import Collection
from decimal import Decimal
from typing import Literal, TypeAlias

import msgspec

from antiphon.core.billing.usage import Costs, TokenCounts
from antiphon.wire.messages import ServiceTier

CacheTtl: TypeAlias = Literal["5m", "1h"]

# The share of the price that a tier costs: numerator and denominator.
_SHARES: dict[ServiceTier, tuple[int, int]] = {"standard": (1, 1), "batch": (1, 2)}

_MOST_DOLLARS = 10_000
_THOUSANDTH = Decimal("0.001")


class Price(msgspec.Struct, frozen=True, kw_only=True):
    """Nano-dollars for one token of each counter.

    A prompt of more than `long_above` tokens and its answer are billed by the `long` card.
    """

    input: int = 0
    cache_write_5m: int = 0
    cache_write_1h: int = 0
    cache_read: int = 0
    output: int = 0
    long_above: int = 0
    long: "Price | None" = None

    def card(self, prompt_tokens: int) -> "Price":
        """Return the card for a prompt of this size."""
        return self if self.long is None or prompt_tokens <= self.long_above else self.long

    def reachable(self, prompt_tokens: int) -> tuple["Price", ...]:
        """Return the cards of all prompts up to this size."""
        card = self.card(prompt_tokens)
        return (self,) if card is self else (self, card)


FREE = Price()
_NO_COSTS = Costs()


def cost(price: Price, tokens: TokenCounts, tier: ServiceTier = "standard") -> Costs:
    """Price each counter of a request by the card for its prompt."""
    if price is FREE:
        return _NO_COSTS
    card = price.card(tokens.prompt)
    return Costs(
        input=_charge(tokens.input, card.input, tier),
        cache_write_5m=_charge(tokens.cache_write_5m, card.cache_write_5m, tier),
        cache_write_1h=_charge(tokens.cache_write_1h, card.cache_write_1h, tier),
        cache_read=_charge(tokens.cache_read, card.cache_read, tier),
        output=_charge(tokens.output, card.output, tier),
    )


def uncached_cost(price: Price, tokens: TokenCounts, tier: ServiceTier = "standard") -> int:
    """Return what the prompt of a request would cost without a prompt cache: as plain input."""
    if price is FREE:
        return 0
    prompt = tokens.prompt
    return _charge(prompt, price.card(prompt).input, tier)


def cache_saving(price: Price, tokens: TokenCounts, tier: ServiceTier = "standard") -> int:
    """Return what the prompt cache saves a request, in nano-dollars.

    Each token that is read costs the price of a read instead of that of input; from this goes the
    surcharge of each token that is written. Below zero, the request has paid for others.
    """
    if not (tokens.cache_read or tokens.cache_write_5m or tokens.cache_write_1h):
        return 0
    costs = cost(price, tokens, tier)
    return uncached_cost(price, tokens, tier) - (costs.total - costs.output)


def worst_case(
    price: Price,
    input_tokens: int,
    max_output: int,
    caches: Collection[CacheTtl] = (),
    tier: ServiceTier = "standard",
) -> int:
    """Return the most that a request can cost, in nano-dollars.

    `input_tokens` is the size of the whole prompt. Any part of it may turn out to be read from
    the cache, or to be written to one of `caches`, the lifetimes that the request asks for; so
    all of it is taken at the dearest of these rates. A smaller prompt never costs more.
    """
    cards = price.reachable(input_tokens)
    by_card = [_input_rates(card, caches) for card in cards]
    rates: list[int] = [max(same) for same in zip(*by_card, strict=True)]
    share, whole = _SHARES[tier]
    # Each of the counters that the prompt may be split into is rounded up by itself.
    parts = min(input_tokens, sum(rate > 0 for rate in rates))
    dearest_input = (input_tokens * max(rates) * share + parts * (whole - 1)) // whole
    return dearest_input + _charge(max_output, max(card.output for card in cards), tier)


def nano_dollars(dollars_per_million: Decimal) -> int:
    """Convert dollars for a million tokens to nano-dollars for one, exactly or not at all.

    Raises `ValueError` with a sentence that fits after the name of the field.
    """
    if not dollars_per_million.is_finite() or not 0 <= dollars_per_million <= _MOST_DOLLARS:
        raise ValueError(f"must be between 0 and {_MOST_DOLLARS} US dollars per million tokens")
    rounded = dollars_per_million.quantize(_THOUSANDTH)
    if rounded != dollars_per_million:
        raise ValueError("must be a whole number of thousandths of a US dollar per million tokens")
    return int(rounded * 1000)


def _charge(tokens: int, rate: int, tier: ServiceTier) -> int:
    share, whole = _SHARES[tier]
    return -(-tokens * rate * share // whole)


def _input_rates(card: Price, caches: Collection[CacheTtl]) -> tuple[int, ...]:
    writes = {"5m": card.cache_write_5m, "1h": card.cache_write_1h}
    return (card.input, card.cache_read, *(writes[ttl] for ttl in sorted(set(caches))))
