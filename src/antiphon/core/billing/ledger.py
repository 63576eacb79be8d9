"""One request in the ledger: the facts at its admission, its end, and its bill."""

from datetime import datetime
from typing import Literal, TypeAlias

import msgspec
from msgspec.structs import force_setattr, replace

from antiphon.core.billing.pricing import FREE, Price, cost, uncached_cost
from antiphon.core.billing.usage import ContextWindow, Costs, Outcome, TokenCounts
from antiphon.wire.messages import ServiceTier

InferenceGeo: TypeAlias = Literal["global", "us", "not_available"]


_LONGEST_NAME = 256
# More than any request has. Larger counts of an engine are cut, so that sums fit into 64 bits.
_MOST_TOKENS = 10**9


class Opening(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """An admitted request. `id` is unique.

    `model` is the requested name, in the form that every database accepts; `served_model` is the
    id of the model that answers. A `workspace_id` of `None` is the default workspace. `price` is
    the price at admission; a request that a crash breaks off is billed by it too. From `started_at`
    on it waited `money_us` microseconds for money that others held, before any engine read it. A
    search of the web costs `search_price`. A journal says only what is not the default.
    """

    id: str
    started_at: datetime
    model: str
    served_model: str
    api_key_id: str | None = None
    workspace_id: str | None = None
    account_id: str | None = None
    service_account_id: str | None = None
    batch_id: str | None = None
    service_tier: ServiceTier = "standard"
    inference_geo: InferenceGeo = "not_available"
    price: Price = FREE
    money_us: int = 0
    search_price: int = 0

    def __post_init__(self) -> None:
        """Make the name of the model, which the caller chose freely, fit to be stored."""
        if (name := recorded_name(self.model)) is not self.model:
            force_setattr(self, "model", name)


class Closing(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The end of a request, and the tokens and searches of the web that it used until then."""

    tokens: TokenCounts
    outcome: Outcome
    ended_at: datetime
    first_token_at: datetime | None = None
    stop_reason: str | None = None
    error_type: str | None = None
    web_searches: int = 0


class LedgerEntry(msgspec.Struct, frozen=True, kw_only=True):
    """A closed request with its bill. Reports count it at the time of its admission.

    `uncached_cost` is what its prompt would have cost without the prompt cache, in nano-dollars.
    `money_us` is its wait for money, as in the `Opening`: no part of its time to the first token.
    """

    id: str
    started_at: datetime
    first_token_at: datetime | None
    ended_at: datetime
    api_key_id: str | None
    workspace_id: str | None
    account_id: str | None
    service_account_id: str | None
    batch_id: str | None
    model: str
    served_model: str
    service_tier: ServiceTier
    context_window: ContextWindow
    inference_geo: InferenceGeo
    outcome: Outcome
    stop_reason: str | None
    error_type: str | None
    tokens: TokenCounts
    costs: Costs
    uncached_cost: int
    money_us: int = 0
    web_searches: int = 0


def entry_of(opening: Opening, closing: Closing) -> LedgerEntry:
    """Return the ledger entry of a closed request, with its bill."""
    tokens = _within_bounds(closing.tokens)
    costs = cost(opening.price, tokens, opening.service_tier)
    if closing.web_searches:
        # A search costs the same in a batch.
        costs = replace(costs, web_search=closing.web_searches * opening.search_price)
    return LedgerEntry(
        id=opening.id,
        started_at=opening.started_at,
        first_token_at=closing.first_token_at,
        ended_at=closing.ended_at,
        api_key_id=opening.api_key_id,
        workspace_id=opening.workspace_id,
        account_id=opening.account_id,
        service_account_id=opening.service_account_id,
        batch_id=opening.batch_id,
        model=opening.model,
        served_model=opening.served_model,
        service_tier=opening.service_tier,
        context_window=tokens.context_window,
        inference_geo=opening.inference_geo,
        outcome=closing.outcome,
        stop_reason=closing.stop_reason,
        error_type=closing.error_type,
        tokens=tokens,
        costs=costs,
        uncached_cost=uncached_cost(opening.price, tokens, opening.service_tier),
        money_us=opening.money_us,
        web_searches=closing.web_searches,
    )


def recorded_name(name: str) -> str:
    """Return a model's name in the form that every database accepts: printable, not too long.

    A wildcard such as `claude-*` fits any name, and PostgreSQL refuses one with a NUL.
    """
    if len(name) <= _LONGEST_NAME and name.isprintable():
        return name
    shown = (char if char.isprintable() else "\N{REPLACEMENT CHARACTER}" for char in name)
    return "".join(shown)[:_LONGEST_NAME]


def _within_bounds(tokens: TokenCounts) -> TokenCounts:
    # Below zero if one of them is, and not below any of them: one look for nearly all requests.
    together = (tokens.input | tokens.output | tokens.thinking) | (
        tokens.cache_write_5m | tokens.cache_write_1h | tokens.cache_read
    )
    if 0 <= together <= _MOST_TOKENS:
        return tokens
    counts = msgspec.structs.asdict(tokens)
    return TokenCounts(**{name: max(0, min(count, _MOST_TOKENS)) for name, count in counts.items()})
