"""The engine on an SGLang: how it opens, what it refuses to open on, and what it promises.

What it has in common with the engine on vLLM is tested there.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest

from antiphon.core.hints import OF_BATCH
from antiphon.core.prompt import Breakpoint
from antiphon.engines.base import (
    EngineConfig,
    EngineError,
    EngineErrorKind,
    EngineStartError,
    Prompt,
    Started,
    Thinking,
    ThinkingChunk,
)
from antiphon.engines.registry import check_engine
from antiphon.engines.sglang.engine import SglangEngine, open_sglang
from antiphon.engines.sglang.options import SglangOptions
from antiphon.engines.token.machine import CompletionRequest
from support.conversation import (
    all_events,
    answer,
    ask,
    eventually,
    first_piece,
    text_of,
    tokens_in,
    turn,
)
from support.hf_folder import write_folder
from support.simulated_sglang import SimulatedSglang
from support.simulated_vllm import running
from support.tiny_models import own_tokens
from support.word_machine import THINKING

pytestmark = pytest.mark.anyio

LONG = "One two three four five six seven eight nine ten. " * 20
Opened = Callable[..., Awaitable[SglangEngine]]


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    """Open an engine on a server, and close it at the end of the test."""
    async with AsyncExitStack() as stack:

        async def open_one(url: str, **options: Any) -> SglangEngine:
            engine = await open_sglang(EngineConfig("m", options={"url": url, **options}))
            stack.push_async_callback(engine.aclose)
            return engine

        yield open_one


async def fault(opened: Opened, *args: Any, **options: Any) -> str:
    with pytest.raises(EngineStartError) as caught:
        await opened(*args, **options)
    return str(caught.value)


def marked(question: str, salt: str = "ws") -> Prompt:
    marks = (Breakpoint(0, (0,), "5m", 0),)
    return Prompt((turn("user", LONG, question),), 2, breakpoints=marks, cache_salt=salt)


async def started(engine: SglangEngine, prompt: Prompt) -> Started:
    first = (await all_events(engine, prompt))[0]
    assert isinstance(first, Started)
    return first


async def test_server_is_asked_for_all_that_is_not_set(
    opened: Opened, server: SimulatedSglang
) -> None:
    engine = await opened(server.url)
    assert engine.ready
    limits = engine.capabilities
    assert limits.context_tokens == 1024 - 6
    assert limits.counts_exactly
    assert limits.keeps_prefixes
    assert engine.machine._block == 1


async def test_longest_prompt_is_one_that_the_server_takes(
    opened: Opened, server: SimulatedSglang
) -> None:
    engine = await opened(server.url)
    text = "a"
    while await engine.count_tokens(ask(text)) < engine.capabilities.context_tokens - 1:
        text += " a"
    assert tokens_in(await answer(engine, ask(text, max_tokens=9))) == 1
    before = len(server.asked)
    with pytest.raises(EngineError, match="prompt is too long: 1018 tokens > 1017 maximum"):
        await answer(engine, ask(text + " a"))
    assert len(server.asked) == before


async def test_router_tells_the_context_by_the_list_of_models_alone(
    opened: Opened, folder: Path
) -> None:
    async with running(SimulatedSglang(folder, tells=False)) as server:
        engine = await opened(server.url, tokenizer=str(folder))
        assert engine.capabilities.context_tokens == 1024 - 6
        server.cards = [{"max_model_len": None}]
        assert "Set `context_tokens`" in await fault(opened, server.url, tokenizer=str(folder))


@pytest.mark.parametrize("incremental", [False, True])
async def test_answer_is_the_text_of_the_tokens(
    opened: Opened, folder: Path, caplog: pytest.LogCaptureFixture, *, incremental: bool
) -> None:
    caplog.set_level("INFO")
    async with running(SimulatedSglang(folder, incremental=incremental)) as server:
        engine = await opened(server.url)
        server.says = ["Oslo 🦜é."]
        assert text_of(await answer(engine, ask("Where?"))) == "Oslo 🦜é."
    assert ("repeats an answer" in caplog.text) == (not incremental)


@pytest.mark.parametrize(("low_first", "batch"), [(False, -100), (True, 100)])
async def test_workspaces_have_namespaces_and_batches_wait(
    opened: Opened, folder: Path, batch: int, *, low_first: bool
) -> None:
    async with running(SimulatedSglang(folder, priorities=True, low_first=low_first)) as server:
        engine = await opened(server.url)
        for hints in ({}, {"hints": OF_BATCH}):
            await answer(engine, Prompt((turn("user", "Hi"),), 2, cache_salt="ws", **hints))
        first, second = server.asked[-2:]
        assert (first["extra_key"], first["priority"]) == ("ws", 0)
        assert (second["extra_key"], second["priority"]) == ("ws", batch)
        engine = await opened(server.url, priority=False)
        await answer(engine, Prompt((turn("user", "Hi"),), 2, hints=OF_BATCH))
        assert "priority" not in server.asked[-1]


async def test_server_without_priorities_gets_none_unless_it_is_told_to(
    opened: Opened, server: SimulatedSglang
) -> None:
    batch = Prompt((turn("user", "Hi"),), 2, hints=OF_BATCH)
    await answer(await opened(server.url), batch)
    assert "priority" not in server.asked[-1]
    await answer(await opened(server.url, priority=True), batch)
    assert server.asked[-1]["priority"] == -100


async def test_first_token_tells_what_was_reused(opened: Opened, server: SimulatedSglang) -> None:
    """No other request is made for it."""
    engine = await opened(server.url)
    before = len(server.asked)
    seen = [await started(engine, marked("Why?")), await started(engine, marked("Who?"))]
    other = await started(engine, marked("Who?", "other"))
    assert len(server.asked) == before + 3
    size = seen[0].confirmed.breakpoints[0] if seen[0].confirmed else 0
    assert size > 400
    assert [one.confirmed and one.confirmed.reused for one in (*seen, other)] == [0, size, 0]
    assert all(one.confirmed and one.confirmed.stored == {size} for one in (*seen, other))


async def test_thoughts_and_the_answer_behind_them_are_one_claim(
    opened: Opened, server: SimulatedSglang, tmp_path: Path
) -> None:
    template = tmp_path / "thinking.jinja"
    template.write_text(THINKING)
    engine = await opened(server.url, chat_template=str(template))
    server.says = ["a " * 400, "So."]
    marks = (Breakpoint(0, (0,), "5m", 0),)
    thinking = Thinking(mode="enabled", budget=20)
    prompt = Prompt((turn("user", LONG, "Hi"),), 200, breakpoints=marks, thinking=thinking)
    events = await all_events(engine, prompt)
    assert isinstance(events[0], Started)
    assert events[0].confirmed is not None
    assert events[0].confirmed.reused == 0
    assert sum(one.tokens for one in events if isinstance(one, ThinkingChunk)) == 20
    assert text_of(events) == "So."


async def test_only_the_first_completion_of_a_prompt_tells_what_was_reused(
    opened: Opened, server: SimulatedSglang
) -> None:
    """The others go on from its tokens, which are no reused prefix."""
    engine = await opened(server.url)
    rendered = (await engine.prepare(marked("Why?"))).rendered
    request = CompletionRequest(tokens=list(rendered.tokens), max_tokens=1, temperature=0.0)
    async with engine.machine.completions(rendered, "ws") as completions:
        for _ in range(2):
            async with aclosing(completions.complete(request)) as pieces:
                assert [piece async for piece in pieces]
            assert completions.confirmed.reused == 0
            assert completions.confirmed.stored


@pytest.mark.parametrize("block", [1, 16, 64])
async def test_pages_of_the_prefix_cache_are_found_out(
    opened: Opened, folder: Path, block: int
) -> None:
    async with running(SimulatedSglang(folder, block=block)) as server:
        engine = await opened(server.url)
        assert engine.machine._block == block
        await started(engine, marked("Why?"))
        again = (await started(engine, marked("Who?"))).confirmed
        assert again is not None
        assert again.reused == again.breakpoints[0]


async def test_nothing_is_claimed_where_the_server_keeps_nothing(
    opened: Opened, folder: Path
) -> None:
    async with running(SimulatedSglang(folder, block=4096)) as server:
        assert not (await opened(server.url)).capabilities.keeps_prefixes
    async with running(SimulatedSglang(folder, details=False)) as server:
        assert not (await opened(server.url)).capabilities.keeps_prefixes


async def test_server_that_keeps_no_workspaces_apart_is_refused(
    opened: Opened, folder: Path
) -> None:
    async with running(SimulatedSglang(folder, namespaces=False)) as server:
        said = await fault(opened, server.url)
    assert "reuses prompts of one workspace for another" in said
    assert "SGLang 0.5.23" in said


async def test_tokenizer_of_another_model_is_told_before_a_token_is_sent(
    opened: Opened, server: SimulatedSglang, tmp_path: Path
) -> None:
    """A token that the model does not have would end the server."""
    larger = own_tokens(None, tuple(f"<{number}>" for number in range(2000)))
    folder = write_folder(tmp_path, larger, chat_template="{{ messages }}")
    said = await fault(opened, server.url, tokenizer=str(folder))
    assert "is not that of the model `smollm2` on its server" in said
    assert not server.asked
    assert not server.is_dead


async def test_server_that_keeps_to_no_grammar_is_refused(opened: Opened, folder: Path) -> None:
    async with running(SimulatedSglang(folder, grammars=False)) as server:
        said = await fault(opened, server.url)
    assert "does not keep to a grammar" in said
    assert "--grammar-backend xgrammar" in said


async def test_caller_who_leaves_ends_the_work(opened: Opened, folder: Path) -> None:
    async with running(SimulatedSglang(folder, pause_s=0.001)) as server:
        engine = await opened(server.url)
        async with aclosing(engine.generate(ask("Tell.", max_tokens=300))) as events:
            await first_piece(events)
            assert server.running == 1
        await eventually(lambda: server.running == 0)
        assert server.broken_off == 1


async def test_server_that_dies_in_an_answer_is_a_failure(
    opened: Opened, server: SimulatedSglang
) -> None:
    engine = await opened(server.url)
    server.dies_behind = 3
    with pytest.raises(EngineError) as caught:
        await answer(engine, ask("Tell.", max_tokens=100))
    assert caught.value.kind is EngineErrorKind.FAILED


async def test_context_that_the_server_refuses_is_told_as_the_api_tells_it(
    opened: Opened, server: SimulatedSglang
) -> None:
    engine = await opened(server.url, context_tokens=100_000)
    with pytest.raises(EngineError, match=r"prompt is too long: \d+ tokens > 1024 maximum"):
        await answer(engine, ask(LONG * 4))
    engine = await opened(server.url, context_tokens=1024)
    text = "a"
    while await engine.count_tokens(ask(text)) < 1020:
        text += " a"
    with pytest.raises(EngineError, match="prompt is too long: 1020 tokens > 1018 maximum"):
        await answer(engine, ask(text, max_tokens=4))


async def test_server_that_is_away_is_examined_at_the_first_request(
    opened: Opened, folder: Path
) -> None:
    known = {"model": "smollm2", "context_tokens": 1024, "tokenizer": str(folder)}
    async with running(SimulatedSglang(folder)) as server:
        url = server.url
    assert "upstream is away" in await fault(opened, url)
    engine = await opened(url, **known)
    assert not engine.machine.examined
    port = int(url.rpartition(":")[2])
    async with running(SimulatedSglang(folder, priorities=True), port) as server:
        batch = Prompt((turn("user", "Hi"),), 2, hints=OF_BATCH)
        assert tokens_in(await answer(engine, batch)) == 2
        assert server.asked[-1]["priority"] == -100


def test_wrong_options_are_told_before_anything_is_opened() -> None:
    with pytest.raises(EngineStartError, match="`url` is missing"):
        check_engine("sglang", EngineConfig("m", options={}))


def test_options_show_no_keys() -> None:
    options = SglangOptions(url="http://user:pass@a", api_key="secret", headers={"a": "b"})
    assert repr(options) == "SglangOptions(model=None, …)"
