"""The two families of structs that every other wire type belongs to."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, TypeAlias

import msgspec
from msgspec import Meta


class Param(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A struct of a request. Closed: an unknown key is an error, never ignored.

    Fields stand in the order in which the API reports their faults. A struct that has fields from
    a base names in `reported_after` those whose faults come later: each with the field before it.
    """

    reported_after: ClassVar[Mapping[str, str]] = {}


class Family:
    """Structs that msgspec cannot tell apart by itself, because their tag may be absent.

    A field of this type is decoded in two steps: `member` reads the tag, and the struct reads the
    value. Members inherit from the struct and from the family.
    """

    __slots__ = ()

    @classmethod
    def member(cls, value: dict[str, Any]) -> tuple[type[msgspec.Struct], str] | str:
        """Return the struct of a value and its name in paths, or the sentence of its fault."""
        raise NotImplementedError


class AnswerStruct(msgspec.Struct, kw_only=True, frozen=True):
    """The base of all structs of answers. `UNSET` leaves a key out, `None` is `null`.

    Answers never share a class with requests: a shared one would leak keys such as
    `"cache_control": null` to the caller.
    """


def error_text(**sentences: str) -> Meta:
    """Annotate a type with the API's own sentences for its faults; read by `wire.decoding`.

    `mismatch` is for a value of another type, `range` for a number outside of its bounds, `few` and
    `many` for a list of another length, `pattern` for a string of another form. `field` is for a
    string that is not allowed; its path is the top-level field around it. `branch` is no sentence
    but a step of the path: the name of the struct that is allowed besides a string.
    """
    return Meta(extra=sentences)


NonEmptyStr: TypeAlias = Annotated[str, Meta(min_length=1)]
