"""The engine on a real vLLM with the real model, on the processor of this machine.

The folder of `--vllm` keeps vLLM and the model: 3.5 GB, and some minutes the first time.
"""

import asyncio
import json
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, aclosing
from pathlib import Path
from typing import Any

import pytest

from antiphon.core.prompt import Breakpoint
from antiphon.engines.base import (
    EngineConfig,
    EngineError,
    EngineErrorKind,
    EngineStartError,
    FinishReason,
    Prompt,
    Started,
    Thinking,
    ThinkingChunk,
)
from antiphon.engines.llama.engine import open_llama
from antiphon.engines.routed import RoutedEngine, WeightedEngine
from antiphon.engines.vllm.engine import VllmEngine, open_vllm
from engines.token.answer.test_guarantees import called, drawn, said
from support.conversation import all_events, answer, ask, first_piece, text_of, tokens_in, turn
from support.hf_folder import write_folder
from support.real_vllm import RunningVllm, prepare, real_vllm
from support.schemas import schemas, wild_schemas
from support.tiny_models import read_tokens

pytestmark = [pytest.mark.anyio, pytest.mark.soak]

ALWAYS = "--structured-outputs-config.enable_in_reasoning"
LONG = "One two three four five six seven eight nine ten. " * 60


@pytest.fixture(scope="module")
def folder(pytestconfig: pytest.Config, default_model: Path) -> Path:
    folder: Path = pytestconfig.getoption("--vllm")
    prepare(folder, default_model)
    return folder


@pytest.fixture(scope="module")
def server(folder: Path) -> Iterator[RunningVllm]:
    with real_vllm(folder) as server:
        yield server


@pytest.fixture(scope="module")
async def engine(
    anyio_backend: str,  # noqa: ARG001 - tells anyio which loop this lives in
    server: RunningVllm,
) -> AsyncIterator[VllmEngine]:
    engine = await open_vllm(EngineConfig("m", options={"url": server.url}))
    yield engine
    await engine.aclose()


async def test_answer_is_that_of_the_model(engine: VllmEngine) -> None:
    events = await answer(engine, ask("What is the capital of France?", max_tokens=30))
    assert "Paris" in text_of(events)


async def test_server_can_do_all_that_is_asked_of_it(engine: VllmEngine) -> None:
    assert engine.machine.examined
    assert engine.machine._client.priority
    assert engine.capabilities.keeps_prefixes
    assert engine.capabilities.context_tokens == 4096


async def test_counts_and_tokens_are_those_of_llama(
    engine: VllmEngine, default_model: Path, folder: Path
) -> None:
    """The same model on both: the same template and the same tokens."""
    options = {"context": 2048, "slots": 1, "threads": 2}
    llama = await open_llama(EngineConfig("llama", default_model, options))
    try:
        for text in ("Say hello.", "漢字 🦜 <|im_end|> é\n\tx = {'a': 1.50}", LONG):
            prompt = ask(text, "Hm.", "And now?", max_tokens=8)
            assert list(await engine.tokens_of(prompt)) == list(await llama.tokens_of(prompt))
    finally:
        await llama.aclose()
    written = write_folder(folder / "written", read_tokens(default_model))
    ours = json.loads((written / "tokenizer.json").read_text())["model"]["vocab"]
    assert ours == json.loads((folder / "hf" / "tokenizer.json").read_text())["model"]["vocab"]


async def test_inputs_and_answers_fit_random_schemas(engine: VllmEngine) -> None:
    kept, wild = drawn(schemas(), 16, 7), drawn(wild_schemas(), 8, 7)
    found = await asyncio.gather(
        *(called(engine, schema) for schema in kept[:8]),
        *(said(engine, schema) for schema in kept[8:]),
        *(called(engine, schema) for schema in wild),
    )
    print(found)  # noqa: T201 - the figures
    assert set(found[:16]) <= {"fits", "cut"}
    assert found.count("fits") > len(found) / 2


async def test_prefix_is_reused_by_its_workspace_alone(engine: VllmEngine) -> None:
    async def started(question: str, salt: str) -> tuple[Started, float]:
        marks = (Breakpoint(0, (0,), "5m", 0),)
        prompt = Prompt((turn("user", LONG, question),), 1, breakpoints=marks, cache_salt=salt)
        began = time.perf_counter()
        first = (await all_events(engine, prompt))[0]
        assert isinstance(first, Started)
        return first, time.perf_counter() - began

    salt = f"salt {time.time()}"
    seen = [await started("Why?", salt), await started("Who?", salt), await started("Who?", "b")]
    confirmed = [one.confirmed for one, _ in seen]
    print(  # noqa: T201 - the figures
        [
            (one and one.reused, round(took, 2))
            for one, (_, took) in zip(confirmed, seen, strict=True)
        ]
    )
    assert all(one is not None for one in confirmed)
    reused = [one.reused for one in confirmed if one is not None]
    sizes = [one.breakpoints[0] for one in confirmed if one is not None]
    assert reused[0] == 0
    assert reused[1] == sizes[1] == sizes[0]
    assert reused[2] == 0
    assert seen[1][1] < seen[0][1] / 2


async def test_thinking_ends_at_its_budget(server: RunningVllm, tmp_path: Path) -> None:
    template = tmp_path / "thinking.jinja"
    template.write_text(
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
    )
    options = {"url": server.url, "chat_template": str(template)}
    engine = await open_vllm(EngineConfig("m", options=options))
    try:
        thinking = Thinking(mode="enabled", budget=12)
        prompt = Prompt((turn("user", "Tell me of the sea."),), 40, thinking=thinking)
        events = await answer(engine, prompt)
    finally:
        await engine.aclose()
    assert sum(one.tokens for one in events if isinstance(one, ThinkingChunk)) == 12
    assert text_of(events)


async def test_caller_who_leaves_frees_the_server(engine: VllmEngine) -> None:
    async with aclosing(engine.generate(ask("Tell a long story.", max_tokens=3000))) as events:
        await first_piece(events)
    began = time.perf_counter()
    assert tokens_in(await answer(engine, ask("Hi", max_tokens=4))) <= 4
    assert time.perf_counter() - began < 10


@pytest.mark.parametrize(("flags", "is_fit"), [((), False), ((ALWAYS, "true"), True)])
async def test_server_with_a_parser_of_reasoning_keeps_to_grammars_if_it_is_told_to(
    folder: Path, flags: tuple[str, ...], *, is_fit: bool
) -> None:
    with real_vllm(folder, "--reasoning-parser", "granite", *flags) as server:
        opening = open_vllm(EngineConfig("m", options={"url": server.url}))
        if is_fit:
            await (await opening).aclose()
            return
        with pytest.raises(EngineStartError, match="does not keep to a grammar"):
            await opening


async def test_other_server_goes_on_when_one_is_killed(folder: Path, server: RunningVllm) -> None:
    """An answer that was begun fails; every other request is answered."""
    with real_vllm(folder, "--scheduling-policy", "fcfs") as doomed:
        async with AsyncExitStack() as stack:
            members = []
            for url in (doomed.url, server.url):
                known: dict[str, Any] = {
                    "url": url,
                    "model": "smollm2",
                    "tokenizer": str(folder / "hf"),
                    "context_tokens": 4096,
                }
                engine = await open_vllm(EngineConfig("m", options=known))
                stack.push_async_callback(engine.aclose)
                members.append(WeightedEngine(engine, 1))
            routed = RoutedEngine("m", members, time.monotonic)
            story = ask("Tell a long story.", max_tokens=1000)
            async with aclosing(members[0].engine.generate(story)) as events:
                await first_piece(events)
                doomed.kill()
                with pytest.raises(EngineError) as caught:
                    async for _ in events:
                        pass
            assert caught.value.kind is EngineErrorKind.FAILED
            answers = [await answer(routed, ask(f"Say {n}.", max_tokens=4)) for n in range(4)]
            assert all(events[-1].reason in FinishReason for events in answers)
