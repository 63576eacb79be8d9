"""An answer in rounds: the calls of tools of the server, their results, and one usage."""

from typing import Any

import pytest

from antiphon.core.assembly import Assembly
from antiphon.core.citations.sources import Sources
from antiphon.core.prompt import (
    EngineEvent,
    Finished,
    FinishReason,
    NextRound,
    ServerCallStart,
    ServerResult,
    Started,
    TextChunk,
    ToolCallJson,
    ToolCallStart,
)
from antiphon.wire.content import TextBlock, ToolUseBlock
from antiphon.wire.events import ContentBlockStart, ContentBlockStop, StreamEvent
from antiphon.wire.fold import fold
from antiphon.wire.messages import CacheCreation, Message, ServerToolUsage
from antiphon.wire.server_blocks import (
    ServerToolUseBlock,
    ToolReferenceBlock,
    ToolSearchResultBlock,
    ToolSearchToolResultBlock,
    WebFetchToolResultBlock,
    WebSearchToolResultBlock,
)
from support.assembling import assembled, started_assembly

FOUND = ToolSearchToolResultBlock(
    tool_use_id="srvtoolu_1",
    content=ToolSearchResultBlock(tool_references=(ToolReferenceBlock(tool_name="late"),)),
)
CALL = (ServerCallStart("srvtoolu_1", "search", 2), ToolCallJson('{"pattern": "late"}', 3))
END = Finished(FinishReason.END_TURN, 1)


def said(assembly: Assembly, *events: EngineEvent) -> list[StreamEvent]:
    return [assembly.start(), *(one for event in events for one in assembly.feed(event))]


def used(message: Message) -> tuple[int, int, int, int]:
    usage = message.usage
    return (
        usage.input_tokens,
        usage.cache_read_input_tokens,
        usage.cache_creation_input_tokens,
        usage.output_tokens,
    )


def test_result_follows_its_call_and_the_text_goes_on_behind_it() -> None:
    message = assembled(
        [
            TextChunk("I look.", 2),
            *CALL,
            ServerResult(FOUND),
            NextRound(Started(input_tokens=12), tokens=1),
            TextChunk("There.", 1),
            ToolCallStart("late", 1),
            END,
        ]
    )
    assert message.content == (
        TextBlock(text="I look."),
        ServerToolUseBlock(id="srvtoolu_1", name="search", input={"pattern": "late"}),
        FOUND,
        TextBlock(text="There."),
        ToolUseBlock(id="toolu_", name="late", input={}),
    )
    assert message.stop_reason == "tool_use"
    # Each prompt that was read counts: 7 tokens, then 12.
    assert used(message) == (19, 0, 0, 11)
    assert message.usage.server_tool_use == ServerToolUsage()


def test_result_is_complete_as_it_starts() -> None:
    assembly = started_assembly()
    events = said(assembly, *CALL, ServerResult(FOUND))
    assert events[-3:] == [
        ContentBlockStop(index=0),
        ContentBlockStart(index=1, content_block=FOUND),
        ContentBlockStop(index=1),
    ]


def test_call_of_the_server_alone_is_no_use_of_a_tool() -> None:
    message = assembled([*CALL, ServerResult(FOUND), Finished(FinishReason.PAUSE_TURN)])
    assert message.stop_reason == "pause_turn"


def test_text_that_is_open_ends_with_its_round() -> None:
    message = assembled(
        [TextChunk("One.", 1), NextRound(Started(input_tokens=1)), TextChunk("Two.", 1), END]
    )
    assert message.content == (TextBlock(text="One."), TextBlock(text="Two."))
    assert message.usage.server_tool_use is None


def test_text_that_is_gathered_stands_before_the_call() -> None:
    assembly = started_assembly(streamed=False)
    events = said(assembly, TextChunk("One.", 1), *CALL, ServerResult(FOUND), END)
    assert fold(events).content[0] == TextBlock(text="One.")


def test_usage_of_rounds_is_their_sum() -> None:
    first = Started(
        input_tokens=100, cache_read_tokens=10, cache_write_5m_tokens=20, cache_write_1h_tokens=30
    )
    assembly = started_assembly(started=first)
    events = said(assembly, NextRound(Started(input_tokens=120, cache_read_tokens=60)), END)
    message = fold(events)
    assert used(message) == (40 + 60, 70, 50, 1)
    assert message.usage.cache_creation == CacheCreation(
        ephemeral_5m_input_tokens=20, ephemeral_1h_input_tokens=30
    )


def test_prompt_that_is_counted_at_the_end_of_its_round_replaces_the_first_count() -> None:
    late = Finished(FinishReason.END_TURN, 1, prompt=Started(input_tokens=15))
    message = assembled(
        [
            TextChunk("One.", 1),
            NextRound(Started(input_tokens=0), before=Started(input_tokens=9)),
            TextChunk("Two.", 1),
            late,
        ]
    )
    assert used(message)[0] == 24


def test_uses_that_count_are_told_at_the_end() -> None:
    message = assembled(
        [ServerResult(FOUND, searches=1), ServerResult(FOUND, searches=1, fetches=2), END]
    )
    assert message.usage.server_tool_use == ServerToolUsage(
        web_search_requests=2, web_fetch_requests=2
    )


def test_input_without_a_call_is_a_defect() -> None:
    assembly = started_assembly()
    assembly.feed(ServerResult(FOUND))
    with pytest.raises(RuntimeError, match="not started"):
        assembly.feed(ToolCallJson("{}", 1))


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("tool_search_tool_bm25", ToolSearchToolResultBlock),
        ("web_search", WebSearchToolResultBlock),
        ("web_fetch", WebFetchToolResultBlock),
    ],
)
@pytest.mark.parametrize("sources", [None, Sources()])
def test_call_that_a_stop_sequence_keeps_from_its_run_has_a_result(
    name: str, kind: type[Any], sources: Sources | None
) -> None:
    assembly = started_assembly("STOP", sources=sources)
    calls = (ServerCallStart("srvtoolu_1", name, 1), ServerCallStart("srvtoolu_2", name, 1))
    message = fold(said(assembly, *calls, TextChunk("So. STOP", 1)))
    assert message.stop_reason == "stop_sequence"
    *_, text, one, other = message.content
    assert isinstance(text, TextBlock)
    for result, call in ((one, "srvtoolu_1"), (other, "srvtoolu_2")):
        assert isinstance(result, kind)
        assert (result.tool_use_id, result.content.error_code) == (call, "unavailable")


def test_call_that_was_run_has_no_other_result() -> None:
    assembly = started_assembly("STOP")
    message = fold(said(assembly, *CALL, ServerResult(FOUND), TextChunk("STOP", 1)))
    assert [type(block) for block in message.content] == [
        ServerToolUseBlock,
        ToolSearchToolResultBlock,
    ]
