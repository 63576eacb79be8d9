"""The parameters by which listings select what they show."""

from datetime import datetime
from typing import Final

from antiphon.core.billing.reports import query_moment
from antiphon.core.errors import InvalidRequestError
from antiphon.server.http.queries import Query
from antiphon.store.listings import Selection

SPAN_QUERY: Final = ("starting_at", "ending_at")
SELECTION_QUERY: Final = ("ids", "contains", *SPAN_QUERY)
_LONGEST_PART: Final = 256


def read_selection(query: Query) -> Selection:
    """Return what a query selects of any listing."""
    start, end = read_span(query)
    return Selection(ids=query.many("ids"), contains=read_part(query), start=start, end=end)


def read_part(query: Query) -> str | None:
    """Return the part of a name that a query asks for."""
    part = query.one("contains")
    if part is not None and len(part) > _LONGEST_PART:
        raise InvalidRequestError(
            f"contains: String should have at most {_LONGEST_PART} characters"
        )
    return part


def read_span(query: Query) -> tuple[datetime | None, datetime | None]:
    """Return the time that a query asks for, the end excluded."""
    start, end = _moment(query, "starting_at"), _moment(query, "ending_at")
    if start is not None and end is not None and end <= start:
        raise InvalidRequestError("ending_at: Input should be after `starting_at`")
    return start, end


def _moment(query: Query, name: str) -> datetime | None:
    text = query.one(name)
    return None if text is None else query_moment(name, text)
