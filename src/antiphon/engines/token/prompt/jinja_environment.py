"""The Jinja environment of chat templates: that of transformers, which they are written for."""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NoReturn

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
from jinja2.sandbox import SandboxedEnvironment

from antiphon.engines.token.prompt.placeholders import json_of_hidden

MOST_CHARS: Final = 16_000_000
"""The maximum number of characters that a template writes."""


def environment(now: Callable[[], datetime]) -> SandboxedEnvironment:
    """Return the Jinja environment of transformers, which templates are written for.

    Unlike there, a template may append to lists, as in llama.cpp: those that it gets are made anew
    for each rendering.
    """
    made = SandboxedEnvironment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[_Generation, jinja2.ext.loopcontrols],
    )
    made.filters["tojson"] = to_json
    made.globals["raise_exception"] = _raise_exception
    made.globals["strftime_now"] = lambda form: now().strftime(form)
    return made


class _Generation(jinja2.ext.Extension):
    """`{% generation %}` marks text for training; at inference it is transparent."""

    tags = {"generation"}  # noqa: RUF012 - declared so by Jinja

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def bounded(template: jinja2.Template, variables: Mapping[str, Any]) -> str:
    """Render a template, which is a file from elsewhere. Raises `jinja2.TemplateError`.

    The texts of callers are hidden in it, so that what it writes is its own and what plain words of
    tools and calls it repeats.
    """
    pieces: list[str] = []
    room = MOST_CHARS
    for piece in template.generate(variables):
        room -= len(piece)
        if room < 0:
            raise jinja2.TemplateError(f"it writes more than {MOST_CHARS:,} characters")
        pieces.append(piece)
    return "".join(pieces)


def _raise_exception(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)


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
            value, ensure_ascii=False, indent=indent, separators=separators, sort_keys=sort_keys
        )
    )
