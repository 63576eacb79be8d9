"""Asks an engine for the size of a prompt: for a count, and for an admission."""

from collections.abc import Collection

from antiphon.core.billing.pricing import CacheTtl
from antiphon.core.prompt import Prompt, PromptSize
from antiphon.core.token_bounds import tokens_at_most
from antiphon.core.validation import check_fits
from antiphon.engines.base import Engine, EngineError, keeps_prefixes
from antiphon.service.answer import as_api_error
from antiphon.service.caching import CachedRequest


async def count(engine: Engine, prompt: Prompt) -> int:
    """Return the tokens of a prompt. Raises `ApiError`."""
    try:
        return await engine.count_tokens(prompt)
    except EngineError as error:
        raise as_api_error(error) from error


async def size_to_admit(engine: Engine, prompt: Prompt, cached: CachedRequest | None) -> int:
    """Return the size of a prompt for its admission; an upper bound unless the engine is exact.

    With other engines counting may cost as much as answering, so a prompt that surely fits is not
    counted there. An exact engine that keeps prefixes says where the breakpoints are, too. Raises
    `ApiError` for a prompt that is too long.
    """
    limits = engine.capabilities
    most = None if limits.counts_exactly else tokens_at_most(prompt)
    if most is not None and most < limits.context_tokens:
        return most
    if cached is None or most is not None:
        counted = await count(engine, prompt)
        check_fits(counted, limits)
        return counted
    size = await _measure(engine, prompt)
    check_fits(size.tokens, limits)
    cached.measured(size)
    return size.tokens


async def size_of_round(engine: Engine, prompt: Prompt) -> int | None:
    """Return the size of the prompt of a further round, or an upper bound; `None`: no room is left.

    Raises `EngineError`.
    """
    limits = engine.capabilities
    most = None if limits.counts_exactly else tokens_at_most(prompt)
    if most is not None and most < limits.context_tokens:
        return most
    counted = await engine.count_tokens(prompt)
    return counted if counted < limits.context_tokens else None


async def _measure(engine: Engine, prompt: Prompt) -> PromptSize:
    if not keeps_prefixes(engine):
        return PromptSize(await count(engine, prompt))
    try:
        return await engine.measure(prompt)
    except EngineError as error:
        raise as_api_error(error) from error


def written_ttls(engine: Engine, prompt: Prompt) -> Collection[CacheTtl]:
    """Return the lifetimes of the cache entries that an answer may write, for the worst case.

    An upstream may write without a breakpoint; an engine that keeps prefixes does not.
    """
    ttls = engine.capabilities.cache_ttls
    if not prompt.breakpoints or not keeps_prefixes(engine):
        return ttls
    return {*ttls, *(one.ttl for one in prompt.breakpoints)}
