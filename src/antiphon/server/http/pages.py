"""Pages of listings by tokens, on their way out: the next one is bound to its listing."""

from typing import Any

from msgspec import structs

from antiphon.core.pagination import bind_token


def with_bound_page(answer: Any, listing: str) -> Any:
    """Return an answer whose next page, if it has one, is of this listing alone.

    See `Query.walk`.
    """
    token = getattr(answer, "next_page", None)
    if token is None:
        return answer
    return structs.replace(answer, next_page=bind_token(token, listing))
