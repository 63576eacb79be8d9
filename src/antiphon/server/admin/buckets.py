"""The buckets of time that a query of a report, of the activity or of the prompt cache asks for."""

from collections.abc import Callable
from datetime import datetime
from typing import Final

from antiphon.core.billing.reports import WIDTHS, Buckets, BucketWidth, Span, buckets
from antiphon.server.http.queries import Query

SPAN: Final = ("starting_at", "ending_at", "bucket_width", "limit", "page")
"""The parameters of such a query."""
_EVERY_WIDTH: Final[tuple[BucketWidth, ...]] = tuple(WIDTHS)


class BucketReader:
    """Reads the buckets of queries. `now` returns the moment after which there are none."""

    def __init__(self, now: Callable[[], datetime]) -> None:
        self._now = now

    def read(self, query: Query, widths: tuple[BucketWidth, ...] = _EVERY_WIDTH) -> Buckets:
        """Return the buckets of a query, days by default. Raises `InvalidRequestError`."""
        asked = query.choice("bucket_width", widths)
        width: BucketWidth = next((known for known in widths if known == asked), "1d")
        return buckets(width, Span.of(query.one), self._now())
