import copy
import pickle
import typing
from collections.abc import Callable
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

import antiphon.types
from antiphon.sdk.call import Answer
from antiphon.sdk.types import blocks, citations, events, message
from antiphon.sdk.types.base import Answered, Unknown
from antiphon.sdk.types.blocks import TextBlock, ToolUseBlock, UnknownBlock
from antiphon.sdk.types.decoding import answered, decode_answer
from antiphon.sdk.types.message import Message, MessageTokensCount, Usage
from antiphon.transport.base import Headers
from antiphon.wire import citations as wire_citations
from antiphon.wire import content as wire_content
from antiphon.wire import errors as wire_errors
from antiphon.wire import events as wire_events
from antiphon.wire import messages as wire_messages
from antiphon.wire import server_blocks as wire_server_blocks
from antiphon.wire.base import AnswerStruct
from support.sdk import message_json

OURS = (blocks, citations, events, message)
WIRE = (
    wire_citations,
    wire_content,
    wire_errors,
    wire_events,
    wire_messages,
    wire_server_blocks,
)
# Structs of the wire that have no tag, and their counterparts.
UNTAGGED = {
    "Message": message.Message,
    "Usage": message.Usage,
    "CacheCreation": message.CacheCreation,
    "OutputTokensDetails": message.OutputTokensDetails,
    "ServerToolUsage": message.ServerToolUsage,
    "RefusalDetails": message.RefusalStopDetails,
    "CacheMissReason": message.CacheMissReason,
    "Diagnostics": message.Diagnostics,
    "TokenCount": message.MessageTokensCount,
    "Ending": events.MessageEnd,
    "DeltaUsage": events.MessageDeltaUsage,
    "ErrorDetail": events.ErrorDetail,
    "DirectCaller": blocks.ToolCaller,
    "CitationsBlock": blocks.CitationsConfig,
    # No answer of an operation of the SDK: errors of HTTP are read as they come.
    "ErrorEnvelope": None,
}

json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-9, 9) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=2)
        | st.dictionaries(st.text("abcxyz", min_size=1, max_size=4), inner, max_size=2)
    ),
    max_leaves=4,
)
# Names that no struct of answers has.
unknown_fields = st.dictionaries(st.sampled_from(["zz_a", "zz_b"]), json_values, max_size=2)


def structs_of(modules: typing.Iterable[Any], base: type) -> list[type[msgspec.Struct]]:
    return [
        value
        for module in modules
        for value in vars(module).values()
        if isinstance(value, type)
        and issubclass(value, base)
        and value.__module__ == module.__name__
    ]


def is_base(struct: type[msgspec.Struct]) -> bool:
    return struct in {wire_events.Event, AnswerStruct}


def counterpart(struct: type[msgspec.Struct]) -> type[Answered] | None:
    tag = struct.__struct_config__.tag
    if tag is None:
        return UNTAGGED[struct.__name__]
    found = [one for one in structs_of(OURS, Answered) if one.__struct_config__.tag == tag]
    assert found, f"no struct of the SDK for the {tag} of the server"
    # A started block has the tag of the whole one; a source and a block may both be "text".
    fields = set(struct.__struct_fields__)
    return max(found, key=lambda one: len(fields & set(one.__struct_fields__)))


@pytest.mark.parametrize(
    "struct", [one for one in structs_of(WIRE, AnswerStruct) if not is_base(one)]
)
def test_answers_of_the_server_have_each_field_in_the_sdk(struct: type[msgspec.Struct]) -> None:
    ours = counterpart(struct)
    if ours is not None:
        assert set(struct.__struct_fields__) <= set(ours.__struct_fields__)


@pytest.mark.parametrize("struct", structs_of(OURS, Answered))
def test_nested_names_each_field_that_holds_structs(struct: type[Answered]) -> None:
    def holds_structs(kind: Any) -> bool:
        if isinstance(kind, type) and issubclass(kind, Answered):
            return True
        return get_origin(kind) in {list, Union, UnionType} and any(
            map(holds_structs, get_args(kind))
        )

    hints = get_type_hints(struct)
    holding = [name for name in struct.__struct_fields__ if holds_structs(hints[name])]
    assert sorted(struct.nested) == sorted(holding)


@pytest.mark.parametrize("struct", structs_of(OURS, Answered))
def test_type_is_the_tag(struct: type[Answered]) -> None:
    tag = struct.__struct_config__.tag
    if tag is not None and not issubclass(struct, Unknown):
        assert struct.type == tag  # type: ignore[attr-defined]


def test_public_types_are_all_that_answers_consist_of() -> None:
    public = {getattr(antiphon.types, name) for name in antiphon.types.__all__}
    inside = {events.Ping, events.ErrorDetail, events.ErrorEvent}
    assert {*structs_of(OURS, Answered)} - inside <= public


@given(
    unknown_fields,
    unknown_fields,
    unknown_fields,
    st.sampled_from(["text", "tool_use", "of_next_year"]),
)
def test_answer_keeps_all_that_came(
    on_message: dict[str, Any], on_block: dict[str, Any], on_usage: dict[str, Any], kind: str
) -> None:
    block = {"type": kind, "text": "a", "id": "toolu_1", "name": "n", "input": {"a": 1}, **on_block}
    came = message_json(
        content=[{"type": "text", "text": "before"}, block],
        usage={"input_tokens": 1, "output_tokens": 2, **on_usage},
        **on_message,
    )
    answer = decode_answer(Message, msgspec.json.encode(came))
    assert answer.to_dict() == came
    assert msgspec.json.decode(answer.to_json(indent=2)) == came
    assert answer.extra == on_message
    assert answer.content[1].to_dict() == block
    assert answer.usage.extra == on_usage
    assert answer.to_param() == {"role": "assistant", "content": came["content"]}


def test_unknown_block_has_all_of_its_data() -> None:
    block = {"type": "hologram", "depth": 3}
    answer = decode_answer(Message, msgspec.json.encode(message_json(content=[block])))
    unknown = answer.content[0]
    assert isinstance(unknown, UnknownBlock)
    assert (unknown.type, unknown.depth, unknown.extra) == ("hologram", 3, {"depth": 3})
    assert unknown.to_dict() == block
    with pytest.raises(AttributeError, match="'UnknownBlock' object has no attribute 'width'"):
        unknown.width  # noqa: B018


def test_unknown_field_is_an_attribute() -> None:
    answer = decode_answer(Message, msgspec.json.encode(message_json(mood="calm")))
    assert answer.mood == "calm"  # type: ignore[attr-defined]
    assert not hasattr(answer, "temper")


def test_value_of_another_type_stays_as_it_came() -> None:
    came = message_json(stop_details="none", container={"name": "c"})
    answer = decode_answer(Message, msgspec.json.encode(came))
    assert answer.stop_details == "none"
    assert answer.text == "Hello"
    assert answer.to_dict() == came


def test_answer_without_its_id_is_refused() -> None:
    with pytest.raises(msgspec.ValidationError, match="id"):
        decode_answer(Message, b'{"content":[],"model":"m"}')
    with pytest.raises(msgspec.ValidationError):
        decode_answer(Message, b"[]")


def test_known_block_with_a_missing_field_is_unknown() -> None:
    answer = decode_answer(Message, msgspec.json.encode(message_json(content=[{"type": "text"}])))
    assert isinstance(answer.content[0], UnknownBlock)


def test_nested_results_are_read() -> None:
    found = {"type": "web_search_result", "url": "u", "title": "t", "encrypted_content": "e"}
    later = {"type": "picture_result", "url": "u"}
    content = [
        {"type": "web_search_tool_result", "tool_use_id": "s", "content": [found, later]},
        {
            "type": "web_search_tool_result",
            "tool_use_id": "s",
            "content": {"type": "web_search_tool_result_error", "error_code": "of_next_year"},
        },
    ]
    answer = decode_answer(Message, msgspec.json.encode(message_json(content=content)))
    first, second = answer.content
    assert isinstance(first, blocks.WebSearchToolResultBlock)
    assert isinstance(first.content, list)
    assert [type(item).__name__ for item in first.content] == [
        "WebSearchResultBlock",
        "UnknownBlock",
    ]
    assert isinstance(second, blocks.WebSearchToolResultBlock)
    assert isinstance(second.content, blocks.WebSearchToolResultError)
    assert answer.to_param()["content"] == content


def test_unknown_field_of_a_nested_struct_is_kept() -> None:
    cited = {
        "type": "search_result_location",
        "cited_text": "c",
        "source": "s",
        "title": None,
        "search_result_index": 0,
        "start_block_index": 0,
        "end_block_index": 1,
        "score": 7,
    }
    content = [{"type": "text", "text": "a", "citations": [cited]}]
    answer = decode_answer(Message, msgspec.json.encode(message_json(content=content)))
    block = answer.content[0]
    assert isinstance(block, TextBlock)
    assert block.citations is not None
    assert block.citations[0].extra == {"score": 7}
    assert block.to_dict() == content[0]


def test_text_and_calls_of_a_message() -> None:
    call = {"type": "tool_use", "id": "toolu_1", "name": "n", "input": {}}
    content = [{"type": "text", "text": "a"}, call, {"type": "text", "text": "b"}]
    answer = decode_answer(Message, msgspec.json.encode(message_json(content=content)))
    assert answer.text == "ab"
    assert answer.tool_calls == [ToolUseBlock(id="toolu_1", name="n", input={})]


def test_dump_has_defaults_of_what_did_not_come() -> None:
    answer = decode_answer(Message, msgspec.json.encode(message_json(mood="calm")))
    dumped = answer.model_dump()
    assert dumped["container"] is None
    assert dumped["mood"] == "calm"
    assert dumped["content"] == [{"type": "text", "text": "Hello", "citations": None}]
    assert dumped["usage"]["service_tier"] is None
    assert answer.model_dump(exclude_none=True)["content"] == [{"type": "text", "text": "Hello"}]
    assert msgspec.json.decode(answer.model_dump_json(indent=1)) == dumped
    with pytest.raises(ValueError, match="mode is 'yaml'"):
        answer.model_dump(mode="yaml")


def test_struct_made_by_hand_is_json_too() -> None:
    made = Message(id="1", model="m", content=[TextBlock(text="a")], usage=Usage(input_tokens=1))
    assert made.to_dict()["content"] == [{"type": "text", "text": "a", "citations": None}]
    assert made.extra == {}


def test_copy_of_an_answer_is_the_callers_own() -> None:
    answer = decode_answer(Message, msgspec.json.encode(message_json(usage={"a": {"b": 1}})))
    answer.usage.to_dict()["a"]["b"] = 2
    assert answer.usage.to_dict() == {"a": {"b": 1}}


@pytest.mark.parametrize(
    "stored",
    [copy.copy, copy.deepcopy, lambda answer: pickle.loads(pickle.dumps(answer))],  # noqa: S301 - its own
)
def test_copied_and_stored_answer_has_all_that_came(stored: Callable[[Message], Message]) -> None:
    content = [{"type": "text", "text": "a", "new": 1}, {"type": "hum", "hum": "m"}]
    raw = msgspec.json.encode(message_json(content=content, mood="calm"))
    answer = answered(Message)(
        Answer(status=200, headers=Headers([("request-id", "req_1")]), body=raw)
    )
    again = stored(answer)
    assert again == answer
    assert again.to_dict() == answer.to_dict()
    assert again.content[0].extra == {"new": 1}
    assert again.request_id == "req_1"
    block = answer.content[1]
    assert stored(block) == block  # type: ignore[arg-type, comparison-overlap]


def test_text_of_an_answer_shows_what_is_not_a_default() -> None:
    count = decode_answer(MessageTokensCount, b'{"input_tokens":3,"later":1}')
    assert repr(count) == "MessageTokensCount(input_tokens=3)"
    assert repr(Usage(input_tokens=2)) == "Usage(input_tokens=2)"


def test_what_did_not_come_is_not_taken_for_a_part_of_another_answer() -> None:
    first = decode_answer(Message, b'{"id":"msg_1","model":"m","content":[]}')
    assert first.usage.to_dict()["input_tokens"] == 0
    assert Message(id="msg_2", model="m", content=[]).usage.to_dict() == first.usage.to_dict()
