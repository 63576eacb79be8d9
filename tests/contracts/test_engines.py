"""What every engine must do: those of `ENGINES`, or those of `--engine-settings FILE`."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import aclosing
from pathlib import Path

import pytest

from antiphon.engines.base import (
    Engine,
    EngineConfig,
    EngineError,
    EngineErrorKind,
    Finished,
    FinishReason,
    Prompt,
    Started,
    TextChunk,
)
from antiphon.engines.llama.engine import open_llama
from antiphon.engines.routed import RoutedEngine, WeightedEngine
from antiphon.engines.scripted import open_scripted
from antiphon.engines.states import TellingEngine
from antiphon.engines.upstream.chat_completions.engine import open_chat_completions
from antiphon.engines.upstream.messages_api.engine import open_messages_api
from support.conversation import (
    all_events,
    answer,
    ask,
    first_piece,
    reason_of,
    text_of,
    tokens_in,
    turn,
)
from support.shared_engine import shared
from support.simulated_sglang import simulated_sglang_engine
from support.simulated_vllm import simulated_engine
from support.upstreams import EngineWithServer, antiphon_server, llama_server

pytestmark = pytest.mark.anyio

Open = Callable[[Path], Awaitable[Engine]]


async def llama(tiny_model: Path) -> Engine:
    options = {"context": 1024, "slots": 4, "threads": 1}
    return await open_llama(EngineConfig("llama", tiny_model, options))


async def scripted(_: Path) -> Engine:
    text = "One two three. " * 100
    options = {"text": text, "context_tokens": 1024, "tokens_per_second": 1000}
    return await open_scripted(EngineConfig("scripted", options=options))


async def chat_completions(tiny_model: Path) -> Engine:
    """In front of llama.cpp's own server."""
    server = llama_server(tiny_model)
    options = await server.__aenter__()
    engine = await open_chat_completions(EngineConfig("chat_completions", options=options))
    return EngineWithServer(engine, server)


async def messages_api(tiny_model: Path) -> Engine:
    """In front of llama.cpp's own `/v1/messages`."""
    server = llama_server(tiny_model)
    options = await server.__aenter__()
    engine = await open_messages_api(EngineConfig("messages_api", options=options))
    return EngineWithServer(engine, server)


async def messages_api_on_antiphon(tiny_model: Path) -> Engine:
    """In front of a whole Antiphon."""
    server = antiphon_server(tiny_model)
    options = await server.__aenter__()
    engine = await open_messages_api(EngineConfig("messages_api", options=options))
    return EngineWithServer(engine, server)


async def shared_scripted(tiny_model: Path) -> Engine:
    """As another process has it."""
    return await shared(await scripted(tiny_model))


async def shared_llama(tiny_model: Path) -> Engine:
    return await shared(await llama(tiny_model))


async def vllm(_: Path) -> Engine:
    return await simulated_engine(pause_s=0.001)


async def sglang(_: Path) -> Engine:
    return await simulated_sglang_engine(pause_s=0.001)


async def routed(tiny_model: Path) -> Engine:
    """Two engines as one."""
    first, second = await scripted(tiny_model), await scripted(tiny_model)
    return RoutedEngine(
        "routed", [WeightedEngine(first, 2), WeightedEngine(second, 1)], time.monotonic
    )


ENGINES: list[Open] = [
    llama,
    scripted,
    routed,
    vllm,
    sglang,
    chat_completions,
    messages_api,
    messages_api_on_antiphon,
    shared_scripted,
    shared_llama,
]
# Its host does what `llama` does, and what is between them is shown by `shared_scripted`.
SOAK = {"shared_llama"}


@pytest.fixture(scope="module")
async def engine(
    request: pytest.FixtureRequest,
    anyio_backend: str,  # noqa: ARG001 - tells anyio which loop this lives in
    tiny_model: Path,
) -> AsyncIterator[Engine]:
    engine = await request.param(tiny_model)
    yield engine
    await engine.aclose()


async def test_engine_is_ready_once_it_is_open(engine: Engine) -> None:
    assert engine.ready


async def test_engine_declares_its_token_limits(engine: Engine) -> None:
    limits = engine.capabilities
    assert limits.context_tokens > 0
    assert limits.max_output_tokens is None or limits.max_output_tokens > 0


async def test_what_an_engine_tells_of_itself_is_possible(engine: Engine) -> None:
    await answer(engine, ask("Say hello.", max_tokens=8))
    if not isinstance(engine, TellingEngine):
        return
    state = engine.state()
    if state is None:
        return
    assert 0 <= (state.busy_slots or 0) <= (state.slots or 0)
    amounts = [state.waiting, state.restarts]
    if state.memory is not None:
        amounts += [getattr(state.memory, name) for name in state.memory.__struct_fields__]
    assert all(amount is None or amount >= 0 for amount in amounts)
    speeds = state.speeds
    assert speeds is None or all(one is None or one > 0 for one in (speeds.prefill, speeds.decode))


async def test_answer_is_text_and_then_its_end(engine: Engine) -> None:
    events = await answer(engine, ask("Say hello.", max_tokens=8))
    assert [type(event) for event in events[:-1]] == [TextChunk] * (len(events) - 1)
    assert isinstance(events[-1], Finished)


async def test_every_chunk_has_text_and_tokens(engine: Engine) -> None:
    chunks = (await answer(engine, ask("Say hello.", max_tokens=8)))[:-1]
    assert all(chunk.text and chunk.tokens > 0 for chunk in chunks if isinstance(chunk, TextChunk))


async def test_answer_is_as_long_as_it_may_be(engine: Engine) -> None:
    for limit in (1, 5):
        events = await answer(engine, ask("Tell a story of a hundred words.", max_tokens=limit))
        assert tokens_in(events) == limit
        assert reason_of(events) is FinishReason.MAX_TOKENS


async def test_count_is_stable_and_grows_with_the_prompt(engine: Engine) -> None:
    prompt = ask("Say hello.")
    count = await engine.count_tokens(prompt)
    assert 0 < count == await engine.count_tokens(prompt)
    assert count == await engine.count_tokens(ask("Say hello."))
    assert count < await engine.count_tokens(ask("Say hello.", "Hello.", "Say goodbye."))


async def test_answering_does_not_change_the_count(engine: Engine) -> None:
    prompt = ask("Say hello.", max_tokens=2)
    count = await engine.count_tokens(prompt)
    await answer(engine, prompt)
    assert await engine.count_tokens(prompt) == count


async def test_answer_begins_with_the_size_of_its_prompt_exactly_once(engine: Engine) -> None:
    for prompt in (ask("Say hello.", max_tokens=2), ask("Read this.", max_tokens=0)):
        first, *rest = await all_events(engine, prompt)
        assert isinstance(first, Started)
        assert first.input_tokens == await engine.count_tokens(prompt)
        assert not any(isinstance(event, Started) for event in rest)


async def test_uncounted_prompt_is_answered(engine: Engine) -> None:
    assert reason_of(await answer(engine, ask("Never counted.", max_tokens=2)))


async def test_closing_early_leaves_the_engine_working(engine: Engine) -> None:
    for _ in range(6):
        async with aclosing(engine.generate(ask("Tell a story.", max_tokens=500))) as events:
            await first_piece(events)
    assert text_of(await answer(engine, ask("Say hello.", max_tokens=4)))


async def test_cancelling_leaves_the_engine_working(engine: Engine) -> None:
    for pause in (0.0, 0.001, 0.05):
        reader = asyncio.create_task(answer(engine, ask("Tell a story.", max_tokens=500)))
        await asyncio.sleep(pause)
        reader.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reader
    assert text_of(await answer(engine, ask("Say hello.", max_tokens=4)))


async def test_concurrent_prompts_are_all_answered(engine: Engine) -> None:
    prompts = [ask(f"Say the number {n}.", max_tokens=5) for n in range(8)]
    answers = await asyncio.gather(*(answer(engine, prompt) for prompt in prompts))
    assert all(reason_of(events) and tokens_in(events) <= 5 for events in answers)


async def test_one_prompt_can_be_answered_twice_at_once(engine: Engine) -> None:
    prompt = ask("Say hello.", max_tokens=5)
    first, second = await asyncio.gather(answer(engine, prompt), answer(engine, prompt))
    assert text_of(first)
    assert text_of(second)


async def test_prefill_is_accepted_and_not_repeated(engine: Engine) -> None:
    events = await answer(engine, ask("Count.", "one, two, three,", max_tokens=4))
    assert not text_of(events).startswith("one, two, three,")


async def test_empty_answer_is_an_end_and_nothing_else(engine: Engine) -> None:
    """A model may have nothing to say; what it then costs is in its end."""
    events = await answer(engine, ask("Hi", "Hello! How can I help you today?", max_tokens=1))
    assert tokens_in(events) == 1
    assert reason_of(events) in set(FinishReason)


@pytest.mark.parametrize(
    "text", ["🦜🙂" * 4, "漢字とかな", "e\u0301\u0301", "\u202e\x00\ue000\ufffd", " ", ""]
)
async def test_any_text_is_taken_and_only_characters_come_back(engine: Engine, text: str) -> None:
    prompt = Prompt((turn("user", "Repeat:", text), turn("assistant", text)), 7)
    try:
        assert await engine.count_tokens(prompt) > 0
    except EngineError as error:
        # Empty blocks never get here, so an upstream that is strict may refuse them too.
        assert error.kind is EngineErrorKind.UNSUPPORTED  # noqa: PT017 - an engine may answer instead
        assert not text.strip()
        return
    for event in await answer(engine, prompt):
        if isinstance(event, TextChunk):
            assert "\ufffd" not in event.text
            assert event.text.encode()


async def test_system_turn_is_accepted_at_any_position(engine: Engine) -> None:
    turns = (turn("system", "Be brief."), turn("user", "Hi"), turn("system", "In French."))
    assert reason_of(await answer(engine, Prompt(turns, max_tokens=2)))


async def test_sampling_parameters_are_accepted(engine: Engine) -> None:
    for parameters in ({"top_p": 0.5}, {"top_k": 1}, {"top_k": 0}, {"temperature": 0.0}):
        prompt = Prompt((turn("user", "Hi"),), 2, **parameters)
        assert reason_of(await answer(engine, prompt))


async def test_max_tokens_of_zero_reads_the_prompt_only(engine: Engine) -> None:
    (end,) = await answer(engine, ask("Only read this.", max_tokens=0))
    assert isinstance(end, Finished)
    assert (end.reason, end.tokens) == (FinishReason.MAX_TOKENS, 0)
