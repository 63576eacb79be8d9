"""Which prompts share a key, and which blocks share a position."""

import json
from typing import Any

import msgspec
import pytest
from msgspec.structs import replace

from antiphon.core.blocks import UnknownBlockError
from antiphon.core.errors import InvalidRequestError
from antiphon.core.prompt import Prompt, Turn
from antiphon.core.prompt_cache import Chain, chain_of
from antiphon.core.validation import prompt_for
from antiphon.wire.content import BlockParam
from support.prompt_cache import ROOT, marked, prompt_of
from support.requests import (
    ABLE,
    DECODERS,
    EPHEMERAL,
    OLD,
    assistant,
    call,
    prompt,
    result,
    system,
    text,
    tool,
    user,
)
from support.tool_changes import addition, definition, removal

THOUGHT = {"type": "thinking", "thinking": "Hm.", "signature": "s"}


def chain(*messages: dict[str, Any], **fields: Any) -> Chain:
    return chain_of(prompt_of(*messages, **fields), ROOT)


def keys(*messages: dict[str, Any], **fields: Any) -> list[bytes]:
    return [prefix.key for prefix in chain(*messages, **fields).prefixes]


def positions(*messages: dict[str, Any], **fields: Any) -> list[int]:
    return [prefix.position for prefix in chain(*messages, **fields).prefixes]


def test_tools_come_before_the_system_prompt_and_the_messages() -> None:
    everything = {"tools": [tool("a"), tool("b")], "system": [text("s"), text("t")]}
    whole = chain(user("Hi"), **everything)
    assert [prefix.position for prefix in whole.prefixes] == [0, 1, 2, 3, 4]
    assert whole.tools.key == whole.prefixes[1].key
    assert whole.system.key == whole.prefixes[3].key
    assert whole.first_message == 4
    sizes = [prefix.size for prefix in whole.prefixes]
    assert sizes == sorted(sizes)
    assert len(set(keys(user("Hi"), **everything))) == 5


def test_section_without_blocks_ends_where_it_begins() -> None:
    plain = chain(user("Hi"))
    assert plain.first_message == 0
    assert plain.tools.size < plain.system.size < plain.prefixes[0].size


def test_longer_conversation_begins_with_the_keys_of_the_shorter_one() -> None:
    first = keys(user("a"))
    second = keys(user("a"), assistant("b"), user([text("c"), text("d")]))
    assert second[:1] == first
    third = keys(user("a"), assistant("b"), user([text("c"), text("d")]), system("e"))
    assert third[:4] == second


def test_string_is_one_block() -> None:
    assert keys(user("a"), system="s") == keys(user([text("a")]), system=[text("s")])
    found = [user(), assistant([call("x")])]
    assert keys(*found, user([result("x", "r")])) == keys(*found, user([result("x", [text("r")])]))


def test_messages_of_one_role_are_one_turn() -> None:
    assert keys(user("a"), user("b")) == keys(user([text("a"), text("b")]))


def test_same_text_of_another_role_has_another_key() -> None:
    said = chain(user("a"), assistant("b"), user("c"), system("b"))
    assert len({prefix.key for prefix in said.prefixes}) == 4
    assert keys(user("a"), system("b"))[1] != keys(user("a"), assistant("b"))[1]
    assert keys(user("a"), user("b"))[1] != keys(user("a"), assistant("b"))[1]


def test_two_texts_are_not_the_same_as_one() -> None:
    assert keys(user([text("ab")])) != keys(user([text("a"), text("b")]))[1:]


def test_breakpoints_make_no_key() -> None:
    results = [result("x", [text("r"), text("q")])]
    marks = [result("x", [text("r", "1h"), text("q")], cache_control=EPHEMERAL)]
    talk = [user("a"), assistant([call("x")])]
    with_marks = chain(*talk, user(marks), tools=[tool()], system=[text("s", "1h")])
    without = chain(*talk, user(results), tools=[tool()], system="s")
    assert with_marks.prefixes == without.prefixes
    assert [(one.index, one.ttl) for one in with_marks.breakpoints] == [
        (1, "1h"),
        (4, "1h"),
        (6, "5m"),
    ]


def test_breakpoint_inside_of_a_block_has_a_prefix_of_its_own() -> None:
    talk = [user("a"), assistant([call("x")])]
    whole = chain(*talk, user([result("x", [text("r"), text("q")])]))
    changed = chain(*talk, user([result("x", [text("r"), text("w")])]))
    same = [a.key == b.key for a, b in zip(whole.prefixes, changed.prefixes, strict=True)]
    assert same == [True, True, True, False, False]
    closed = chain(*talk, user([result("x", [text("r")]), text("q")]))
    assert closed.prefixes[3].key not in {prefix.key for prefix in whole.prefixes}


@pytest.mark.parametrize(
    "field", [{"organization_id": "other"}, {"workspace_id": "other"}, {"model": "other"}]
)
def test_nothing_is_shared_across_workspaces_and_models(field: dict[str, str]) -> None:
    prompt = prompt_of(user("a"), tools=[tool()], system="s")
    own = {prefix.key for prefix in chain_of(prompt, ROOT).prefixes}
    other = {prefix.key for prefix in chain_of(prompt, replace(ROOT, **field)).prefixes}
    assert not own & other


def test_names_of_a_root_do_not_run_into_each_other() -> None:
    prompt = prompt_of(user("a"))
    some = replace(ROOT, organization_id="a", workspace_id="bc")
    others = replace(ROOT, organization_id="ab", workspace_id="c")
    assert chain_of(prompt, some).prefixes != chain_of(prompt, others).prefixes


def decoded(body: str) -> Prompt:
    return prompt_for(DECODERS[OLD].decode(body.encode()), ABLE, OLD)


@pytest.mark.parametrize("where", ["tools", "input"])
def test_order_of_the_keys_of_a_schema_and_of_an_input_matters(where: str) -> None:
    def prompt(value: str) -> Prompt:
        schema = f'{{"type": "object", "properties": {value if where == "tools" else "{}"}}}'
        given = value if where == "input" else "{}"
        use = f'{{"type": "tool_use", "id": "x", "name": "f", "input": {given}}}'
        back = json.dumps(result("x"))
        return decoded(
            '{"model": "m", "max_tokens": 8, '
            f'"tools": [{{"name": "f", "input_schema": {schema}}}], "messages": ['
            f'{{"role": "user", "content": "a"}}, {{"role": "assistant", "content": [{use}]}},'
            f'{{"role": "user", "content": [{back}]}}]}}'
        )

    one = chain_of(prompt('{"a": {}, "b": {}}'), ROOT).prefixes
    assert chain_of(prompt('{ "a":{},"b":{} }'), ROOT).prefixes == one
    assert chain_of(prompt('{"b": {}, "a": {}}'), ROOT).prefixes != one


def test_spelling_of_a_string_and_absent_defaults_do_not_matter() -> None:
    body = '{"model": "m", "max_tokens": 8, "messages": [{"role": "user", "content": %s}]}'
    spelled = [
        decoded(body % content)
        for content in (
            '"\\u00e9"',
            '"é"',
            '[{"type": "text", "text": "é"}]',
            '[{"text": "é", "citations": null, "cache_control": null, "type": "text"}]',
        )
    ]
    assert len({chain_of(prompt, ROOT).prefixes for prompt in spelled}) == 1


def test_run_of_calls_and_run_of_results_are_one_position_each() -> None:
    calls = [call("x"), call("y"), call("z")]
    results = [result("x"), result("y"), result("z")]
    assert positions(
        user("a"), assistant([text("b"), *calls]), user([*results, text("c")]), tools=[tool()]
    ) == [0, 1, 2, 3, 3, 3, 4, 4, 4, 4, 4, 4, 5]


def test_call_behind_something_else_begins_a_position() -> None:
    assert positions(
        user("a"),
        assistant([call("x"), text("b"), call("y")]),
        user([result("x", ""), result("y", "")]),
        assistant([call("z")]),
        user([result("z", "")]),
    ) == [0, 1, 2, 3, 4, 4, 5, 6]


def test_texts_that_follow_each_other_are_positions_of_their_own() -> None:
    assert positions(user([text("a"), text("a"), text("a")])) == [0, 1, 2]


def test_blocks_inside_of_a_block_have_its_position() -> None:
    document = {
        "type": "document",
        "source": {"type": "content", "content": [text("a"), text("b")]},
    }
    assert positions(user([document, text("c")])) == [0, 0, 0, 1]


def test_thinking_is_a_block_of_a_prefix() -> None:
    talk = [user("a"), assistant([THOUGHT, call("x")]), user([result("x", "")])]
    assert positions(*talk) == [0, 1, 2, 3]
    other = {**THOUGHT, "signature": "t"}
    assert keys(talk[0], assistant([other, call("x")]), talk[2])[1] != keys(*talk)[1]


def test_prompt_without_a_breakpoint_has_a_chain() -> None:
    assert chain(user("a")).breakpoints == ()
    assert len(chain(user([marked(5)])).breakpoints) == 1


def test_unknown_block_is_refused() -> None:
    class NewParam(BlockParam, tag="new", frozen=True):
        pass

    turn: Any = Turn("user", (NewParam(),))  # type: ignore[arg-type]
    with pytest.raises(UnknownBlockError):
        chain_of(Prompt((turn,), max_tokens=1), ROOT)


def test_input_that_is_nested_too_deeply_to_be_written_is_refused() -> None:
    nested: dict[str, Any] = {}
    for _ in range(2000):
        nested = {"a": nested}
    prompt = prompt_of(user("a"), tools=[tool()])
    deep = replace(prompt, tools=(replace(prompt.tools[0], input_schema=nested),))
    with pytest.raises(InvalidRequestError, match="nested too deeply"):
        chain_of(deep, ROOT)


LATE = msgspec.structs.replace(ABLE, loads_tools=True)


def late_chain(*messages: dict[str, Any], **fields: Any) -> Chain:
    return chain_of(prompt(*messages, capabilities=LATE, **fields), ROOT)


def found(*names: str) -> list[dict[str, Any]]:
    """Return a conversation whose search finds tools."""
    references = [{"type": "tool_reference", "tool_name": name} for name in names]
    return [user(), assistant([call("x", name="a")]), user([result("x", references)])]


def test_deferred_tool_is_in_no_key_until_it_is_referenced() -> None:
    before = late_chain(user(), tools=[tool("a")])
    for deferred in ([tool("b", defer_loading=True)], [tool("c", defer_loading=True)]):
        assert late_chain(user(), tools=[*deferred, tool("a")]) == before
    loaded = late_chain(*found("b"), tools=[tool("a"), tool("b", defer_loading=True)])
    assert loaded.tools == before.tools
    assert loaded.prefixes[: len(before.prefixes)] == before.prefixes


def test_loaded_tool_is_in_the_keys_from_its_first_reference_on() -> None:
    tools = [tool("a"), tool("b", defer_loading=True)]
    changed = [tool("a"), tool("b", defer_loading=True, description="Another one.")]
    one, other = (late_chain(*found("a", "b", "b"), tools=each) for each in (tools, changed))
    same = [a.key == b.key for a, b in zip(one.prefixes, other.prefixes, strict=True)]
    # The tool, a question, a call, the references to a, b and b, and the result around them.
    assert same == [True, True, True, True, False, False, False]
    grown = [b.size - a.size for a, b in zip(one.prefixes, other.prefixes, strict=True)]
    assert grown == [0, 0, 0, 0, *[grown[4]] * 3]


def test_breakpoint_behind_a_deferred_tool_is_that_of_its_own_tool() -> None:
    marked_tool = tool("a", cache_control=EPHEMERAL)
    chain = late_chain(user(), tools=[tool("b", defer_loading=True), marked_tool])
    assert [one.index for one in chain.breakpoints] == [0]


def changed(*blocks: dict[str, Any], **fields: Any) -> Chain:
    tools = [tool("a"), tool("b", defer_loading=True)]
    return late_chain(user(), system([*blocks]), **{"tools": tools, **fields})


def same_keys(one: Chain, other: Chain) -> list[bool]:
    return [a.key == b.key for a, b in zip(one.prefixes, other.prefixes, strict=True)]


def test_change_of_tools_leaves_the_keys_before_it() -> None:
    before = changed(text("Now"))
    for block in (addition("b"), removal("a"), definition("c"), definition("a", "other")):
        after = changed(text("Now"), block, text("Go"))
        assert after.prefixes[: len(before.prefixes)] == before.prefixes
        assert after.tools == before.tools
    one, other = (changed(text("Now"), make("a"), text("Go")) for make in (addition, removal))
    assert same_keys(one, other) == [True, True, True, False, False]


def test_added_tool_is_in_the_keys_from_its_addition_on() -> None:
    other = [tool("a"), tool("b", defer_loading=True, description="Another one.")]
    blocks = [text("Now"), addition("b"), addition("b")]
    assert same_keys(changed(*blocks), changed(*blocks, tools=other)) == [True] * 3 + [False] * 2
    defined = [definition("c"), addition("c")]
    changes = (defined, [definition("c", "other"), addition("c")])
    assert same_keys(*(changed(text("Now"), *each) for each in changes)) == [True] * 3 + [False] * 2


def test_breakpoint_in_a_definition_changes_no_key() -> None:
    plain, marked = changed(definition("c")), changed(definition("c", cache_control=EPHEMERAL))
    assert plain.prefixes == marked.prefixes
    assert [one.index for one in marked.breakpoints] == [len(marked.prefixes) - 1]
