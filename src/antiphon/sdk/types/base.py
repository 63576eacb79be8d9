"""The base of all structs of answers: quick to decode, and nothing of what came is lost.

A struct has the fields that this SDK knows, as attributes. What the server sent besides them is
not decoded until somebody asks: a struct remembers where it came from, which for a message is the
bytes of the whole answer. So a field of next year costs nothing, can be read (`extra`, or as an
attribute), and goes back to the server unchanged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, ClassVar, Literal, Self, TypeAlias, TypeVar

import msgspec

JsonObject: TypeAlias = dict[str, Any]

A = TypeVar("A", bound="Answered")

# The name in an instance's `__dict__` of where it came from: it is no field, so it has no part in
# comparisons, texts and JSON.
CAME = "_came"


class Source(msgspec.Struct):
    """JSON that a struct was decoded from, decoded once more when somebody asks for all of it."""

    raw: bytes
    known: Any = None

    def value(self) -> Any:
        if self.known is None:
            self.known = msgspec.json.decode(self.raw)
        return self.known


class Part(msgspec.Struct, frozen=True):
    """Where a struct stands in what another one came from."""

    whole: Any
    """An `Origin`."""
    name: str
    index: int | None = None

    def value(self) -> Any:
        found = value_of(self.whole)[self.name]
        return found if self.index is None else found[self.index]


class Changed:
    """What a struct came as, with other values for some of its keys."""

    __slots__ = ("_changes", "_first")

    def __init__(self, first: Answered, changes: JsonObject) -> None:
        self._first, self._changes = first, changes

    def value(self) -> Any:
        return {**self._first.to_dict(), **as_json(self._changes)}


Origin: TypeAlias = "bytes | JsonObject | Source | Part | Changed"


def value_of(origin: Origin) -> Any:
    """Return the JSON of an origin. It is shared: copy it before it is given away."""
    if isinstance(origin, bytes):
        return msgspec.json.decode(origin)
    return origin if isinstance(origin, dict) else origin.value()


def as_json(value: Any) -> Any:
    """Return a value with the JSON that came in place of each struct of an answer."""
    if isinstance(value, Answered):
        return value.to_dict()
    if isinstance(value, dict):
        return {name: as_json(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [as_json(item) for item in value]
    return value


class Answered(msgspec.Struct, frozen=True, kw_only=True, dict=True, repr_omit_defaults=True):
    """A part of an answer. A field that this SDK does not know is an attribute as well.

    Answers are values: they do not change, and two with the same fields are equal.
    """

    nested: ClassVar[tuple[str, ...]] = ()
    """The fields that hold structs of answers, alone or in lists."""
    relied: ClassVar[tuple[str, ...]] = ()
    """The fields that this SDK itself works with: a struct never has a value of another type there.

    Other fields may have one, as an answer of a newer server has it."""

    def to_dict(self) -> JsonObject:
        """Return all that came, also what this SDK does not know. It is the caller's own copy."""
        origin: Origin | None = self.__dict__.get(CAME)
        if origin is not None:
            return copied(value_of(origin))
        config = self.__struct_config__
        made: JsonObject = {} if config.tag_field is None else {config.tag_field: config.tag}
        for name in self.__struct_fields__:
            made[name] = as_json(getattr(self, name))
        return made

    def to_json(self, *, indent: int | None = 2) -> str:
        """Return all that came, as JSON; on one line if `indent` is `None`."""
        text = msgspec.json.encode(self.to_dict())
        return (text if indent is None else msgspec.json.format(text, indent=indent)).decode()

    def model_dump(self, *, mode: str = "python", exclude_none: bool = False) -> JsonObject:
        """As `to_dict`, with the defaults of what did not come: for programs that were moved here.

        Both modes are the same: there is nothing in an answer that JSON cannot express.
        """
        if mode not in {"python", "json"}:
            raise ValueError(f"mode is {mode!r}; it is 'python' or 'json'")
        came = self.to_dict()
        for name in self.__struct_fields__:
            value = getattr(self, name)
            if name not in came:
                came[name] = as_json(value)
            elif isinstance(value, Answered):
                came[name] = value.model_dump()
            elif isinstance(value, list):
                came[name] = [
                    item.model_dump() if isinstance(item, Answered) else item for item in value
                ]
        return _without_none(came) if exclude_none else came

    def model_dump_json(self, *, indent: int | None = None, exclude_none: bool = False) -> str:
        """Return `model_dump` as JSON."""
        text = msgspec.json.encode(self.model_dump(exclude_none=exclude_none))
        return (text if indent is None else msgspec.json.format(text, indent=indent)).decode()

    @property
    def request_id(self) -> str | None:
        """Of a whole answer, the id of its request: what whoever runs the server will ask for."""
        found = self.__dict__.get("_request_id")
        return found if isinstance(found, str) else None

    @property
    def extra(self) -> JsonObject:
        """What came besides the fields that this SDK knows."""
        known = {*self.__struct_fields__, self.__struct_config__.tag_field}
        return {name: value for name, value in self.to_dict().items() if name not in known}

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: Any) -> Self:
        return restored(*self.__reduce__()[1])

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[type[Self], bytes, str | None]]:
        # What this SDK does not know is no field, and goes along all the same.
        return restored, (type(self), msgspec.json.encode(self.to_dict()), self.request_id)

    if not TYPE_CHECKING:

        def __getattr__(self, name: str) -> Any:
            if not name.startswith("_"):
                extra = self.extra
                if name in extra:
                    return extra[name]
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")


class Unknown(Answered, frozen=True, kw_only=True):
    """A part of an answer whose type this SDK does not know. `data` is all of it.

    To a type checker its `type` is "unknown", so that comparing `type` tells parts apart; when the
    program runs, it is the type that came.
    """

    data: JsonObject
    if TYPE_CHECKING:
        type: ClassVar[Literal["unknown"]] = "unknown"
    else:

        @property
        def type(self) -> str:
            return str(self.data.get("type"))

    def to_dict(self) -> JsonObject:
        return copied(self.data)

    @property
    def extra(self) -> JsonObject:
        return {name: value for name, value in self.to_dict().items() if name != "type"}


def restored(kind: type[A], raw: bytes, request_id: str | None) -> A:
    """Return a struct of an answer that was copied or stored."""
    from antiphon.sdk.types.decoding import decode_answer  # noqa: PLC0415 - it is above this module

    made = decode_answer(kind, raw)
    if request_id is not None:
        made.__dict__["_request_id"] = request_id
    return made


def copied(value: JsonObject) -> JsonObject:
    """Return a copy of JSON, as deep as it is."""
    copy: JsonObject = msgspec.to_builtins(value)
    return copy


def _without_none(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _without_none(item) for name, item in value.items() if item is not None}
    return [_without_none(item) for item in value] if isinstance(value, list) else value
