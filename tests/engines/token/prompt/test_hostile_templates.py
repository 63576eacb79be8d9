"""What a template can try to hold the process with, and what bounds it.

A rendering takes at most 300,000 steps for a short conversation. That is below two seconds of one
core and 300 MB here, whatever the template does; most attempts end after a hundredth of it.
"""

import tracemalloc
from contextlib import suppress
from copy import deepcopy
from datetime import datetime
from pathlib import Path
from time import thread_time

import jinja2
import pytest

from antiphon.core.prompt import Prompt, Tool
from antiphon.engines.base import EngineError, EngineStartError
from antiphon.engines.token.engine import open_template
from antiphon.engines.token.options import TemplateOptions
from antiphon.engines.token.prompt.budget import SECONDS, SLICE, STEPS, Budget, TooLongError
from antiphon.engines.token.prompt.jinja_environment import MOST_CHARS, bounded, environment
from antiphon.engines.token.prompt.template import ChatTemplate
from antiphon.engines.token.prompt.template_writer import (
    MOST_SOURCE,
    TEMPLATE_ERRORS,
    TemplateTooLongError,
    TemplateUnusableError,
)
from support.conversation import turn
from support.templates import CHATML, QWEN_LIKE
from support.word_machine import WordMachine, word_engine

MOST_SECONDS = 10.0
"""A machine under load is slower; a template without a bound takes hours."""
MOST_BYTES = 300_000_000

LOOPS = {
    "a long loop": "{% for i in range(10 ** 9) %}{% endfor %}",
    "loops in loops": "{% for i in range(99999) %}{% for j in range(99999) %}"
    "{% endfor %}{% endfor %}",
    "loops that write": "{% for i in range(99999) %}{% for j in range(99999) %}"
    "x{% endfor %}{% endfor %}",
    "a loop that tests": "{% for i in range(99999) %}"
    "{% for j in range(99999) if j < 0 %}{% endfor %}"
    "{% endfor %}",
    "a loop of a filter": "{% for i in range(99999) %}{% if range(99999) | select('none') | list %}"
    "{% endif %}{% endfor %}",
    "a loop of a map": "{% for i in range(99999) %}"
    "{{ range(99999) | map('string') | join | length }}"
    "{% endfor %}",
    "a loop of sums": "{% for i in range(99999) %}{{ range(99999) | sum }}{% endfor %}",
    "a loop that grows its list": "{% set l = [1] %}{% for i in l %}"
    "{% set _ = l.append(i) %}{% endfor %}",
    "a loop in itself": "{% for i in [1] recursive %}{{ loop([1, 1]) }}{% endfor %}",
    "a recursive loop": "{% for i in [1] recursive %}{% for j in range(99) %}"
    "{{ loop(range(99999)) if i == 1 }}{% endfor %}{% endfor %}",
    "a macro that calls itself": "{% macro f() %}{{ f() }}{% endmacro %}{{ f() }}",
    "a macro that calls itself twice": "{% macro f(n) %}{% if n %}{{ f(n - 1) }}{{ f(n - 1) }}"
    "{% endif %}{% endmacro %}{{ f(90) }}",
    "a block that is itself": "{% block a %}{{ self.a() }}{% endblock %}",
    "a caller that calls": "{% macro f() %}{{ caller() }}{{ caller() }}{% endmacro %}"
    "{% macro g(n) %}{% call f() %}{{ g(n - 1) if n }}{% endcall %}{% endmacro %}{{ g(60) }}",
}
TEXTS = {
    "a product": "{{ ('a' * 10 ** 9) | length }}",
    "a product from the left": "{{ (10 ** 9 * 'a') | length }}",
    "a product of products": "{{ ('a' * 9999 * 9999 * 9999) | length }}",
    "a list of a product": "{{ ([0] * 10 ** 9) | length }}",
    "sums": "{% set s = 'a' %}" + "{% set s = s + s %}" * 40 + "{{ s | length }}",
    "sums with a constant": "{% set s = 'a' %}"
    + "{% set s = s + '' + s %}" * 40
    + "{{ s | length }}",
    "one long sum": "{% set s = 'a' * 999999 %}{{ (" + " + ".join(["s"] * 300) + ") | length }}",
    "joined texts": "{% set s = 'a' %}" + "{% set s = s ~ s %}" * 40 + "{{ s | length }}",
    "captured texts": "{% set s = 'a' %}"
    + "{% set s %}{{ s }}{{ s }}{% endset %}" * 40
    + "{{ s }}",
    "filtered texts": "{% filter upper %}" * 9 + "{{ 'a' * 999999 }}" * 99 + "{% endfilter %}" * 9,
    "texts of a macro": "{% macro f(s) %}{{ s }}{{ s }}{% endmacro %}{{ "
    + "f(" * 40
    + "'a'"
    + ")" * 40
    + " | length }}",
    "arguments of a macro": "{% macro f(s, n) %}{% if n %}"
    "{{ f(s + s, n - 1) }}{% endif %}{% endmacro %}"
    "{{ f('aa', 60) }}",
    "sums of lists": "{% set l = [0] %}" + "{% set l = l + l %}" * 40 + "{{ l | length }}",
    "lists that grow": "{% set l = [0] %}{% for i in range(60) %}"
    "{% set _ = l.extend(l) %}{% endfor %}",
    "texts in a list": "{% set l = [] %}{% set s = 'a' * 99999 %}{% for i in range(99999) %}"
    "{% set _ = l.append(s + 'b') %}{% endfor %}",
    "slices": "{% set s = 'a' * 999999 %}{% set n = namespace(l=[]) %}{% for i in range(99999) %}"
    "{% set n.l = n.l + [s[i:]] %}{% endfor %}",
    "short texts in a list": "{% set l = [] %}{% set s = 'a' * 200 %}{% for i in range(99999) %}"
    "{% for j in range(99) %}{% set _ = l.append(['b' + s, 'c' + s, 'd' + s]) %}"
    "{% endfor %}{% endfor %}",
    "a long text that is written": "{% set s = 'a' * 99999 %}{% for i in range(99999) %}{{ s }}"
    "{% endfor %}",
}
WIDTHS = {
    "a centre": "{{ 'x' | center(10 ** 9) }}",
    "a centre by method": "{{ 'x'.center(10 ** 9) }}",
    "a justified text": "{{ 'x'.ljust(10 ** 9) }}{{ 'x'.rjust(10 ** 9) }}",
    "zeros": "{{ 'x'.zfill(10 ** 9) }}",
    "tabs": "{{ '\t'.expandtabs(10 ** 9) }}",
    "a translated text": "{{ ('a' * 99999).translate({97: 'x' * 99999}) }}",
    "an indent": "{{ ('\n' * 99999) | indent(9999) | length }}",
    "an indent that is a text": "{{ ('\n' * 99999) | indent('x' * 99999) | length }}",
    "indented JSON": "{{ [[[1]]] | tojson(indent=10 ** 9) }}",
    "separated JSON": "{{ (range(9999) | list) | tojson(separators=('x' * 99999, ':')) }}",
    "a width of a percent sign": "{{ '%1000000000d' % 1 }}",
    "a width in the arguments": "{{ '%*d' % (10 ** 9, 1) }}",
    "a width of a filter": "{{ '%1000000000s' | format('x') }}",
    "many values of a percent sign": "{{ ('%(a)s' * 9999) % {'a': 'x' * 99999} }}",
    "a width in braces": "{{ '{:1000000000}'.format(1) }}",
    "a width of a width": "{{ '{:{w}}'.format(1, w=10 ** 9) }}",
    "many braces": "{{ ('{0}' * 9999).format('x' * 99999) }}",
    "braces of an object": "{{ ('{a}' * 9999).format_map({'a': 'x' * 99999}) }}",
    "a batch": "{{ [1] | batch(10 ** 9, 0) | list }}",
    "slices of a list": "{{ [1] | slice(10 ** 9) | list }}",
    "a width of a date": "{{ strftime_now('%1000000000Y') }}",
    "dates": "{{ strftime_now('%A' * 999999) }}",
}
NUMBERS = {
    "a power": "{{ 10 ** 10 ** 8 }}",
    "a power that is not written": "{% if 10 ** 10 ** 8 > 1 %}{% endif %}",
    "powers": "{% set n = 9 %}" + "{% set n = n ** 9 %}" * 20,
    "squares": "{% set n = 99999 %}" + "{% set n = n * n %}" * 40,
    "a precision": "{{ 1 | round(10 ** 8, 'ceil') }}",
    "bytes": "{{ (5).to_bytes(10 ** 9, 'big') }}",
    "digits": "{{ ('9' * 99999) | int }}{{ ('9' * 999999) | float }}",
}
REPLACED = {
    "a replacement": "{{ ('a' * 99999) | replace('a', 'a' * 99999) }}",
    "a replacement by method": "{{ ('a' * 99999).replace('a', 'a' * 99999) }}",
    "a replacement of nothing": "{{ ('a' * 99999).replace('', 'a' * 99999) }}",
    "a join": "{{ range(99999) | join('x' * 99999) }}",
    "a join by method": "{{ ('x' * 99999).join('a' * 99999) }}",
    "a join of a map": "{{ ('x' * 99999).join(range(99999) | map('string')) }}",
    "words": "{% for i in range(99999) %}{{ ('a ' * 99999).split() | length }}{% endfor %}",
    "words of a pattern": "{% for i in range(99999) %}{{ ('a ' * 9999) | wordcount }}{% endfor %}",
    "letters": "{% for i in range(99999) %}{{ ('a' * 9999) | list | length }}{% endfor %}",
    "quotes": "{% set s = '<' * 9999 %}" + "{% set s = s | e | string %}" * 40,
    "searches": "{% set s = 'a' * 999999 %}{% for i in range(99999) %}"
    "{{ s.find('b') }}{% endfor %}",
}
_TWICE = "{% set x = [x, x] %}" * 60
_APART = "{% set y = [y, y] %}" * 60
NESTED = {
    "a list in itself": "{% set x = [] %}{% set _ = x.append(x) %}{{ x }}{{ x | tojson }}",
    "a list that is written": "{% set x = [1] %}" + _TWICE + "{{ x }}",
    "a list as JSON": "{% set x = [1] %}" + _TWICE + "{{ x | tojson }}",
    "a list as a text": "{% set x = [1] %}" + _TWICE + "{{ x | string | length }}",
    "a list that is joined": "{% set x = [1] %}" + _TWICE + "{{ ('' ~ x) | length }}",
    "a list in a sign": "{% set x = [1] %}" + _TWICE + "{{ '%s' % x }}{{ '%s' | format(x) }}",
    "a list in braces": "{% set x = [1] %}" + _TWICE + "{{ '{}'.format(x) }}",
    "lists that are compared": "{% set x = [1] %}{% set y = [1] %}"
    + _TWICE
    + _APART
    + "{{ x == y }}",
    "lists that are tested": "{% set x = [1] %}{% set y = [1] %}"
    + _TWICE
    + _APART
    + "{{ x is eq y }}",
    "a list that is searched": "{% set x = [1] %}{% set y = [1] %}"
    + _TWICE
    + _APART
    + "{{ x in [y] }}",
    "a list that is counted": "{% set x = [1] %}{% set y = [1] %}"
    + _TWICE
    + _APART
    + "{{ [y].count(x) }}",
    "lists of a loop": "{% set x = [1] %}{% set y = [1] %}"
    + _TWICE
    + _APART
    + "{% for z in [x, y] %}{% if loop.changed(z) %}{% endif %}{% endfor %}",
    "lists that are sorted": "{% set x = [1] %}{% set y = [1] %}"
    + _TWICE
    + _APART
    + "{{ [x, y] | sort | length }}",
    "lists of objects": "{% set x = {} %}" + "{% set x = {'a': x, 'b': x} %}" * 60 + "{{ x }}",
    "pairs as keys": "{% set x = (1,) %}" + "{% set x = (x, x) %}" * 60 + "{{ {x: 1} | length }}",
    "pairs as indices": "{% set x = (1,) %}" + "{% set x = (x, x) %}" * 60 + "{{ {}[x] }}",
    "pairs that are looked up": "{% set x = (1,) %}"
    + "{% set x = (x, x) %}" * 60
    + "{{ {}.get(x) }}",
    "pairs that are looked for": "{% set x = (1,) %}"
    + "{% set x = (x, x) %}" * 60
    + "{{ x in {} }}",
    "names": "{% set n = namespace() %}{% set n.a = n %}{{ n }}",
    "names in names": "{% set n = namespace() %}"
    + "{% set n = namespace(a=n, b=n) %}" * 60
    + "{{ n }}",
    "a tool that was changed": "{% set x = [1] %}"
    + _TWICE
    + "{% set tools[0].x = 1 %}{{ tools | tojson }}",
    "a tool with more": "{% set x = [1] %}"
    + _TWICE
    + "{% set _ = tools[0].update({'x': x}) %}{{ tools | tojson }}",
    "a tool that is assigned to": "{% set x = [1] %}"
    + _TWICE
    + "{% set t = tools[0] %}{% set t.x = x %}{{ tools | tojson }}",
    "a tool with another field": "{% set x = [1] %}"
    + _TWICE
    + "{% set _ = tools[0].update(x=x) %}{{ tools | tojson }}",
    "neighbours in a loop": "{% set x = [1] %}{% set y = [1] %}"
    + _TWICE
    + _APART
    + "{% for z in [x, 1, y] %}{{ loop.previtem == loop.nextitem }}{% endfor %}",
    "a loop of an own": "{% set x = [1] %}{% set y = [1] %}"
    + _TWICE
    + _APART
    + "{% set loop = {'length': x} %}{{ loop.length == y }}",
    "a safe list": "{% set x = [1] %}" + _TWICE + "{{ x | safe | length }}",
    "a list that replaces": "{% set x = [1] %}" + _TWICE + "{{ 'a' | replace('a', x) | length }}",
    "a list that is said": "{% set x = [1] %}" + _TWICE + "{{ raise_exception(x) }}",
    "an object of pairs": "{% set x = (1,) %}"
    + "{% set x = (x, x) %}" * 60
    + "{{ dict([(x, 1)]) | length }}",
    "an index that is a list": "{% set x = [1] %}" + _TWICE + "{{ {}[x] + 1 }}",
    "pairs that nest deeply": "{% set n = namespace(x=(1,)) %}{% for i in range(99999) %}"
    "{% set n.x = (n.x,) %}{% endfor %}{{ {n.x: 1} | length }}",
    "nested deeply": "{% set n = namespace(x=[]) %}{% for i in range(9999) %}{% set n.x = [n.x] %}"
    "{% endfor %}{{ n.x }}",
}
SHORT_LIVED = {**TEXTS, **WIDTHS, **NUMBERS, **REPLACED}
HOSTILE = {**LOOPS, **SHORT_LIVED, **NESTED}
SMALL = {"type": "function", "function": {"name": "look", "parameters": {}}}


def ids(name: str) -> str:
    return name.replace(" ", "-")


def attempted(source: str) -> Budget:
    """Try a template, and return what it took."""
    budget = Budget(STEPS, SECONDS)
    jinja = environment(datetime.now)
    with suppress(TooLongError, *TEMPLATE_ERRORS):
        tools = deepcopy([SMALL])
        text = bounded(jinja, jinja.from_string(source), {"tools": tools}, budget)
        assert len(text) <= MOST_CHARS
    return budget


@pytest.mark.parametrize("name", [*LOOPS, *NESTED], ids=ids)
def test_rendering_ends(name: str) -> None:
    begun = thread_time()
    attempted(HOSTILE[name])
    assert thread_time() - begun < MOST_SECONDS


@pytest.mark.parametrize("name", SHORT_LIVED, ids=ids)
def test_rendering_takes_little_memory(name: str) -> None:
    begun = thread_time()
    tracemalloc.start()
    attempted(SHORT_LIVED[name])
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < MOST_BYTES
    assert thread_time() - begun < MOST_SECONDS


@pytest.mark.parametrize("name", ["loops in loops", "a macro that calls itself twice", "sums"])
def test_steps_are_the_same_in_every_rendering(name: str) -> None:
    assert attempted(HOSTILE[name]).taken == attempted(HOSTILE[name]).taken


LOOPING = "{% for i in range(99999) %}{% for j in range(99999) %}{% endfor %}{% endfor %}"
LATER = "{% if messages | length > 40 %}" + LOOPING + "{% endif %}" + CHATML
SHORT = (turn("user", "One?"),)
LONG = tuple(turn(("user", "assistant")[place % 2], f"Say {place}.") for place in range(41))


def test_template_that_does_not_end_is_refused_when_it_is_opened(tmp_path: Path) -> None:
    with pytest.raises(TemplateTooLongError, match="it takes more than 3,000,000 steps"):
        ChatTemplate(LOOPING + CHATML, bos="", eos="")
    path = tmp_path / "hostile.jinja"
    path.write_text(LOOPING + CHATML)
    options = TemplateOptions(chat_template=str(path))
    with pytest.raises(EngineStartError, match="its chat template is wrong: it takes more than"):
        open_template("m", options, "", bos="", eos="")


def test_template_that_waits_with_it_is_refused_then() -> None:
    """It is tried in one form only: no other takes less."""
    chat = ChatTemplate(LATER, bos="", eos="")
    begun = thread_time()
    for _ in range(2):
        assert chat.render(Prompt(SHORT, 1)).segments
        with pytest.raises(
            TemplateTooLongError, match=r"it takes more than [0-9]{3},[0-9]{3} steps"
        ):
            chat.render(Prompt(LONG, 1))
    assert thread_time() - begun < MOST_SECONDS


def test_rendering_on_the_event_loop_ends_sooner() -> None:
    chat = ChatTemplate(LATER, bos="", eos="")
    with pytest.raises(TemplateTooLongError, match=r"more than (200,000 steps|0\.05 seconds)"):
        chat.render(Prompt(LONG, 1), brief=True)


@pytest.mark.anyio
async def test_slow_rendering_goes_on_in_a_thread() -> None:
    turns = "{% for i in range(99999) %}{% endfor %}"
    source = "{% if messages | length > 40 %}" + turns + "{% endif %}" + CHATML
    engine = await word_engine(WordMachine(), source)
    assert await engine.count_tokens(Prompt(LONG, 1)) > await engine.count_tokens(Prompt(SHORT, 1))
    hostile = await word_engine(WordMachine(), LATER)
    with pytest.raises(EngineError, match="cannot express these messages: it takes more than"):
        await hostile.count_tokens(Prompt(LONG, 1))


PAIRS = (
    "{% for m in messages %}{% for other in messages %}{% if other.role == 'tool' %}"
    "{{ raise_exception('no') }}{% endif %}{% endfor %}{% endfor %}"
)
"""Some templates look at all other messages for each one."""


def test_long_conversation_is_rendered() -> None:
    turns = tuple(turn(("user", "assistant")[place % 2], f"Say {place}.") for place in range(1501))
    chat = ChatTemplate(PAIRS + CHATML, bos="", eos="")
    assert "Say 1500." in {part.text for part in chat.render(Prompt(turns, 1)).segments}


def test_long_words_of_a_caller_are_rendered() -> None:
    """They are not hidden, because they cannot be control tokens."""
    words = {"enum": ["a" * 300_000, "b" * 300_000]}
    tool = Tool(name="look", input_schema={"type": "object", "properties": {"at": words}})
    chat = ChatTemplate(QWEN_LIKE, bos="", eos="")
    written = "".join(one.text for one in chat.render(Prompt(SHORT, 1, tools=(tool,))).segments)
    assert "b" * 300_000 in written


@pytest.mark.parametrize(
    "filter_", ["select('in', x)", "reject('in', x)", "selectattr('a', 'in', x)", "select('in', s)"]
)
def test_what_a_filter_looks_through_takes_steps_for_each_item(filter_: str) -> None:
    jinja = environment(datetime.now)
    source = "{% set x = range(9000) %}{% set s = '-' * 900000 %}{% set y = ['a'] * 9000 %}"
    template = jinja.from_string(source + "{{ y | " + filter_ + " | list | length }}")
    with pytest.raises(TooLongError, match="steps"):
        bounded(jinja, template, {}, Budget(STEPS, SECONDS, lambda: 0.0))


@pytest.mark.parametrize(
    "change", ["{% for k in d %}{% set _ = d.update({k ~ k: 1}) %}{% endfor %}", "{{ d | sum }}"]
)
def test_template_that_fails_while_it_is_rendered_is_refused(change: str) -> None:
    chat = "{% if messages | length > 40 %}{% set d = {'a': 1} %}" + change + "{% endif %}" + CHATML
    with pytest.raises(TemplateUnusableError, match=r"changed size|unsupported operand"):
        ChatTemplate(chat, bos="", eos="").render(Prompt(LONG, 1))


def test_output_has_a_limit() -> None:
    budget = Budget(10**9, SECONDS)
    jinja = environment(datetime.now)
    source = "{% set s = 'a' * 999999 %}" + "{{ s }}" * 17
    with pytest.raises(jinja2.TemplateError, match="it writes more than 16,000,000 characters"):
        bounded(jinja, jinja.from_string(source), {}, budget)


def test_clock_ends_what_steps_do_not_measure() -> None:
    now = iter(range(100))
    budget = Budget(10**9, 5.0, lambda: next(now))
    slices = (budget.take(SLICE + 1) for _ in range(10))
    with pytest.raises(TooLongError, match="it takes more than 5 seconds"):
        list(slices)
    assert next(now) == 7


def test_budget_counts_what_is_taken() -> None:
    budget = Budget(5_000, SECONDS)
    for _ in range(3_000):
        budget.take()
    budget.take_chars(160)
    assert [*budget.counted("abc", 2)] == ["a", "b", "c"]
    assert budget.weigh([1, {"a": ["b" * 32]}]) == 3
    assert budget.taken == 3_000 + 10 + 6 + (6 + 2)
    with pytest.raises(TooLongError, match="it takes more than 5,000 steps"):
        budget.take(5_000)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("x" * (MOST_SOURCE + 1), "it has more than 250,000 characters"),
        ("{{ " + "(" * 9_000 + "1" + ")" * 9_000 + " }}", "it nests too deeply"),
        ("{{ " + "1 + " * 9_000 + "1 }}", "it nests too deeply"),
        ("{% if 1 %}" * 400 + "{% endif %}" * 400, "it nests too deeply|cannot be compiled"),
        ("{{ " + "9" * 9_000 + " }}", "it cannot be compiled: Exceeds the limit"),
        ("{% autoescape true %}{{ 1 }}{% endautoescape %}", "a chat template is not HTML"),
        ("{{ 1 | urlize }}", "No filter named 'urlize'"),
    ],
)
def test_template_that_cannot_be_compiled_is_refused(source: str, message: str) -> None:
    with pytest.raises(TemplateUnusableError, match=message):
        ChatTemplate(source, bos="", eos="")
