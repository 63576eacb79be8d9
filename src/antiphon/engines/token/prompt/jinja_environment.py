"""The Jinja environment of chat templates: that of transformers, and what llama.cpp takes besides.

Templates are written for the one or the other; where both take something, it means the same here as
in transformers.
"""

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import wraps
from typing import Any, Final, NoReturn

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser

from antiphon.engines.token.prompt.bounded_environment import BoundedEnvironment
from antiphon.engines.token.prompt.budget import SCALARS, Budget
from antiphon.engines.token.prompt.placeholders import json_of_hidden

MOST_CHARS: Final = 16_000_000
"""The maximum number of characters that a template writes."""
MOST_MESSAGE: Final = 500
MOST_INDENT: Final = 64


METHODS: Final = (
    "append", "endswith", "get", "keys", "lstrip", "pop", "rsplit", "rstrip", "split",
    "startswith", "strip", "values",
)  # fmt: skip
"""Methods that llama.cpp takes as filters, too."""


def environment(now: Callable[[], datetime]) -> BoundedEnvironment:
    """Return the Jinja environment of transformers, which templates are written for.

    Unlike there, a template may append to lists and assign to attributes of what it is given, as in
    llama.cpp: all of it is made anew for each rendering.
    """
    made = BoundedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[_Generation, jinja2.ext.loopcontrols],
    )
    made.filters.update({name: _method(name) for name in METHODS})
    to_bounded_json = _bounded_json(made)
    made.filters["tojson"] = to_bounded_json
    made.globals["tojson"] = to_bounded_json
    made.globals["raise_exception"] = _raising(made)
    made.globals["strftime_now"] = lambda form: now().strftime(_short_form(form))
    return made


class _Generation(jinja2.ext.Extension):
    """`{% generation %}` marks text for training; at inference it is transparent."""

    tags = {"generation"}  # noqa: RUF012 - declared so by Jinja

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def bounded(
    environment: BoundedEnvironment,
    template: jinja2.Template,
    variables: dict[str, Any],
    budget: Budget,
) -> str:
    """Render a template of an environment, which is a file from elsewhere.

    The texts of callers are hidden in it, so that what it writes is its own and what plain words of
    tools and calls it repeats. Raises `jinja2.TemplateError`, and `TooLongError`.
    """
    environment.running.budget = budget
    tools = variables.get("tools")
    if tools:
        budget.trees = _trees(tools)
    context = template.new_context(variables)
    context.budget = budget  # type: ignore[attr-defined]
    try:
        pieces = list(template.root_render_func(context))
    except RecursionError as error:
        raise jinja2.TemplateError("it nests too deeply") from error
    except RuntimeError as error:  # it changes what it loops over, say
        raise jinja2.TemplateError(str(error)) from error
    finally:
        del environment.running.budget
    if sum(map(len, pieces)) > MOST_CHARS:
        raise jinja2.TemplateError(f"it writes more than {MOST_CHARS:,} characters")
    return "".join(pieces)


def _trees(tools: Sequence[Mapping[str, Any]]) -> frozenset[int]:
    """Return the identities of tools and their parts, which are long, and read from JSON."""
    known = {id(tools)}
    for tool in tools:
        function = tool.get("function") or {}
        known |= {id(tool), id(function), id(function.get("parameters"))}
    return frozenset(known)


def _method(name: str) -> Callable[..., Any]:
    """Return a filter that calls a method of its value, if a template may call it."""

    @jinja2.pass_environment
    def called(environment: jinja2.Environment, value: Any, *args: Any, **named: Any) -> Any:
        return environment.getattr(value, name)(*args, **named)

    return called


def _raising(environment: BoundedEnvironment) -> Callable[[Any], NoReturn]:
    """Return `raise_exception` for the template of an environment."""

    def refuse(message: Any) -> NoReturn:
        raise jinja2.TemplateError(environment.shown(message)[:MOST_MESSAGE])

    return refuse


def _short_form(form: str) -> str:
    """Return the form of a date, without widths."""
    if len(form) > MOST_MESSAGE or re.search("%[^a-zA-Z%]*[0-9]{3}", form):
        raise jinja2.TemplateError("the form of a date is too long")
    return form


def _bounded_json(environment: BoundedEnvironment) -> Callable[..., str]:
    """Return `to_json` for the template of an environment."""

    @wraps(to_json)
    def written(value: Any, *args: Any, **named: Any) -> str:
        budget: Budget = environment.running.budget
        if isinstance(value, Iterator):
            # What a filter yields (`map`, `select`) is a list, as in llama.cpp.
            value = list(value)
        lines = 1
        if type(value) not in SCALARS and id(value) not in budget.trees:
            before = budget.taken
            lines = budget.weigh(value) * (budget.taken - before)
        if not args and not named:
            text = json_of_hidden(encode(value))
        else:
            _take_indents(budget, (*args, *named.values()), lines)
            text = to_json(value, *args, **named)
        budget.take_chars(len(text))
        return text

    encode = json.JSONEncoder(ensure_ascii=False).encode
    return written


def _take_indents(budget: Budget, indents: Sequence[Any], lines: int) -> None:
    """Take what an indent and separators add to as many lines, each once for a level."""
    for one in indents:
        width = int(one) if isinstance(one, int) else len(str(one))
        if width > MOST_INDENT:
            raise jinja2.TemplateError("an indent is too large")
        budget.take_chars(width * lines)


def to_json(  # the parameters are those of transformers, in their order
    value: Any,
    ensure_ascii: bool = False,  # noqa: ARG001, FBT001, FBT002
    indent: int | None = None,
    separators: tuple[str, str] | None = None,
    sort_keys: bool = False,  # noqa: FBT001, FBT002
) -> str:
    """Return a value as JSON, with its sentinels marked: the filter of templates."""
    # Jinja's own filter escapes HTML, which models have not been trained on. Sentinels are not
    # ASCII, so `ensure_ascii` is not followed.
    return json_of_hidden(
        json.dumps(
            value,
            ensure_ascii=False,
            indent=indent,
            separators=separators,
            sort_keys=sort_keys,
        )
    )
