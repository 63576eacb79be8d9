import json
import sys
from contextlib import suppress
from copy import deepcopy
from datetime import datetime
from itertools import combinations
from typing import Annotated, Any, TypeAlias

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from msgspec import Meta, inspect

from antiphon.wire.base import Family, Param
from antiphon.wire.decoding import BodyDecoder, BodyError, Fault, decode_member, faults
from antiphon.wire.messages import SAMPLING, CountTokensParams, CreateMessageParams
from support.requests import CITATION

Json: TypeAlias = Any

DECODER = BodyDecoder(CreateMessageParams)
TYPE = inspect.type_info(CreateMessageParams)
GONE = object()


def valid_body() -> dict[str, Json]:
    return {"model": "m", "max_tokens": 8, "messages": [{"role": "user", "content": "Hi"}]}


def decoded(body: Json) -> CreateMessageParams:
    return DECODER.decode(json.dumps(body).encode())


def fault_of(body: Json) -> str:
    with pytest.raises(BodyError) as refusal:
        decoded(body)
    return str(refusal.value)


def changed(*changes: tuple[str, Json]) -> dict[str, Json]:
    """A valid body with the values at these paths set, or gone."""
    body = valid_body()
    for path, value in changes:
        *parents, last = path.split(".")
        place: Any = body
        for step in parents:
            place = place[int(step) if isinstance(place, list) else step]
        if value is GONE:
            del place[last]
        else:
            place[int(last) if isinstance(place, list) else last] = value
    return body


def with_block(block: Json) -> Json:
    return [{"role": "user", "content": [block]}]


def with_citation(citation: Json) -> Json:
    return with_block({"type": "text", "text": "Hi", "citations": [citation]})


CITATION_0 = "messages.0.content.0.text.citations.0"
CITATION_TAGS = (
    "'char_location', 'page_location', 'content_block_location', 'web_search_result_location', "
    "'search_result_location'"
)
TAGS = (
    "'text', 'image', 'document', 'search_result', 'thinking', 'redacted_thinking', 'tool_use', "
    "'tool_result', 'tool_addition', 'tool_removal', 'server_tool_use', "
    "'tool_search_tool_result', 'web_search_tool_result', 'web_fetch_tool_result', "
    "'code_execution_tool_result', 'bash_code_execution_tool_result', "
    "'text_editor_code_execution_tool_result', 'container_upload', 'mcp_tool_use', "
    "'mcp_tool_result'"
)
MEDIA_TYPES = "'image/jpeg', 'image/png', 'image/gif' or 'image/webp'"
EXTRA = "Extra inputs are not permitted"
SHAPE = "Input does not match the expected shape."
TOOL_NAME = "String should match pattern '^[a-zA-Z0-9_-]{1,128}$'"
GOOD_TOOL: dict[str, Json] = {"name": "a", "input_schema": {"type": "object"}}
MISMATCHED_TAG = "found using 'type' does not match any of the expected tags:"

SENTENCES = [
    ("model", GONE, "model: Field required"),
    ("model", 5, "model: Input should be a valid string"),
    ("model", None, "model: Input should be a valid string"),
    ("model", "", "model: String should have at least 1 character"),
    ("messages", GONE, "messages: Field required"),
    ("messages", "Hi", "messages: Input should be a valid array"),
    ("messages", None, "messages: Input should be a valid array"),
    ("messages", [], "messages: at least one message is required"),
    ("messages.0", "Hi", "messages.0: Input should be an object"),
    ("messages.0.role", GONE, "messages.0.role: Field required"),
    (
        "messages.0.role",
        "bogus",
        'messages: Unexpected role "bogus". Allowed roles are "user" or "assistant"',
    ),
    (
        "messages.0.role",
        "{0}",
        'messages: Unexpected role "{0}". Allowed roles are "user" or "assistant"',
    ),
    (
        "messages.0.role",
        None,
        "messages.0.role: Input should be 'user', 'assistant' or 'system'",
    ),
    ("messages.0.content", GONE, "messages.0.content: Field required"),
    ("messages.0.content", None, "messages.0.content: Input should be a valid array"),
    ("messages.0.content", 5, "messages.0.content: Input should be a valid array"),
    ("messages.0.content", {}, "messages.0.content: Input should be a valid array"),
    ("messages.0.content", ["Hi"], "messages.0.content.0: Input should be an object"),
    ("messages.0.content", [{}], "messages.0.content.0.type: Field required"),
    (
        "messages.0.content",
        [{"type": "xyz"}],
        f"messages.0.content.0: Input tag 'xyz' {MISMATCHED_TAG} {TAGS}",
    ),
    (
        "messages.0.content",
        [{"type": 5}],
        f"messages.0.content.0: Input tag '5' {MISMATCHED_TAG} {TAGS}",
    ),
    ("messages.0.content", [{"type": "text"}], "messages.0.content.0.text.text: Field required"),
    ("messages.0.bogus", 1, f"messages.0.bogus: {EXTRA}"),
    (
        "messages",
        with_block({"type": "fallback"}),
        f"messages.0.content.0: Input tag 'fallback' {MISMATCHED_TAG} {TAGS}",
    ),
    (
        "messages",
        with_block({"type": "tool_result", "tool_use_id": "a", "content": [{"type": "tool_use"}]}),
        (
            "messages.0.content.0.tool_result.content.0: "
            f"Input tag 'tool_use' {MISMATCHED_TAG} 'text', 'image', 'search_result', 'document', "
            "'tool_reference', 'browser_state'"
        ),
    ),
    (
        "messages",
        with_block({"type": "text", "text": "Hi", "bogus": 1}),
        f"messages.0.content.0.text.bogus: {EXTRA}",
    ),
    (
        "messages",
        with_block({"type": "text", "text": "Hi", "citations": [1]}),
        "messages.0.content.0.text.citations.0: Input should be an object",
    ),
    ("messages", with_citation({}), f"{CITATION_0}.type: Field required"),
    (
        "messages",
        with_citation({"type": "line_location"}),
        f"{CITATION_0}: Input tag 'line_location' {MISMATCHED_TAG} {CITATION_TAGS}",
    ),
    (
        "messages",
        with_citation({"type": "char_location"}),
        f"{CITATION_0}.char_location.cited_text: Field required",
    ),
    (
        "messages",
        with_citation(CITATION | {"document_title": 1}),
        f"{CITATION_0}.char_location.document_title: Input should be a valid string",
    ),
    (
        "messages",
        with_citation(CITATION | {"start_char_index": -1}),
        f"{CITATION_0}.char_location.start_char_index: Input should be greater than or equal to 0",
    ),
    (
        "messages",
        with_citation(CITATION | {"start_page_number": 1}),
        f"{CITATION_0}.char_location.start_page_number: {EXTRA}",
    ),
    (
        "messages",
        with_block({"type": "text", "text": "Hi", "cache_control": {"type": "x"}}),
        "messages.0.content.0.text.cache_control.type: Input should be 'ephemeral'",
    ),
    (
        "messages",
        with_block({"type": "image", "source": {"type": "base64", "media_type": "image/bmp"}}),
        f"messages.0.content.0.image.source.base64.media_type: Input should be {MEDIA_TYPES}",
    ),
    ("system", None, "system: Input should be a valid array"),
    ("system", 5, "system: Input should be a valid array"),
    ("system", ["Be brief"], f"system.0: {SHAPE}"),
    ("cache_control", "ephemeral", "cache_control: Input should be an object"),
    ("cache_control", {}, "cache_control.type: Field required"),
    (
        "cache_control",
        {"type": "ephemeral", "ttl": "2h"},
        "cache_control.ephemeral.ttl: Input should be '5m' or '1h'",
    ),
    ("max_tokens", GONE, "max_tokens: Field required"),
    ("max_tokens", None, "max_tokens: Input should be a valid integer"),
    ("max_tokens", "8", "max_tokens: Input should be a valid integer"),
    ("max_tokens", 8.0, "max_tokens: Input should be a valid integer"),
    ("max_tokens", True, "max_tokens: Input should be a valid integer"),
    ("max_tokens", -1, "max_tokens: must be greater than or equal to 0"),
    ("metadata", "me", f"metadata: {SHAPE}"),
    ("metadata", {"user_id": 5}, "metadata.user_id: Input should be a valid string"),
    (
        "metadata",
        {"user_id": "u" * 513},
        "metadata.user_id: String should have at most 512 characters",
    ),
    ("metadata", {"bogus": 1}, f"metadata.bogus: {EXTRA}"),
    ("stop_sequences", "END", "stop_sequences: Input should be a valid array"),
    ("stop_sequences", [5], "stop_sequences.0: Input should be a valid string"),
    (
        "stop_sequences",
        ["END", " \n"],
        "stop_sequences: each stop sequence must contain non-whitespace",
    ),
    ("stop_sequences", [""], "stop_sequences: each stop sequence must contain non-whitespace"),
    ("temperature", "warm", "temperature: Input should be a valid number"),
    ("temperature", None, "temperature: Input should be a valid number"),
    ("temperature", 1.01, "temperature: range: 0..1"),
    ("temperature", -0.1, "temperature: range: 0..1"),
    ("temperature", 10**30, "temperature: range: 0..1"),
    ("service_tier", "best", "service_tier: Input should be 'auto' or 'standard_only'"),
    ("service_tier", None, "service_tier: Input should be 'auto' or 'standard_only'"),
    ("top_k", 1.5, "top_k: Input should be a valid integer"),
    ("top_k", -1, "top_k: Input should be greater than or equal to 0"),
    ("top_p", False, "top_p: Input should be a valid number"),
    ("top_p", 2, "top_p: range: 0..1"),
    ("stream", "yes", "stream: Input should be a valid boolean"),
    ("stream", None, "stream: Input should be a valid boolean"),
    ("stream", 1, "stream: Input should be a valid boolean"),
    ("tool_choice", "auto", "tool_choice: Input should be an object"),
    ("tool_choice", None, "tool_choice: Input should be an object"),
    ("tool_choice", {}, "tool_choice.type: Field required"),
    (
        "tool_choice",
        {"type": "x"},
        f"tool_choice: Input tag 'x' {MISMATCHED_TAG} 'auto', 'any', 'tool', 'none'",
    ),
    ("tool_choice", {"type": "tool"}, "tool_choice.tool.name: Field required"),
    (
        "tool_choice",
        {"type": "none", "disable_parallel_tool_use": True},
        f"tool_choice.none.disable_parallel_tool_use: {EXTRA}",
    ),
    ("tools", {}, "tools: Input should be a valid array"),
    ("tools", None, "tools: Input should be a valid array"),
    ("tools", [5], "tools.0: Input should be an object"),
    ("tools", [{}], "tools.0.custom.name: Field required"),
    ("tools", [{"type": None}], "tools.0.custom.name: Field required"),
    ("tools", [{"type": "custom"}], "tools.0.custom.name: Field required"),
    ("tools", [{"name": ""}], "tools.0.custom.name: String should have at least 1 character"),
    ("tools", [{"name": "a b"}], f"tools.0.custom.name: {TOOL_NAME}"),
    ("tools", [{"name": "a\n"}], f"tools.0.custom.name: {TOOL_NAME}"),
    ("tools", [{"name": "a" * 129}], f"tools.0.custom.name: {TOOL_NAME}"),
    ("tools", [GOOD_TOOL, {"name": "b"}], "tools.1.custom.input_schema: Field required"),
    (
        "tools",
        [{"name": "a", "input_schema": []}],
        "tools.0.custom.input_schema: Input should be an object",
    ),
    ("tools", [GOOD_TOOL | {"bogus": 1}], f"tools.0.custom.bogus: {EXTRA}"),
    (
        "tools",
        [GOOD_TOOL | {"input_examples": [5]}],
        "tools.0.custom.input_examples.0: Input should be an object",
    ),
    ("tools", [{"type": "bash_20250124"}], "tools.0.bash_20250124.name: Field required"),
    (
        "tools",
        [{"type": "bash_20250124", "name": "bash", "max_characters": 5}],
        f"tools.0.bash_20250124.max_characters: {EXTRA}",
    ),
    ("thinking", None, "thinking: Input should be an object"),
    ("thinking", {}, "thinking.type: Field required"),
    (
        "thinking",
        {"type": "enabled", "budget_tokens": 1023},
        "thinking.enabled.budget_tokens: Input should be greater than or equal to 1024",
    ),
    ("thinking", {"type": "disabled", "display": None}, f"thinking.disabled.display: {EXTRA}"),
    (
        "thinking",
        {"type": "adaptive", "display": "x"},
        "thinking.adaptive.display: Input should be 'summarized', 'omitted' or 'updates'",
    ),
    ("output_config", None, f"output_config: {SHAPE}"),
    ("output_config", 5, f"output_config: {SHAPE}"),
    (
        "output_config",
        {"effort": "huge"},
        "output_config.effort: Input should be 'low', 'medium', 'high', 'xhigh' or 'max'",
    ),
    (
        "output_config",
        {"format": {"type": "json_schema"}},
        "output_config.format.schema: Field required",
    ),
    ("output_config", {"task_budget": {}}, f"output_config.task_budget: {EXTRA}"),
    ("container", 5, f"container.ContainerParams: {SHAPE}"),
    ("container", {"bogus": 1}, f"container.ContainerParams.bogus: {EXTRA}"),
    ("inference_geo", 5, "inference_geo: Input should be a valid string"),
    ("inference_geo", "eu", "inference_geo: must be one of ['global', 'us']"),
    ("inference_geo", "us\n", "inference_geo: must be one of ['global', 'us']"),
    ("speed", "slow", "speed: Input should be 'standard' or 'fast'"),
    (
        "diagnostics",
        {"previous_message_id": 5},
        "diagnostics.previous_message_id: Input should be a valid string",
    ),
    ("context_management", 5, "context_management: Input should be an object"),
    ("safeguards", {}, "safeguards: Input should be a valid array"),
    ("thread", "create", "thread: Input should be an object"),
    (
        "messages.0.output_config",
        {"effort": "x"},
        (
            "messages.0.output_config.effort: "
            "Input should be 'low', 'medium', 'high', 'xhigh' or 'max'"
        ),
    ),
    (
        "messages",
        with_block({"type": "tool_use", "id": "a\n", "name": "b", "input": {}}),
        "messages.0.content.0.tool_use.id: String should match pattern '^[a-zA-Z0-9_-]+$'",
    ),
    ("zzz", 1, f"zzz: {EXTRA}"),
]


@pytest.mark.parametrize(("path", "value", "sentence"), SENTENCES)
def test_fault_is_said_in_the_words_of_the_api(path: str, value: Json, sentence: str) -> None:
    assert fault_of(changed((path, value))) == sentence


@pytest.mark.parametrize(
    "change",
    [
        ("cache_control", None),
        ("max_tokens", 0),
        ("max_tokens", 10**30),
        ("metadata", None),
        ("metadata", {"user_id": None}),
        ("stop_sequences", None),
        ("stop_sequences", []),
        ("system", "Be brief"),
        ("system", []),
        ("temperature", 1),
        ("top_k", 0),
        ("tools", []),
        ("tools", [GOOD_TOOL, GOOD_TOOL | {"type": None, "strict": None}]),
        ("tools", [{"type": "code_execution_20250825", "name": "code_execution", "whatever": 5}]),
        ("container", "container_1"),
        ("container", None),
        ("inference_geo", None),
        ("speed", None),
        ("thinking", {"type": "between_tools"}),
        ("messages", [{"role": "system", "content": [], "output_config": {"effort": "low"}}]),
        ("messages.0.content", []),
        ("messages", with_block({"type": "text", "text": "Hi", "citations": None})),
        ("messages", with_block({"type": "text", "text": "Hi", "citations": []})),
        ("messages", with_block({"type": "text", "text": "Hi", "cache_control": None})),
        ("messages", with_block({"type": "image", "source": {"type": "url", "url": "x"}})),
    ],
    ids=str,
)
def test_body_that_the_api_takes_is_decoded(change: tuple[str, Json]) -> None:
    decoded(changed(change))


def test_too_many_messages_are_refused() -> None:
    messages = valid_body()["messages"] * 100_001
    assert fault_of(changed(("messages", messages))) == (
        "messages: List should have at most 100000 items after validation, not 100001"
    )


def test_more_stop_sequences_than_can_be_looked_for_are_refused() -> None:
    decoded(changed(("stop_sequences", ["END"] * 8191)))
    assert fault_of(changed(("stop_sequences", ["END"] * 8192))) == (
        "stop_sequences: List should have at most 8191 items after validation, not 8192"
    )


def calls_of_the_walk(tools: int) -> int:
    """Return how many functions are called to find the fault of a body with so many tools."""
    tool = {"input_schema": {"type": "object"}}
    body = {"model": "m", "messages": [{"role": "user", "content": "Hi"}], "unknown": 0}
    body["tools"] = [{"name": f"t{number}", **tool} for number in range(tools)]
    encoded, calls = json.dumps(body).encode(), 0

    def count(_frame: object, event: str, _argument: object) -> None:
        nonlocal calls
        calls += event == "call"

    decoder = BodyDecoder(CountTokensParams)
    sys.setprofile(count)
    try:
        with pytest.raises(BodyError, match="unknown: Extra inputs"):
            decoder.decode(encoded)
    finally:
        sys.setprofile(None)
    return calls


def test_walk_takes_few_steps_for_each_tool() -> None:
    assert calls_of_the_walk(200) - calls_of_the_walk(100) < 100 * 150


def test_fault_behind_many_good_items_is_found() -> None:
    messages = [*valid_body()["messages"] * 1000, {"role": "user", "content": [{"type": "text"}]}]
    assert fault_of(changed(("messages", messages))) == (
        "messages.1000.content.0.text.text: Field required"
    )


# One fault for each field, in the order in which the API reports them; unknown keys come last.
IN_ORDER = [
    ("model", 5),
    ("tool_choice", 5),
    ("tools", [5]),
    ("messages", []),
    ("system", 5),
    ("thinking", 5),
    ("output_config", 5),
    ("cache_control", 5),
    ("max_tokens", -1),
    ("metadata", 5),
    ("stop_sequences", [""]),
    ("temperature", 5),
    ("service_tier", 5),
    ("top_k", -1),
    ("top_p", 5),
    ("stream", 5),
    ("container", 5),
    ("inference_geo", 5),
    ("speed", 5),
    ("diagnostics", 5),
    ("context_management", 5),
    ("safeguards", 5),
    ("thread", 5),
    ("zzz", 5),
]


@pytest.mark.parametrize(("first", "second"), list(combinations(IN_ORDER, 2)))
def test_of_two_faults_the_one_that_the_api_reports_first_is_said(
    first: tuple[str, Json], second: tuple[str, Json]
) -> None:
    assert fault_of(changed(second, first)).startswith(first[0])


def test_of_faults_in_two_messages_the_one_in_the_first_message_is_said() -> None:
    messages = [{"role": "user", "content": 5}, {"role": "bogus", "content": "Hi"}]
    assert fault_of(changed(("messages", messages))).startswith("messages.0.content: ")


@pytest.mark.parametrize("body", ["5", "null", '"model"', "[]", "true", "1.5"])
def test_body_that_is_not_an_object_is_refused(body: str) -> None:
    with pytest.raises(BodyError, match=r"^Input should be an object$"):
        DECODER.decode(body.encode())


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b" ",
        b"{",
        b'{"model": }',
        b"{'model': 'm'}",
        b'{"model": "m"} {}',
        b'{"model": "m",}',
        b'{"max_tokens": NaN}',
        b'{"max_tokens": 1e999}',
        b'{"max_tokens": ' + b"9" * 5000 + b"}",
        b'{"temperature": ' + b"9" * 5000 + b"}",
        b'{"model": "\xff"}',
        b'{"\xff": 1}',
        b'{"model": "\\ud800"}',
        b'{"model": "\\udc00"}',
        b'{"\\ud800": 1}',
        b'\xef\xbb\xbf{"model": "m"}',
        '{"model": "m"}'.encode("utf-16"),
    ],
    ids=lambda body: ascii(body[:24]),
)
def test_body_that_is_not_json_is_refused(body: bytes) -> None:
    with pytest.raises(BodyError, match=r"^The request body is not valid JSON: [^$]+$"):
        DECODER.decode(body)


@pytest.mark.parametrize(
    "body",
    [
        "[" * 100_000,
        '{"model": ' * 100_000,
        '{"zzz": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"model": 5, "zzz": ' + "[" * 100_000 + "]" * 100_000 + "}",
        '{"messages": [{"content": ' + "[" * 100_000 + "]" * 100_000 + "}]}",
    ],
    ids=lambda body: body[:24],
)
def test_body_that_is_nested_too_deeply_is_refused(body: str) -> None:
    with pytest.raises(BodyError, match="not valid JSON: it is nested too deeply"):
        DECODER.decode(body.encode())


@pytest.mark.parametrize("depth", [10, 500, 900, 980])
def test_tag_that_is_nested_is_refused_at_any_depth(depth: int) -> None:
    tag = "[" * depth + "]" * depth
    for field in ("tools", "messages"):
        body = json.dumps(changed(("tools", []))).replace("[]", '[{"type": TAG}]')
        if field == "messages":
            body = body.replace("tools", "zzz").replace('"Hi"', '[{"type": TAG}]')
        with pytest.raises(BodyError):
            DECODER.decode(body.replace("TAG", tag).encode())


class Beyond(Param, kw_only=True, frozen=True):
    """A type that no endpoint has, and of which the walk knows nothing."""

    when: datetime


def test_fault_that_the_walk_does_not_see_is_said_in_general_words() -> None:
    with pytest.raises(BodyError, match=r"^Input does not match the expected shape\.$"):
        BodyDecoder(Beyond).decode(b'{"when": "yesterday"}')


def test_token_count_takes_no_max_tokens() -> None:
    body = json.dumps(valid_body()).encode()
    with pytest.raises(BodyError, match=r"^max_tokens: Extra inputs are not permitted$"):
        BodyDecoder(CountTokensParams).decode(body)


class Everything(Param, kw_only=True, frozen=True):
    """Bounds that no endpoint has yet."""

    code: Annotated[str, Meta(pattern="^[a-z]+$")] = "a"
    few: Annotated[list[int], Meta(min_length=2, max_length=3)] = []  # noqa: RUF012 - a struct
    share: Annotated[float, Meta(le=1)] = 0.5
    count: Annotated[int, Meta(ge=1, le=9)] = 1
    nothing: None = None


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({"code": "A"}, "code: String should match pattern '^[a-z]+$'"),
        ({"few": [1]}, "few: List should have at least 2 items after validation, not 1"),
        ({"few": [1] * 4}, "few: List should have at most 3 items after validation, not 4"),
        ({"share": 2}, "share: Input should be less than or equal to 1"),
        ({"count": 0}, "count: Input should be greater than or equal to 1"),
        ({"nothing": 0}, "nothing: Extra inputs are not permitted"),
        ({"count": 10}, "count: Input should be less than or equal to 9"),
    ],
)
def test_bound_without_a_message_of_its_own_has_the_general_one(body: Json, sentence: str) -> None:
    with pytest.raises(BodyError) as refusal:
        BodyDecoder(Everything).decode(json.dumps(body).encode())
    assert str(refusal.value) == sentence


def test_fault_of_a_whole_body_has_no_path() -> None:
    assert str(Fault((), "Field required")) == "Field required"


@pytest.mark.parametrize("name", SAMPLING)
def test_field_that_a_version_has_no_longer_is_an_unknown_key(name: str) -> None:
    newer = BodyDecoder(CreateMessageParams, SAMPLING)
    for value in (0, 1, None, "malformed", []):
        with pytest.raises(BodyError, match=rf"^{name}: Extra inputs are not permitted$"):
            newer.decode(json.dumps(changed((name, value))).encode())
    with pytest.raises(BodyError, match=r"^stream: "):
        newer.decode(json.dumps(changed((name, 1), ("stream", 5))).encode())
    assert newer.decode(json.dumps(valid_body()).encode()).model == "m"


def test_hook_decodes_families_only() -> None:
    with pytest.raises(NotImplementedError):
        decode_member(complex, {})
    with pytest.raises(NotImplementedError):
        Family.member({})


# Properties: the walk agrees with msgspec about every value.

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-2, 3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(max_size=5),
    st.sampled_from(
        ["user", "assistant", "text", "image", "ephemeral", "5m", "auto", "base64", "custom", "any"]
    ),
)
KEYS = st.sampled_from(
    [
        *CreateMessageParams.__struct_fields__,
        *["type", "text", "role", "content", "source", "user_id", "ttl", "data", "url", "zzz"],
        *["name", "input_schema", "strict", "effort", "format", "schema", "budget_tokens"],
    ]
)
JSON = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=4),
    max_leaves=12,
)
RICH: dict[str, Json] = {
    "model": "m",
    "tool_choice": {"type": "tool", "name": "a", "disable_parallel_tool_use": True},
    "tools": [
        {"name": "a", "input_schema": {"type": "object"}, "strict": True},
        {"type": "custom", "name": "b", "input_schema": {}, "allowed_callers": ["direct"]},
        {"type": "bash_20250124", "name": "bash", "cache_control": {"type": "ephemeral"}},
        {"type": "web_search_20250305", "name": "web_search"},
    ],
    "thinking": {"type": "enabled", "budget_tokens": 1024, "display": None},
    "output_config": {"effort": "low", "format": {"type": "json_schema", "schema": {}}},
    "container": {"skills": [{"type": "custom", "skill_id": "s"}]},
    "inference_geo": "us",
    "speed": "fast",
    "context_management": {"edits": []},
    "messages": [
        {"role": "user", "content": "Hi"},
        {
            "role": "assistant",
            "content": [
                {"type": "text", "text": "Yes?", "citations": []},
                {
                    "type": "image",
                    "source": {"type": "base64", "media_type": "image/png", "data": ""},
                    "cache_control": {"type": "ephemeral", "ttl": "1h"},
                },
                {"type": "image", "source": {"type": "url", "url": "https://example.com"}},
            ],
        },
    ],
    "system": [{"type": "text", "text": "Be brief", "cache_control": None}],
    "cache_control": {"type": "ephemeral"},
    "max_tokens": 8,
    "metadata": {"user_id": "u"},
    "stop_sequences": ["END"],
    "temperature": 0.5,
    "service_tier": "auto",
    "top_k": 1,
    "top_p": 1,
    "stream": True,
}


def places(value: Json) -> list[tuple[Any, Any]]:
    """Every container in `value` with each of its keys."""
    steps = list(value) if isinstance(value, dict) else range(len(value))
    inner = [value[step] for step in steps if isinstance(value[step], dict | list)]
    return [(value, step) for step in steps] + [place for one in inner for place in places(one)]


@st.composite
def mutated_bodies(draw: st.DrawFn) -> Json:
    body = deepcopy(RICH)
    for _ in range(draw(st.integers(0, 3))):
        found = places(body)
        if not found:
            break
        container, step = draw(st.sampled_from(found))
        kind = draw(st.sampled_from(["set", "delete", "add"]))
        if kind == "set":
            container[step] = draw(JSON)
        elif kind == "delete":
            del container[step]
        elif isinstance(container, dict):
            container[draw(KEYS)] = draw(JSON)
        else:
            container.insert(step, draw(JSON))
    return body


def msgspec_accepts(body: bytes) -> bool:
    try:
        msgspec.json.decode(body, type=CreateMessageParams, dec_hook=decode_member)
    except msgspec.ValidationError:
        return False
    return True


def test_the_faults_after_one_are_found_as_well() -> None:
    body = changed(("tools", [5, {"type": "nosuch"}, {"type": 7}, {}]), ("stream", "yes"))

    places = [fault.path for fault in faults(TYPE, body, ())]

    assert places[:3] == [("tools", 0), ("tools", 1), ("tools", 2)]
    assert places[-1] == ("stream",)


@pytest.mark.parametrize(
    ("field", "value", "place"),
    [
        ("tool_choice", 5, ("tool_choice",)),
        ("tool_choice", {}, ("tool_choice", "type")),
        ("stop_sequences", 5, ("stop_sequences",)),
        ("metadata", 5, ("metadata",)),
        ("metadata", {"user_id": 5}, ("metadata", "user_id")),
    ],
)
def test_walk_goes_on_behind_a_fault(field: str, value: Json, place: tuple[str, ...]) -> None:
    body = changed((field, value), ("top_k", "many"))
    found = [fault.path for fault in faults(TYPE, body, ())]
    assert sorted(found) == sorted([place, ("top_k",)])


def test_walk_asks_nothing_of_a_tool_that_is_refused_by_its_name_later() -> None:
    body = changed(("tools", [{"type": "code_execution_20250825", "name": 5}]), ("top_k", "many"))
    assert [fault.path for fault in faults(TYPE, body, ())] == [("top_k",)]


@given(JSON | mutated_bodies())
def test_walk_finds_a_fault_exactly_where_msgspec_refuses(value: Json) -> None:
    body = json.dumps(value).encode()
    found = list(faults(TYPE, value, ()))
    assert msgspec_accepts(body) == (not found), found


@given(mutated_bodies())
def test_refusal_says_the_first_fault(value: Json) -> None:
    found = list(faults(TYPE, value, ()))
    if found:
        assert fault_of(value) == str(found[0])
    else:
        decoded(value)


@given(st.binary() | st.text().map(str.encode))
def test_nothing_but_a_body_error_is_raised_for_any_bytes(body: bytes) -> None:
    with pytest.raises(BodyError):
        DECODER.decode(body)


@given(st.data())
def test_nothing_but_a_body_error_is_raised_for_damaged_bodies(data: st.DataObject) -> None:
    body = bytearray(json.dumps(RICH).encode())
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(body)))
        end = start + data.draw(st.integers(0, 3))
        body[start:end] = data.draw(st.binary(max_size=3))
    with suppress(BodyError):
        DECODER.decode(bytes(body))
