"""Writes the JSON Schema of a Python type."""

import re
from collections import abc
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from pathlib import PurePath
from types import NoneType, UnionType
from typing import (
    Annotated,
    Any,
    Final,
    Literal,
    NewType,
    NotRequired,
    Required,
    TypeVar,
    Union,
    get_args,
    get_origin,
)
from uuid import UUID

import msgspec

from antiphon.sdk.json_types import pydantic_types
from antiphon.sdk.json_types.classes import (
    NO_DEFAULT,
    Field,
    description_of,
    fields_of,
    is_dataclass,
    is_enum,
    is_named_tuple,
    is_struct,
    is_typed_dict,
)
from antiphon.sdk.json_types.definitions import REF, Schema, name_of, resolved

_SCALARS: dict[Any, Schema] = {
    Any: {},
    None: {"type": "null"},
    NoneType: {"type": "null"},
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    bytes: {"type": "string", "contentEncoding": "base64"},
    datetime: {"type": "string", "format": "date-time"},
    date: {"type": "string", "format": "date"},
    time: {"type": "string", "format": "time"},
    timedelta: {"type": "string", "format": "duration"},
    UUID: {"type": "string", "format": "uuid"},
    Decimal: {"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$"},
}
_SETS = (set, frozenset, abc.Set, abc.MutableSet)
_LISTS = (list, *_SETS, abc.Sequence, abc.MutableSequence, abc.Collection)
_MAPS = (dict, abc.Mapping, abc.MutableMapping)
_BOUNDS = {
    "title": "title",
    "description": "description",
    "examples": "examples",
    "ge": "minimum",
    "gt": "exclusiveMinimum",
    "le": "maximum",
    "lt": "exclusiveMaximum",
    "multiple_of": "multipleOf",
    "pattern": "pattern",
}
_LENGTHS = {"string": "Length", "array": "Items", "object": "Properties"}


class UnsayableTypeError(TypeError):
    """A type has no JSON. The text says where it stands, and why."""


def schema_of(annotation: Any, where: str = "the type") -> Schema:
    """Return the schema of a type; `where` names it in errors. Raises `UnsayableTypeError`.

    Classes that are used several times, or within themselves, stand in `$defs`.
    """
    writer = SchemaWriter()
    return writer.whole(writer.schema(annotation, where))


class SchemaWriter:
    """Writes schemas that share one set of definitions."""

    def __init__(self) -> None:
        self._definitions: dict[str, Schema] = {}
        self._names: dict[Any, str] = {}

    def whole(self, schema: Schema) -> Schema:
        """Return a schema with the definitions that it needs."""
        return resolved(schema, self._definitions)

    def schema(self, annotation: Any, where: str, of: dict[Any, Any] | None = None) -> Schema:
        """Return the schema of a type. `of` has the arguments of a generic class."""
        of = of or {}
        if pydantic_types.is_of_pydantic(annotation):
            return self._of_pydantic(annotation, where)
        if isinstance(annotation, TypeVar):
            return self.schema(of.get(annotation, annotation.__bound__ or Any), where, of)
        if isinstance(annotation, NewType):
            return self.schema(annotation.__supertype__, where, of)
        if hasattr(annotation, "__value__"):
            return self.schema(annotation.__value__, where, of)
        origin = get_origin(annotation)
        if origin is None:
            return self._plain(annotation, where)
        return self._with_arguments(annotation, origin, where, of)

    def _plain(self, kind: Any, where: str) -> Schema:
        """Return the schema of a type without arguments."""
        if isinstance(kind, abc.Hashable) and kind in _SCALARS:
            return dict(_SCALARS[kind])
        if is_enum(kind):
            said = description_of(kind)
            return _described({"enum": [one.value for one in kind]}, said)
        if is_struct(kind) or is_dataclass(kind) or is_typed_dict(kind) or is_named_tuple(kind):
            return self._class(kind, where, {})
        if isinstance(kind, type) and issubclass(kind, PurePath):
            return {"type": "string"}
        if kind is tuple or kind in _LISTS:
            return {"type": "array"}
        if kind in _MAPS:
            return {"type": "object"}
        shown = kind if isinstance(kind, str) else getattr(kind, "__qualname__", repr(kind))
        raise UnsayableTypeError(f"{where}: {shown} cannot be written in a JSON schema")

    def _with_arguments(  # noqa: PLR0911 - one for each kind of type
        self, annotation: Any, origin: Any, where: str, of: dict[Any, Any]
    ) -> Schema:
        arguments = get_args(annotation)
        if origin is Annotated:
            return self._annotated(arguments, where, of)
        if origin in {Required, NotRequired, Final}:
            return self.schema(arguments[0], where, of)
        if origin is Literal:
            return _literal(arguments)
        if origin in {Union, UnionType}:
            return self._union(arguments, where, of)
        if origin is tuple:
            return self._tuple(arguments, where, of)
        if origin in _LISTS:
            items = self.schema(arguments[0], f"{where}[]", of)
            unique = {"uniqueItems": True} if origin in _SETS else {}
            return {"type": "array", **({"items": items} if items else {}), **unique}
        if origin in _MAPS:
            if not _is_text(arguments[0]):
                raise UnsayableTypeError(f"{where}: the keys of a JSON object are texts")
            values = self.schema(arguments[1], f"{where}{{}}", of)
            return {"type": "object", **({"additionalProperties": values} if values else {})}
        if parameters := getattr(origin, "__parameters__", ()):
            bound = tuple(of.get(one, one) for one in arguments)
            return self._class(origin, where, dict(zip(parameters, bound, strict=True)))
        return self._plain(annotation, where)

    def _annotated(self, arguments: tuple[Any, ...], where: str, of: dict[Any, Any]) -> Schema:
        schema = self.schema(arguments[0], where, of)
        for note in arguments[1:]:
            if isinstance(note, str):
                schema = _described(schema, note)
            elif isinstance(note, msgspec.Meta):
                schema = {**schema, **_bounds(note, schema)}
            elif isinstance(said := getattr(note, "documentation", None), str):
                schema = _described(schema, said)
        return schema

    def _union(self, arguments: tuple[Any, ...], where: str, of: dict[Any, Any]) -> Schema:
        branches: list[Schema] = []
        for one in arguments:
            if one is msgspec.UnsetType:
                continue
            branch = self.schema(one, where, of)
            if branch not in branches:
                branches.append(branch)
        return branches[0] if len(branches) == 1 else {"anyOf": branches}

    def _tuple(self, arguments: tuple[Any, ...], where: str, of: dict[Any, Any]) -> Schema:
        if len(arguments) == 2 and arguments[1] is Ellipsis:  # noqa: PLR2004 - tuple[T, ...]
            return {"type": "array", "items": self.schema(arguments[0], f"{where}[]", of)}
        items = [self.schema(one, f"{where}[{at}]", of) for at, one in enumerate(arguments)]
        return _fixed_array(items, len(items))

    def _class(self, kind: type[Any], where: str, of: dict[Any, Any]) -> Schema:
        """Return a reference to the definition of a class, which is written at its first use."""
        key = (kind, *of.values())
        if key not in self._names:
            try:
                fields = fields_of(kind)
            except NameError as error:
                raise UnsayableTypeError(
                    f"{where}: the types of {kind.__qualname__} cannot be resolved: {error}"
                ) from error
            name = self._names[key] = self._new_name(kind, of)
            self._definitions[name] = {}
            self._definitions[name] = self._body(kind, fields, of)
        return {"$ref": REF + self._names[key]}

    def _new_name(self, kind: type[Any], of: dict[Any, Any]) -> str:
        named = [getattr(one, "__name__", str(one)) for one in (kind, *of.values())]
        plain = re.sub(r"[^a-zA-Z0-9]+", "_", "_".join(named)).strip("_")
        name, count = plain, 1
        while name in self._definitions:
            count += 1
            name = f"{plain}_{count}"
        return name

    def _body(self, kind: type[Any], fields: list[Field], of: dict[Any, Any]) -> Schema:
        written = [self._field(kind, one, of) for one in fields]
        said = description_of(kind)
        needed = sum(one.required for one in fields)
        if is_named_tuple(kind):
            return _described(_fixed_array(written, needed), said)
        config = kind.__struct_config__ if is_struct(kind) else None
        tag = {} if config is None or config.tag is None else {config.tag_field: config.tag}
        if config is not None and config.array_like:
            tags = [{"const": one} for one in tag.values()]
            return _described(_fixed_array([*tags, *written], len(tags) + needed), said)
        body: Schema = {
            "type": "object",
            "properties": {
                **{name: {"type": "string", "const": one} for name, one in tag.items()},
                **{one.key: schema for one, schema in zip(fields, written, strict=True)},
            },
            "required": [*tag, *(one.key for one in fields if one.required)],
        }
        if config is not None and config.forbid_unknown_fields:
            body["additionalProperties"] = False
        return _described(body, said)

    def _field(self, kind: type[Any], field: Field, of: dict[Any, Any]) -> Schema:
        schema = self.schema(field.type, f"{kind.__qualname__}.{field.name}", of)
        if "description" not in schema:
            schema = _described(schema, field.description)
        return with_default(schema, field.default)

    def _of_pydantic(self, annotation: Any, where: str) -> Schema:
        """Return the schema that Pydantic writes, its definitions among the others."""
        if annotation in self._names:
            return {"$ref": REF + self._names[annotation]}
        try:
            written = pydantic_types.schema_of(annotation)
        except pydantic_types.UnsayableError as error:
            raise UnsayableTypeError(f"{where}: {error}") from error
        own = written.pop("$defs", {})
        if pydantic_types.is_model(annotation):
            name = name_of(written)
            if name is None:
                name = self._new_name(annotation, {})
                own[name] = written
            self._names[annotation] = name
            written = {"$ref": REF + name}
        for name, body in own.items():
            if self._definitions.setdefault(name, body) != body:
                raise UnsayableTypeError(f"{where}: two classes have the name {name}")
        return written


def with_default(schema: Schema, default: Any) -> Schema:
    """Return a schema that tells its default, if that is a value of JSON."""
    if default is NO_DEFAULT:
        return schema
    try:
        value = msgspec.to_builtins(default, enc_hook=pydantic_types.as_json)
    except (TypeError, ValueError):
        return schema
    return {**schema, "default": value}


def _described(schema: Schema, said: str) -> Schema:
    return {**schema, "description": said} if said else schema


def _literal(values: tuple[Any, ...]) -> Schema:
    if len(values) == 1 and isinstance(values[0], str):
        return {"type": "string", "const": values[0]}
    return {"enum": list(values)}


def _fixed_array(items: list[Schema], least: int) -> Schema:
    schema: Schema = {"type": "array", "minItems": least, "maxItems": len(items)}
    return {**schema, "prefixItems": items} if items else schema


def _bounds(note: msgspec.Meta, schema: Schema) -> Schema:
    said = {
        keyword: value
        for name, keyword in _BOUNDS.items()
        if (value := getattr(note, name)) is not None
    }
    suffix = _LENGTHS.get(schema.get("type", ""), "Length")
    for prefix, value in (("min", note.min_length), ("max", note.max_length)):
        if value is not None:
            said[prefix + suffix] = value
    return {**said, **(note.extra_json_schema or {})}


def _is_text(annotation: Any) -> bool:
    """Whether every value of a type is a text."""
    origin = get_origin(annotation)
    if origin is Annotated:
        return _is_text(get_args(annotation)[0])
    if origin is Literal:
        return all(isinstance(one, str) for one in get_args(annotation))
    if is_enum(annotation):
        return all(isinstance(one.value, str) for one in annotation)
    if isinstance(annotation, NewType):
        return _is_text(annotation.__supertype__)
    return annotation in {str, Any, UUID, date, datetime}
