"""Citations are enabled on all documents of a request or on none, and so on search results."""

from collections.abc import Iterable

from antiphon.core.citations.sources import Citable, has_citations_enabled
from antiphon.core.errors import InvalidRequestError
from antiphon.core.validation.spots import Spot


def check_citations(spots: Iterable[Spot]) -> None:
    """Refuse a document, or search result, whose setting differs from the first of its kind."""
    first: dict[type[Citable], bool] = {}
    for spot in spots:
        block = spot.block
        if not isinstance(block, Citable):
            continue
        enabled = has_citations_enabled(block)
        if first.setdefault(type(block), enabled) != enabled:
            kind = str(block.__struct_config__.tag).replace("_", " ")
            raise InvalidRequestError(
                f"{spot.path}.citations.enabled: citations must be enabled on all {kind} blocks of "
                "a request or on none"
            )
