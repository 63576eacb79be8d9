"""The Jinja environment of chat templates: that of transformers, and what llama.cpp takes besides.

Templates are written for the one or the other; where both take something, it means the same here as
in transformers.
"""

import json
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, Final, NoReturn

import jinja2
import jinja2.compiler
import jinja2.ext
import jinja2.nodes
import jinja2.parser
from jinja2.sandbox import SandboxedEnvironment
from jinja2.utils import Namespace

from antiphon.engines.token.prompt.placeholders import json_of_hidden

MOST_CHARS: Final = 16_000_000
"""The maximum number of characters that a template writes."""


METHODS: Final = (
    "append", "endswith", "get", "keys", "lstrip", "pop", "rsplit", "rstrip", "split",
    "startswith", "strip", "values",
)  # fmt: skip
"""Methods that llama.cpp takes as filters, too."""


def environment(now: Callable[[], datetime]) -> SandboxedEnvironment:
    """Return the Jinja environment of transformers, which templates are written for.

    Unlike there, a template may append to lists and assign to attributes of what it is given, as in
    llama.cpp: all of it is made anew for each rendering.
    """
    made = _Environment(
        trim_blocks=True,
        lstrip_blocks=True,
        extensions=[_Generation, jinja2.ext.loopcontrols],
    )
    made.filters.update({name: _method(name) for name in METHODS})
    made.filters["tojson"] = to_json
    made.globals["tojson"] = to_json
    made.globals["raise_exception"] = _raise_exception
    made.globals["strftime_now"] = lambda form: now().strftime(form)
    return made


class _Code(jinja2.compiler.CodeGenerator):
    """The code of a template, which may assign to attributes of more than namespaces."""

    def visit_Assign(  # noqa: N802 - named by Jinja
        self, node: jinja2.nodes.Assign, frame: jinja2.compiler.Frame
    ) -> None:
        self.push_assign_tracking()
        for name in dict.fromkeys(one.name for one in node.find_all(jinja2.nodes.NSRef)):
            self.writeline(f"environment.check_target({frame.symbols.ref(name)})")
        self.newline(node)
        self.visit(node.target, frame)
        self.write(" = ")
        self.visit(node.node, frame)
        self.pop_assign_tracking(frame)


class _Environment(SandboxedEnvironment):
    """The environment, with what the code of a template calls."""

    code_generator_class = _Code

    def check_target(self, target: Any) -> None:
        """Check that a template may assign to an attribute of `target`."""
        if not isinstance(target, Namespace | dict):
            raise jinja2.TemplateRuntimeError(
                f"cannot assign to an attribute of a {type(target).__name__}"
            )


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


def _method(name: str) -> Callable[..., Any]:
    """Return a filter that calls a method of its value, if a template may call it."""

    @jinja2.pass_environment
    def called(environment: jinja2.Environment, value: Any, *args: Any, **named: Any) -> Any:
        return environment.getattr(value, name)(*args, **named)

    return called


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
