"""Jinja as transformers has it for chat templates, without anything of Antiphon's."""

import json
from collections.abc import Callable
from datetime import datetime
from typing import Any, NoReturn

import jinja2
import jinja2.ext
import jinja2.nodes
import jinja2.parser
from jinja2.sandbox import SandboxedEnvironment

REFUSED_BY_REFERENCE = frozenset({"llama-cpp-deepseek-r1"})
"""Templates that write what a filter yields as JSON, as llama.cpp takes it."""


class Generation(jinja2.ext.Extension):
    """Marks text for training."""

    tags = {"generation"}  # noqa: RUF012 - declared so by Jinja

    def parse(self, parser: jinja2.parser.Parser) -> list[jinja2.nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def reference_jinja(now: Callable[[], datetime]) -> SandboxedEnvironment:
    """Return the environment; that of transformers does not let a template append to lists."""
    made = SandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[Generation, jinja2.ext.loopcontrols]
    )
    made.filters["tojson"] = to_json
    made.globals["raise_exception"] = refuse
    made.globals["strftime_now"] = lambda form: now().strftime(form)
    return made


def to_json(value: Any, **options: Any) -> str:
    # What a filter yields is a list to llama.cpp; the JSON of transformers takes it not at all.
    return json.dumps(value, **{"ensure_ascii": False, "default": list, **options})


def refuse(message: str) -> NoReturn:
    raise jinja2.TemplateError(message)
