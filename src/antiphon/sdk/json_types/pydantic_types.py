"""Types of Pydantic. It is used if a type of the caller is one, and never imported otherwise."""

import sys
from collections.abc import Callable
from typing import Annotated, Any, get_args, get_origin


def _pydantic() -> Any:
    return sys.modules.get("pydantic")


def is_model(kind: Any) -> bool:
    """Whether a class is one of Pydantic's: a model, or a dataclass of its own."""
    return isinstance(kind, type) and _pydantic() is not None and "__pydantic_fields__" in dir(kind)


def is_field(thing: Any) -> bool:
    """Whether something is what `pydantic.Field(…)` returns."""
    fields = sys.modules.get("pydantic.fields")
    return fields is not None and isinstance(thing, fields.FieldInfo)


def is_of_pydantic(annotation: Any) -> bool:
    """Whether a type is written with something of Pydantic, at any depth of its arguments.

    Fields of other classes do not count: those classes are read by what is theirs.
    """
    if _pydantic() is None:
        return False
    if is_model(annotation):
        return True
    if get_origin(annotation) is Annotated:
        kind, *notes = get_args(annotation)
        return is_of_pydantic(kind) or any(
            type(note).__module__.partition(".")[0] in {"pydantic", "annotated_types"}
            or hasattr(note, "__get_pydantic_core_schema__")
            for note in notes
        )
    return any(is_of_pydantic(one) for one in get_args(annotation))


def with_field(annotation: Any, field: Any) -> Any:
    """Return a type with what a `Field(…)` says of it."""
    return Annotated[annotation, field]


def default_of(field: Any) -> Callable[[], Any] | None:
    """Return what makes the default of a `Field(…)`; `None` if it has none."""
    if field.is_required():
        return None
    return lambda: field.get_default(call_default_factory=True)


def adapter(annotation: Any) -> Any:
    """Return Pydantic's own reader of a type."""
    return _pydantic().TypeAdapter(annotation)


def schema_of(annotation: Any) -> dict[str, Any]:
    """Return the schema that Pydantic writes, without the titles that repeat names.

    Raises `UnsayableError`.
    """
    try:
        schema: dict[str, Any] = adapter(annotation).json_schema(ref_template="#/$defs/{model}")
    except _pydantic().PydanticUserError as error:
        raise UnsayableError(str(error).partition("\n")[0]) from error
    _remove_titles(schema)
    return schema


def _remove_titles(schema: Any) -> None:
    if isinstance(schema, list):
        for one in schema:
            _remove_titles(one)
    if not isinstance(schema, dict):
        return
    if isinstance(schema.get("title"), str):
        del schema["title"]
    for keyword, value in schema.items():
        if keyword in {"properties", "$defs", "patternProperties"}:
            for one in value.values():
                _remove_titles(one)
        elif keyword not in {"default", "examples", "enum", "const"}:
            _remove_titles(value)


def validated(read: Callable[[Any], Any], value: Any) -> Any:
    """Return what Pydantic makes of a value. Raises `PydanticInvalidError`."""
    try:
        return read(value)
    except _pydantic().ValidationError as error:
        problems = tuple((tuple(one["loc"]), one["msg"]) for one in error.errors(include_url=False))
        raise PydanticInvalidError(problems) from error


class UnsayableError(TypeError):
    """Pydantic cannot write the schema of a type."""


class PydanticInvalidError(ValueError):
    """A value does not fit. `problems` has, for each, its place and what is wrong."""

    def __init__(self, problems: tuple[tuple[tuple[str | int, ...], str], ...]) -> None:
        super().__init__(problems)
        self.problems = problems


def as_json(value: Any) -> Any:
    """Return a model as JSON. Raises `TypeError` for anything that is none."""
    if is_model(type(value)):
        return adapter(type(value)).dump_python(value, mode="json")
    raise TypeError(f"{type(value).__name__} is no value of JSON")
