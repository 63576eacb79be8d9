"""The type of an output: what is asked of the server, and how an answer becomes a value."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Generic, TypeVar

import msgspec

from antiphon.sdk.json_types.guaranteed import transform_schema
from antiphon.sdk.json_types.values import InvalidValueError, JsonType, Problem
from antiphon.sdk.output.parsed import OutputError, ParsedMessage
from antiphon.sdk.types.base import CAME
from antiphon.sdk.types.message import Message

T = TypeVar("T")

REQUEST_ID = "_request_id"
OUTPUT = "_output"
# With these an answer is whole; with any other one, its JSON is not, or there is none.
_WHOLE = frozenset({"end_turn", "stop_sequence", None})


class OutputFormat(Generic[T]):
    """The type that an answer shall have. Raises `TypeError` for one that cannot be guaranteed."""

    def __init__(self, kind: Any) -> None:
        own: JsonType[T] | None = (
            None if isinstance(kind, Mapping) else JsonType(kind, "the output")
        )
        self.schema = transform_schema(kind if own is None else own.schema)
        self._decode: Callable[[str], Any] = _json if own is None else own.decode

    def ask(self, parameters: Mapping[str, Any]) -> dict[str, Any]:
        """Return parameters of a request that ask for the type. Raises `ValueError`."""
        asked: Any = parameters.get("output_config") or {}
        config = dict(asked) if isinstance(asked, Mapping) else msgspec.to_builtins(asked)
        if config.get("format") is not None:
            raise ValueError("give either output_format or output_config.format")
        config["format"] = {"type": "json_schema", "schema": self.schema}
        return {**parameters, "output_config": config}

    def parse(self, message: Message) -> ParsedMessage[T]:
        """Return an answer with its value; none if it was refused or cut, or calls tools.

        Raises `OutputError` if the whole answer does not fit the type.
        """
        fields = {name: getattr(message, name) for name in Message.__struct_fields__}
        parsed: ParsedMessage[T] = ParsedMessage(**fields)
        for name in (CAME, REQUEST_ID):
            if name in message.__dict__:
                parsed.__dict__[name] = message.__dict__[name]
        if message.stop_reason in _WHOLE:
            try:
                parsed.__dict__[OUTPUT] = self._decode(message.text)
            except InvalidValueError as error:
                raise OutputError(
                    f"the answer does not fit the type of the output: {error}",
                    message=message,
                    problems=error.problems,
                ) from error
        return parsed


def _json(text: str) -> Any:
    try:
        return msgspec.json.decode(text)
    except msgspec.DecodeError as error:
        raise InvalidValueError((Problem("", f"it is not JSON: {error}"),)) from error


@lru_cache(maxsize=64)
def _kept(kind: Any) -> OutputFormat[Any]:
    return OutputFormat(kind)


def output_format(kind: Any) -> OutputFormat[Any]:
    """Return the format of a type; it is kept, since to read a type takes longer than an answer."""
    try:
        hash(kind)
    except TypeError:
        return OutputFormat(kind)
    return _kept(kind)
