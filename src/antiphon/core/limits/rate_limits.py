"""The rate limits of a request, its draws, and the headers and refusals that report them.

A limit allows an amount a minute, of one type, for one scope (the organization, a workspace, a
key) and one group: the models that share their limits, or the calls of some endpoints, which draw
requests only. The organization has a limit of each type; a workspace or a key has the limits that
were set for it, and all of them apply together.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from typing import NamedTuple, TypeAlias

import msgspec

from antiphon.core.errors import RateLimitError
from antiphon.core.limits.values import Draw, Level, Scope
from antiphon.wire.errors import shortened

# The groups of endpoints whose calls have a limit of their own, and draw no tokens: the counting of
# tokens, and everything below /v1/messages/batches.
TOKEN_COUNT = "token_count"  # noqa: S105 - a group's name
BATCH = "batch"
CALL_GROUPS = (TOKEN_COUNT, BATCH)

# Headers round tokens to thousands, as the wire does; a small limit would round to nothing.
_ROUNDED_FROM = 10_000
_THOUSAND = 1000
_MS_US = 1000
_SECOND_US = 1_000_000


class LimitType(StrEnum):
    """The types of amounts. Tokens that are read from the prompt cache are no input here."""

    REQUESTS = "requests_per_minute"
    INPUT = "input_tokens_per_minute_cache_aware"
    OUTPUT = "output_tokens_per_minute"


def _names(what: str) -> tuple[str, str, str]:
    prefix = f"anthropic-ratelimit-{what}"
    return f"{prefix}-limit", f"{prefix}-remaining", f"{prefix}-reset"


class _Type(NamedTuple):
    """The names of a type in headers and refusals; tokens are rounded, and summed up in `tokens`.

    `known_late`: the amount is not known at admission, and is drawn as it grows.
    """

    headers: tuple[str, str, str]
    unit: str
    tokens: bool = True
    known_late: bool = False


# Every answer has these headers, so their names are put together once.
_TYPES = {
    LimitType.REQUESTS: _Type(_names("requests"), "requests", tokens=False),
    LimitType.INPUT: _Type(_names("input-tokens"), "input tokens"),
    LimitType.OUTPUT: _Type(_names("output-tokens"), "output tokens", known_late=True),
}
_SUM = _Type(_names("tokens"), "tokens")
_OWNERS = {
    Scope.ORGANIZATION: "organization",
    Scope.WORKSPACE: "workspace",
    Scope.KEY: "API key",
}

# An amount for each type; a missing type has none.
Amounts: TypeAlias = Mapping[LimitType, int]
ScopeLimits: TypeAlias = Mapping[LimitType, int]
# The rest of a limit, the limit, and the milliseconds until its bucket is full.
_Rest: TypeAlias = tuple[int, int, int]


class Applied(msgspec.Struct, frozen=True):
    """One limit that applies to a request: its scope, its type, its amount, and its bucket."""

    scope: Scope
    type: LimitType
    limit: int
    bucket: str


class RateLimits:
    """The limits that apply to one caller for one group, each with a bucket.

    What all requests under the same limits share is prepared here, once.
    """

    __slots__ = ("_amounts", "_draws", "_moment", "_shown", "limits")

    def __init__(self, limits: Iterable[Applied] = ()) -> None:
        self.limits = tuple(limits)
        self._amounts = tuple(one.limit for one in self.limits)
        self._draws = tuple(
            (one.type, Draw(one.bucket, one.limit, 0, _TYPES[one.type].known_late))
            for one in self.limits
        )
        # The types that have limits, and the places of these.
        self._shown = tuple(
            (shown, places)
            for kind, shown in _TYPES.items()
            if (places := tuple(i for i, one in enumerate(self.limits) if one.type == kind))
        )
        # Nearly all moments of all answers of a second fall into the same second.
        self._moment = lru_cache(maxsize=64)(_moment)

    def draws(self, amounts: Amounts) -> tuple[Draw, ...]:
        """Return a draw from every bucket. A type that is known late needs a positive rest."""
        return tuple(
            [
                Draw(draw.bucket, draw.limit, amount, draw.needs_positive)
                if (amount := amounts.get(kind, 0))
                else draw
                for kind, draw in self._draws
            ]
        )

    def corrections(self, amounts: Amounts) -> tuple[Draw, ...]:
        """Return the draws of later amounts: a negative one gives back, 0 draws nothing."""
        return tuple(
            [
                Draw(draw.bucket, draw.limit, amount)
                for kind, draw in self._draws
                if (amount := amounts.get(kind, 0))
            ]
        )

    def headers(self, levels: Sequence[Level], now: datetime) -> dict[str, str]:
        """Return the headers of each type, from the limit with the least remaining.

        `levels` are those of the limits, in their order. `tokens` is the sum of the types that are
        tokens.
        """
        rests = [
            (level.remaining, limit, level.full_in_ms)
            for level, limit in zip(levels, self._amounts, strict=True)
        ]
        rows: list[tuple[_Type, _Rest]] = []
        remaining = limit = full_in_ms = 0
        for shown, places in self._shown:
            rest = rests[places[0]] if len(places) == 1 else min([rests[i] for i in places])
            rows.append((shown, rest))
            if shown.tokens:
                remaining += rest[0]
                limit += rest[1]
                full_in_ms = max(full_in_ms, rest[2])
        if limit:
            rows.append((_SUM, (remaining, limit, full_in_ms)))
        headers: dict[str, str] = {}
        # A float of seconds since 1970 tells microseconds apart, so its whole part is exact.
        second, past_us, moment = int(now.timestamp()), now.microsecond, self._moment
        for shown, (left, limit, full_in_ms) in rows:
            of_limit, of_remaining, of_reset = shown.headers
            headers[of_limit] = str(limit)
            rounded = shown.tokens and limit >= _ROUNDED_FROM
            headers[of_remaining] = str(min(limit, _to_thousands(left)) if rounded else left)
            headers[of_reset] = moment(second - -(past_us + full_in_ms * _MS_US) // _SECOND_US)
        return headers


def applied(scopes: Iterable[tuple[Scope, str, ScopeLimits]], group: str) -> RateLimits:
    """Return the limits that apply, given each scope, its id and its limits."""
    return RateLimits(
        Applied(scope, kind, limit, f"{scope}:{scope_id}:{group}:{kind}")
        for scope, scope_id, limits in scopes
        for kind, limit in limits.items()
    )


def _to_thousands(tokens: int) -> int:
    return (tokens + _THOUSAND // 2) // _THOUSAND * _THOUSAND


def _moment(second: int) -> str:
    """Return a second since 1970 as the headers write it, in UTC."""
    return f"{datetime.fromtimestamp(second, UTC).replace(tzinfo=None).isoformat()}Z"


def rate_limit_error(
    limit: Applied, retry_after_ms: int, *, organization_id: str, model: str | None
) -> RateLimitError:
    """Return the refusal in the wire's words. The request is granted after `retry-after`.

    Without a `model` the request has no prompt.
    """
    of_model = "" if model is None else f", model: {shortened(model)}"
    less = "" if model is None else "reduce the prompt length or the maximum tokens requested, or "
    return RateLimitError(
        f"This request would exceed your {_OWNERS[limit.scope]}'s rate limit of {limit.limit:,} "
        f"{_TYPES[limit.type].unit} per minute (org: {organization_id}{of_model}). "
        "For details, refer to: https://docs.claude.com/en/api/rate-limits. You can see the "
        f"response headers for current usage. Please {less}try again later.",
        headers={"retry-after": str(-(-retry_after_ms // 1000))},
    )
