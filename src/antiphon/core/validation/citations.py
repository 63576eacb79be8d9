"""Citations are asked for of all documents of a request or of none, and likewise of results."""

from collections.abc import Iterable

from antiphon.core.citations.sources import Citable, asks
from antiphon.core.errors import InvalidRequestError
from antiphon.core.validation.spots import Spot


def check_citations(spots: Iterable[Spot]) -> None:
    """Refuse the first document, or search result, that is not as the first of its kind."""
    first: dict[type[Citable], bool] = {}
    for spot in spots:
        block = spot.block
        if isinstance(block, Citable) and first.setdefault(type(block), asks(block)) != asks(block):
            kind = str(block.__struct_config__.tag).replace("_", " ")
            raise InvalidRequestError(
                f"{spot.path}.citations.enabled: citations must be enabled on all {kind} blocks of "
                "a request or on none"
            )
