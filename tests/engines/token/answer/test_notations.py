"""Answers in notations that are learned: sections, channels, streams and calls that are cut."""

import json
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from antiphon.core.prompt import (
    EngineEvent,
    Finished,
    FinishReason,
    TextChunk,
    Tool,
    ToolCallJson,
    ToolCallStart,
    ToolChoice,
)
from antiphon.engines.token.answer.answer_format import AnswerFormat
from antiphon.engines.token.answer.constraint import ConstraintRequest, constrain
from antiphon.engines.token.answer.constraint_cache import ConstraintCache
from antiphon.engines.token.answer.generation import GenerationInput, generate
from antiphon.engines.token.answer.parser import AnswerParser
from antiphon.engines.token.notation.notation import (
    COUNT,
    IDENTIFIER,
    NAME_AGAIN,
    NEXT_IDENTIFIER,
    Call,
    Notation,
    Variant,
)
from antiphon.engines.token.prompt.tool_prompt import call_instructions
from antiphon.schemas.elements import Elements
from support.elements import CALLED, QUOTED, QUOTED_JSON, REPEATED, TAGGED, TAGS, WRAPPED
from support.gbnf import Grammar
from support.scripted_machine import ScriptedMachine, words_prompt

pytestmark = pytest.mark.anyio

SECTION = Notation(
    opening="[C]", lead=f"{COUNT}:", middle=" ", separator=f"; {COUNT}:", closing=" [/C]"
)
PARAMETERS = Notation(
    opening="<tool_call>",
    lead="\n<function=",
    middle=">\n",
    closing="</function>\n</tool_call>",
    gap="\n",
    elements=TAGGED,
)
CHANNELS = Notation(
    opening=" to=f.",
    lead="",
    middle="<m>",
    closing="",
    parallel=False,
    text_opening="<final>",
    variant=Variant("<kind>call to=f.", " json<m>"),
)
ADD = Tool(
    name="add",
    input_schema={
        "type": "object",
        "properties": {
            "n": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True, "minItems": 2}
        },
        "required": ["n"],
    },
)
WRITE = Tool(
    name="write",
    input_schema={
        "type": "object",
        "properties": {
            "text": {"type": "string"},
            "size": {"type": "integer"},
            "mixed": {"type": ["string", "integer", "null"]},
            "list": {"type": "array"},
        },
    },
    eager_input_streaming=True,
)
TOOLS = (ADD, WRITE)


def events_of(
    notation: Notation, *pieces: str, reason: FinishReason = FinishReason.END_TURN, **more: bool
) -> list[EngineEvent]:
    parser = AnswerParser(AnswerFormat(notation, TOOLS, constrained=True, **more))
    found = [event for piece in pieces for event in parser.feed(piece, 1)]
    return [*found, *parser.finish(reason, 0)]


def said(events: list[EngineEvent]) -> list[tuple[str, str]]:
    """Return the texts, and the calls with their inputs."""
    found: list[tuple[str, str]] = []
    for event in events:
        if isinstance(event, TextChunk) and found and found[-1][0] == "text":
            found[-1] = ("text", found[-1][1] + event.text)
        elif isinstance(event, TextChunk):
            found.append(("text", event.text))
        elif isinstance(event, ToolCallStart):
            found.append((event.name, ""))
        elif isinstance(event, ToolCallJson):
            found[-1] = (found[-1][0], found[-1][1] + event.text)
    return found


NAMED = Notation(opening="<c>", lead="", middle=f" {NAME_AGAIN}|", closing=f"</{NAME_AGAIN}>")
NAMED_LIST = replace(NAMED, separator=f"</{NAME_AGAIN}>, ", closing=f"</{NAME_AGAIN}></c>")

TWO = [
    (SECTION, 'Look. [C]0:add {"n": [1, 2]}; 1:write {"text": "a"} [/C]'),
    (
        PARAMETERS,
        (
            "Look.\n\n<tool_call>\n<function=add>\n<parameter=n>\n[1, 2]\n</parameter>\n"
            "</function>\n"
            "</tool_call>\n<tool_call>\n<function=write>\n<parameter=text>\na\n</parameter>\n"
            "</function>\n</tool_call>"
        ),
    ),
    (
        Notation(opening="<c>", lead="<", middle=">", closing=f"</{NAME_AGAIN}>", elements=TAGS),
        "Look.<c><add><n>[1, 2]</n>\n</add><c><write><text>a</text>\n</write>",
    ),
    (
        Notation(opening="<c ", lead="", middle=">", closing="</c>", elements=WRAPPED),
        "Look.<c add><p n>[1, 2]</p></c><c write><p text>a</p></c>",
    ),
    (
        Notation(
            opening="<c>", lead="[", middle="(", closing=")]</c>", separator="), ", elements=CALLED
        ),
        "Look.<c>[add(n=[1, 2]), write(text='a')]</c>",
    ),
    (
        replace(SECTION, lead="", separator="|\n", closing="|\n[/C]"),
        'Look.[C]add {"n": [1, 2]}|\nwrite {"text": "a"}|\n[/C]',
    ),
    (NAMED, 'Look.<c>add add|{"n": [1, 2]}</add><c>write write|{"text": "a"}</write>'),
    (NAMED_LIST, 'Look.<c>add add|{"n": [1, 2]}</add>, write write|{"text": "a"}</write></c>'),
]


@pytest.mark.parametrize(
    ("notation", "text"),
    TWO,
    ids=["section", "elements", "tags", "wrapped", "called", "begun", "named", "list"],
)
@given(st.lists(st.integers(0, 250), max_size=30))
def test_calls_are_the_same_however_they_are_cut(
    notation: Notation, text: str, cuts: list[int]
) -> None:
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:end] for start, end in pairwise(edges)]
    expected = [("text", "Look."), ("add", '{"n": [1, 2]}'), ("write", '{"text": "a"}')]
    assert said(events_of(notation, *pieces)) == expected


@pytest.mark.parametrize("elements", [QUOTED_JSON, REPEATED])
@given(st.lists(st.integers(0, 90), max_size=20))
def test_quotes_are_no_part_of_a_text(elements: Elements, cuts: list[int]) -> None:
    notation = Notation(opening="<c>", lead="", middle="(", closing=")</c>", elements=elements)
    given_ = {"text": 'it\'s "x", y=\\\n)</c>', "size": 7, "mixed": "two", "list": ["a", None]}
    text = notation.write(Call("write", given_), Call("write", {"mixed": None}))
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:end] for start, end in pairwise(edges)]
    calls = [(name, json.loads(read)) for name, read in said(events_of(notation, *pieces))]
    assert calls == [("write", given_), ("write", {"mixed": None})]


odd_names = st.text("ab<>/p=)}:,#'\"| \n", max_size=6) | st.sampled_from(
    [">\n", "=", ")</c>", ':<|"|>', "</p>", "/a", "a'b", "first name"]
)


@pytest.mark.parametrize("elements", [TAGGED, TAGS, WRAPPED, QUOTED, CALLED, QUOTED_JSON, REPEATED])
@given(odd_names, st.sampled_from(["x", "", 7, ["a"]]), st.booleans())
def test_name_that_can_be_written_is_read(
    elements: Elements, name: str, value: object, first: bool
) -> None:
    if not elements.can_name(name):
        return
    notation = Notation(opening="<c>", lead="", middle="(", closing=")</c>", elements=elements)
    given_ = {name: value} if first else {"mixed": "one", name: value}
    text = notation.write(Call("write", given_))
    ((called, read),) = said(events_of(notation, *text))
    assert (called, json.loads(read)) == ("write", given_)


def test_text_in_quotes_of_json_is_streamed_as_it_comes() -> None:
    notation = Notation(opening="<c>", lead="", middle="(", closing=")</c>", elements=QUOTED_JSON)
    parser = AnswerParser(AnswerFormat(notation, TOOLS, constrained=True))
    parser.feed("<c>write(text=", 1)
    pieces = ['"one', " two\\", '"', '"', ", size=4)</c>"]
    sent = ["".join(getattr(event, "text", "") for event in parser.feed(one, 1)) for one in pieces]
    assert sent == ['"one', " two", '\\"', '"', ', "size": 4}']


@given(st.lists(st.integers(0, 80), max_size=20))
def test_wrap_is_no_part_of_a_text(cuts: list[int]) -> None:
    notation = Notation(opening="<c ", lead="", middle=">", closing="</c>", elements=WRAPPED)
    given_ = {"text": "]] > <![ </p>", "size": 7, "mixed": "two\n"}
    text = notation.write(Call("write", given_))
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:end] for start, end in pairwise(edges)]
    ((name, read),) = said(events_of(notation, *pieces))
    assert (name, json.loads(read)) == ("write", given_)
    allowed = grammar(ToolChoice(), syntax=notation)
    assert allowed.allows(text)
    assert not allowed.allows(text.replace("<![two\n]]>", "<![two]]>"))
    assert not allowed.allows(text.replace("<![two\n]]>", "two\n"))


def test_text_of_a_parameter_is_streamed_as_it_comes() -> None:
    head = "<tool_call>\n<function=write>\n<parameter=text>\n"
    pieces = ["one", ' "two"\n', " </para", "meter> three", "\n</parameter>\n<parameter=size>\n4"]
    parser = AnswerParser(AnswerFormat(PARAMETERS, TOOLS, constrained=True))
    parser.feed(head, 1)
    sent = ["".join(getattr(event, "text", "") for event in parser.feed(one, 1)) for one in pieces]
    assert sent == ["one", ' \\"two\\"', "\\n </para", "meter> three", '", "size": ']
    rest = parser.feed("2\n</parameter>\n</function>\n</tool_call>", 1)
    assert "".join(getattr(event, "text", "") for event in rest) == "42}"


@given(st.lists(st.integers(0, 80), max_size=20))
def test_mark_within_a_text_is_a_part_of_it(cuts: list[int]) -> None:
    notation = Notation(opening="<c>", lead="", middle="(", closing=")</c>", elements=CALLED)
    text = "<c>write(text='it's 'so', and', size=4, mixed='', list=['it'])</c>"
    edges = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    pieces = [text[start:end] for start, end in pairwise(edges)]
    given_ = '{"text": "it\'s \'so\', and", "size": 4, "mixed": "", "list": ["it"]}'
    assert said(events_of(notation, *pieces)) == [("write", given_)]


@pytest.mark.parametrize(
    ("text", "value"),
    [("7", "7"), ("None", "null"), ("seven", '"seven"'), ("7.5", '"7.5"'), ("[1]", '"[1]"')],
)
def test_value_has_a_type_that_its_schema_allows(text: str, value: str) -> None:
    answer = (
        f"<tool_call>\n<function=write>\n<parameter=mixed>\n{text}\n</parameter>\n"
        "</function>\n</tool_call>"
    )
    assert said(events_of(PARAMETERS, *answer)) == [("write", f'{{"mixed": {value}}}')]


@pytest.mark.parametrize("elements", [TAGGED, QUOTED, CALLED], ids=["tagged", "quoted", "called"])
def test_marks_within_a_nested_value_end_nothing(elements: object) -> None:
    notation = replace(PARAMETERS, elements=elements)
    given_ = {"list": [["\n</parameter>\n", "]}", {"a": "x"}], "it's", 1]}
    if elements is QUOTED:
        given_ = {"list": [["\n</parameter>\n", "]}", {"a": "x"}], 'it"s', 1]}
    answer = notation.write(Call("write", given_))
    (found,) = said(events_of(notation, *answer))
    assert found == ("write", json.dumps(given_))


def test_call_that_a_limit_cuts_keeps_what_was_written() -> None:
    text = "<tool_call>\n<function=add>\n<parameter=n>\n[1, 2]\n</parameter>\n"
    cut = FinishReason.MAX_TOKENS
    assert said(events_of(PARAMETERS, text, reason=cut)) == [("add", '{"n": [1, 2]')]
    assert said(events_of(PARAMETERS, "<tool_call>\n<func", reason=cut)) == []
    assert said(events_of(PARAMETERS, "Hi <tool_", reason=cut)) == [("text", "Hi")]


async def test_call_within_a_section_is_written_again_alone() -> None:
    machine = ScriptedMachine(
        ["[C]0:", "add ", '{"n": [1, 2]}', "; 1:", "add ", '{"n": [3, 3]}', " [/C]"],
        ["add ", '{"n": [3, 4]}', " [/C]"],
    )
    prompt = words_prompt(tools=(ADD,), tool_choice=ToolChoice(mode="any"))
    how = GenerationInput(tokens=[1, 2], room=100, syntax=SECTION)
    events = [event async for event in generate(machine, ConstraintCache(), prompt, how)]
    assert said(events) == [("add", '{"n": [1, 2]}'), ("add", '{"n": [3, 4]}')]
    assert machine.asked[1].tokens == [1, 2, 101, 102, 103, 104]
    again = Grammar(machine.asked[1].grammar or "")
    assert again.allows('add {"n": [3, 4]} [/C]')
    assert again.allows('add {"n": [3, 4]}; 2:add {"n": [5, 6]} [/C]')
    assert not again.allows('[C]1:add {"n": [3, 4]} [/C]')


def grammar(choice: ToolChoice, **more: object) -> Grammar:
    request = ConstraintRequest(TOOLS, choice, None, CHANNELS)
    return Grammar(constrain(replace(request, **more)).grammar or "")


def test_answer_with_channels_is_text_or_a_call() -> None:
    call = ' to=f.add<m>{"n": [1, 2]}'
    auto, forced = grammar(ToolChoice()), grammar(ToolChoice(mode="any"))
    assert auto.allows("<final>Hello to=f.add there")
    assert auto.allows(call)
    for varied in (
        '<kind>call to=f.add json<m>{"n": [1, 2]}',
        '<kind>call to=f.add <|constrain|>json<m>{"n": [1, 2]}',
    ):
        assert auto.allows(varied)
        assert forced.allows(varied)
    assert not auto.allows("Hello")
    assert not auto.allows(f"<final>{call}{call}"[7:])
    assert forced.allows(call)
    assert not forced.allows("<final>Hello")
    assert grammar(ToolChoice(), prefilled=True).allows("and so on")
    output = grammar(ToolChoice(), schema={"type": "boolean"})
    assert output.allows("<final>true")
    assert output.allows(call)


@pytest.mark.parametrize(("notation", "text"), TWO[-2:])
def test_name_is_the_same_wherever_it_stands(notation: Notation, text: str) -> None:
    auto = grammar(ToolChoice(), syntax=notation)
    assert auto.allows(text)
    for other in ("add| write|", "</add> </write>"):
        assert not auto.allows(text.replace(*other.split()))
    one = grammar(ToolChoice(parallel=False), syntax=notation)
    assert not one.allows(text)
    assert one.allows(notation.write(Call("add", {"n": [1, 2]})))
    head = text.replace("Look.", "").replace("write write", "write add")
    assert said(events_of(notation, head)) != said(events_of(notation, text))


CLOSED = Notation(
    opening="<end>", lead=" text<tools>", middle="|", closing="</tools>", closes_text=True
)


@pytest.mark.parametrize(
    ("text", "wanted", "is_over"),
    [
        ("Look.<end> text<other>It goes on", [("text", "Look.")], True),
        ("Look.<end>", [("text", "Look.")], False),
        ("Look.<end> te", [("text", "Look.")], False),
        ("Look.<en", [("text", "Look.<en")], False),
        ('<end> text<tools>add|{"n": [1, 2]}</tools>', [("add", '{"n": [1, 2]}')], False),
        (
            'Look.<end> text<tools>add|{"n": [1, 2]}</tools><end> turn',
            [("text", "Look."), ("add", '{"n": [1, 2]}')],
            True,
        ),
    ],
)
def test_what_ends_a_text_ends_the_answer_unless_a_call_follows(
    text: str, wanted: list[tuple[str, str]], is_over: bool
) -> None:
    for pieces in ([text], [*text]):
        parser = AnswerParser(AnswerFormat(CLOSED, TOOLS, constrained=True))
        events = [event for piece in pieces for event in parser.feed(piece, 1)]
        assert parser.ended == is_over
        assert said([*events, *parser.finish(FinishReason.END_TURN, 0)]) == wanted
    assert grammar(ToolChoice(), syntax=CLOSED).allows(text.removesuffix("<end> turn"))
    forced = grammar(ToolChoice(mode="any"), syntax=CLOSED)
    assert forced.allows(text) == text.startswith("<end>")


def test_no_unknown_tool_is_called_where_a_text_ends_as_a_call_begins() -> None:
    auto = grammar(ToolChoice(), syntax=CLOSED)
    none = grammar(ToolChoice(mode="none"), syntax=CLOSED)
    assert not auto.allows("Look.<end> text<tools>other|{}</tools>")
    assert not auto.allows('Look.<end> text<tools>add|{"n": 7}</tools>')
    assert none.allows("Look.<end> text<other>")
    text = 'Look.<end> text<tools>add|{"n": [1, 2]}</tools>'
    for tools in ((), TOOLS):
        parser = AnswerParser(AnswerFormat(CLOSED, tools, constrained=True))
        events = parser.feed(text, 1)
        assert parser.ended == (not tools)
        assert said(events)[0] == ("text", "Look.")
        assert len(said(events)) == (2 if tools else 1)


async def test_text_ends_at_its_mark_where_no_tools_are() -> None:
    machine = ScriptedMachine(["Look.", "<end>", " text", "<other>"])
    how = GenerationInput(tokens=[1, 2], room=100, syntax=CLOSED)
    events = [one async for one in generate(machine, ConstraintCache(), words_prompt(), how)]
    assert said(events) == [("text", "Look.")]
    assert "<end>" in machine.asked[0].shown
    assert isinstance(events[-1], Finished)
    assert events[-1].reason is FinishReason.END_TURN


BARE = Notation(
    opening="", lead='[{"f": "', middle='", "in": ', separator='}, {"f": "', closing="}]"
)


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("Look.", [("text", "Look.")]),
        ('[{"g": 1}] it is', [("text", '[{"g": 1}] it is')]),
        ("[1] says so", [("text", "[1] says so")]),
        ("[", [("text", "[")]),
        ("", []),
        (
            '[{"f": "add", "in": {"n": [1, 2]}}, {"f": "write", "in": {}}]',
            [("add", '{"n": [1, 2]}'), ("write", "{}")],
        ),
    ],
)
def test_answer_that_begins_as_a_call_is_one(text: str, wanted: list[tuple[str, str]]) -> None:
    assert said(events_of(BARE, text)) == said(events_of(BARE, *text)) == wanted
    assert grammar(ToolChoice(), syntax=BARE).allows(text)
    forced = grammar(ToolChoice(mode="any"), syntax=BARE)
    assert forced.allows(text) == (wanted[:1] == [("add", '{"n": [1, 2]}')])
    parser = AnswerParser(AnswerFormat(BARE, TOOLS, constrained=True))
    streamed = [event for one in text for event in parser.feed(one, 1)]
    assert said(streamed) == (wanted if text != "[" else [])


def test_no_unknown_tool_is_called_by_an_answer_that_begins_as_a_call() -> None:
    auto = grammar(ToolChoice(), syntax=BARE)
    assert not auto.allows('[{"f": "other", "in": {}}]')
    assert not auto.allows('[{"f": "add", "in": {"n": 7}}]')


BEGUN = Notation(opening=">>", lead="", middle="\n", closing="", text_opening="all\n", begun=True)


def test_call_begins_with_its_name_where_the_prompt_has_its_opening() -> None:
    auto, forced = (
        grammar(ToolChoice(), syntax=BEGUN),
        grammar(ToolChoice(mode="any"), syntax=BEGUN),
    )
    first, second = 'add\n{"n": [1, 2]}', '>>write\n{"text": "a"}'
    calls = [("add", '{"n": [1, 2]}'), ("write", '{"text": "a"}')]
    for text, wanted in (
        (f"{first}{second}", calls),
        (f"all\nLook > >there.{second}", [("text", "Look > >there."), calls[1]]),
        ("all\nLook.", [("text", "Look.")]),
    ):
        assert said(events_of(BEGUN, text)) == said(events_of(BEGUN, *text)) == wanted
        assert auto.allows(text)
        assert forced.allows(text) == (wanted == calls)
    assert not auto.allows(f">>{first}")
    assert not auto.allows("all\nLook.>>other")
    later = grammar(ToolChoice(mode="any"), syntax=BEGUN, again=True, start=False)
    assert later.allows(f">>{first}")
    assert not later.allows(first)
    prefilled = grammar(ToolChoice(), syntax=BEGUN, prefilled=True)
    text = f"all\nand so on{second}"
    assert prefilled.allows(text)
    assert said(events_of(BEGUN, *text, prefilled=True)) == [("text", text[:13]), calls[1]]


def test_tool_with_the_name_of_a_text_is_called_only_if_it_must_be() -> None:
    tool = Tool(name="all", input_schema={"type": "object"})
    for notation, call in (
        (BEGUN, "all\n{}"),
        (
            replace(CHANNELS, opening=" to=", text_opening=" to=all<m>", variant=None),
            " to=all<m>{}",
        ),
    ):
        forced = ToolChoice(mode="any", parallel=False)
        assert grammar(forced, syntax=notation, tools=(tool,)).allows(call)
        format_ = AnswerFormat(notation, (tool,), constrained=True, forced=True)
        assert said([*AnswerParser(format_).feed(call, 1)]) == [("all", "{}")]
        auto = grammar(ToolChoice(), syntax=notation, tools=(tool, ADD))
        assert auto.allows(call + ">")  # a text
        assert said(events_of(notation, call)) == [("text", "{}")]
        assert grammar(ToolChoice(), syntax=notation, tools=(tool,)).allows(call)


@pytest.mark.parametrize("before", [(), ("all\nLook.>>",)])
async def test_first_call_is_written_again_where_it_began(before: tuple[str, ...]) -> None:
    wrong, right = 'add\n{"n": [1, 1]}', 'add\n{"n": [3, 4]}'
    again = [*((">>",) if before else ()), right]
    machine = ScriptedMachine([*before, wrong], again)
    how = GenerationInput(tokens=[1, 2], room=100, syntax=BEGUN)
    prompt = words_prompt(tools=(ADD,), tool_choice=ToolChoice())
    events = [event async for event in generate(machine, ConstraintCache(), prompt, how)]
    text = [("text", "Look.")] if before else []
    assert said(events) == [*text, ("add", '{"n": [3, 4]}')]
    grammar_again = Grammar(machine.asked[1].grammar or "")
    assert grammar_again.allows("".join(again))


def test_answer_is_text_or_calls_where_a_template_has_no_place_for_both() -> None:
    alone = grammar(ToolChoice(), syntax=replace(SECTION, alone=True))
    both = grammar(ToolChoice(), syntax=SECTION)
    call = '[C]0:add {"n": [1, 2]} [/C]'
    for allowed in (alone, both):
        assert allowed.allows(call)
        assert allowed.allows("Hello [C")
    assert both.allows(f"Hello {call}")
    assert not alone.allows(f"Hello {call}")
    output = grammar(ToolChoice(), schema={"type": "boolean"}, syntax=replace(SECTION, alone=True))
    assert output.allows("true")
    assert output.allows(call)
    assert not output.allows("Hello")


@pytest.mark.parametrize("reasoned", [False, True])
def test_mark_of_a_text_is_no_part_of_it(reasoned: bool) -> None:
    for pieces in (["<final>Hello"], [*"<final>Hello"]):
        events = events_of(CHANNELS, *pieces, reasoned=reasoned)
        assert said(events) == [("text", "Hello")]
    events = events_of(CHANNELS, *' to=f.add<m>{"n": [1, 2]}', reasoned=reasoned)
    assert said(events) == [("add", '{"n": [1, 2]}')]
    for mark in ("", "<|constrain|>"):
        text = f'<kind>call to=f.add {mark}json<m>{{"n": [1, 2]}}'
        events = events_of(CHANNELS, *text, reasoned=reasoned)
        assert said(events) == [("add", '{"n": [1, 2]}')]
    for cut in ("<fin", " to=", " ", "<kind>call to"):
        assert events_of(CHANNELS, cut, reason=FinishReason.MAX_TOKENS, reasoned=reasoned) == [
            Finished(FinishReason.MAX_TOKENS, 1)
        ]


def test_mark_of_a_text_may_begin_as_a_call_does() -> None:
    notation = replace(CHANNELS, opening=" to=", text_opening=" to=user<m>", variant=None)
    for text, wanted in (
        (" to=user<m>Hello to=add", ("text", "Hello to=add")),
        (' to=add<m>{"n": [1, 2]}', ("add", '{"n": [1, 2]}')),
        (" to=user<m to=add", ("text", " to=user<m to=add")),
    ):
        assert said(events_of(notation, text)) == said(events_of(notation, *text)) == [wanted]
    auto = grammar(ToolChoice(), syntax=notation)
    assert auto.allows(" to=user<m>Hello")
    assert auto.allows(' to=add<m>{"n": [1, 2]}')


def test_instructions_show_a_call_in_the_notation() -> None:
    assert call_instructions(PARAMETERS).endswith(
        "<tool_call>\n<function=the name of the tool>\n<parameter=the name of an argument>\n"
        "its value\n</parameter>\n</function>\n</tool_call>"
    )


NAMED_CALLS = "abcdefgh1", "abcdefgh2", "abcdefgh3"
IDENTIFIED = {
    "middle": Notation(
        opening="[C]", lead="", middle=f"[I]{IDENTIFIER}[A]", closing="", identifier_length=9
    ),
    "lead": Notation(
        opening="[C]",
        lead=f"{IDENTIFIER} ",
        middle=" ",
        separator=f"; {NEXT_IDENTIFIER} ",
        closing="[/C]",
        identifier_length=9,
    ),
    "closing": Notation(
        opening="[C]",
        lead="",
        middle=" ",
        separator=f" {IDENTIFIER}; ",
        closing=f" {IDENTIFIER}[/C]",
        identifier_length=9,
    ),
}


@pytest.mark.parametrize("where", IDENTIFIED)
@pytest.mark.parametrize("eager", [False, True])
def test_calls_keep_the_identifiers_of_the_model(where: str, eager: bool) -> None:
    notation = IDENTIFIED[where]
    calls = [Call("write", {"size": n}, one, n) for n, one in enumerate(NAMED_CALLS)]
    tools = (replace(WRITE, eager_input_streaming=eager),)
    text = notation.write(*calls)
    for pieces in ([text], [*text]):
        parser = AnswerParser(AnswerFormat(notation, tools, constrained=True))
        events = [event for piece in pieces for event in parser.feed(piece, 1)]
        starts = [one for one in events if isinstance(one, ToolCallStart)]
        # What stands behind an input that is streamed comes too late.
        known = ["", "", ""] if eager and where == "closing" else [*NAMED_CALLS]
        assert [one.identifier for one in starts] == known
    assert grammar(ToolChoice(mode="any"), syntax=notation).allows(text)
    assert not grammar(ToolChoice(), syntax=notation).allows(text.replace("abcdefgh2", "abc"))
