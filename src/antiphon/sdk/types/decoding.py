"""Decodes answers: quickly if all is known, and else as much as is.

The quick way is one call of msgspec. It refuses types that it does not know and values of another
type; then the answer is read again, step by step: an unknown type becomes an `Unknown`, and a value
of another type stays as it came, but for the fields that this SDK works with (`relied`). So the
answers of a newer server are read as well.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from types import UnionType
from typing import Any, TypeVar, Union, get_args, get_origin, get_type_hints

import msgspec

from antiphon.sdk.call import Answer
from antiphon.sdk.types.base import CAME, Answered, Origin, Part, Source, Unknown

A = TypeVar("A", bound=Answered)


@lru_cache(maxsize=64)
def answered(kind: type[A]) -> Callable[[Answer], A]:
    """Return what decodes an answer of this struct, with the id of its request."""
    decoder = decoder_of(kind)

    def decode(answer: Answer) -> A:
        try:
            made: A = decoder.decode(answer.body)
        except msgspec.ValidationError:
            made = decode_answer(kind, answer.body)
        else:
            attach(made, Source(answer.body))
        made.__dict__["_request_id"] = answer.request_id
        return made

    return decode


@lru_cache(maxsize=64)
def decoder_of(kind: Any) -> msgspec.json.Decoder[Any]:
    """Return the decoder of a type: to make one takes longer than to decode."""
    return msgspec.json.Decoder(kind)


def decode_answer(kind: type[A], raw: bytes) -> A:
    """Decode a struct. Raises `msgspec.DecodeError` if required fields are missing."""
    if issubclass(kind, Unknown):
        return kind(data=msgspec.json.decode(raw))
    try:
        made: A = decoder_of(kind).decode(raw)
    except msgspec.ValidationError:
        value = msgspec.json.decode(raw)
        if not isinstance(value, dict):
            raise
        return convert_struct(kind, value)
    attach(made, Source(raw))
    return made


def attach(struct: Answered, origin: Origin) -> None:
    """Note in a struct, and in those that it holds, where they came from."""
    struct.__dict__[CAME] = origin
    for name in struct.nested:
        value = getattr(struct, name)
        if value is None:
            continue
        if type(value) is list:
            for index, item in enumerate(value):
                if isinstance(item, Answered):
                    attach(item, Part(origin, name, index))
        elif isinstance(value, Answered) and value is not _defaults_of(type(struct)).get(name):
            attach(value, Part(origin, name))


@lru_cache(maxsize=128)
def _defaults_of(kind: type[Answered]) -> dict[str, Answered]:
    """Return the structs in place of fields that did not come: the same one in all answers."""
    fields = msgspec.structs.fields(kind)
    return {one.name: one.default for one in fields if isinstance(one.default, Answered)}


def convert_struct(kind: type[A], value: dict[str, Any]) -> A:
    """Make a struct of JSON, as much of it as fits.

    Raises `msgspec.ValidationError` if a required field is missing, or does not hold what this SDK
    works with. A null there is as if the field were missing.
    """
    try:
        whole = msgspec.convert(value, kind)
    except msgspec.ValidationError:
        pass
    else:
        attach(whole, value)
        return whole
    hints = _hints(kind)
    fields = {}
    for name in kind.__struct_fields__:
        if name not in value:
            continue
        item = _convert(hints[name], value[name])
        if name in kind.relied and not _fits(hints[name], item):
            if item is None:
                continue
            raise msgspec.ValidationError(f"the value of `{name}` is of another type")
        fields[name] = item
    try:
        made = kind(**fields)
    except TypeError as error:
        raise msgspec.ValidationError(str(error)) from None
    made.__dict__[CAME] = value
    return made


def convert_member(union: Any, value: Any) -> Any:
    """Make the member of a union that the `type` of a value names, or its `Unknown`."""
    members = [member for member in get_args(union) if _is_struct(member)]
    if isinstance(value, dict):
        for member in members:
            config = member.__struct_config__
            if config.tag_field is None or config.tag == value.get(config.tag_field):
                try:
                    return convert_struct(member, value)
                except msgspec.ValidationError:
                    break
        for member in members:
            if issubclass(member, Unknown):
                return member(data=value)
    for member in get_args(union):
        if isinstance(value, list) and get_origin(member) is list:
            return _convert(member, value)
    return value


@lru_cache(maxsize=128)
def _hints(kind: type[Answered]) -> dict[str, Any]:
    return get_type_hints(kind)


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, Answered)


def _fits(kind: Any, item: Any) -> bool:
    """Return whether a converted value is of its type, as far as structs and lists of them go."""
    if isinstance(item, Answered):
        return True
    members = [kind, *get_args(kind)]
    if isinstance(item, list) and any(get_origin(member) is list for member in members):
        return all(isinstance(one, Answered) for one in item)
    if item is None or not any(_is_struct(member) for member in members):
        try:
            msgspec.convert(item, kind)
        except msgspec.ValidationError:
            return False
        return True
    return False


def _convert(kind: Any, value: Any) -> Any:
    if _is_struct(kind):
        return convert_struct(kind, value) if isinstance(value, dict) else value
    origin = get_origin(kind)
    if origin in {Union, UnionType} and any(
        _is_struct(member) or get_origin(member) is list for member in get_args(kind)
    ):
        return convert_member(kind, value)
    if origin is list and isinstance(value, list):
        (item_kind,) = get_args(kind)
        return [_convert(item_kind, item) for item in value]
    try:
        return msgspec.convert(value, kind)
    except msgspec.ValidationError:
        return value
