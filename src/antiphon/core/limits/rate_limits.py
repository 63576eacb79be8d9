"""Which rate limits apply to a request, and what a caller is told about them.

A limit is so many a minute, of one type, for one scope (the organization, a workspace, a key) and
one group: the models that share their limits, or `token_count` for the counting of tokens. The
organization has a limit of each type; a workspace or a key has those that were set for it, and
all that there are apply.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from typing import TypeAlias

import msgspec

from antiphon.core.errors import RateLimitError
from antiphon.core.limits.values import Draw, Level

# The group of the endpoint that counts tokens: it has requests of its own, and no tokens.
TOKEN_COUNT = "token_count"  # noqa: S105 - a group's name

# Token counts are told in thousands, as the wire does; a small limit would be told as nothing.
_ROUNDED_FROM = 10_000
_THOUSAND = 1000
_MS_US = 1000
_SECOND_US = 1_000_000


class LimitType(StrEnum):
    """What is counted. Tokens that are read from the prompt cache are no input here."""

    REQUESTS = "requests_per_minute"
    INPUT = "input_tokens_per_minute_cache_aware"
    OUTPUT = "output_tokens_per_minute"


def _names(what: str) -> tuple[str, str, str]:
    prefix = f"anthropic-ratelimit-{what}"
    return f"{prefix}-limit", f"{prefix}-remaining", f"{prefix}-reset"


# How headers and refusals name them. Put together once: every answer has them.
_HEADERS = {
    LimitType.REQUESTS: _names("requests"),
    LimitType.INPUT: _names("input-tokens"),
    LimitType.OUTPUT: _names("output-tokens"),
}
_SUM = _names("tokens")
_UNITS = {
    LimitType.REQUESTS: "requests",
    LimitType.INPUT: "input tokens",
    LimitType.OUTPUT: "output tokens",
}
_OWNERS = {"organization": "organization", "workspace": "workspace", "key": "API key"}

ScopeLimits: TypeAlias = Mapping[LimitType, int]


class Applied(msgspec.Struct, frozen=True):
    """One limit that applies to a request: whose it is, of what, how much, and its bucket."""

    scope: str
    type: LimitType
    limit: int
    bucket: str


def applied(scopes: Iterable[tuple[str, str, ScopeLimits]], group: str) -> tuple[Applied, ...]:
    """List the limits that apply, given each scope's name, its id and what is set for it."""
    return tuple(
        Applied(scope, kind, limit, f"{scope}:{scope_id}:{group}:{kind}")
        for scope, scope_id, limits in scopes
        for kind, limit in limits.items()
    )


def draws(limits: Sequence[Applied], input_tokens: int) -> tuple[Draw, ...]:
    """Ask for one request and its input; output must be left, and is drawn as it is produced."""
    return tuple(
        Draw(
            one.bucket,
            one.limit,
            _amount(one.type, input_tokens),
            needs_positive=one.type is LimitType.OUTPUT,
        )
        for one in limits
    )


def _amount(kind: LimitType, input_tokens: int) -> int:
    match kind:
        case LimitType.REQUESTS:
            return 1
        case LimitType.INPUT:
            return input_tokens
        case _:
            # Output is drawn as it is produced.
            return 0


def corrections(limits: Sequence[Applied], kind: LimitType, amount: int) -> tuple[Draw, ...]:
    """Draw more of one type, or give back where `amount` is negative."""
    if not amount:
        return ()
    return tuple(Draw(one.bucket, one.limit, amount) for one in limits if one.type is kind)


def limit_headers(
    limits: Sequence[Applied], levels: Sequence[Level], now: datetime
) -> dict[str, str]:
    """Say of each type how much is left: by the limit that leaves least, if there are several.

    `tokens` is the sum of input and output.
    """
    headers: dict[str, str] = {}
    limit = remaining = full_in_ms = 0
    moments = _Moments(now)
    for kind, names in _HEADERS.items():
        binding: tuple[int, int, int] | None = None
        for one, level in zip(limits, levels, strict=True):
            if one.type is kind:
                left = (level.remaining, one.limit, level.full_in_ms)
                binding = left if binding is None else min(binding, left)
        if binding is None:
            continue
        _tell(headers, names, binding, moments, rounded=kind is not LimitType.REQUESTS)
        if kind is not LimitType.REQUESTS:
            remaining += binding[0]
            limit += binding[1]
            full_in_ms = max(full_in_ms, binding[2])
    if limit:
        _tell(headers, _SUM, (remaining, limit, full_in_ms), moments, rounded=True)
    return headers


def _tell(
    headers: dict[str, str],
    names: tuple[str, str, str],
    binding: tuple[int, int, int],
    moments: "_Moments",
    *,
    rounded: bool,
) -> None:
    remaining, limit, full_in_ms = binding
    if rounded and limit >= _ROUNDED_FROM:
        remaining = min(limit, (remaining + _THOUSAND // 2) // _THOUSAND * _THOUSAND)
    of_limit, of_remaining, of_reset = names
    headers[of_limit] = str(limit)
    headers[of_remaining] = str(remaining)
    headers[of_reset] = moments.after(full_in_ms)


class _Moments(dict[int, str]):
    """Moments of UTC, by the milliseconds from `now` on; in whole seconds, none too early.

    Nearly all that one answer tells fall into the same second, and writing one is slow.
    """

    def __init__(self, now: datetime) -> None:
        self._second = now.replace(microsecond=0, tzinfo=None)
        self._past_us = now.microsecond

    def after(self, ms: int) -> str:
        seconds = -(-(self._past_us + ms * _MS_US) // _SECOND_US)
        return self[seconds]

    def __missing__(self, seconds: int) -> str:
        # Several times faster than `strftime`.
        text = f"{(self._second + timedelta(seconds=seconds)).isoformat()}Z"
        self[seconds] = text
        return text


def rate_limit_error(
    limit: Applied, retry_after_ms: int, *, organization_id: str, model: str
) -> RateLimitError:
    """Refuse in the wire's words. After `retry-after` seconds the same request is granted."""
    return RateLimitError(
        f"This request would exceed your {_OWNERS[limit.scope]}'s rate limit of {limit.limit:,} "
        f"{_UNITS[limit.type]} per minute (org: {organization_id}, model: {model}). For details, "
        "refer to: https://docs.claude.com/en/api/rate-limits. You can see the response headers "
        "for current usage. Please reduce the prompt length or the maximum tokens requested, or "
        "try again later.",
        headers={"retry-after": str(-(-retry_after_ms // 1000))},
    )
