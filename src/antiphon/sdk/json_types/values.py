"""Makes values of Python types out of JSON, and says what does not fit, and where."""

import re
from collections import abc
from pathlib import PurePath
from types import NoneType, UnionType
from typing import Annotated, Any, Generic, TypeVar, Union, cast, get_args, get_origin

import msgspec

from antiphon.sdk.json_types import pydantic_types
from antiphon.sdk.json_types.definitions import Schema, name_of
from antiphon.sdk.json_types.schemas import SchemaWriter, UnsayableTypeError

T = TypeVar("T")

_PLACE = re.compile(r"^(.*?)(?: - at `(?:key in )?\$(.*)`)?$", re.DOTALL)
_STEP = re.compile(r"\.([^.\[]+)|\[(\d+|\.\.\.)\]")
MOST_SHOWN_VALUES = 20


class Problem(msgspec.Struct, frozen=True):
    """What is wrong at a place: `items[2].price`; an empty path is the value itself."""

    path: str
    message: str

    def __str__(self) -> str:
        return f"{self.path}: {self.message}" if self.path else self.message


class InvalidValueError(ValueError):
    """A value does not fit its type. `problems` says where, and why."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("; ".join(map(str, problems)))
        self.problems = problems


class JsonType(Generic[T]):
    """A Python type as JSON: its schema, and how a value of JSON becomes one of the type.

    Raises `UnsayableTypeError` for a type that has no JSON; `where` names it there.
    """

    def __init__(
        self, annotation: Any, where: str = "the type", writer: SchemaWriter | None = None
    ) -> None:
        self.annotation = annotation
        own = writer or SchemaWriter()
        written = own.schema(annotation, where)
        # Of a writer that is shared, the definitions come with the whole.
        self.schema: Schema = written if writer is not None else own.whole(written)
        self._read: abc.Callable[[Any], Any]
        self._decoder: msgspec.json.Decoder[Any] | None = None
        if pydantic_types.is_of_pydantic(annotation):
            self._read = _pydantic_reader(annotation)
        else:
            self._read, self._decoder = _reader(annotation, where)

    def convert(self, value: Any) -> T:
        """Return a value of the type. Raises `InvalidValueError`."""
        try:
            return cast("T", self._read(value))
        except msgspec.ValidationError as error:
            raise InvalidValueError((_problem(str(error), self.schema),)) from error
        except pydantic_types.PydanticInvalidError as error:
            raise InvalidValueError(
                tuple(Problem(_path(place), said) for place, said in error.problems)
            ) from error

    def decode(self, text: str | bytes) -> T:
        """Return the value of a text in JSON. Raises `InvalidValueError`."""
        if self._decoder is not None:
            try:
                return cast("T", self._decoder.decode(text))
            except msgspec.ValidationError:
                pass
            except msgspec.DecodeError as error:
                raise InvalidValueError((Problem("", f"it is not JSON: {error}"),)) from error
        try:
            value = msgspec.json.decode(text)
        except msgspec.DecodeError as error:
            raise InvalidValueError((Problem("", f"it is not JSON: {error}"),)) from error
        return self.convert(value)


def _pydantic_reader(annotation: Any) -> abc.Callable[[Any], Any]:
    read = pydantic_types.adapter(annotation).validate_python
    return lambda value: pydantic_types.validated(read, value)


def _reader(
    annotation: Any, where: str
) -> tuple[abc.Callable[[Any], Any], msgspec.json.Decoder[Any] | None]:
    """Return what makes values of a type, and a decoder of text, if one does it alone."""
    try:
        decoder = msgspec.json.Decoder(annotation, dec_hook=_special)
    except (TypeError, NameError) as error:
        return _reader_of_parts(annotation, where, error), None

    def read(value: Any) -> Any:
        try:
            return msgspec.convert(value, annotation, dec_hook=_special)
        except msgspec.ValidationError:
            # Models write numbers as texts at times; what can be meant only so is taken so.
            try:
                return msgspec.convert(
                    _unquoted(value), annotation, strict=False, dec_hook=_special
                )
            except msgspec.ValidationError:
                pass
            raise

    return read, decoder


def _unquoted(value: Any) -> Any:
    """Return the list or object that a text holds; anything else as it is."""
    if isinstance(value, str) and value[:1] in {"[", "{"}:
        try:
            return msgspec.json.decode(value)
        except msgspec.DecodeError:
            return value
    return value


def _special(kind: type[Any], value: Any) -> Any:
    """Make a value of a type that msgspec does not know."""
    if pydantic_types.is_model(kind):
        try:
            return pydantic_types.validated(pydantic_types.adapter(kind).validate_python, value)
        except pydantic_types.PydanticInvalidError as error:
            place, said = error.problems[0]
            raise ValueError(f"{_path(place)}: {said}" if place else said) from error
    if issubclass(kind, PurePath) and isinstance(value, str):
        return kind(value)
    raise TypeError(f"Expected `{kind.__name__}`, got `{type(value).__name__}`")


def _reader_of_parts(annotation: Any, where: str, error: Exception) -> abc.Callable[[Any], Any]:
    """Return what makes values of a type whose parts have to be read one by one.

    msgspec refuses unions of classes without tags: then each is tried in turn.
    """
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _reader_of_parts(arguments[0], where, error)
    if origin in {Union, UnionType}:
        branches = [JsonType[Any](one, where) for one in arguments]
        return lambda value: _first_that_fits(branches, value)
    if origin in {list, abc.Sequence, set, frozenset}:
        item = JsonType[Any](arguments[0], f"{where}[]")
        make = origin if origin in {set, frozenset} else list
        return lambda value: make(_items(item, value))
    if origin in {dict, abc.Mapping}:
        item = JsonType[Any](arguments[1], f"{where}{{}}")
        return lambda value: _entries(item, value)
    raise UnsayableTypeError(f"{where}: {str(error).rstrip('.')}") from error


def _first_that_fits(branches: list[JsonType[Any]], value: Any) -> Any:
    problems: list[Problem] = []
    for branch in branches:
        try:
            return branch.convert(value)
        except InvalidValueError as error:
            if branch.annotation is not NoneType:
                problems.extend(error.problems)
    raise InvalidValueError(
        (Problem("", f"it fits none of its {len(branches)} types ({_joined(problems)})"),)
    )


def _items(item: JsonType[Any], value: Any) -> list[Any]:
    if not isinstance(value, list):
        raise InvalidValueError((Problem("", f"Expected `array`, got `{_kind(value)}`"),))
    return [_within(f"[{at}]", item, one) for at, one in enumerate(value)]


def _entries(item: JsonType[Any], value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise InvalidValueError((Problem("", f"Expected `object`, got `{_kind(value)}`"),))
    return {name: _within(f".{name}", item, one) for name, one in value.items()}


def _within(step: str, item: JsonType[Any], value: Any) -> Any:
    try:
        return item.convert(value)
    except InvalidValueError as error:
        raise InvalidValueError(
            tuple(Problem(_joined_path(step, one.path), one.message) for one in error.problems)
        ) from error


def _joined_path(step: str, path: str) -> str:
    return (step + (path if path[:1] in {"", "["} else f".{path}")).removeprefix(".")


def _joined(problems: list[Problem]) -> str:
    return "; ".join(map(str, problems))


def _kind(value: Any) -> str:
    names = {dict: "object", list: "array", NoneType: "null"}
    return names.get(type(value), type(value).__name__)


def _path(place: tuple[str | int, ...]) -> str:
    text = "".join(f"[{one}]" if isinstance(one, int) else f".{one}" for one in place)
    return text.removeprefix(".")


def _problem(text: str, schema: Schema) -> Problem:
    """Read what msgspec says: what is wrong, and where."""
    match = _PLACE.match(text)
    message, place = (match[1], match[2] or "") if match else (text, "")
    if message.startswith("Invalid enum value"):
        allowed = _values_at(schema, place)
        if 0 < len(allowed) <= MOST_SHOWN_VALUES:
            shown = ", ".join(msgspec.json.encode(one).decode() for one in allowed)
            message = f"{message}; it is one of {shown}"
    return Problem(place.removeprefix("."), message)


def _values_at(schema: Schema, place: str) -> list[Any]:
    """Return the values that a schema allows at a place; none if it lists none."""
    found = [schema]
    for name, _ in _STEP.findall(place):
        below = [_below(one, name) for one in _expanded(found, schema)]
        found = [one for one in below if one is not None]
    values: list[Any] = []
    for one in _expanded(found, schema):
        values.extend(one.get("enum", [one["const"]] if "const" in one else []))
    return values


def _below(schema: Schema, name: str) -> Schema | None:
    one = schema.get("properties", {}).get(name) if name else schema.get("items")
    return one if isinstance(one, dict) else None


def _expanded(schemas: list[Schema], root: Schema) -> list[Schema]:
    """Return schemas with the branches and definitions that stand for them."""
    found: list[Schema] = []
    waiting, seen = list(schemas), set()
    while waiting:
        one = waiting.pop(0)
        name = name_of(one)
        if name is not None and name not in seen:
            seen.add(name)
            waiting.append(root.get("$defs", {}).get(name, {}))
        waiting.extend(one.get("anyOf", ()))
        found.append(one)
    return found
