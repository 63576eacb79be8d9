"""The two families of structs that every other wire type belongs to."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, Literal, TypeAlias

import msgspec
from msgspec import UNSET, Meta, UnsetType


class Param(msgspec.Struct, forbid_unknown_fields=True, kw_only=True, frozen=True):
    """A struct of a request. Closed: an unknown key is an error, never ignored.

    Fields stand in the order in which the API reports their faults. A struct that has fields from
    a base names in `reported_after` those whose faults come later: each with the field before it.
    """

    reported_after: ClassVar[Mapping[str, str]] = {}
    tag_in_paths: ClassVar[str] = ""
    """The tag that stands in paths of faults, for a struct whose tag is a field of one value."""


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


class BetaValue:
    """The value of a key that a beta adds and this server ignores.

    In a request that does not name the beta the key is unknown. In one that does, any value is
    accepted: only the names of such keys are known here.
    """

    __slots__ = ()

    beta: ClassVar[str]


class CacheScope(BetaValue):
    """Who shares an entry of the prompt cache."""

    __slots__ = ()

    beta = "prompt-caching-scope-2026-01-05"


BETAS = frozenset({CacheScope.beta})
"""The betas whose keys are accepted."""


class CacheControlParam(Param, kw_only=True, frozen=True):
    """Where a prompt cache entry ends. `None` and an absent key mean the same."""

    tag_in_paths: ClassVar[str] = "ephemeral"

    # A lone struct's tag may be absent in msgspec, so where no union asks for it `type` is a field.
    type: Literal["ephemeral"]
    ttl: Literal["5m", "1h"] = "5m"
    scope: CacheScope | UnsetType = UNSET


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
    but a step of the path: the name of the struct that is allowed besides a string, or what stands
    in place of a block's type, nothing if it is empty.
    """
    return Meta(extra=sentences)


NonEmptyStr: TypeAlias = Annotated[str, Meta(min_length=1)]
