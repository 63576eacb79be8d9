"""Compares answers with the types that the official SDK publishes.

The SDK builds its objects without validation. Here each answer is validated strictly, and must
have every key that the SDK knows, except those that the API leaves out.
"""

import json
from collections.abc import Iterator, Mapping
from typing import Annotated, Any, Literal, TypeAlias, Union, get_args, get_origin

from pydantic import BaseModel, ValidationError

Model: TypeAlias = type[BaseModel]


class Published:
    """Compares answers with the SDK's types.

    `absent` are keys, as `Class.key`, that answers may leave out; `beyond` are keys that answers
    have and the SDK does not know.
    """

    def __init__(self, absent: frozenset[str], beyond: frozenset[str] = frozenset()) -> None:
        self._absent = absent
        self._beyond = beyond

    def complaints(self, model: Model, text: str | bytes) -> list[str]:
        """Return the differences between an answer and the type that the SDK publishes for it."""
        try:
            model.model_validate_json(text, strict=True)
        except ValidationError as error:
            return [f"{'.'.join(map(str, one['loc']))}: {one['msg']}" for one in error.errors()]
        return list(self._keys(model, json.loads(text), ""))

    def _keys(self, kind: Any, value: Any, path: str) -> Iterator[str]:
        """Yield missing and additional keys, at any depth."""
        for option in _options(kind):
            if isinstance(option, type) and issubclass(option, BaseModel):
                if isinstance(value, dict) and _is(option, value):
                    yield from self._fields(option, value, path)
                    return
            elif get_origin(option) is list and isinstance(value, list):
                (inner,) = get_args(option)
                for index, item in enumerate(value):
                    yield from self._keys(inner, item, f"{path}.{index}")
                return

    def _fields(self, model: Model, value: Mapping[str, Any], path: str) -> Iterator[str]:
        known = {field.alias or name: field for name, field in model.model_fields.items()}
        for name, field in known.items():
            where = f"{path}.{name}"
            if name in value:
                yield from self._keys(field.annotation, value[name], where)
            elif f"{model.__name__}.{name}" not in self._absent:
                yield f"{where} is missing ({model.__name__})"
        for name in value.keys() - known.keys():
            if f"{model.__name__}.{name}" not in self._beyond:
                yield f"{path}.{name} is not published ({model.__name__})"


def _options(kind: Any) -> Iterator[Any]:
    """Yield the types of a union, without annotations."""
    if get_origin(kind) is Annotated:
        yield from _options(get_args(kind)[0])
    elif get_origin(kind) is Union:
        for option in get_args(kind):
            yield from _options(option)
    else:
        yield kind


def _is(model: Model, value: Mapping[str, Any]) -> bool:
    """Whether a value has the tag of the model; a model without a tag fits every value."""
    field = model.model_fields.get("type")
    if field is None or get_origin(field.annotation) is not Literal:
        return True
    return value.get("type") in get_args(field.annotation)
