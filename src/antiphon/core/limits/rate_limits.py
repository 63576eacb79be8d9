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
from types import MappingProxyType
from typing import Final, NamedTuple, TypeAlias

import msgspec

from antiphon.core.errors import RateLimitError
from antiphon.core.limits.values import Draw, Level, Scope
from antiphon.wire.errors import shortened

# The groups of endpoints whose calls have a limit of their own, and draw no tokens: the counting of
# tokens, and everything below /v1/messages/batches and /v1/files.
TOKEN_COUNT = "token_count"  # noqa: S105 - a group's name
BATCH = "batch"
FILES = "files"
CALL_GROUPS = (TOKEN_COUNT, BATCH, FILES)

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
_SUM = _names("tokens")
_OWNERS = {
    Scope.ORGANIZATION: "organization",
    Scope.WORKSPACE: "workspace",
    Scope.KEY: "API key",
}

# An amount for each type; a missing type has none.
Amounts: TypeAlias = Mapping[LimitType, int]
NOTHING: Final[Amounts] = MappingProxyType({})
ScopeLimits: TypeAlias = Mapping[LimitType, int]
# The limits of one type: each one's place among all, its amount, and the amount as text.
_Places: TypeAlias = tuple[tuple[int, int, str], ...]


class Applied(msgspec.Struct, frozen=True):
    """One limit that applies to a request: its scope, type, amount, bucket, and whose."""

    scope: Scope
    type: LimitType
    limit: int
    bucket: str
    scope_id: str = ""


class RateLimits:
    """The limits that apply to one caller for one group, each with a bucket.

    What all requests under the same limits share is prepared here, once.
    """

    __slots__ = ("_draws", "_moment", "_shown", "limits")

    def __init__(self, limits: Iterable[Applied] = ()) -> None:
        self.limits = tuple(limits)
        self._draws = tuple((one.type, _draw_of_a_request(one)) for one in self.limits)
        # The types that have limits.
        self._shown: tuple[tuple[tuple[str, str, str], bool, _Places], ...] = tuple(
            (shown.headers, shown.tokens, places)
            for kind, shown in _TYPES.items()
            if (
                places := tuple(
                    (place, one.limit, str(one.limit))
                    for place, one in enumerate(self.limits)
                    if one.type == kind
                )
            )
        )
        # Nearly all moments of all answers of a second fall into the same second.
        self._moment = lru_cache(maxsize=64)(_moment)

    def draws(self, amounts: Amounts) -> tuple[Draw, ...]:
        """Return a draw from every bucket. A type that is known late needs a positive rest."""
        return tuple(
            [
                draw
                if (amount := amounts.get(kind, 0)) == draw.amount
                else Draw(draw.bucket, draw.limit, amount, draw.needs_positive)
                for kind, draw in self._draws
            ]
        )

    def corrections(self, amounts: Amounts, drawn: Amounts = NOTHING) -> tuple[Draw, ...]:
        """Return the draws of later amounts, less what is `drawn` of them already.

        A negative one gives back, 0 draws nothing.
        """
        return tuple(
            [
                Draw(draw.bucket, draw.limit, amount)
                for kind, draw in self._draws
                if (amount := amounts.get(kind, 0) - drawn.get(kind, 0))
            ]
        )

    def headers(self, levels: Sequence[Level], now: datetime) -> dict[str, str]:
        """Return the headers of each type, from the limit with the least remaining.

        `levels` are those of the limits, in their order. `tokens` is the sum of the types that are
        tokens.
        """
        headers: dict[str, str] = {}
        # A float of seconds since 1970 tells microseconds apart, so its whole part is exact.
        second, past_us, moment = int(now.timestamp()), now.microsecond, self._moment
        sum_left = sum_limit = longest_ms = 0
        for (of_limit, of_remaining, of_reset), tokens, places in self._shown:
            place, limit, text = places[0] if len(places) == 1 else _least(places, levels)
            level = levels[place]
            left, full_in_ms = level.remaining, level.full_in_ms
            headers[of_limit] = text
            headers[of_remaining] = _told(left, limit) if tokens else str(left)
            headers[of_reset] = moment(second - -(past_us + full_in_ms * _MS_US) // _SECOND_US)
            if tokens:
                sum_left += left
                sum_limit += limit
                longest_ms = max(longest_ms, full_in_ms)
        if sum_limit:
            of_limit, of_remaining, of_reset = _SUM
            headers[of_limit] = str(sum_limit)
            headers[of_remaining] = _told(sum_left, sum_limit)
            headers[of_reset] = moment(second - -(past_us + longest_ms * _MS_US) // _SECOND_US)
        return headers


def applied(scopes: Iterable[tuple[Scope, str, ScopeLimits]], group: str) -> RateLimits:
    """Return the limits that apply, given each scope, its id and its limits."""
    return RateLimits(
        Applied(scope, kind, limit, f"{scope}:{scope_id}:{group}:{kind}", scope_id)
        for scope, scope_id, limits in scopes
        for kind, limit in limits.items()
    )


def _draw_of_a_request(limit: Applied) -> Draw:
    """Return what each request draws, whatever its size: one of its number, no tokens yet."""
    amount = int(limit.type is LimitType.REQUESTS)
    return Draw(limit.bucket, limit.limit, amount, _TYPES[limit.type].known_late)


def _least(places: _Places, levels: Sequence[Level]) -> tuple[int, int, str]:
    """Return the limit with the least remaining; of several, the smallest and the fullest."""
    return min(
        places, key=lambda one: (levels[one[0]].remaining, one[1], levels[one[0]].full_in_ms)
    )


def _told(tokens: int, limit: int) -> str:
    """Return what is left of a limit as headers tell it."""
    if limit < _ROUNDED_FROM:
        return str(tokens)
    rounded = (tokens + _THOUSAND // 2) // _THOUSAND * _THOUSAND
    return str(min(limit, rounded))


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
        f"response headers for current usage. Please {less}try again later. You may also contact "
        "an administrator to request a rate limit increase.",
        headers={"retry-after": str(-(-retry_after_ms // 1000))},
    )
