"""Places in listings that are walked by tokens, the newest first: a moment and an id."""

import re
from datetime import UTC, datetime, timedelta

from antiphon.core.pagination import not_a_page, page_position, page_token

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
# The moment in microseconds, and the id.
_POSITION = re.compile(r"([0-9]{1,17}) ([0-9A-Za-z_]+)", re.ASCII)


def token_after(at: datetime, object_id: str) -> str:
    """Return the token of the page that begins after an object."""
    return page_token(f"{(at - _EPOCH) // _MICROSECOND} {object_id}")


def place_of(token: str) -> tuple[datetime, str]:
    """Return the moment and the id in a token. Raises `InvalidRequestError` for another token."""
    position = _POSITION.fullmatch(page_position(token) or "")
    if position is None:
        raise not_a_page()
    return _EPOCH + int(position[1]) * _MICROSECOND, position[2]
