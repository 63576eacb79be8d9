"""The two families of structs that every other wire type belongs to."""

from typing import Annotated, TypeAlias

import msgspec
from msgspec import Meta


class Param(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """What a caller sends. Closed: an unknown key is an error, never ignored.

    Fields stand in the order in which the API reports their faults.
    """


class Answer(msgspec.Struct, kw_only=True, frozen=True):
    """What the API says. `UNSET` leaves a key out, `None` says `null`.

    Answers never share a class with requests: a shared one would leak keys such as
    `"cache_control": null` to the caller.
    """


def words(**sentences: str) -> Meta:
    """Annotate a type with the API's own sentences for its faults; read by `wire.faults`.

    `mismatch` is said of a value of another type, `range` of a number outside of its bounds, `few`
    and `many` of a list of another length. `field` is said of a string that is not allowed, and of
    the top-level field that it stands in.
    """
    return Meta(extra=sentences)


NonEmptyStr: TypeAlias = Annotated[str, Meta(min_length=1)]
