"""What every engine must do that keeps prefixes; others of `--engine-settings` are skipped."""

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from antiphon.core.prompt import Breakpoint
from antiphon.engines.base import (
    CachingEngine,
    Confirmation,
    Engine,
    EngineConfig,
    Prompt,
    Started,
)
from antiphon.engines.llama.engine import open_llama
from antiphon.engines.scripted import open_scripted
from support.conversation import all_events, ask, turn
from support.shared_engine import shared
from support.simulated_sglang import simulated_sglang_engine
from support.simulated_vllm import simulated_engine
from support.tiny_models import Kind, write_model

pytestmark = pytest.mark.anyio

Open = Callable[[Path], Awaitable[Engine]]

CONTEXT = 16_384
LONG = "One two three four five six seven eight nine ten. " * 100
OTHER = "Ten nine eight seven six five four three two one. " * 100


async def scripted(_: Path) -> Engine:
    return await open_scripted(EngineConfig("scripted", options={"text": "Yes."}))


async def llama(folder: Path) -> Engine:
    """On a tiny model, whose tokens are hardly longer than characters."""
    weights = write_model(Kind.ATTENTION, folder / "tiny.gguf", context=CONTEXT)
    options = {"context": CONTEXT, "slots": 2, "threads": 2}
    return await open_llama(EngineConfig("tiny", weights, options, folder / "state"))


async def shared_llama(folder: Path) -> Engine:
    """As another process has it."""
    return await shared(await llama(folder))


async def vllm(_: Path) -> Engine:
    return await simulated_engine(context=CONTEXT)


async def sglang(_: Path) -> Engine:
    return await simulated_sglang_engine(context=CONTEXT)


ENGINES: list[Open] = [scripted, llama, shared_llama, vllm, sglang]
SOAK = {"shared_llama"}


@pytest.fixture(scope="module")
async def engine(
    request: pytest.FixtureRequest,
    anyio_backend: str,  # noqa: ARG001 - tells anyio which loop this lives in
    tmp_path_factory: pytest.TempPathFactory,
) -> AsyncIterator[CachingEngine]:
    engine = await request.param(tmp_path_factory.mktemp("engine"))
    if not engine.capabilities.keeps_prefixes:
        pytest.skip("this engine keeps no prefixes")
    yield engine
    await engine.aclose()


def marked(*texts: str, salt: str = "", at: tuple[int, ...] = (0,), tail: str = "Go on.") -> Prompt:
    """Return one turn with breakpoints behind some of its texts."""
    marks = tuple(Breakpoint(0, (index,), "5m", number) for number, index in enumerate(at))
    return Prompt((turn("user", *texts, tail),), 1, breakpoints=marks, cache_salt=salt)


async def confirmation(engine: Engine, prompt: Prompt) -> Confirmation:
    """Answer a prompt, and return what was confirmed of it."""
    started = (await all_events(engine, prompt))[0]
    assert isinstance(started, Started)
    assert started.confirmed is not None
    return started.confirmed


async def test_engine_is_a_caching_engine(engine: CachingEngine) -> None:
    assert isinstance(engine, CachingEngine)


async def test_measured_sizes_rise_and_are_those_of_the_answer(engine: CachingEngine) -> None:
    prompt = marked(LONG, OTHER, at=(0, 1), salt="sizes")
    size = await engine.measure(prompt)
    assert 0 < size.breakpoints[0] < size.breakpoints[1] <= size.tokens
    assert size.tokens == await engine.count_tokens(prompt)
    started = (await all_events(engine, prompt))[0]
    assert isinstance(started, Started)
    assert started.input_tokens == size.tokens
    assert started.confirmed is not None
    assert started.confirmed.breakpoints == size.breakpoints


async def test_breakpoints_do_not_change_the_count(engine: CachingEngine) -> None:
    prompts = [marked(LONG, OTHER, at=at) for at in ((), (0,), (1,), (0, 1))]
    assert len({(await engine.measure(prompt)).tokens for prompt in prompts}) == 1
    both = (await engine.measure(prompts[3])).breakpoints
    assert (await engine.measure(prompts[1])).breakpoints == both[:1]
    assert (await engine.measure(prompts[2])).breakpoints == both[1:]


async def test_shared_prefix_has_one_size_in_all_prompts(engine: CachingEngine) -> None:
    short = await engine.measure(marked(LONG, tail="Why?"))
    long = await engine.measure(marked(LONG, OTHER, tail="Tell me."))
    assert short.breakpoints == long.breakpoints


async def test_first_prompt_reuses_nothing_and_keeps_its_prefix(engine: CachingEngine) -> None:
    confirmed = await confirmation(engine, marked(LONG, salt="first"))
    assert confirmed.reused == 0
    assert confirmed.stored == frozenset(confirmed.breakpoints)


async def test_prefix_is_reused_by_a_prompt_that_goes_on_differently(
    engine: CachingEngine,
) -> None:
    first = await confirmation(engine, marked(LONG, salt="on"))
    second = await confirmation(engine, marked(LONG, OTHER, salt="on", at=(1,)))
    assert second.reused >= first.breakpoints[0]
    assert second.breakpoints[0] in second.stored


async def test_prefix_of_another_salt_is_not_reused(engine: CachingEngine) -> None:
    await confirmation(engine, marked(LONG, salt="one"))
    assert (await confirmation(engine, marked(LONG, salt="two"))).reused == 0
    assert (await confirmation(engine, marked(LONG, salt=""))).reused == 0


async def test_other_beginning_reuses_nothing_behind_it(engine: CachingEngine) -> None:
    await confirmation(engine, marked(LONG, OTHER, at=(1,), salt="begin"))
    confirmed = await confirmation(engine, marked("No! " + LONG, OTHER, at=(1,), salt="begin"))
    assert confirmed.reused < confirmed.breakpoints[0] // 2


async def test_prompt_without_breakpoints_is_answered(engine: CachingEngine) -> None:
    started = (await all_events(engine, ask(LONG)))[0]
    assert isinstance(started, Started)
    assert started.input_tokens == (await engine.measure(ask(LONG))).tokens
