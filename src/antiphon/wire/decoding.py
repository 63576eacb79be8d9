"""Decodes request bodies, and reports faults in the API's words and in the API's order.

msgspec decodes a body in one pass. Only when that fails does this module walk the body: it looks
at the fields in the order in which the API reports faults, and the first fault becomes
`path: sentence`. Unknown keys come after the known ones, as on the wire.

If a key stands twice in an object, the last value counts, as JSON is commonly read. msgspec checks
both, so a body whose first value is wrong is decoded a second time.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from functools import cached_property, partial
from typing import (
    Any,
    Final,
    Generic,
    Literal,
    TypeAlias,
    TypeVar,
    Union,
    get_args,
    get_origin,
    get_type_hints,
)

import msgspec
from msgspec import UNSET, inspect

from antiphon.wire.base import BetaValue, Family
from antiphon.wire.errors import shortened
from antiphon.wire.json_structure import MOST_STRUCTURAL, is_too_much_structure

T = TypeVar("T")
Path: TypeAlias = tuple[str | int, ...]

REQUIRED = "Field required"
EXTRA = "Extra inputs are not permitted"
OBJECT = "Input should be an object"
UNKNOWN = "Input does not match the expected shape."
TOO_MUCH_STRUCTURE = (
    f"The request body has more than {MOST_STRUCTURAL:,} braces, brackets, colons and commas "
    "outside of strings. Please send a smaller request."
)
NO_BETAS: Final[frozenset[str]] = frozenset()
# The parser says in this form where a fault is.
_BYTE: Final = re.compile(r"\(byte (-?\d+)\)")


class BodyError(ValueError):
    """A body with a fault. The message is the wire's."""


class Fault(msgspec.Struct, frozen=True):
    """One fault of a body: the path to the value, and the sentence."""

    path: Path
    sentence: str

    def __str__(self) -> str:
        where = ".".join(shortened(str(step)) for step in self.path)
        return f"{where}: {self.sentence}" if where else self.sentence


class BodyDecoder(Generic[T]):
    """Decodes the body of one endpoint, or raises `BodyError` with its first fault.

    `without`: fields that this version of the API does not have. They count as unknown keys.
    """

    def __init__(self, kind: type[T], without: Collection[str] = ()) -> None:
        self._kind = kind
        self._decoders = {NO_BETAS: self._decoder(NO_BETAS)}
        self._without = frozenset(without)

    @cached_property
    def _type(self) -> inspect.Type:
        """The type of the body. Only faults need it, and those of all endpoints take 25 ms."""
        return inspect.type_info(self._kind)

    def _decoder(self, betas: frozenset[str]) -> msgspec.json.Decoder[T]:
        return msgspec.json.Decoder(self._kind, dec_hook=partial(decode_member, betas=betas))

    def decode(self, body: bytes, betas: frozenset[str] = NO_BETAS) -> T:
        """Decode a body; `betas` are the betas of `wire.base.BETAS` that the request names."""
        if is_too_much_structure(body):
            raise BodyError(TOO_MUCH_STRUCTURE)
        try:
            params = self._decoder_for(betas).decode(body)
            self._check_versions(params)
            return params  # noqa: TRY300 - the fault is reported below
        except msgspec.ValidationError:
            return self._without_repetitions(_parse(body), betas)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise not_json(error) from error

    def _decoder_for(self, betas: frozenset[str]) -> msgspec.json.Decoder[T]:
        known = self._decoders.get(betas)
        if known is None:
            known = self._decoders[betas] = self._decoder(betas)
        return known

    def _without_repetitions(self, value: Any, betas: frozenset[str]) -> T:
        """Decode a parsed body, in which each key stands once. Raises `BodyError` for its fault."""
        fault = next(faults(self._type, value, (), self._without, betas), None)
        if fault is not None:
            raise BodyError(str(fault))
        try:
            hook = partial(decode_member, betas=betas)
            return msgspec.convert(value, self._kind, dec_hook=hook)
        except msgspec.ValidationError as error:
            # The walk covers every type that the wire uses. If a new type is forgotten, the caller
            # still gets a sentence.
            raise BodyError(UNKNOWN) from error

    def _check_versions(self, params: T) -> None:
        for name in self._without:
            if getattr(params, name) is not UNSET:
                raise msgspec.ValidationError(f"{name}: {EXTRA}")


def _parse(body: bytes) -> Any:
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise not_json(error) from error


def decode_member(kind: type, value: Any, betas: Collection[str] = NO_BETAS) -> Any:
    """Decode a member of a `Family` or a value of a beta: the hook of msgspec."""
    if issubclass(kind, BetaValue):
        if kind.beta not in betas:
            raise msgspec.ValidationError(EXTRA)
        return kind()
    if not issubclass(kind, Family):
        raise NotImplementedError
    if not isinstance(value, dict):
        raise msgspec.ValidationError(OBJECT)
    member = kind.member(value)
    if isinstance(member, str):
        raise msgspec.ValidationError(member)
    return msgspec.convert(value, member[0], dec_hook=partial(decode_member, betas=betas))


def not_json(error: Exception, offset: int = 0) -> BodyError:
    """Return the refusal of a text that is no JSON; it begins at the byte `offset` of the body."""
    # msgspec appends a path in its own notation to its messages about numbers.
    message = str(error).partition(" - at ")[0]
    if isinstance(error, RecursionError):
        message = "it is nested too deeply"
    if offset:
        message = _BYTE.sub(lambda found: f"(byte {int(found[1]) + offset})", message)
    return BodyError(f"The request body is not valid JSON: {message}")


def faults(
    kind: inspect.Type,
    value: Any,
    path: Path,
    without: Collection[str] = (),
    betas: Collection[str] = NO_BETAS,
) -> Iterator[Fault]:
    """Yield the faults of `value` as a `kind`, in the API's order; none if it is one.

    `without` are fields of the whole body, and keys of betas that are not in `betas` are unknown.
    """
    yield from _Walk(without, betas).faults(kind, value, path)


class _Walk:
    """Walks a body and its type together. `owner` is the struct that has the field of a value."""

    def __init__(self, without: Collection[str], betas: Collection[str]) -> None:
        self._without = without
        self._betas = betas
        # Describing a type takes a third of a millisecond, and a body may hold thousands of tools.
        self._types: dict[type, inspect.Type] = {}

    def faults(
        self, kind: inspect.Type, value: Any, path: Path, owner: type | None = None
    ) -> Iterator[Fault]:
        extra: dict[str, str] = {}
        while isinstance(kind, inspect.Metadata):
            extra = {**(kind.extra or {}), **extra}
            kind = kind.type
        match kind:
            case inspect.UnionType():
                yield from self._union(kind, value, path, extra, owner)
            case inspect.StructType():
                yield from self._struct(kind, value, path, extra)
            case inspect.ListType():
                yield from self._list(kind, value, path, extra, owner)
            case inspect.CustomType():
                yield from self._custom(kind.cls, value, path)
            case _:
                sentence = _scalar(kind, value, extra, owner)
                if sentence is None:
                    return
                if "field" in extra and isinstance(value, str):
                    yield Fault(path[:1], extra["field"].format(value=shortened(value)))
                else:
                    yield Fault(path, sentence)

    def _union(
        self,
        kind: inspect.UnionType,
        value: Any,
        path: Path,
        extra: dict[str, str],
        owner: type | None,
    ) -> Iterator[Fault]:
        options = [option for option in kind.types if not isinstance(option, inspect.NoneType)]
        if value is None and len(options) < len(kind.types):
            return
        structs = [one for one in map(_inner, options) if isinstance(one, inspect.StructType)]
        if len(structs) > 1:
            yield from self._tagged(structs, value, path, extra)
            return
        if isinstance(value, str) and any(
            isinstance(_inner(one), inspect.StrType) for one in options
        ):
            options = [one for one in options if isinstance(_inner(one), inspect.StrType)]
        elif "branch" in extra:
            path = (*path, extra["branch"])
        # `str | list`: the API expects the list, if the value is no string.
        last = inspect.Metadata(type=options[-1], extra=extra)
        yield from self.faults(last, value, path, owner)

    def _tagged(
        self,
        structs: Sequence[inspect.StructType],
        value: Any,
        path: Path,
        extra: dict[str, str],
    ) -> Iterator[Fault]:
        if not isinstance(value, dict):
            yield Fault(path, extra.get("mismatch", OBJECT))
            return
        tag_field = str(structs[0].tag_field)
        if tag_field not in value:
            yield Fault((*path, tag_field), REQUIRED)
            return
        tag = value[tag_field]
        for struct in structs:
            if struct.tag == tag:
                # The path of a fault inside of a block contains the type of the block, unless the
                # API has but one type there.
                yield from self._fields(struct, value, (*path, *_steps(extra.get("branch", tag))))
                return
        yield Fault(path, unexpected_tag(tag, [struct.tag for struct in structs], tag_field))

    def _list(
        self,
        kind: inspect.ListType,
        value: Any,
        path: Path,
        extra: dict[str, str],
        owner: type | None,
    ) -> Iterator[Fault]:
        if not isinstance(value, list):
            yield Fault(path, extra.get("mismatch", "Input should be a valid array"))
            return
        if kind.min_length is not None and len(value) < kind.min_length:
            least = _count(kind.min_length, "item")
            default = f"List should have at least {least} after validation, not {len(value)}"
            yield Fault(path, extra.get("few", default))
        if kind.max_length is not None and len(value) > kind.max_length:
            most = _count(kind.max_length, "item")
            default = f"List should have at most {most} after validation, not {len(value)}"
            yield Fault(path, extra.get("many", default))
        structs = _structs(kind.item_type)
        for index, item in enumerate(value):
            # A body may hold a million blocks: the walk goes only into those that msgspec refuses.
            if structs is None or not _is(structs, item):
                yield from self.faults(kind.item_type, item, (*path, index), owner)

    def _custom(self, kind: type[BetaValue | Family], value: Any, path: Path) -> Iterator[Fault]:
        if issubclass(kind, BetaValue):
            if kind.beta not in self._betas:
                yield Fault(path, EXTRA)
            return
        if not isinstance(value, dict):
            yield Fault(path, OBJECT)
            return
        member = kind.member(value)
        if isinstance(member, str):
            yield Fault(path, member)
            return
        struct, name = member
        if struct not in self._types:
            self._types[struct] = inspect.type_info(struct)
        yield from self.faults(self._types[struct], value, (*path, name))

    def _struct(
        self, kind: inspect.StructType, value: Any, path: Path, extra: dict[str, str]
    ) -> Iterator[Fault]:
        if not isinstance(value, dict):
            yield Fault(path, extra.get("mismatch", OBJECT))
            return
        yield from self._fields(kind, value, path)

    def _fields(
        self, kind: inspect.StructType, value: dict[str, Any], path: Path
    ) -> Iterator[Fault]:
        known = {kind.tag_field} if kind.tag_field else set()
        # Faults of a lone struct's own tag stand beside it.
        inside = (*path, *_steps(getattr(kind.cls, "tag_in_paths", "")))
        for field in _as_reported(kind):
            if not path and field.encode_name in self._without:
                continue
            known.add(field.encode_name)
            where = (*(path if field.encode_name == "type" else inside), field.encode_name)
            if field.encode_name in value:
                yield from self.faults(field.type, value[field.encode_name], where, kind.cls)
            elif field.required:
                yield Fault(where, REQUIRED)
        if not kind.forbid_unknown_fields:
            return
        for key in value:
            if key not in known:
                yield Fault((*inside, key), EXTRA)


def _steps(step: object) -> Path:
    """Return a step of a path; an empty text is none."""
    return (str(step),) if step else ()


def unexpected_tag(tag: object, expected: Sequence[object], tag_field: str = "type") -> str:
    """Return the sentence for an unknown tag, which lists the expected ones."""
    names = ", ".join(f"'{name}'" for name in expected)
    # Nested values are not shown: Python may not be able to format them.
    shown = "..." if isinstance(tag, list | dict) else shortened(str(tag))
    return (
        f"Input tag '{shown}' found using '{tag_field}' does not match any of the expected tags: "
        f"{names}"
    )


def _inner(kind: inspect.Type) -> inspect.Type:
    while isinstance(kind, inspect.Metadata):
        kind = kind.type
    return kind


def _structs(kind: inspect.Type) -> Any:
    """Return the Python type that `kind` describes, if it consists of structs alone."""
    kind = _inner(kind)
    options = kind.types if isinstance(kind, inspect.UnionType) else (kind,)
    classes = tuple(one.cls for one in map(_inner, options) if isinstance(one, inspect.StructType))
    return Union[classes] if len(classes) == len(options) else None  # noqa: UP007 - made here


def _is(kind: Any, value: Any) -> bool:
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return False
    return True


def _as_reported(kind: inspect.StructType) -> Iterator[inspect.Field]:
    """Yield the fields in the order in which the API reports their faults (see `Param`)."""
    later: Mapping[str, str] = getattr(kind.cls, "reported_after", {})
    moved = {later[field.name]: field for field in kind.fields if field.name in later}
    for field in kind.fields:
        if field.name not in later:
            yield field
            if field.name in moved:
                yield moved[field.name]


def _scalar(  # noqa: PLR0911 - one answer for each kind of value
    kind: inspect.Type, value: Any, extra: dict[str, str], owner: type | None
) -> str | None:
    match kind:
        case inspect.StrType():
            return _text(kind, value, extra)
        case inspect.BoolType() if not isinstance(value, bool):
            return "Input should be a valid boolean"
        case inspect.IntType():
            return _number(kind, value, extra, "integer", of_kind=isinstance(value, int))
        case inspect.FloatType():
            number = isinstance(value, int | float)
            return _number(kind, value, extra, "number", of_kind=number)
        case inspect.LiteralType():
            return _choice(kind.values, value, owner)
        case inspect.NoneType() if value is not None:
            return EXTRA
        case inspect.DictType() if not isinstance(value, dict):
            return extra.get("mismatch", OBJECT)
    return None


def _text(kind: inspect.StrType, value: Any, extra: dict[str, str]) -> str | None:
    if not isinstance(value, str):
        return extra.get("mismatch", "Input should be a valid string")
    if kind.min_length is not None and len(value) < kind.min_length:
        return f"String should have at least {_count(kind.min_length, 'character')}"
    if kind.max_length is not None and len(value) > kind.max_length:
        return f"String should have at most {_count(kind.max_length, 'character')}"
    if kind.pattern is not None and not re.search(kind.pattern, value):
        return extra.get("pattern", f"String should match pattern '{kind.pattern}'")
    return None


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def _number(
    kind: inspect.IntType | inspect.FloatType,
    value: Any,
    extra: dict[str, str],
    noun: str,
    *,
    of_kind: bool,
) -> str | None:
    if isinstance(value, bool) or not of_kind:
        return f"Input should be a valid {noun}"
    if kind.ge is not None and value < kind.ge:
        return extra.get("range", f"Input should be greater than or equal to {kind.ge}")
    if kind.le is not None and value > kind.le:
        return extra.get("range", f"Input should be less than or equal to {kind.le}")
    return None


def _choice(values: Sequence[Any], value: Any, owner: type | None) -> str | None:
    # `1 == True` in Python, never on the wire.
    if any(value == choice and type(value) is type(choice) for choice in values):
        return None
    *most, last = map(repr, _declared(values, owner))
    return f"Input should be {', '.join(most)} or {last}" if most else f"Input should be {last}"


def _declared(values: Sequence[Any], owner: type | None) -> Sequence[Any]:
    """Return the values of a `Literal` in the order of its declaration: msgspec sorts them."""
    waiting = [] if owner is None else [*get_type_hints(owner, include_extras=True).values()]
    while waiting:
        hint = waiting.pop()
        if get_origin(hint) is Literal and set(get_args(hint)) == set(values):
            return get_args(hint)
        waiting.extend(get_args(hint))
    return values
