from itertools import combinations, groupby
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.errors import InvalidRequestError
from antiphon.core.prompt import Capabilities, Thinking, ToolChoice
from support.requests import (
    ABLE,
    CITATION,
    DECODERS,
    IMAGE,
    NEW,
    OLD,
    PLAIN,
    able,
    assistant,
    body_of,
    call,
    counted,
    prompt,
    refusal,
    result,
    schema,
    system,
    text,
    tool,
    user,
)


def test_token_count_has_the_prompt_of_the_message() -> None:
    messages = [user("a"), assistant("b"), user("c")]
    fields: dict[str, Any] = {"system": "Be brief", "output_config": {"effort": "low"}}
    assert counted(*messages, **fields).turns == prompt(*messages, **fields).turns
    assert counted(*messages, **fields).effort == "low"


def test_token_count_of_an_invalid_message_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="first message must use"):
        counted(assistant())
    with pytest.raises(InvalidRequestError, match="does not support tools"):
        counted(tools=[tool()])


def test_budget_of_a_token_count_is_not_compared_with_max_tokens() -> None:
    with pytest.raises(InvalidRequestError, match="is not supported for this model"):
        counted(thinking={"type": "enabled", "budget_tokens": 10**6})


def test_sampling_parameters_reach_the_prompt() -> None:
    asked = prompt(temperature=0.5, top_k=3, top_p=0.9)
    assert (asked.temperature, asked.top_k, asked.top_p) == (0.5, 3, 0.9)
    assert not asked.any_temperature
    assert not prompt(temperature=1).any_temperature


def test_top_k_beyond_every_vocabulary_stays_within_an_engines_integers() -> None:
    assert prompt(top_k=10**30).top_k == 2**31 - 1


@pytest.mark.parametrize("version", [OLD, NEW])
def test_absent_sampling_parameters_have_their_defaults(version: str) -> None:
    asked = prompt(version=version)
    assert (asked.temperature, asked.top_k, asked.top_p) == (1.0, None, None)
    assert asked.any_temperature


def test_absent_tools_thinking_and_output_config_have_their_defaults() -> None:
    asked = able(tools=[])
    assert (asked.tools, asked.tool_choice, asked.thinking) == ((), ToolChoice(), Thinking())
    assert (asked.output_schema, asked.effort) == (None, None)


def test_format_and_effort_reach_the_prompt() -> None:
    wanted = schema(title={"type": "string"})
    output = {"effort": "max", "format": {"type": "json_schema", "schema": wanted}}
    asked = able(output_config=output)
    assert (asked.output_schema, asked.effort) == (wanted, "max")


def test_thread_is_refused_with_the_code_that_the_sdk_reads() -> None:
    with pytest.raises(InvalidRequestError) as error:
        prompt(assistant(), thread={"type": "create"})
    assert error.value.error_code == "thread_unsupported_request"


def test_request_of_claude_code_is_accepted() -> None:
    asked = prompt(
        user("Hi"),
        {"role": "system", "content": "The date is unknown."},
        {"role": "system", "content": [], "output_config": {"effort": "medium"}},
        system=[text("x-anthropic-billing-header: cc_version=2;"), text("Be brief.", "5m")],
        thinking={"type": "adaptive", "display": "omitted"},
        context_management={"edits": [{"type": "clear_thinking_20251015", "keep": "all"}]},
        output_config={"effort": "high"},
        metadata={"user_id": "{}"},
        safeguards=[{"type": "dangerous_tool_use", "classifier_context": {}}],
        diagnostics={"previous_message_id": None},
        speed="standard",
        tools=[],
        stream=True,
    )
    assert [turn.role for turn in asked.turns] == ["system", "user", "system"]


# Of two broken rules the one that stands first here is reported.
CITED = {"type": "text", "text": "a", "citations": [CITATION]}
IN_ORDER: list[tuple[dict[str, Any], str]] = [
    ({"thread": {"type": "create"}}, "thread: "),
    ({"messages": [assistant([{"type": "document", "source": {"type": "url", "url": "x"}}])]}, ""),
    ({"tools": [{"name": "a", "input_schema": {}}]}, "tools.0.custom.input_schema.type: "),
    ({"tool_choice": {"type": "tool", "name": "x"}}, "Tool 'x' not found"),
    ({"messages": [assistant("a")]}, "messages: first message"),
    ({"system": " "}, "system: "),
    ({"thinking": {"type": "enabled", "budget_tokens": 1024}}, "`max_tokens` must be greater"),
    ({"output_config": {"format": {"type": "json_schema", "schema": {"not": {}}}}}, "output_"),
    (
        {
            "cache_control": {"type": "ephemeral", "ttl": "1h"},
            "messages": [user([text("a", "5m")])],
        },
        "cache_control: ",
    ),
    ({"container": "c"}, "container: "),
    ({"inference_geo": "us"}, "inference_geo: "),
    ({"tools": [tool()]}, "tools: this model"),
    ({"thinking": {"type": "between_tools"}}, '"thinking.type.between_tools"'),
    ({"speed": "fast"}, "speed: "),
    ({"messages": [user([text("a"), IMAGE])]}, "messages.0.content.1.image: "),
    ({"max_tokens": 101}, "max_tokens: "),
]


@pytest.mark.parametrize(("first", "second"), list(combinations(IN_ORDER, 2)))
def test_first_of_two_broken_rules_is_reported(
    first: tuple[dict[str, Any], str], second: tuple[dict[str, Any], str]
) -> None:
    fields = {"messages": [user()], **second[0], **first[0]}
    messages = fields.pop("messages")
    found = refusal(*messages, version=NEW, capabilities=PLAIN, **fields)
    assert found.startswith(first[1])


@pytest.mark.parametrize("name", ["temperature", "top_k", "top_p"])
def test_sampling_parameter_is_an_unknown_key_in_the_newer_version(name: str) -> None:
    for value in (1, "malformed"):
        with pytest.raises(ValueError, match=f"^{name}: Extra inputs are not permitted$"):
            DECODERS[NEW].decode(body_of(max_tokens=8, **{name: value}))


# Properties: of whatever is asked, a rule is named or a prompt is made that says all of it.

TEXTS = st.sampled_from(["a", "b ", " ", ""])
IDS = st.sampled_from(["x", "y"])
MARKS = st.sampled_from([None, {"type": "ephemeral"}, {"type": "ephemeral", "ttl": "1h"}])
LEAVES = st.one_of(
    st.builds(lambda words, mark: {**text(words), "cache_control": mark}, TEXTS, MARKS),
    st.sampled_from([IMAGE, {"type": "thinking", "thinking": "", "signature": "s"}]),
)
BLOCKS = st.one_of(
    LEAVES,
    st.builds(call, IDS),
    st.builds(result, IDS, TEXTS | st.lists(st.builds(text, TEXTS), max_size=2)),
)
CONTENT = TEXTS | st.lists(BLOCKS, max_size=3)
MESSAGES = st.lists(
    st.one_of(
        st.builds(user, CONTENT),
        st.builds(assistant, CONTENT),
        st.builds(system, CONTENT),
        st.just({"role": "system", "content": [], "output_config": {"effort": "low"}}),
    ),
    min_size=1,
    max_size=6,
)
FIELDS = st.fixed_dictionaries(
    {},
    optional={
        "tools": st.lists(st.builds(tool, IDS, strict=st.booleans()), max_size=2),
        "tool_choice": st.sampled_from([{"type": "any"}, {"type": "tool", "name": "x"}]),
        "thinking": st.sampled_from([{"type": "adaptive"}, {"type": "disabled"}]),
        "output_config": st.sampled_from([{"effort": "low"}, {"format": None}]),
        "cache_control": MARKS,
        "max_tokens": st.integers(0, 3),
        "stream": st.booleans(),
    },
)


@given(MESSAGES, FIELDS, st.sampled_from([OLD, NEW]), st.sampled_from([PLAIN, ABLE]))
def test_any_request_is_refused_by_a_rule_or_becomes_a_prompt(
    messages: list[dict[str, Any]],
    fields: dict[str, Any],
    version: str,
    capabilities: Capabilities,
) -> None:
    try:
        asked = prompt(*messages, version=version, capabilities=capabilities, **fields)
    except InvalidRequestError:
        return
    spoken = [message for message in messages if message["content"]]
    blocks = sum(
        1 if isinstance(message["content"], str) else len(message["content"]) for message in spoken
    )
    assert sum(len(turn.content) for turn in asked.turns) == blocks
    assert [role for role, _ in groupby(message["role"] for message in spoken)] == [
        turn.role for turn in asked.turns
    ]
