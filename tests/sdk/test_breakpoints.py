import copy
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

import antiphon
from antiphon.sdk.breakpoints import marked_body, with_breakpoints
from antiphon.sdk.call import Call
from antiphon.sdk.types.blocks import TextBlock, ThinkingBlock
from support.sdk import Reply, ScriptedTransport

MARK = {"type": "ephemeral"}


def text(value: str) -> dict[str, Any]:
    return {"type": "text", "text": value}


def user(content: Any) -> dict[str, Any]:
    return {"role": "user", "content": content}


def assistant(content: Any) -> dict[str, Any]:
    return {"role": "assistant", "content": content}


def paths(params: Any, here: str = "") -> list[str]:
    found = []
    if isinstance(params, dict):
        if params.get("cache_control"):
            found.append(here)
        for name, value in params.items():
            found += paths(value, f"{here}.{name}".lstrip("."))
    elif isinstance(params, list):
        for at, value in enumerate(params):
            found += paths(value, f"{here}.{at}")
    return found


CONVERSATION = {
    "system": "You are.",
    "tools": [{"name": "a"}, {"name": "b"}, {"name": "later", "defer_loading": True}],
    "messages": [user("one"), assistant("two"), user("three")],
}


def test_breakpoints_stand_behind_tools_system_and_two_turns() -> None:
    made = with_breakpoints(CONVERSATION)
    assert sorted(paths(made)) == [
        "messages.0.content.0",
        "messages.2.content.0",
        "system.0",
        "tools.1",
    ]
    assert made["system"] == [{**text("You are."), "cache_control": MARK}]


def test_an_hour_is_said_at_each_of_them() -> None:
    made = with_breakpoints(CONVERSATION, "1h")
    assert made["tools"][1]["cache_control"] == {"type": "ephemeral", "ttl": "1h"}


def test_parameters_of_the_caller_are_not_changed() -> None:
    before = copy.deepcopy(CONVERSATION)
    with_breakpoints(CONVERSATION)
    assert before == CONVERSATION


def test_what_the_caller_has_marked_stays_alone() -> None:
    own = {**CONVERSATION, "system": [{**text("You are."), "cache_control": MARK}]}
    assert with_breakpoints(own) == own
    automatic = {**CONVERSATION, "cache_control": MARK}
    assert with_breakpoints(automatic) == automatic
    result = {"type": "tool_result", "content": [{**text("in a result"), "cache_control": MARK}]}
    inner = {"messages": [user([result])]}
    assert with_breakpoints(inner) == inner


def test_thinking_and_empty_texts_are_passed_over() -> None:
    thinking = {"type": "thinking", "thinking": "…", "signature": "s"}
    made = with_breakpoints(
        {"messages": [user("one"), assistant([text("two"), thinking, text(" ")])]}
    )
    assert paths(made) == ["messages.0.content.0", "messages.1.content.0"]
    only = with_breakpoints({"messages": [user("one"), assistant([thinking])]})
    assert paths(only) == ["messages.0.content.0"]


def test_blocks_of_answers_are_marked_as_well() -> None:
    answer = assistant([ThinkingBlock(thinking="…"), TextBlock(text="two")])
    made = with_breakpoints({"messages": [user("one"), answer]})
    assert made["messages"][1]["content"][1] == {
        "type": "text", "text": "two", "citations": None, "cache_control": MARK,
    }  # fmt: skip


def test_nothing_to_mark_is_left_as_it_is() -> None:
    assert with_breakpoints({"model": "m", "messages": [user("")]})["messages"] == [user("")]
    assert with_breakpoints({"model": "m"}) == {"model": "m"}


def sent(**client: Any) -> dict[str, Any]:
    transport = ScriptedTransport(Reply(json={"id": "msg_1", "model": "m", "content": []}))
    cache = client.pop("call", None)
    own = antiphon.Client(api_key="k", transport=transport, **client)
    own.messages.create(model="m", max_tokens=1, messages=[user("hi")], cache=cache)
    body: dict[str, Any] = json.loads(transport.requests[0].body)
    return body


def test_a_call_or_a_client_sets_them() -> None:
    assert paths(sent()) == []
    assert paths(sent(call="auto")) == paths(sent(cache="auto")) == ["messages.0.content.0"]
    assert "cache" not in sent(call="auto")
    # What a call asks for comes before what its client does.
    last = sent(call="1h", cache="auto")["messages"][0]["content"][0]
    assert last["cache_control"]["ttl"] == "1h"


def test_only_prompts_are_changed() -> None:
    call: Call[Any] = Call(method="POST", path="/v1/files", decode=str, body=b"{}")
    assert marked_body(call, "auto") is call.body
    odd: Call[Any] = Call(method="POST", path="/v1/messages", decode=str, body=b"odd")
    assert marked_body(odd, "auto") == b"odd"


def test_another_word_is_refused() -> None:
    with pytest.raises(ValueError, match="'auto', '5m' or '1h'"):
        antiphon.Client(cache="always")  # type: ignore[arg-type]


contents = st.one_of(
    st.sampled_from(["", "hi"]),
    st.lists(
        st.sampled_from([text("hi"), text(""), {"type": "thinking", "thinking": "…"}]), max_size=3
    ),
)


@given(
    messages=st.lists(
        st.builds(dict, role=st.sampled_from(["user", "assistant"]), content=contents)
    ),
    tools=st.lists(st.builds(dict, defer_loading=st.booleans()), max_size=3),
    system=contents,
)
def test_at_most_four_and_never_on_thinking(messages: Any, tools: Any, system: Any) -> None:
    params = {"messages": messages, "tools": tools, "system": system}
    made = with_breakpoints(params)
    assert len(paths(made)) <= 4
    assert unmarked(made) == unmarked({**params, "system": system})
    for tool in made["tools"]:
        assert not (tool["defer_loading"] and "cache_control" in tool)


def unmarked(value: Any) -> Any:
    """Return parameters without marks, and with texts as blocks."""
    if isinstance(value, dict):
        made = {name: unmarked(item) for name, item in value.items() if name != "cache_control"}
        for name in ("content", "system"):
            if isinstance(made.get(name), str):
                made[name] = [text(made[name])]
        return made
    return [unmarked(item) for item in value] if isinstance(value, list) else value
