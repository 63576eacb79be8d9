"""JSON schemas in a request: refused in the API's words where `schemas` refuses them."""

from collections.abc import Generator
from contextlib import contextmanager

from antiphon.core.errors import InvalidRequestError
from antiphon.schemas.well_formed import InvalidSchemaError


@contextmanager
def refusing_schemas() -> Generator[None]:
    """Raise `InvalidRequestError` for an `InvalidSchemaError` of the block, with its message."""
    try:
        yield
    except InvalidSchemaError as error:
        raise InvalidRequestError(str(error)) from error
