"""The filters and methods that a template may use, each with what it takes of the budget before."""

import re
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from functools import wraps
from typing import Any, Final, TypeAlias

from jinja2.exceptions import SecurityError, TemplateRuntimeError
from jinja2.filters import FILTERS

from antiphon.engines.token.prompt.budget import SCALARS, Budget

Check: TypeAlias = Callable[[Budget, Any, Sequence[Any], Mapping[str, Any]], None]
"""Takes what a call needs beyond its value and its result."""

MOST_WIDTH: Final = 10_000
"""The largest number that a template gives a filter or a method: a width, a count or an indent."""

SHORT: Final = 256
"""Characters of a text that takes no steps of its own: those of the loop around it are enough."""
MOST_DIGITS: Final = 100
"""Behind the point, of a number that a template rounds."""

_WIDE: Final = re.compile(r"[0-9]{5}|\*")
_PERCENT: Final = re.compile(r"%[^%a-zA-Z]*")
_BRACES: Final = re.compile(r":[^{}]*(\{|[0-9]{5})")


def check_percent(budget: Budget, form: str, given: Any) -> None:
    """Check what `form % given` needs."""
    if any(map(_WIDE.search, _PERCENT.findall(form))):
        raise TemplateRuntimeError("a width is too large")
    # A value that has a name may be there for every sign.
    budget.take_chars(form.count("%") * _text_size(budget, given))


def check_braces(budget: Budget, form: str, args: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Check what `form.format(…)` needs."""
    if _BRACES.search(form):
        raise TemplateRuntimeError("a width is too large")
    longest = max((_text_size(budget, one) for one in (*args, *named.values())), default=0)
    budget.take_chars(form.count("{") * longest)


def _replacement(budget: Budget, text: Any, args: Sequence[Any], named: Mapping[str, Any]) -> None:
    old, new, *_ = (*args, *named.values(), "", "")
    if isinstance(text, str) and isinstance(old, str) and isinstance(new, str):
        budget.take_chars((text.count(old) if old else len(text) + 1) * len(new))


def _joining(budget: Budget, glue: Any, args: Sequence[Any], named: Mapping[str, Any]) -> None:
    del named
    parts = args[0] if args else ()
    if isinstance(parts, Collection):
        budget.take_chars(len(parts) * len(glue))
        budget.take_chars(sum(len(part) for part in parts if isinstance(part, str)))
        budget.take(len(parts) // 4)
    else:
        raise TemplateRuntimeError("a text joins a list")


def _nothing(budget: Budget, value: Any, args: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Take nothing: the result is no larger than the value."""


def _width(budget: Budget, value: Any, args: Sequence[Any], named: Mapping[str, Any]) -> None:
    del budget, value
    _check_widths((*args, *named.values()))


def _check_widths(given: Iterable[Any]) -> None:
    if any(isinstance(one, int) and one > MOST_WIDTH for one in given):
        raise TemplateRuntimeError("a width is too large")


def _parts(budget: Budget, value: Any, args: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Take the parts of what is compared or looked for."""
    del value
    for one in args:
        if type(one) not in SCALARS:
            budget.weigh(one)
    for one in named.values():
        budget.weigh(one)


def _kept(budget: Budget, value: Any, args: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Take the items that a list or an object gets more; it may now be in itself many times."""
    del value
    for one in (*args, *named.values()):
        if isinstance(one, Collection) and not isinstance(one, str):
            budget.trees = frozenset()
            budget.take_chars(len(one))
    budget.take(len(named))


TEXT_METHODS: Final[Mapping[str, Check]] = {
    **dict.fromkeys(
        ("capitalize", "casefold", "count", "endswith", "find", "index", "isalnum", "isalpha",
         "isascii", "isdecimal", "isdigit", "isidentifier", "islower", "isnumeric", "isprintable",
         "isspace", "istitle", "isupper", "lower", "lstrip", "partition", "removeprefix",
         "removesuffix", "rfind", "rindex", "rpartition", "rsplit", "rstrip", "split",
         "splitlines", "startswith", "strip", "swapcase", "title", "upper"),
        _nothing,
    ),
    **dict.fromkeys(("center", "ljust", "rjust", "zfill"), _width),
    "replace": _replacement,
    "join": _joining,
}  # fmt: skip
_LIST_METHODS: Final[Mapping[str, Check]] = {
    **dict.fromkeys(("append", "extend", "insert"), _kept),
    **dict.fromkeys(("count", "index", "pop", "remove"), _parts),
    **dict.fromkeys(("clear", "copy", "reverse"), _nothing),
}
OBJECT_METHODS: Final[Mapping[str, Check]] = {
    **dict.fromkeys(("setdefault", "update"), _kept),
    **dict.fromkeys(("get", "pop"), _parts),
    **dict.fromkeys(("clear", "copy", "items", "keys", "popitem", "values"), _nothing),
}


def check_method(
    budget: Budget, owner: Any, name: str, args: Sequence[Any], named: Mapping[str, Any]
) -> None:
    """Take what a method of a value needs. Raises `SecurityError` for one that is not allowed."""
    methods: Mapping[str, Check] = {}
    if isinstance(owner, dict):
        methods = OBJECT_METHODS
    elif isinstance(owner, str):
        methods = TEXT_METHODS
        budget.take_chars(len(owner))
    elif isinstance(owner, list | tuple):
        methods = _LIST_METHODS
        budget.take_chars(len(owner))
    check = methods.get(name)
    if check is None:
        raise SecurityError(f"{name}() of a {type(owner).__name__} is not for templates")
    budget.take()
    if check is not _nothing:
        check(budget, owner, args, named)


def _text_size(budget: Budget, value: Any) -> int:
    """Return about how many characters a value has as a text, and take its parts."""
    if type(value) in SCALARS:
        return len(value) if isinstance(value, str) else 24
    before = budget.taken
    budget.weigh(value)
    return 64 * (budget.taken - before)


def _lines(budget: Budget, value: Any, args: Sequence[Any], named: Mapping[str, Any]) -> None:
    """Take what an indent adds to each line."""
    width = named.get("width", args[0] if args else 4)
    _check_widths((width,))
    size = len(width) if isinstance(width, str) else int(width)
    budget.take_chars((str(value).count("\n") + 1) * size)


def _joined_list(budget: Budget, value: Any, args: Sequence[Any], named: Mapping[str, Any]) -> None:
    glue = named.get("d", args[0] if args else "")
    if isinstance(value, Collection) and isinstance(glue, str):
        budget.take_chars(len(value) * len(glue))


def _summed(budget: Budget, value: Any, args: Sequence[Any], named: Mapping[str, Any]) -> None:
    start = named.get("start", args[1] if len(args) > 1 else 0)
    if isinstance(start, Collection) and isinstance(value, Collection):
        # Each sum is a list of its own.
        budget.take(len(value) * sum(len(one) for one in value if isinstance(one, Collection)))


def _powers(budget: Budget, value: Any, args: Sequence[Any], named: Mapping[str, Any]) -> None:
    del budget, value
    if any(isinstance(one, int) and abs(one) > MOST_DIGITS for one in (*args, *named.values())):
        raise TemplateRuntimeError("a precision is too large")


def _sorted(budget: Budget, value: Any, args: Sequence[Any], named: Mapping[str, Any]) -> None:
    by = named.get("by", args[1] if len(args) > 1 else "key")
    if by == "key" and isinstance(value, Mapping):
        budget.take(len(value))
    else:
        budget.weigh(value)


def _formatted(budget: Budget, value: Any, args: Sequence[Any], named: Mapping[str, Any]) -> None:
    check_percent(budget, str(value), [*args, *named.values()])


_TEXTUAL: Final = ("capitalize", "lower", "safe", "string", "title", "trim", "upper")
"""Filters of a text, which are no longer than it."""

_WHOLE: Final[Mapping[str, Check]] = {
    **dict.fromkeys(
        ("e", "escape", "groupby", "max", "min", "sort", "truncate", "unique", "urlencode",
         "wordcount"),
        _nothing,
    ),
    "center": _width,
    "format": _formatted,
    "indent": _lines,
    "join": _joined_list,
    "replace": _replacement,
    "sum": _summed,
}  # fmt: skip
"""Filters that read their value as a whole: they write, hash or compare it."""

_BY_ITEM: Final = (
    "batch", "list", "map", "reject", "rejectattr", "reverse", "select", "selectattr", "slice",
)  # fmt: skip
"""Filters that read their value item by item, some of them only when the next one asks."""

_SHORT: Final = (
    "abs", "attr", "count", "d", "default", "first", "float", "int", "items", "last", "length",
)  # fmt: skip
"""Filters that take no longer for a long value, or are numbers of Python's own limits."""


def bounded_filters(budget_of: Callable[[], Budget]) -> dict[str, Callable[..., Any]]:
    """Return the filters for templates; `budget_of` gives the budget of the current rendering."""
    filters = {name: FILTERS[name] for name in _SHORT}
    filters["dictsort"] = _whole(FILTERS["dictsort"], _sorted, budget_of, whole=False)
    filters["round"] = _whole(FILTERS["round"], _powers, budget_of)
    for name in _TEXTUAL:
        filters[name] = _textual(FILTERS[name], budget_of)
    for name, check in _WHOLE.items():
        filters[name] = _whole(FILTERS[name], check, budget_of)
    for name in _BY_ITEM:
        filters[name] = _by_item(FILTERS[name], budget_of)
    return filters


def _textual(filter_: Callable[..., Any], budget_of: Callable[[], Budget]) -> Callable[..., Any]:
    @wraps(filter_)
    def bounded(value: Any, *args: Any, **named: Any) -> Any:
        if value.__class__ is not str:
            if type(value) not in SCALARS:
                budget_of().weigh(value)
        elif len(value) > SHORT:
            budget_of().take_chars(len(value))
        return filter_(value, *args, **named)

    return bounded


def _whole(
    filter_: Callable[..., Any],
    check: Check,
    budget_of: Callable[[], Budget],
    *,
    whole: bool = True,
) -> Callable[..., Any]:
    at = int(hasattr(filter_, "jinja_pass_arg"))

    @wraps(filter_)
    def bounded(*args: Any, **named: Any) -> Any:
        budget, value = budget_of(), args[at]
        if isinstance(value, str):
            budget.take_chars(len(value))
        elif type(value) not in SCALARS:
            if isinstance(value, Iterator):
                value = list(budget.counted(value, 1))
                args = (*args[:at], value, *args[at + 1 :])
            if whole:
                budget.weigh(value)
        if len(args) > at + 1 or named:
            _parts(budget, value, (*args[at + 1 :], *named.values()), {})
        if check is not _nothing:
            check(budget, value, args[at + 1 :], named)
        result = filter_(*args, **named)
        if isinstance(result, str | list):
            budget.take_chars(len(result))
        return result

    return bounded


def _by_item(filter_: Callable[..., Any], budget_of: Callable[[], Budget]) -> Callable[..., Any]:
    at = int(hasattr(filter_, "jinja_pass_arg"))
    is_reverse = filter_ is FILTERS["reverse"]

    @wraps(filter_)
    def bounded(*args: Any, **named: Any) -> Any:
        budget, value = budget_of(), args[at]
        _check_widths((*args[at + 1 :], *named.values()))
        if is_reverse and isinstance(value, Collection):
            budget.take_chars(len(value))
            return filter_(*args, **named)
        # Some of them take nothing, or `None`, for an empty list.
        items = budget.counted(value, 1) if value else value
        return filter_(*args[:at], items, *args[at + 1 :], **named)

    return bounded
