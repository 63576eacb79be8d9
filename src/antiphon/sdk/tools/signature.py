"""Reads the parameters of a function: their schema, and how an input becomes a call of it."""

import functools
import inspect
from collections.abc import Callable, Mapping
from typing import Any, get_type_hints

import msgspec

from antiphon.sdk.json_types import pydantic_types
from antiphon.sdk.json_types.definitions import Schema
from antiphon.sdk.json_types.schemas import SchemaWriter, UnsayableTypeError, with_default
from antiphon.sdk.json_types.values import InvalidValueError, JsonType, Problem

_NO_INPUT = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)


class _Parameter(msgspec.Struct, frozen=True):
    """A parameter. `make_default` makes a default that the function's own does not have."""

    name: str
    type: JsonType[Any]
    required: bool
    schema: Schema
    make_default: Callable[[], Any] | None = None


class Signature:
    """The parameters of a function, as a model sees them.

    `told` has the descriptions of its docstring, `names` what its annotations may refer to besides
    its own module. Raises `UnsayableTypeError` for a parameter that has no JSON.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        where: str,
        told: Mapping[str, str],
        names: Mapping[str, Any],
    ) -> None:
        self._signature = inspect.signature(function)
        parameters = list(self._signature.parameters.values())
        self.is_method = _is_method(function, parameters)
        if self.is_method:
            parameters = parameters[1:]
            self._signature = self._signature.replace(parameters=parameters)
        hints = _hints(function, where, names)
        writer = SchemaWriter()
        self._parameters = {
            one.name: _parameter(one, hints, f"{where}, parameter {one.name!r}", told, writer)
            for one in parameters
        }
        self.schema = writer.whole(
            {
                "type": "object",
                "properties": {one.name: one.schema for one in self._parameters.values()},
                "required": [one.name for one in self._parameters.values() if one.required],
                "additionalProperties": False,
            }
        )

    def bind(self, given: Mapping[str, Any]) -> inspect.BoundArguments:
        """Return the arguments of a call with this input.

        Raises `InvalidValueError` with all that is wrong.
        """
        arguments: dict[str, Any] = {}
        problems: list[Problem] = []
        for name, one in self._parameters.items():
            if name in given:
                try:
                    arguments[name] = one.type.convert(given[name])
                except InvalidValueError as error:
                    problems.extend(_below(name, problem) for problem in error.problems)
            elif one.required:
                problems.append(Problem(name, "it is required"))
            elif one.make_default is not None:
                arguments[name] = one.make_default()
        known = ", ".join(self._parameters) or "none"
        problems.extend(
            Problem(name, f"there is no such parameter; there are: {known}")
            for name in given
            if name not in self._parameters
        )
        if problems:
            raise InvalidValueError(tuple(problems))
        bound = inspect.BoundArguments(self._signature, arguments)
        # One that is positional only needs those before it.
        bound.apply_defaults()
        return bound


def _is_method(function: Callable[..., Any], parameters: list[inspect.Parameter]) -> bool:
    """Whether a function stands in a class, and waits for its instance."""
    if not parameters or parameters[0].name != "self" or not inspect.isfunction(function):
        return False
    outside = function.__qualname__.rpartition(".")[0]
    return bool(outside) and not outside.endswith("<locals>")


def _hints(function: Any, where: str, names: Mapping[str, Any]) -> dict[str, Any]:
    while isinstance(function, functools.partial):
        function = function.func
    if not inspect.isroutine(function):
        function = type(function).__call__
    function = inspect.unwrap(function)
    try:
        return get_type_hints(function, localns=dict(names), include_extras=True)
    except NameError as error:
        raise UnsayableTypeError(f"{where}: its types cannot be resolved: {error}") from error


def _parameter(
    one: inspect.Parameter,
    hints: Mapping[str, Any],
    where: str,
    told: Mapping[str, str],
    writer: SchemaWriter,
) -> _Parameter:
    if one.kind in _NO_INPUT:
        raise UnsayableTypeError(f"{where}: a model names each value, so it cannot be `*` or `**`")
    if one.name not in hints:
        raise UnsayableTypeError(f"{where}: it has no type; write one, as in `{one.name}: str`")
    annotation = hints[one.name]
    default = one.default
    make_default = None
    required = default is inspect.Parameter.empty
    if pydantic_types.is_field(default):
        annotation = pydantic_types.with_field(annotation, default)
        make_default = pydantic_types.default_of(default)
        required = make_default is None
    kind: JsonType[Any] = JsonType(annotation, where, writer)
    if default is None and not _allows_none(kind):
        # `x: str = None` means that there may be none.
        kind = JsonType(annotation | None, where, writer)
    schema = kind.schema
    if "description" not in schema and one.name in told:
        schema = {**schema, "description": told[one.name]}
    if not required and make_default is None:
        schema = with_default(schema, default)
    return _Parameter(one.name, kind, required, schema, make_default)


def _allows_none(kind: JsonType[Any]) -> bool:
    try:
        kind.convert(None)
    except InvalidValueError:
        return False
    return True


def _below(name: str, problem: Problem) -> Problem:
    step = problem.path if problem.path[:1] in {"", "["} else f".{problem.path}"
    return Problem(name + step, problem.message)
