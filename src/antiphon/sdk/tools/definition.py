"""A tool: a function that a model may call, and what the model is told of it."""

from __future__ import annotations

import copy
import inspect
import re
import sys
from collections.abc import Callable, Mapping, Sequence
from functools import update_wrapper
from typing import Any, Generic, ParamSpec, Protocol, TypedDict, TypeVar, Unpack, overload

from antiphon.sdk.json_types.docstrings import read_docstring
from antiphon.sdk.json_types.guaranteed import transform_schema
from antiphon.sdk.json_types.schemas import schema_of
from antiphon.sdk.json_types.values import InvalidValueError
from antiphon.sdk.tools.signature import Signature

P = ParamSpec("P")
R = TypeVar("R")

_NAME = re.compile(r"[a-zA-Z0-9_-]{1,128}")


class ToolOptions(TypedDict, total=False):
    """What is told of a tool besides its parameters.

    `name` and `description` replace those of the function. `input_schema` replaces the schema of
    its parameters (a schema, or a type that has one): then the input is not checked, and each
    property is an argument. `strict` asks the server to guarantee that inputs fit. The others are
    sent as they are.
    """

    name: str
    description: str
    input_schema: Any
    strict: bool
    cache_control: Mapping[str, Any]
    input_examples: Sequence[Mapping[str, Any]]
    defer_loading: bool
    eager_input_streaming: bool
    allowed_callers: Sequence[str]


class Runnable(Protocol):
    """Anything that a tool runner can run: a `Tool`, or a class with these methods."""

    @property
    def name(self) -> str: ...
    @property
    def is_async(self) -> bool: ...
    def to_dict(self) -> dict[str, Any]:
        """Return the definition, as a request has it."""
        ...

    def call(self, given: Mapping[str, Any]) -> Any:
        """Run it with an input; an async one returns an awaitable. Raises `InvalidValueError`."""
        ...


class Tool(Generic[P, R]):
    """A function that a model may call. It can still be called as the function that it is.

    In a class it is a method, and the tool is that of an instance: `tools=[account.balance]`.
    """

    def __init__(
        self,
        function: Callable[P, R],
        *,
        names: Mapping[str, Any] | None = None,
        **options: Unpack[ToolOptions],
    ) -> None:
        self.func = function
        self._options = options
        self.name: str = options.get("name") or str(getattr(function, "__name__", ""))
        if not _NAME.fullmatch(self.name):
            raise ValueError(
                f"{self.name!r} is no name of a tool: 1 to 128 letters, digits, `_` and `-`; give "
                "one by `name`"
            )
        where = f"tool {self.name!r}"
        said = read_docstring(inspect.getdoc(function) if hasattr(function, "__name__") else None)
        self.description: str = options.get("description", said.description)
        self._signature: Signature | None = None
        if (own := options.get("input_schema")) is not None:
            self.input_schema = dict(own) if isinstance(own, Mapping) else schema_of(own, where)
        else:
            self._signature = Signature(
                function, where=where, told=said.parameters, names=names or {}
            )
            self.input_schema = self._signature.schema
        if options.get("strict"):
            self.input_schema = transform_schema(self.input_schema, where)
        self._check_examples(where)
        update_wrapper(self, function, updated=())

    def _check_examples(self, where: str) -> None:
        for at, example in enumerate(self._options.get("input_examples", ())):
            try:
                if self._signature is not None:
                    self._signature.bind(example)
            except InvalidValueError as error:
                raise ValueError(f"{where}, input_examples[{at}]: {error}") from error

    @property
    def is_async(self) -> bool:
        called = getattr(type(self.func), "__call__", None)  # noqa: B004 - of an object, its class's
        return inspect.iscoroutinefunction(self.func) or inspect.iscoroutinefunction(called)

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        return self.func(*args, **kwargs)

    def call(self, given: Mapping[str, Any]) -> R:
        """Call the function with an input of a model. Raises `InvalidValueError`."""
        function: Callable[..., R] = self.func
        if self._signature is None:
            return function(**given)
        bound = self._signature.bind(given)
        return function(*bound.args, **bound.kwargs)

    def to_dict(self) -> dict[str, Any]:
        """Return the definition, as a request has it."""
        definition: dict[str, Any] = {"name": self.name, "input_schema": self.input_schema}
        if self.description:
            definition["description"] = self.description
        own = {"name", "description", "input_schema"}
        return definition | {
            name: value
            for name, value in self._options.items()
            if name not in own and value is not None
        }

    def __get__(self, instance: object, owner: type[Any] | None = None) -> Tool[..., R]:
        if instance is None or self._signature is None or not self._signature.is_method:
            return self
        bound = copy.copy(self)
        bound.func = self.func.__get__(instance, owner)
        return bound

    def __repr__(self) -> str:
        return f"Tool({self.name!r})"


@overload
def tool(function: Callable[P, R], /, **options: Unpack[ToolOptions]) -> Tool[P, R]: ...
@overload
def tool(
    function: None = None, /, **options: Unpack[ToolOptions]
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...
def tool(
    function: Callable[P, R] | None = None, /, **options: Unpack[ToolOptions]
) -> Tool[P, R] | Callable[[Callable[P, R]], Tool[P, R]]:
    """Make a function a tool, alone or with options: `@tool`, `@tool(strict=True)`.

    The schema of its input is read from the types of its parameters, what they mean from its
    docstring, or from `Annotated[str, "what it means"]`. Raises `TypeError` for a parameter that a
    JSON schema cannot describe, and `ValueError` for a wrong name or example.
    """
    if unknown := set(options) - ToolOptions.__annotations__.keys():
        raise TypeError(f"a tool has no option {', '.join(sorted(unknown))}")
    # Types that a function defines are only known where it is defined.
    names = dict(sys._getframe(1).f_locals)  # noqa: SLF001
    if function is not None:
        return Tool(function, names=names, **options)
    return lambda function: Tool(function, names=names, **options)


# The names of the official SDK, for programs that were moved here.
beta_tool = beta_async_tool = tool
