"""An engine over the socket of its host: the same events, counts, errors and ends."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from antiphon import __version__
from antiphon.core.errors import OverloadedError
from antiphon.core.prompt import (
    Breakpoint,
    Capabilities,
    Confirmation,
    EngineEvent,
    Finished,
    FinishReason,
    Prompt,
    PromptSize,
    Started,
    TextChunk,
    Tool,
    Turn,
)
from antiphon.engines.base import (
    CallFormat,
    Engine,
    EngineConfig,
    EngineError,
    EngineErrorKind,
    EngineStartError,
    KeptSnapshot,
    SnapshotReport,
)
from antiphon.engines.shared import client
from antiphon.engines.shared.client import SharedEngine, open_shared
from antiphon.engines.shared.frames import (
    Ask,
    Call,
    Event,
    Sized,
    frame,
    packed_prompt,
    read_reply,
    unpacked_prompt,
)
from antiphon.engines.shared.host import EngineHost
from antiphon.engines.states import EngineFailure, EngineState
from antiphon.wire.content import TextParam
from support.conversation import eventually
from support.tool_changes import addition, decoded, definition, removal

pytestmark = pytest.mark.anyio

TOOL = Tool(name="look", input_schema={"type": "object"})
STARTED = Started(input_tokens=5, confirmed=Confirmation(3, frozenset({3}), (3,), restored=True))


def prompt(text: str = "Hi") -> Prompt:
    turns = (Turn("user", (TextParam(text=text),)),)
    return Prompt(
        turns, 9, tools=(TOOL,), offered=(TOOL,), breakpoints=(Breakpoint(0, (0,)),), cache_salt="s"
    )


class Computing:
    """An engine that writes what a test says, and notes what it was asked."""

    def __init__(self) -> None:
        self.capabilities = Capabilities(context_tokens=99, keeps_prefixes=True, efforts=("low",))
        self.ready = True
        self.told = EngineState(slots=4, failure=EngineFailure("broke", 1.5))
        self.snapshots = SnapshotReport(snapshots=(KeptSnapshot("s", 3, 10, 1.0, 2.0),))
        self.prompts: list[Prompt] = []
        self.events: list[EngineEvent] = [
            STARTED,
            TextChunk("Hé", 2),
            Finished(FinishReason.END_TURN),
        ]
        self.error: EngineError | None = None
        self.hangs = False
        self.ended = 0

    def state(self) -> EngineState:
        return self.told

    def snapshot_report(self) -> SnapshotReport:
        return self.snapshots

    def call_format(self) -> CallFormat:
        return CallFormat(native=True)

    async def count_tokens(self, prompt: Prompt) -> int:
        self.prompts.append(prompt)
        if self.error is not None:
            raise self.error
        return 5

    async def measure(self, prompt: Prompt) -> PromptSize:
        self.prompts.append(prompt)
        return PromptSize(5, (3,))

    async def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent, None]:
        self.prompts.append(prompt)
        try:
            for event in self.events:
                yield event
            if self.error is not None:
                raise self.error
            if self.hangs:
                await asyncio.Event().wait()
        finally:
            self.ended += 1

    async def aclose(self) -> None:
        self.ready = False


class Hosting:
    """A host with one engine, which a test can end and start again."""

    def __init__(self, folder: Path) -> None:
        self.socket = folder / "engines.sock"
        self.engine = Computing()
        self.full = False
        self.places = 0

    def find(self, model: str, number: int) -> Engine | None:
        return self.engine if (model, number) == ("m", 1) else None

    @asynccontextmanager
    async def enter(self, _: str) -> AsyncIterator[None]:
        if self.full:
            raise OverloadedError
        self.places += 1
        try:
            yield
        finally:
            self.places -= 1

    def running(self) -> "AsyncExitStack":
        self.host = EngineHost(self.find, self.enter, 0.01)
        return self.host.listening(self.socket)  # type: ignore[return-value]


@pytest.fixture
def hosting(tmp_path: Path) -> Hosting:
    return Hosting(tmp_path)


@pytest.fixture
async def shared(hosting: Hosting) -> AsyncIterator[SharedEngine]:
    async with hosting.running():
        engine = await open_shared(hosting.socket, EngineConfig("m", number=1))
        yield engine
        await engine.aclose()


async def all_of(engine: SharedEngine, asked: Prompt) -> list[EngineEvent]:
    return [event async for event in engine.generate(asked)]


async def test_answer_is_the_same_event_for_event(hosting: Hosting, shared: SharedEngine) -> None:
    assert await all_of(shared, prompt()) == hosting.engine.events
    assert hosting.places == 0


async def test_engine_tells_the_same_of_itself(hosting: Hosting, shared: SharedEngine) -> None:
    assert shared.capabilities == hosting.engine.capabilities
    assert shared.call_format() == CallFormat(native=True)
    await eventually(lambda: shared.ready)
    assert shared.state() == hosting.engine.told
    assert shared.snapshot_report() == hosting.engine.snapshots
    hosting.engine.ready = False
    await eventually(lambda: not shared.ready)


async def test_prompt_arrives_whole_once_and_with_the_same_tools(
    hosting: Hosting, shared: SharedEngine
) -> None:
    asked = prompt()
    assert await shared.count_tokens(asked) == 5
    assert await shared.measure(asked) == PromptSize(5, (3,))
    await all_of(shared, asked)
    first, *others = hosting.engine.prompts
    # One object, for which the host has rendered and tokenized once.
    assert all(one is first for one in others)
    assert len(others) == 2
    assert first.turns == asked.turns
    assert first.breakpoints == asked.breakpoints
    assert first.cache_salt == "s"
    assert first.offered is not None
    assert first.tool_paths(first.offered) == ("tools.0.custom",)


async def test_errors_keep_their_kind_their_words_and_their_pause(
    hosting: Hosting, shared: SharedEngine
) -> None:
    hosting.engine.error = EngineError(EngineErrorKind.UNSUPPORTED, "no é", retry_after_s=2.5)
    hosting.engine.events = [STARTED]
    for asking in (shared.count_tokens(prompt()), all_of(shared, prompt())):
        with pytest.raises(EngineError, match="no é") as raised:
            await asking
        assert raised.value.kind is EngineErrorKind.UNSUPPORTED
        assert raised.value.retry_after_s == 2.5


async def test_full_gate_of_the_host_is_an_overload(hosting: Hosting, shared: SharedEngine) -> None:
    hosting.full = True
    with pytest.raises(EngineError) as raised:
        await all_of(shared, prompt())
    assert raised.value.kind is EngineErrorKind.OVERLOADED
    assert hosting.engine.ended == 0


async def test_caller_that_leaves_ends_the_work(hosting: Hosting, shared: SharedEngine) -> None:
    hosting.engine.events = [STARTED]
    hosting.engine.hangs = True
    async with aclosing(shared.generate(prompt())) as events:
        assert await anext(events) == STARTED
        assert hosting.places == 1
    await eventually(lambda: hosting.engine.ended == 1)
    assert hosting.places == 0


async def test_connection_of_a_prompt_lives_as_long_as_the_prompt(shared: SharedEngine) -> None:
    asked = prompt()
    await shared.count_tokens(asked)
    assert len(shared._lines) == 1
    del asked
    assert len(shared._lines) == 0


async def test_question_that_comes_before_the_last_reply_is_taken_whole(hosting: Hosting) -> None:
    async with hosting.running():
        reader, writer = await asyncio.open_unix_connection(hosting.socket)
        call = frame(Call("m", 1, packed_prompt(prompt()), __version__))
        writer.write(call + 3 * frame(Ask("measure")) + frame(Ask("generate")))
        for _ in range(3):
            assert await read_reply(reader) == Sized(PromptSize(5, (3,)))
        events = [await read_reply(reader) for _ in hosting.engine.events]
        assert all(isinstance(event, Event) for event in events)
        writer.close()


async def test_host_that_ends_breaks_answers_off_and_is_waited_for(hosting: Hosting) -> None:
    async with AsyncExitStack() as first:
        await first.enter_async_context(hosting.running())
        engine = await open_shared(hosting.socket, EngineConfig("m", number=1))
        await eventually(lambda: engine.ready)
        hosting.engine.events, hosting.engine.hangs = [STARTED], True
        answer = engine.generate(prompt())
        assert await anext(answer) == STARTED
        await first.aclose()
        with pytest.raises(EngineError) as raised:
            await anext(answer)
        assert raised.value.kind is EngineErrorKind.FAILED
    await eventually(lambda: not engine.ready)
    hosting.engine = Computing()
    waiting = asyncio.create_task(engine.count_tokens(prompt()))
    await asyncio.sleep(0)
    async with hosting.running():
        assert await waiting == 5
        await eventually(lambda: engine.ready)
        await engine.aclose()


async def test_answer_that_has_not_begun_is_asked_of_the_next_host(hosting: Hosting) -> None:
    hosting.engine.events, hosting.engine.hangs = [], True
    async with hosting.running():
        engine = await open_shared(hosting.socket, EngineConfig("m", number=1))
        asked = prompt()
        assert await engine.count_tokens(asked) == 5
        answer = asyncio.create_task(all_of(engine, asked))
        await eventually(lambda: hosting.places == 1)
    # The first one has ended; the next one has the prompt anew, and answers it once.
    hosting.engine = Computing()
    async with hosting.running():
        assert await answer == hosting.engine.events
        assert len(hosting.engine.prompts) == 1
        await engine.aclose()


async def test_host_that_drains_ends_with_the_last_answer_and_takes_no_other(
    hosting: Hosting,
) -> None:
    idle = asyncio.Event()
    async with hosting.running():
        engine = await open_shared(hosting.socket, EngineConfig("m", number=1))
        counted = prompt("counted")
        assert await engine.count_tokens(counted) == 5
        hosting.engine.events, hosting.engine.hangs = [STARTED], True
        async with aclosing(engine.generate(prompt())) as events:
            assert await anext(events) == STARTED
            hosting.host.drain(idle.set)
            # On a connection that it has, and on a new one.
            waiting = [
                asyncio.create_task(engine.count_tokens(one)) for one in (counted, prompt("new"))
            ]
            await asyncio.sleep(0.05)
            assert not any(one.done() for one in waiting)
            assert not idle.is_set()
        await eventually(idle.is_set)
        assert len(hosting.engine.prompts) == 2
    hosting.engine = Computing()
    async with hosting.running():
        assert await asyncio.gather(*waiting) == [5, 5]
        await engine.aclose()


async def test_host_without_work_drains_at_once(hosting: Hosting) -> None:
    ended: list[bool] = []
    async with hosting.running():
        hosting.host.drain(lambda: ended.append(True))
    assert ended == [True]


async def test_prompt_of_another_release_is_an_overload(
    hosting: Hosting, shared: SharedEngine, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "__version__", "9.9.9")
    with pytest.raises(EngineError, match="of another release") as raised:
        await shared.count_tokens(prompt())
    assert raised.value.kind is EngineErrorKind.OVERLOADED
    assert hosting.engine.prompts == []


async def test_host_that_stays_away_is_an_overload(tmp_path: Path) -> None:
    engine = SharedEngine(tmp_path / "none.sock", "m", 1, wait_s=0)
    with pytest.raises(EngineError) as raised:
        await engine.count_tokens(prompt())
    assert raised.value.kind is EngineErrorKind.OVERLOADED


async def test_engine_that_the_host_does_not_have_does_not_open(hosting: Hosting) -> None:
    async with hosting.running():
        engine = SharedEngine(hosting.socket, "another", 0)
        with pytest.raises(EngineStartError, match=r"another is not loaded\. A reload"):
            await engine.open(0.05)


async def test_process_of_another_release_is_refused_at_once(
    hosting: Hosting, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(client, "__version__", "9.9.9")
    async with hosting.running():
        engine = SharedEngine(hosting.socket, "m", 1)
        with pytest.raises(
            EngineStartError, match=r"it is of release .* and this process of 9.9.9"
        ):
            await engine.open(10)


CITED = {"type": "char_location", "cited_text": "a", "document_index": 0, "document_title": "t"}
FOUND = {"type": "web_search_result", "url": "u", "title": "t", "encrypted_content": "e"}
REFERENCE = {"type": "tool_reference", "tool_name": "look"}
SEARCHED = {"type": "tool_search_tool_search_result", "tool_references": [REFERENCE]}
TEXT = {"type": "text", "text": "é", "cache_control": {"type": "ephemeral", "ttl": "1h"}}
PAGE = {
    "type": "document",
    "source": {"type": "text", "media_type": "text/plain", "data": "a"},
    "title": "t",
}
BLOCKS = [
    TEXT,
    {**TEXT, "citations": [{**CITED, "start_char_index": 0, "end_char_index": 1}]},
    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}},
    PAGE,
    {"type": "search_result", "source": "s", "title": "t", "content": [TEXT]},
    {"type": "thinking", "thinking": "So.", "signature": "s"},
    {"type": "redacted_thinking", "data": "d"},
    {"type": "tool_use", "id": "toolu_1", "name": "look", "input": {"a": [1, 1.5, None, "é"]}},
    {"type": "tool_result", "tool_use_id": "toolu_1", "content": [TEXT, PAGE], "is_error": True},
    definition("new"),
    addition("look"),
    removal("look"),
    {"type": "server_tool_use", "id": "srvtoolu_1", "name": "web_search", "input": {"query": "q"}},
    {"type": "tool_search_tool_result", "tool_use_id": "srvtoolu_1", "content": SEARCHED},
    {"type": "web_search_tool_result", "tool_use_id": "srvtoolu_1", "content": [FOUND]},
    {
        "type": "web_fetch_tool_result",
        "tool_use_id": "srvtoolu_1",
        "content": {"type": "web_fetch_result", "url": "u", "content": PAGE},
    },
]


@pytest.mark.parametrize("block", BLOCKS, ids=lambda block: block["type"])
def test_every_kind_of_block_arrives_as_it_was_sent(block: dict[str, Any]) -> None:
    sent = Prompt((Turn("user", (decoded(block),)),), 1)
    assert unpacked_prompt(packed_prompt(sent)).turns == sent.turns
