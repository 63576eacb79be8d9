"""Reports in buckets of time: the buckets of a query, and the names of their lines."""

import re
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Literal, Self, TypeAlias

import msgspec

from antiphon.core.billing.usage import ContextWindow
from antiphon.core.errors import InvalidRequestError
from antiphon.core.moments import EPOCH
from antiphon.core.pagination import not_a_page, page_limit, page_position, page_token
from antiphon.wire.messages import ServiceTier

BucketWidth: TypeAlias = Literal["1m", "1h", "1d"]
TokenType: TypeAlias = Literal[
    "uncached_input_tokens",
    "cache_creation.ephemeral_5m_input_tokens",
    "cache_creation.ephemeral_1h_input_tokens",
    "cache_read_input_tokens",
    "output_tokens",
]


class Width(msgspec.Struct, frozen=True):
    """The length of a bucket, and the numbers of buckets on a page."""

    span: timedelta
    usual: int
    most: int


WIDTHS: dict[BucketWidth, Width] = {
    "1m": Width(timedelta(minutes=1), 60, 1440),
    "1h": Width(timedelta(hours=1), 24, 168),
    "1d": Width(timedelta(days=1), 7, 31),
}

_TOKEN_NAMES: dict[TokenType, str] = {
    "uncached_input_tokens": "Input Tokens",
    "cache_creation.ephemeral_5m_input_tokens": "Input Tokens, Cache Write 5m",
    "cache_creation.ephemeral_1h_input_tokens": "Input Tokens, Cache Write 1h",
    "cache_read_input_tokens": "Input Tokens, Cache Read",
    "output_tokens": "Output Tokens",
}


class Buckets(msgspec.Struct, frozen=True):
    """The buckets of one page, the oldest first. `next_page` leads to those after them."""

    start: datetime
    count: int
    width: timedelta
    next_page: str | None = None

    @property
    def end(self) -> datetime:
        return self.start + self.count * self.width

    def __iter__(self) -> Iterator[tuple[datetime, datetime]]:
        """Yield the start and the end of each bucket."""
        for number in range(self.count):
            start = self.start + number * self.width
            yield start, start + self.width


class Span(msgspec.Struct, frozen=True, kw_only=True):
    """The parameters of a query for buckets, as text; `None` for an absent one."""

    starting_at: str | None = None
    ending_at: str | None = None
    limit: str | None = None
    page: str | None = None

    @classmethod
    def of(cls, value: Callable[[str], str | None]) -> Self:
        """Return the span of a query, given its parameters by name."""
        return cls(**{name: value(name) for name in cls.__struct_fields__})


def buckets(width: BucketWidth, asked: Span, now: datetime) -> Buckets:
    """Return the buckets of a query; raises `InvalidRequestError`.

    The first bucket contains `starting_at`. The last one ends at `ending_at` or before; without
    `ending_at` it is the one that contains `now`. None is in the future.
    """
    span, wanted = WIDTHS[width].span, _limit(WIDTHS[width], asked.limit)
    if asked.starting_at is None:
        raise InvalidRequestError("starting_at: Field required")
    moment = query_moment("starting_at", asked.starting_at)
    start, end = _snapped(moment, span), _snapped(now, span) + span
    if asked.ending_at is not None:
        last = query_moment("ending_at", asked.ending_at)
        if last <= moment:
            raise InvalidRequestError("ending_at: Input should be after `starting_at`")
        end = min(end, _snapped(last, span))
    if asked.page is not None:
        start = _page_start(asked.page, start, end, span)
    left = max(0, (end - start) // span)
    following = page_token(wire_time(start + wanted * span)) if left > wanted else None
    return Buckets(start, min(left, wanted), span, following)


def wire_time(moment: datetime) -> str:
    """Return a moment in the format of the wire, to the second."""
    return moment.replace(tzinfo=None).isoformat(timespec="seconds") + "Z"


def display_name(model: str) -> str:
    """Return a model's name as people write it: `Claude Opus 5.5`; other names stay as they are."""
    match re.sub(r"-(20[0-9]{6}|latest)\Z", "", model).split("-"):
        case ["claude", line, *version] if line.isalpha() and _is_version(version):
            return f"Claude {line.capitalize()} {'.'.join(version)}"
        case ["claude", *version, line] if line.isalpha() and _is_version(version):
            return f"Claude {line.capitalize()} {'.'.join(version)}"
        case _:
            return model


@lru_cache(maxsize=256)
def cost_description(
    model: str, token_type: TokenType, tier: ServiceTier, window: ContextWindow, geo: str
) -> str:
    """Return the description of a line of a bill, unique within the bill."""
    special: list[str] = [tier] if tier != "standard" else []
    special += [window] if window != "0-200k" else []
    special += [geo] if geo != "not_available" else []
    aside = f" ({', '.join(special)})" if special else ""
    return f"{display_name(model)} Usage{aside} - {_TOKEN_NAMES[token_type]}"


def _is_version(parts: list[str]) -> bool:
    return bool(parts) and all(re.fullmatch("[0-9]{1,2}", part) for part in parts)


def _limit(width: Width, limit: str | None) -> int:
    return page_limit(limit, default=width.usual, most=width.most)


def query_moment(name: str, text: str) -> datetime:
    """Read a moment of a query, in UTC. Raises `InvalidRequestError`."""
    try:
        # msgspec rounds nanoseconds, which would move the last one of a day into the next day.
        moment = msgspec.convert(re.sub(r"(\.[0-9]{6})[0-9]+", r"\1", text), datetime)
    except msgspec.ValidationError:
        raise InvalidRequestError(f"{name}: Input should be a valid RFC 3339 datetime") from None
    if moment.tzinfo is None:
        raise InvalidRequestError(f"{name}: Input should have timezone info")
    try:
        return moment.astimezone(UTC)
    except OverflowError:
        raise InvalidRequestError(f"{name}: Input should be a valid RFC 3339 datetime") from None


def _snapped(moment: datetime, span: timedelta) -> datetime:
    return EPOCH + (moment - EPOCH) // span * span


def _page_start(token: str, start: datetime, end: datetime, span: timedelta) -> datetime:
    """Return the start of the first bucket of a page. Refuses tokens of other reports."""
    try:
        text = page_position(token) or ""
        first = datetime.strptime(text, "%Y-%m-%dT%H:%M:%SZ").replace(tzinfo=UTC)
    except ValueError:
        raise not_a_page("report") from None
    # `strptime` is lenient too, so the moment must format to the same text.
    if wire_time(first) != text or not start <= first < end or first != _snapped(first, span):
        raise not_a_page("report")
    return first
