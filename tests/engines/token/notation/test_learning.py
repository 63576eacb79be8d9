"""Notations of small templates, each with one property of a family's."""

import json
from datetime import datetime

import pytest

from antiphon.core.ids import tool_use_id, with_identifier
from antiphon.core.prompt import Prompt, Tool, ToolChoice, Turn
from antiphon.engines.token.notation.notation import (
    COUNT,
    IDENTIFIER,
    NAME_AGAIN,
    NEXT_IDENTIFIER,
    Notation,
    Variant,
)
from antiphon.engines.token.prompt.call_syntax import TAGGED
from antiphon.engines.token.prompt.reasoning_format import ReasoningTags
from antiphon.engines.token.prompt.template import ChatTemplate
from antiphon.schemas.elements import Wrap
from antiphon.wire.content import TextParam, ToolResultParam, ToolUseParam

TOOLS = "{% for tool in tools or [] %}{{ tool | tojson }}\n{% endfor %}"
BEGIN = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}"
END = "{% if m.role == 'assistant' %}<|end|>{% endif %}{% endfor %}"
PROMPT = "{% if add_generation_prompt %}<|assistant|>{% endif %}"
LOOP = "{% for c in m.tool_calls or [] %}{% set f = c.function %}"


def source(call: str, *, before: str = "", after: str = "", begin: str = BEGIN) -> str:
    """Return a template that writes each call as `call` does, and more around all of them."""
    calls = f"{before}{LOOP}{call}{{% endfor %}}{after}"
    return TOOLS + begin + "{% if m.tool_calls %}" + calls + "{% endif %}" + END + PROMPT


def learned(text: str) -> Notation:
    chat = ChatTemplate(text, bos="", eos="</s>")
    assert chat.unlearned is None
    assert isinstance(chat.syntax, Notation)
    return chat.syntax


def reason(text: str) -> str | None:
    chat = ChatTemplate(text, bos="", eos="</s>")
    assert chat.syntax is TAGGED
    return chat.unlearned


NAMED = "<call>{{ f.name }}|{{ f.arguments | tojson }}</call>"
PARAMETERS = (
    "<call>{{ f.name }}{% for k, v in f.arguments.items() %}<p {{ k }}>"
    "{{ v if v is string else v | tojson }}</p>{% endfor %}</call>"
)


def test_object_between_marks_is_a_section_for_each_call() -> None:
    found = learned(source(NAMED))
    assert (found.opening, found.lead, found.middle) == ("<call>", "", "|")
    assert (found.closing, found.separator, found.gap) == ("</call>", None, "")
    assert found.parallel
    assert found.elements is None


def test_calls_in_a_list_have_a_separator() -> None:
    one = '{"name": "{{ f.name }}", "in": {{ f.arguments | tojson }}}'
    listed = one + "{% if not loop.last %}, {% endif %}"
    found = learned(source(listed, before="<calls>[", after="]</calls>"))
    assert (found.opening, found.lead) == ("<calls>", '[{"name": "')
    assert (found.middle, found.separator) == ('", "in": ', '}, {"name": "')
    assert found.closing == "}]</calls>"


def test_compact_object_has_its_spelling() -> None:
    compact = NAMED.replace("tojson", "tojson(separators=(',', ':'))")
    found = learned(source(compact))
    assert found.arguments({"a": [1, 2]}) == '{"a":[1,2]}'


def test_name_of_a_property_may_stand_again_behind_its_value() -> None:
    tags = (
        "<call>{{ f.name }}{% for k, v in f.arguments.items() %}<{{ k }}>"
        "{{ v if v is string else v | tojson }}</{{ k }}>{% endfor %}</call>"
    )
    found = learned(source(tags))
    assert found.elements is not None
    assert found.elements.repeats
    assert found.arguments({"a": "x", "b": [1]}) == "<a>x</a><b>[1]</b>"
    twice = tags.replace("<{{ k }}>", "<{{ k }}|{{ k }}>")
    assert reason(source(twice)) == "it writes a value elsewhere"


NESTED = (
    "{% macro xml(v) %}{% if v is mapping %}{% for k, one in v.items() if one is not none %}"
    "[ns]<{{ k }}>{{ xml(one) }}[ns]</{{ k }}>{% endfor %}"
    "{% elif v is iterable and v is not string %}{% for one in v %}"
    "[ns]<one>{{ xml(one) }}[ns]</one>{% endfor %}{% elif v is none %}"
    "{% elif v is boolean %}{{ v | tojson }}{% else %}{{ v }}{% endif %}{% endmacro %}"
)
CALLED_NESTED = (
    "[ns]<call {{ f.name }}>{% if f.arguments.items() %}{{ xml(f.arguments) }}{% endif %}"
    "[ns]</call>"
)


def test_objects_and_arrays_may_be_elements_in_turn() -> None:
    found = learned(NESTED + source(CALLED_NESTED))
    assert found.elements is not None
    assert (found.elements.item, found.elements.mark) == ("one", "[ns]<")
    assert found.arguments({"a": [True, {"b": "x"}], "c": None}) == (
        "[ns]<a>[ns]<one>true[ns]</one>[ns]<one>[ns]<b>x[ns]</b>[ns]</one>[ns]</a>"
    )
    assert {"[ns]<", "[ns]</call>"} <= set(found.marks)
    python = NESTED.replace("{{ v | tojson }}", "{{ v }}")
    named = learned(python + source(CALLED_NESTED))
    assert named.arguments({"a": True}) == "[ns]<a>True[ns]</a>"


def test_nested_elements_need_a_mark_that_texts_do_not_have() -> None:
    plain = (NESTED + source(CALLED_NESTED)).replace("[ns]", "")
    assert reason(plain) == "its calls do not show a value of the type null"
    other = NESTED.replace("{{ v }}{% endif %}", "{{ v | upper }}{% endif %}")
    assert reason(other + source(CALLED_NESTED)) == "it does not write calls"
    listed = NESTED.replace("[ns]<one>{{ xml(one) }}[ns]</one>", "{{ xml(one) }};")
    assert reason(listed + source(CALLED_NESTED)) is not None


def test_text_may_have_a_wrap_because_of_a_character_in_it() -> None:
    marked = "{% if v is string and ('<' in v or '\n' in v) %}<![{{ v }}]]>{% else %}"
    wrapped = PARAMETERS.replace("{{ v if", f"{marked}{{{{ v if").replace(
        "tojson }}</p>", "tojson }}{% endif %}</p>"
    )
    found = learned(source(wrapped))
    assert found.elements is not None
    assert found.elements.wrap == Wrap("<![", "]]>", "\n<")
    assert {"<![", "]]>"} <= set(found.marks)
    two = wrapped.replace("{% if v is", "{% if v is string and '&' in v %}&{{ v }}&{% elif v is")
    assert reason(source(two)) == "it writes {'text': 'two\\nlines\\n'} in another way"


def test_text_may_be_quoted_as_other_values_are() -> None:
    called = (
        "<call>{{ f.name }}({% for k, v in f.arguments.items() %}{{ k }}={{ v | tojson }}"
        "{{ '' if loop.last else ', ' }}{% endfor %})</call>"
    )
    found = learned(source(called))
    assert found.elements is not None
    assert found.arguments({"a": 'x"', "b": None}) == 'a="x\\"", b=null'
    python = called.replace("v | tojson", "[v] | string | trim('[]')")
    found = learned(source(python.replace("[v] | string | trim('[]')", "'%r' | format(v)")))
    assert found.arguments({"a": "x", "b": None}) == "a='x', b=None"


def test_indented_object_has_its_spelling() -> None:
    found = learned(source(NAMED.replace("tojson", "tojson(indent=2)")))
    assert found.arguments({"a": [1]}) == '{\n  "a": [\n    1\n  ]\n}'
    deeper = "<call>{{ f.name }}|\n    {{ f.arguments | tojson(indent=4) | indent(4) }}\n</call>"
    found = learned(source(deeper))
    assert (found.middle, found.closing) == ("|\n    ", "\n</call>")
    assert found.arguments({"a": 1}) == '{\n        "a": 1\n    }'


def test_numbers_and_identifiers_are_slots() -> None:
    numbered = "<call>{{ f.name }}:{{ loop.index0 }}|{{ f.arguments | tojson }}</call>"
    assert learned(source(numbered)).middle == f":{COUNT}|"
    known = "<call>{{ c.id }}|{{ f.name }}|{{ f.arguments | tojson }}</call>"
    found = learned(source(known))
    assert (found.lead, found.separator) == (f"{IDENTIFIER}|", None)
    last = "{{ f.name }}|{{ f.arguments | tojson }}|{{ c.id }}{{ '' if loop.last else ', ' }}"
    found = learned(source(last, before="<calls>", after="</calls>"))
    assert (found.closing, found.separator) == (f"|{IDENTIFIER}</calls>", f"|{IDENTIFIER}, ")
    first = "{{ c.id }}|{{ f.name }}|{{ f.arguments | tojson }}{{ '' if loop.last else ', ' }}"
    found = learned(source(first, before="<calls>", after="</calls>"))
    assert (found.lead, found.separator) == (f"{IDENTIFIER}|", f", {NEXT_IDENTIFIER}|")


def test_name_may_stand_in_several_places() -> None:
    middle = "<call>{{ f.name }}|{{ f.name }}|{{ f.arguments | tojson }}</call>"
    found = learned(source(middle))
    assert (found.middle, found.closing) == (f"|{NAME_AGAIN}|", "</call>")
    end = "{{ f.name }}|{{ f.arguments | tojson }}</{{ f.name }}>{{ '' if loop.last else ',' }}"
    found = learned(source(end, before="<calls>", after="</calls>"))
    assert (found.closing, found.separator) == (f"</{NAME_AGAIN}></calls>", f"</{NAME_AGAIN}>,")
    tagged = "<{{ f.name }}>" + PARAMETERS.removeprefix("<call>{{ f.name }}|")
    tagged = PARAMETERS.replace("{{ f.name }}", "{{ f.name }}>").replace(
        "</call>", "</{{ f.name }}>"
    )
    assert learned(source(tagged)).closing == f"</{NAME_AGAIN}>"


def test_identifiers_are_as_long_as_the_template_takes_them() -> None:
    nine = "{% if c.id | length != 9 %}{{ raise_exception('nine!') }}{% endif %}"
    text = source(nine + "<call>{{ c.id }}|{{ f.name }}|{{ f.arguments | tojson }}</call>")
    assert learned(text).identifier_length == 9
    chat = ChatTemplate(text, bos="", eos="</s>")
    call = ToolUseParam(id="toolu_0123456789", name="look", input={})
    turns = (
        Turn("user", (TextParam(text="Look."),)),
        Turn("assistant", (call,)),
        Turn("user", (ToolResultParam(tool_use_id=call.id, content="Seen."),)),
    )
    said = "".join(one.text for one in chat.render(Prompt(turns, 1)).segments)
    assert len(said.split("<call>")[1].split("|")[0]) == 9


def test_call_is_rendered_with_what_the_model_wrote_as_its_identifier() -> None:
    known = "<call>{{ f.name }}|{{ c.id }}|{{ f.arguments | tojson }}</call>"
    chat = ChatTemplate(source(known), bos="", eos="</s>")
    assert isinstance(chat.syntax, Notation)
    assert chat.syntax.identifier_length == 9
    ids = [with_identifier(tool_use_id(bytes(22)), own) for own in ("abcDEF123", "abcDEF456")]
    assert len({*ids}) == 2
    blocks = tuple(ToolUseParam(id=one, name="look", input={}) for one in (*ids, "call-1"))
    turns = (
        Turn("user", (TextParam(text="Look."),)),
        Turn("assistant", blocks),
        Turn("user", tuple(ToolResultParam(tool_use_id=one.id, content="Seen.") for one in blocks)),
    )
    said = "".join(one.text for one in chat.render(Prompt(turns, 1)).segments)
    assert "<call>look|abcDEF123|{}</call><call>look|abcDEF456|{}</call>" in said
    assert len(said.split("<call>look|")[3].split("|")[0]) == 9


def test_arguments_are_elements_where_each_has_its_marks() -> None:
    found = learned(source(PARAMETERS))
    assert found.elements is not None
    assert (found.opening, found.middle, found.closing) == ("<call>", "", "</call>")
    assert found.elements.before == "<p "
    assert found.elements.places["string"].between == ">"
    assert found.elements.places["string"].after == "</p>"
    assert not found.elements.sorts
    ordered = PARAMETERS.replace("f.arguments.items()", "f.arguments | dictsort")
    assert learned(source(ordered)).elements == type(found.elements)(
        "<p ", found.elements.places, spellings=found.elements.spellings, sorts=True
    )


def test_words_and_lists_are_spelled_as_in_python_where_they_are() -> None:
    python = PARAMETERS.replace("v if v is string else v | tojson", "v")
    found = learned(source(python))
    assert found.elements is not None
    value = {"a": [True, None, "it's"], "b": False}
    assert found.arguments(value) == '<p a>[True, None, "it\'s"]</p><p b>False</p>'


def test_arguments_may_be_wanted_as_a_text() -> None:
    text = NAMED.replace("f.arguments | tojson", "f.arguments + ''")
    found = learned(source(text))
    assert found.arguments_as_text


def test_template_that_writes_one_call_makes_no_parallel_ones() -> None:
    one = "{% if loop.first %}" + NAMED + "{% endif %}"
    assert not learned(source(one)).parallel
    refuses = "{% if m.tool_calls | length > 1 %}{{ raise_exception('one!') }}{% endif %}" + NAMED
    assert not learned(source(refuses)).parallel


def test_answer_of_its_own_kind_has_an_opening_of_text() -> None:
    kinds = BEGIN.replace(
        "{{ m.content }}",
        "{% if m.role == 'assistant' and not m.tool_calls %}<final>{% endif %}{{ m.content }}",
    )
    found = learned(source(" to={{ f.name }}|{{ f.arguments | tojson }}", begin=kinds))
    assert (found.text_opening, found.opening) == ("<final>", " to=")
    assert found.variant is None
    kinds = kinds.replace("<final>", "<kind>final<|m|>")
    found = learned(
        source(" to={{ f.name }}<kind>call json|{{ f.arguments | tojson }}", begin=kinds)
    )
    assert found.text_opening == "<kind>final<|m|>"
    assert found.variant == Variant("<kind>call to=", " json|")


@pytest.mark.parametrize(
    ("text", "why"),
    [
        (TOOLS + BEGIN + END + PROMPT, "it has no calls"),
        (TOOLS + BEGIN + END + PROMPT + "{# tool_calls #}", "it does not write calls"),
        (
            source("<call>{{ f.name }}<|end|>{{ f.arguments | tojson }}"),
            "a call goes on behind the mark that ends a turn",
        ),
        (
            source("<call>{{ f.name }}</s>{{ f.arguments | tojson }}"),
            "a call goes on behind the mark that ends a turn",
        ),
        ("{{ raise_exception('no') if tools }}" + source(NAMED), "it does not write an answer"),
        (source("{{ f.name }}{{ f.arguments | tojson }}"), "nothing marks the beginning of a call"),
        (
            source("<|end|>{{ f.name }}|{{ f.arguments | tojson }}"),
            "a call begins with the mark that ends a turn",
        ),
        (
            source("<call>{{ f.name }}{{ f.name }}</call>{{ f.arguments | tojson }}"),
            "it writes a name elsewhere",
        ),
        (source(PARAMETERS.replace("<p ", "<p{{ loop.index }} ")), "arguments are no elements"),
        (
            source(NAMED.replace("f.arguments | tojson", "f.arguments | tojson | upper")),
            "it does not write calls",
        ),
        (
            source(PARAMETERS.replace("v | tojson", "v | length")),
            "it refuses a call that no result follows",
        ),
        (
            source(
                PARAMETERS.replace("v if v is string", "v | replace('plain', '') if v is string")
            ),
            "it writes {'text': 'plain'} in another way",
        ),
        (
            source(
                PARAMETERS.replace(
                    "v if v is string", "'!' if v is string and '<' in v else v if v is string"
                )
            ),
            "the template refuses a call, or drops or reorders its words",
        ),
        (
            source(
                PARAMETERS.replace("v if v is string", "v | replace('&', '&amp;') if v is string")
            ),
            "it writes {'text': 'a & <b> c'} in another way",
        ),
    ],
)
def test_other_templates_have_their_reason(text: str, why: str) -> None:
    assert reason(text) == why


def test_notation_is_that_of_answers_that_results_follow() -> None:
    """A template may write an identifier only where there is a result of that identifier."""
    later = "<call>{{ f.name }}|{{ f.arguments | tojson }}{{ '' if last else '|' ~ c.id }}</call>"
    told = BEGIN + "{% set last = loop.last %}"
    found = learned(source(later, begin=told))
    assert found.closing == f"|{IDENTIFIER}</call>"
    second = "<call>{{ '' if loop.first and m is sameas messages[1] else '!' }}"
    text = source(second + "{{ f.name }}|{{ f.arguments | tojson }}</call>")
    assert reason(text) == "it writes calls in another way once the conversation goes on"


def test_answer_of_calls_may_have_no_content_instead_of_an_empty_one() -> None:
    says = "<|{{ m.role }}|>{{ m.content }}"
    calls = "{% for m in messages %}{% if m.content is not none %}" + says + "{% else %}"
    text = source(NAMED, begin=calls, before="<|assistant|>")
    text = text.replace("{% if m.tool_calls %}", "").replace(
        "</call>{% endfor %}", "</call>{% endfor %}"
    )
    found = learned(text)
    assert found.empty is None
    assert learned(source(NAMED)).empty == ""


def test_tools_may_move_to_the_last_question() -> None:
    moved = "{% if loop.last or m.role == 'user' %}" + TOOLS + "{% endif %}"
    begin = BEGIN.replace("<|{{ m.role }}|>", moved + "<|{{ m.role }}|>")
    assert learned(source(NAMED, begin=begin).removeprefix(TOOLS)).describes


def test_prompt_may_end_with_what_begins_a_call() -> None:
    texts = BEGIN.replace(
        "{{ m.content }}",
        "{% if m.role != 'assistant' or m.content %}"
        "{{ '>>all\n' if m.role == 'assistant' }}{{ m.content }}{% endif %}",
    )
    call = ">>{{ f.name }}\n{{ f.arguments | tojson }}"
    text = source(call, begin=texts).removesuffix(PROMPT) + PROMPT.replace("|>", "|>>>")
    found = learned(text)
    assert (found.opening, found.lead, found.middle, found.closing) == (">>", "", "\n", "")
    assert (found.text_opening, found.begun) == ("all\n", True)
    other = learned(text.replace(PROMPT.replace("|>", "|>>>"), PROMPT))
    assert (other.text_opening, other.begun) == (">>all\n", False)


def test_empty_thoughts_are_no_part_of_a_call() -> None:
    text = source(NAMED, before="<plan>{{ m.plan }}\n</plan>\n")
    tags = ReasoningTags("<plan>", "</plan>")
    chat = ChatTemplate(text, bos="", eos="</s>", tags=tags)
    assert isinstance(chat.syntax, Notation)
    assert (chat.syntax.opening, chat.syntax.lead) == ("<call>", "")
    assert learned(text).opening == "<plan>"


def test_call_may_begin_with_what_ends_a_text() -> None:
    ended = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>"
    call = "calls<|is|>{{ f.name }}|{{ f.arguments | tojson }}<|end|>"
    text = source(call, begin=ended).replace("{% if m.role == 'assistant' %}<|end|>{% endif %}", "")
    found = learned(text)
    assert (found.opening, found.lead, found.closing) == ("<|end|>", "calls<|is|>", "")
    assert found.closes_text
    chat = ChatTemplate(text, bos="", eos="<|end|>")
    assert chat.unlearned == "a call begins with the mark that ends a turn"


def test_calls_may_end_with_a_part_of_what_ends_a_turn() -> None:
    ended = "{% for m in messages %}<o>{{ m.role }}<s>{{ m.content }}"
    call = "<o>{{ f.name }}<s>{{ f.arguments | tojson }}<c>call<s>"
    text = source(call, before="<c>text<s>", begin=ended)
    text = text.replace("{% if m.role == 'assistant' %}<|end|>{% endif %}", "<c>turn<s>")
    spoken = "{% elif m.role == 'assistant' %}<c>text<s>{% endif %}<c>turn"
    text = text.replace("{% endif %}<c>turn", spoken)
    found = learned(text.replace("<|assistant|>", "<o>assistant<s>"))
    assert (found.opening, found.lead) == ("<c>", "text<s><o>")
    assert (found.middle, found.closing) == ("<s>", "<c>call<s>")
    assert found.closes_text


def test_calls_are_counted_from_the_first_number() -> None:
    counted = "<call>{{ f.name }}:{{ loop.index + 2 }}|{{ f.arguments | tojson }}</call>"
    found = learned(source(counted))
    assert (found.middle, found.first_number) == (f":{COUNT}|", 3)
    leading = "{{ loop.index }}:{{ f.name }}|{{ f.arguments | tojson }}"
    listed = source(f"{leading}{{{{ '' if loop.last else ', ' }}}}", before="<calls>[", after="]")
    found = learned(listed)
    assert (found.lead, found.separator) == (f"[{COUNT}:", f", {COUNT}:")
    assert found.first_number == 1


def test_text_is_begun_where_no_tool_can_be_called() -> None:
    kinds = BEGIN.replace(
        "{{ m.content }}",
        "{% if m.role == 'assistant' and not m.tool_calls %} to=user<m>{% endif %}{{ m.content }}",
    )
    text = source(" to={{ f.name }}<m>{{ f.arguments | tojson }}", begin=kinds)
    chat = ChatTemplate(text, bos="", eos="</s>")
    asked = (Turn("user", (TextParam(text="Go."),)),)
    for choice, tools, end in (
        (ToolChoice(), (), "<|assistant|> to=user<m>"),
        (ToolChoice(mode="none"), (Tool(name="a", input_schema={}),), "<|assistant|> to=user<m>"),
        (ToolChoice(), (Tool(name="a", input_schema={}),), "<|assistant|>"),
    ):
        prompt = Prompt(asked, 1, tools=tools, tool_choice=choice)
        assert "".join(one.text for one in chat.render(prompt).segments).endswith(end)


def test_template_may_write_calls_and_describe_no_tools() -> None:
    assert learned(source(NAMED)).describes
    assert not learned(source(NAMED).removeprefix(TOOLS)).describes


def test_answer_may_begin_as_a_call_without_a_mark() -> None:
    listed = "{{ f | tojson }}{{ '' if loop.last else ', ' }}"
    found = learned(source(listed, before="[", after="]"))
    assert (found.opening, found.lead) == ("", '[{"name": "')
    assert (found.separator, found.closing) == ('}, {"name": "', "}]")
    pythonic = (
        '{{ f.name }}({% for k, v in f.arguments.items() %}{{ k }}="{{ v }}"'
        "{{ '' if loop.last else ', ' }}{% endfor %}){{ '' if loop.last else ', ' }}"
    )
    found = learned(source(pythonic, before="[", after="]"))
    assert (found.opening, found.lead, found.closing) == ("", "[", ")]")
    assert found.elements is not None
    assert found.arguments({"a": 7, "b": "x"}) == 'a="7", b="x"'


def test_what_a_filter_yields_is_a_list() -> None:
    listed = "{% if tools %}{{ tools | map(attribute='function') | tojson }}{% endif %}"
    text = listed + source(NAMED).removeprefix(TOOLS)
    chat = ChatTemplate(text, bos="", eos="</s>")
    assert chat.describes
    tool = Tool(name="look", description='Say "so".', input_schema={"type": "object"})
    prompt = Prompt((Turn("user", (TextParam(text="Go."),)),), 1, tools=(tool,))
    said = "".join(one.text for one in chat.render(prompt).segments)
    assert said.startswith('[{"name": "look", "description": "Say \\"so\\".", ')


def test_tools_may_be_read_by_an_older_name() -> None:
    older = "{{ functions + '\n' + datetime }}"
    text = older + source(NAMED).removeprefix(TOOLS)
    today = datetime(2026, 11, 29, 12, 0)  # noqa: DTZ001 - a local date, as templates write it
    chat = ChatTemplate(text, bos="", eos="</s>", now=lambda: today)
    assert chat.describes
    tool = Tool(name="look", description='Say "so".', input_schema={"type": "object"})
    question = (Turn("user", (TextParam(text="Go."),)),)
    prompts = (Prompt(question, 1, tools=tools) for tools in ((tool,), ()))
    some, none = ("".join(one.text for one in chat.render(one).segments) for one in prompts)
    assert json.loads(some.partition("\n2026-11-29<")[0])[0]["description"] == 'Say "so".'
    assert none.startswith("[]\n2026-11-29<")


def test_types_are_said_in_other_words_where_a_template_needs_them() -> None:
    """A template that writes types of Python has none for `null`, and wants those of objects."""
    types = (
        "{% set basic = ['integer', 'number', 'boolean', 'array'] %}"
        "{% macro python(s) %}{% if s.type == 'string' %}str{% elif s.type == 'object' %}"
        "Dict[{{ python(s.additionalProperties) }}]{% elif s.type in basic %}"
        "Any{% elif s.type is iterable %}{% for t in s.type %}{{ python({'type': t}) }}|"
        "{% endfor %}{% else %}Any{% endif %}"
        "{% endmacro %}"
    )
    wanted = types + TOOLS.replace(
        "{{ tool | tojson }}",
        "{{ tool.function.description }}{{ tool.function.name }}:"
        "{% for p in tool.function.parameters.properties.values() %}{{ python(p) }};{% endfor %}",
    )
    chat = ChatTemplate(wanted + source(NAMED).removeprefix(TOOLS), bos="", eos="</s>")
    assert chat.native
    schema = {
        "type": "object",
        "properties": {
            "a": {"type": "object"},
            "b": {"type": "null"},
            "c": {"type": ["string", "null"]},
            "d": {"type": "array", "items": {"type": "null"}},
        },
    }
    question = Turn("user", (TextParam(text="Go."),))
    prompt = Prompt((question,), 1, tools=(Tool(name="look", input_schema=schema),))
    said = "".join(one.text for one in chat.render(prompt).segments)
    assert said.startswith("look:Dict[];;;Any;")


def test_tools_are_described_with_what_a_template_cannot_do_without() -> None:
    wanted = TOOLS.replace(
        "{{ tool | tojson }}",
        "{{ tool.function.description + '' }}"
        "{% for n, p in tool.function.parameters.properties.items() %}"
        "{{ p['type'][0] ~ n }}{% endfor %}",
    )
    chat = ChatTemplate(wanted + source(NAMED).removeprefix(TOOLS), bos="", eos="</s>")
    assert chat.native
    question = Turn("user", (TextParam(text="Go."),))
    for schema in ({"type": "object"}, {"properties": {"at": {}}}):
        prompt = Prompt((question,), 1, tools=(Tool(name="look", input_schema=schema),))
        said = "".join(one.text for one in chat.render(prompt).segments)
        assert said.startswith("sat" if "properties" in schema else "<|user|>")
