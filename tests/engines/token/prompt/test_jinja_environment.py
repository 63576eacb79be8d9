"""What templates say in Jinja, as transformers and as llama.cpp take it."""

from collections.abc import Callable
from copy import deepcopy
from datetime import datetime
from itertools import product
from pathlib import Path

import jinja2
import pytest

from antiphon.core.prompt import Prompt, Turn
from antiphon.engines.token.prompt.budget import Budget
from antiphon.engines.token.prompt.jinja_environment import bounded, environment
from antiphon.engines.token.prompt.template import ChatTemplate
from antiphon.engines.token.prompt.template_writer import TEMPLATE_ERRORS
from antiphon.wire.content import TextParam, ToolUseParam
from support.conversation import turn
from support.reference_jinja import REFUSED_BY_REFERENCE, reference_jinja
from support.template_corpus import NAMES, every_other, template_corpus

NOW = datetime(2026, 11, 28, 9, 30)  # noqa: DTZ001 - a local date, as templates write it


def said(source: str, **variables: object) -> str:
    jinja = environment(lambda: NOW)
    return bounded(jinja, jinja.from_string(source), variables, Budget(10_000, 1.0))


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        # What a template assigns, it reads, also by another name of the same message.
        ("{% set m.content = m.content ~ '!' %}{{ m.content }}{{ [m][0].content }}", "hi!hi!"),
        ("{% for x in [m] %}{% set x.role = 'model' %}{% endfor %}{{ m['role'] }}", "model"),
        ("{% set m.new = 1 %}{{ m.new }}{{ m.get('new') }}{{ 'new' in m }}", "11True"),
        ("{% set m.content %}[{{ m.role }}]{% endset %}{{ m.content }}", "[user]"),
        ("{% set m.content, m.role = m.role, m.content %}{{ m.content }}-{{ m.role }}", "user-hi"),
        # Namespaces.
        (("{% set n = namespace(a=1) %}{% for i in 'xyz' %}{% set n.a = n.a + 1 %}{% endfor %}"
         "{{ n.a }}{{ n['a'] }}"), "44"),
        ("{% set n = namespace({'a': 1}, b=2) %}{{ n.a }}{{ n.b }}{{ n.c is defined }}", "12False"),
        ("{% set n = namespace() %}{% set n.a %}x{% endset %}{{ n.a }}", "x"),
        ("{% set n = namespace(a=[]) %}{% set n.a = n.a + [m] %}{{ n.a[0].role }}", "user"),
        # Methods of Python on what a template has.
        ("{{ ' a b '.strip() }}{{ 'xay'.lstrip('x').rstrip('y') }}{{ 'a,b'.split(',')[-1] }}",
         "a bab"),
        ("{{ 'abc'.startswith('ab') }}{{ 'abc'.endswith(('x', 'c')) }}{{ 'abc'.find('c') }}",
         "TrueTrue2"),
        ("{{ 'a-b'.replace('-', '+') }}{{ 'ab'.upper() }}{{ 'a b'.title() }}{{ 'a'.join('xy') }}",
         "a+bABA Bxay"),
        ("{{ 'a{}c'.format('b') }}{{ '%s%02d' % ('x', 7) }}{{ '%s' | format('y') }}", "abcx07y"),
        ("{{ 'a'.rsplit('x', 1) }}{{ 'ab'.removeprefix('a') }}{{ 'a\nb'.splitlines() | length }}",
         "['a']b2"),
        ("{% for k, v in {'x': 1, 'y': 2}.items() %}{{ k }}{{ v }}{% endfor %}", "x1y2"),
        ("{{ {'x': 1}.keys() | list }}{{ {'x': 1}.values() | first }}{{ m.get('z', 'no') }}",
         "['x']1no"),
        ("{% set l = [1] %}{% set _ = l.append(2) %}{{ l }}{{ l.pop() }}{{ l.index(1) }}",
         "[1, 2]20"),
        ("{% set d = {} %}{% set _ = d.update({'a': 1}) %}{{ d.a }}{{ d.setdefault('b', 2) }}",
         "12"),
        # Methods as filters.
        ("{{ ' a ' | strip }}{{ 'a,b' | split(',') | last }}{{ 'ab' | startswith('a') }}",
         "abTrue"),
        ("{{ m | get('role') }}{{ m | keys | list }}{{ {'a': 1} | items | first }}",
         "user['role', 'content']('a', 1)"),
        # Slices.
        ("{{ 'abcd'[1:3] }}{{ [1, 2, 3][::-1] }}{{ 'abcd'[-2:] }}{{ [1, 2, 3][:-1] | length }}",
         "bc[3, 2, 1]cd2"),
        # JSON.
        ("{{ {'b': 'ä<', 'a': [1.0, none, true]} | tojson }}",
         '{"b": "ä<", "a": [1.0, null, true]}'),
        ("{{ {'b': 1, 'a': 2} | tojson(sort_keys=true, separators=(',', ':')) }}",
         '{"a":2,"b":1}'),
        ("{{ [1] | tojson(indent=2) }}{{ tojson([1]) }}{{ 'ä' | tojson(ensure_ascii=true) }}",
         '[\n  1\n][1]"ä"'),
        # The rest of what transformers gives.
        ("{{ strftime_now('%d %b %Y') }}", "28 Nov 2026"),
        ("{% generation %}a{% for i in [1, 2] %}{{ i }}{% endfor %}{% endgeneration %}b", "a12b"),
        ("{%- generation -%} a {%- endgeneration -%} b", "ab"),
        (("{% for i in range(9) %}{% if i == 1 %}{% continue %}{% endif %}{% if i > 2 %}{% break %}"
         "{% endif %}{{ i }}{{ loop.first }}{% endfor %}"), "0True2False"),
        (("{% macro f(x, y='b') %}{{ x }}{{ y }}{{ caller() if caller }}{% endmacro %}"
         "{{ f('a') }}{% call f('c', y='d') %}e{% endcall %}"), "abcde"),
        (("{% for i in [1, [2, [3]]] recursive %}{% if i is iterable %}({{ loop(i) }})"
         "{% else %}{{ i }}{% endif %}{% endfor %}"), "1(2(3))"),
        (("{{ 'é' is string }}{{ 1 is integer }}{{ true is boolean }}{{ m is mapping }}"
         "{{ none is none }}{{ m.z is undefined }}{{ [1] is sequence }}"), "True" * 7),
    ],
)  # fmt: skip
def test_template_means_what_its_author_tried(source: str, expected: str) -> None:
    assert said(source, m={"role": "user", "content": "hi"}) == expected


def test_exception_of_a_template_has_its_words() -> None:
    with pytest.raises(jinja2.TemplateError, match="Only this"):
        said("{{ raise_exception('Only this') }}")


@pytest.mark.parametrize("target", ["'text'", "[1]", "none", "1", "range(3)", "undefined_one"])
def test_assignment_to_an_attribute_of_anything_else_is_refused(target: str) -> None:
    with pytest.raises(jinja2.TemplateError, match="cannot assign to an attribute of a "):
        said(f"{{% set x = {target} %}}{{% set x.a = 1 %}}")


@pytest.mark.parametrize(
    "source",
    [
        "{{ m.__class__ }}",
        "{{ m | attr('__class__') }}",
        "{{ ''.__class__.__mro__ }}",
        "{% set m.__class__ = 1 %}{{ m.__class__.__mro__ }}",
        "{{ '{0.__class__}'.format(m) }}",
        "{{ raise_exception.__globals__ }}",
        "{{ (m | get).__func__ }}",
    ],
)
def test_sandbox_stays(source: str) -> None:
    try:
        written = said(source, m={"role": "user"})
    except (jinja2.TemplateError, TypeError):
        return
    assert "class" not in written
    assert not written.strip("1")


ASSIGNING = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{% set m.role = 'model' %}{% endif %}"
    "{% if m.content is string %}{% set m.content = m.content | trim %}{% endif %}"
    "{% for c in m.tool_calls or [] %}{% set c.function = {'name': c.function.name,"
    " 'arguments': c.function.arguments} %}{% endfor %}"
    "{% endfor %}"
    "{% for m in messages %}<{{ m.role }}>{{ m.content }}"
    "{% for c in m.tool_calls or [] %}<call>{{ c.function | tojson }}</call>{% endfor %}"
    "{% endfor %}"
)


def test_assignments_leave_what_the_caller_has() -> None:
    call = ToolUseParam(id="t", name="look", input={"at": "a & b", "in": ["x y", {"z": 1}]})
    turns = (
        turn("user", " One? "),
        Turn("assistant", (TextParam(text="I look."), call)),
        turn("user", "Two?"),
    )
    chat = ChatTemplate(ASSIGNING, bos="", eos="")
    prompts = [Prompt(turns, 1) for _ in range(2)]
    one, other = ("".join(part.text for part in chat.render(p).segments) for p in prompts)
    assert one == other
    assert "<user>One?<model>I look." in one
    assert call.input == {"at": "a & b", "in": ["x y", {"z": 1}]}


MESSAGES = [
    {"role": "system", "content": "Be exact."},
    {"role": "user", "content": "One <b>?\n"},
    {"role": "assistant", "content": "Hm.", "reasoning_content": "Well."},
    {"role": "user", "content": [{"type": "text", "text": "Two"}, {"type": "image"}]},
    {"role": "assistant", "content": "", "tool_calls": [
        {"type": "function", "id": "call00001",
         "function": {"name": "look", "arguments": {"at": "x & y", "n": [1, None, {"a": 2.5}]}}},
    ]},
    {"role": "tool", "tool_call_id": "call00001", "name": "look", "content": "'It' \"is\"."},
]  # fmt: skip
LOOK = {
    "type": "function",
    "function": {
        "name": "look",
        "description": "Looks.",
        "parameters": {
            "type": "object",
            "properties": {
                "at": {"type": "string", "description": "Where.", "enum": ["a", "b"]},
                "n": {"type": "array", "items": {"type": ["integer", "null"]}},
                "o": {"type": "object", "properties": {"p": {"type": "number"}}, "required": ["p"]},
            },
            "required": ["at"],
        },
    },
}


@pytest.mark.parametrize(
    "name", every_other(one for one in NAMES if one not in REFUSED_BY_REFERENCE)
)
def test_template_writes_what_plain_jinja_writes(name: str, models_dir: Path) -> None:
    """What is bounded is the same: also where a template refuses."""
    source = template_corpus(models_dir)[name]
    jinja = environment(lambda: NOW)
    ours, reference = jinja.from_string(source), reference_jinja(lambda: NOW).from_string(source)
    texts = [one for one in MESSAGES if isinstance(one["content"], str)]
    for messages, tools in product((MESSAGES, texts, texts[1:3], texts[:2]), ([LOOK], [], None)):
        given = {"tools": tools, "bos_token": "<s>", "eos_token": "</s>", "documents": None}
        asked = {"add_generation_prompt": True, "messages": messages, **given}
        variables = deepcopy(asked)
        one = outcome(lambda: bounded(jinja, ours, variables, Budget(50_000, 9.0)))  # noqa: B023 - called at once
        assert one == outcome(lambda: reference.render(**deepcopy(asked)))  # noqa: B023


def outcome(render: Callable[[], str]) -> str:
    """Return what a template writes, or what it says instead."""
    try:
        return render()
    except TEMPLATE_ERRORS as error:
        return f"{type(error).__name__}: {error}"
