"""The environment of one template: the sandbox of Jinja, in which a budget is taken."""

import threading
from collections.abc import Callable, Iterable, Iterator
from types import BuiltinMethodType, MethodType
from typing import Any, Final

import jinja2
from jinja2.runtime import BlockReference, Context, LoopContext, Macro
from jinja2.sandbox import SandboxedEnvironment
from jinja2.utils import Namespace

from antiphon.engines.token.prompt.bounded_code import CHARS_OF_STEP, MOST_TERMS, BoundedCode
from antiphon.engines.token.prompt.bounded_methods import (
    OBJECT_METHODS,
    TEXT_METHODS,
    bounded_filters,
    check_braces,
    check_method,
    check_percent,
)
from antiphon.engines.token.prompt.budget import SCALARS, Budget

MOST_BITS: Final = 4096
"""Of a whole number: about as many digits as Python writes of one."""

_COMPARING_TESTS: Final = (
    "!=", "<", "<=", "==", ">", ">=", "eq", "equalto", "ge", "greaterthan", "gt", "in", "le",
    "lessthan", "lt", "ne",
)  # fmt: skip
_DICT_ATTRIBUTES: Final = frozenset(dir(dict))
_OPEN_KINDS: Final = frozenset({Namespace, LoopContext})
"""Types whose attributes are for templates, but for those that begin with a line."""


class BoundedContext(Context):
    """The variables of one rendering, and its budget."""

    budget: Budget

    def derived(self, locals: dict[str, Any] | None = None) -> Context:  # noqa: A002 - as in Jinja
        made = super().derived(locals)
        made.budget = self.budget  # type: ignore[attr-defined]
        return made


class BoundedEnvironment(SandboxedEnvironment):
    """The sandbox for one template, whose renderings take steps of a budget.

    `running` has the `budget` of the rendering in this thread. `weight` are the steps of calling
    the longest macro of the template.
    """

    code_generator_class = BoundedCode
    context_class = BoundedContext
    scalars = SCALARS
    intercepted_binops = frozenset({"*", "**", "%"})

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.weight = 1
        self.running = threading.local()
        self.filters = bounded_filters(self._budget)
        self.tests.update({name: self._comparing(self.tests[name]) for name in _COMPARING_TESTS})
        del self.globals["lipsum"]

    def _budget(self) -> Budget:
        budget: Budget = self.running.budget
        return budget

    def getattr(self, obj: Any, attribute: str) -> Any:
        """Return an attribute of a value, or an item of that name; as Jinja does, but sooner.

        Most values have items, and Jinja asks for an attribute and catches its error first.
        """
        kind = type(obj)
        if kind is dict:
            if attribute in OBJECT_METHODS:
                return getattr(obj, attribute)
            if attribute not in _DICT_ATTRIBUTES:
                given = attribute in obj
                return obj[attribute] if given else self.undefined(obj=obj, name=attribute)
        elif isinstance(obj, str) and attribute in TEXT_METHODS:
            return getattr(obj, attribute)
        if kind in _OPEN_KINDS and not attribute.startswith("_"):
            try:
                return getattr(obj, attribute)
            except AttributeError:
                return self.undefined(obj=obj, name=attribute)
        return super().getattr(obj, attribute)

    def turns(self, items: Iterable[Any], weight: int) -> Iterator[Any]:
        """Yield the items of a loop with a body of this weight."""
        return self._budget().counted(items, weight)

    def added(self, first: Any, *others: Any) -> Any:
        """Return the sum of values, from left to right."""
        total = first
        for other in others:
            total = total + other
            if isinstance(total, str | list | tuple):
                self.running.budget.take_chars(len(total))
        return total

    def long(self, text: str) -> str:
        """Return a long sum of texts."""
        self.running.budget.take_chars(len(text))
        return text

    def joined(self, *values: Any) -> str:
        """Return values as one text."""
        return self.concat([self.shown(value) for value in values])

    def concat(self, pieces: Iterable[str]) -> str:
        """Return pieces as one text."""
        if not isinstance(pieces, list):
            pieces = list(pieces)
        if len(pieces) > MOST_TERMS:
            self.running.budget.take_chars(sum(map(len, pieces)))
            return "".join(pieces)
        text = "".join(pieces)
        if len(text) > CHARS_OF_STEP:
            self.running.budget.take_chars(len(text))
        return text

    def sliced(self, value: Any, start: Any, stop: Any, step: Any) -> Any:
        """Return a slice of a value."""
        part = value[start:stop:step]
        self.running.budget.take_chars(len(part))
        return part

    def shown(self, value: Any) -> str:
        """Return a value as it is written."""
        if type(value) is str:
            return value
        return str(self.flat(value))

    def flat(self, value: Any) -> Any:
        """Return a value that is about to be written, compared or hashed."""
        if type(value) not in SCALARS and not isinstance(value, str):
            self.running.budget.weigh(value)
        return value

    def check_target(self, target: Any) -> None:
        """Check that a template may assign to an attribute of `target`."""
        if isinstance(target, dict):
            self.running.budget.trees = frozenset()
        elif not isinstance(target, Namespace):
            raise jinja2.TemplateRuntimeError(
                f"cannot assign to an attribute of a {type(target).__name__}"
            )

    def call(self, context: Context, called: Any, *args: Any, **named: Any) -> Any:
        """Call a macro, a method or a function, which takes steps."""
        budget: Budget = context.budget  # type: ignore[attr-defined]
        kind = type(called)
        if kind is Macro:
            budget.take(self.weight)
            named.pop("_loop_vars", None)
            named.pop("_block_vars", None)
            return called(context.eval_ctx, *args, **named)
        if kind is BuiltinMethodType or kind is MethodType:
            if not isinstance(called.__self__, LoopContext):
                named.pop("_loop_vars", None)
                named.pop("_block_vars", None)
                check_method(budget, called.__self__, called.__name__, args, named)
                result = called(*args, **named)
                if isinstance(result, str | list):
                    budget.take_chars(len(result))
                return result
            for arg in args:
                self.flat(arg)
        elif kind is BlockReference:
            budget.take(self.weight)
        elif kind is LoopContext:
            budget.take(self.weight)
            args = (self.turns(args[0], 1), *args[1:])
        else:
            budget.take()
            for arg in args:
                self.flat(arg)
        return super().call(context, called, *args, **named)

    def call_binop(self, context: Context, operator: str, left: Any, right: Any) -> Any:
        budget: Budget = context.budget  # type: ignore[attr-defined]
        if operator == "%":
            if isinstance(left, str):
                check_percent(budget, left, right)
        elif isinstance(left, int) and isinstance(right, int):
            bits = left.bit_length()
            bits = bits * right if operator == "**" else bits + right.bit_length()
            if bits > MOST_BITS:
                raise jinja2.TemplateRuntimeError("a number is too large")
        elif operator == "*":
            _take_product(budget, left, right)
        result = super().call_binop(context, operator, left, right)
        if isinstance(result, str):
            budget.take_chars(len(result))
        return result

    def wrap_str_format(self, value: Any) -> Callable[..., str] | None:
        if not isinstance(value, BuiltinMethodType | MethodType):
            return None
        wrapped = super().wrap_str_format(value)
        if wrapped is None:
            return None
        form, written = str(value.__self__), wrapped

        def formatted(*args: Any, **named: Any) -> str:
            budget = self._budget()
            check_braces(budget, form, args, named)
            text = written(*args, **named)
            budget.take_chars(len(text))
            return text

        return formatted

    def _comparing(self, test: Any) -> Any:
        def compared(value: Any, *others: Any) -> Any:
            for other in others:
                if isinstance(other, str):
                    self.running.budget.take_chars(len(other))
                else:
                    self.flat(other)
            return test(self.flat(value), *others)

        return compared


def _take_product(budget: Budget, left: Any, right: Any) -> None:
    for value, times in ((left, right), (right, left)):
        if isinstance(value, str | list | tuple) and isinstance(times, int) and times > 0:
            budget.take_chars(len(value) * times)
