"""vLLM on a Ray cluster of two nodes of this machine, with the real model on its processor.

The folder is that of `--vllm`; Ray is installed beside vLLM in it.
"""

import asyncio
import os
import signal
import time
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import pytest

from antiphon.core.prompt import Breakpoint
from antiphon.engines.base import (
    EngineConfig,
    EngineError,
    EngineErrorKind,
    EngineStartError,
    Prompt,
    Started,
)
from antiphon.engines.vllm.engine import VllmEngine, open_vllm
from engines.token.answer.test_guarantees import called, drawn, said
from support.conversation import all_events, answer, ask, first_piece, text_of, tokens_in, turn
from support.real_ray import RayCluster, ray_cluster, ray_serve
from support.real_vllm import free_port, prepare
from support.schemas import schemas

pytestmark = [pytest.mark.anyio, pytest.mark.soak]

LONG = "One two three four five six seven eight nine ten. " * 60


@pytest.fixture(scope="module")
def cluster(pytestconfig: pytest.Config, default_model: Path) -> Iterator[RayCluster]:
    folder: Path = pytestconfig.getoption("--vllm")
    prepare(folder, default_model)
    with ray_cluster(folder) as cluster:
        yield cluster


@pytest.fixture(scope="module")
def url(cluster: RayCluster) -> Iterator[str]:
    with ray_serve(cluster) as url:
        yield url


def options_of(url: str, cluster: RayCluster) -> dict[str, Any]:
    tokenizer = str(cluster.folder / "hf")
    return {"url": url, "model": "smollm2", "tokenizer": tokenizer, "context_tokens": 1024}


@pytest.fixture(scope="module")
async def engine(
    anyio_backend: str,  # noqa: ARG001 - tells anyio which loop this lives in
    url: str,
    cluster: RayCluster,
) -> AsyncIterator[VllmEngine]:
    engine = await open_vllm(EngineConfig("m", options=options_of(url, cluster)))
    yield engine
    await engine.aclose()


def test_one_model_over_two_nodes_is_not_for_processors(cluster: RayCluster) -> None:
    """When this fails, vLLM has learnt it, and the rest is to be tried on it."""
    process, log = cluster.run(
        "pipeline",
        *("vllm", "serve", str(cluster.folder / "hf"), "--dtype", "float32", "--enforce-eager"),
        *("--host", "127.0.0.1", "--port", str(free_port()), "--max-model-len", "1024"),
        *("--distributed-executor-backend", "ray", "--pipeline-parallel-size", "2"),
    )
    try:
        assert process.wait(200.0) == 1
    finally:
        process.kill()
    assert "current platform cpu does not support ray" in log.read_text(errors="replace")


async def test_router_passes_on_all_that_is_asked(engine: VllmEngine) -> None:
    assert engine.machine.examined
    assert engine.machine._client.priority
    assert engine.capabilities.keeps_prefixes
    events = await answer(engine, ask("What is the capital of France?", max_tokens=30))
    assert "Paris" in text_of(events)


async def test_router_does_not_tell_the_context(url: str, cluster: RayCluster) -> None:
    options = options_of(url, cluster)
    del options["context_tokens"]
    with pytest.raises(EngineStartError, match="Set `context_tokens`"):
        await open_vllm(EngineConfig("m", options=options))


async def test_inputs_and_answers_fit_random_schemas(engine: VllmEngine) -> None:
    kept = drawn(schemas(), 8, 7)
    found = await asyncio.gather(
        *(called(engine, schema) for schema in kept[:4]),
        *(said(engine, schema) for schema in kept[4:]),
    )
    assert set(found) <= {"fits", "cut"}
    assert found.count("fits") > len(found) / 2


async def test_each_replica_reads_a_prefix_once_and_for_its_workspace_alone(
    engine: VllmEngine,
) -> None:
    async def reused(salt: str) -> int:
        marks = (Breakpoint(0, (0,), "5m", 0),)
        prompt = Prompt((turn("user", LONG, "Why?"),), 1, breakpoints=marks, cache_salt=salt)
        first = (await all_events(engine, prompt))[0]
        assert isinstance(first, Started)
        assert first.confirmed is not None
        return first.confirmed.reused

    salt = f"salt {time.time()}"
    found = Counter([await reused(salt) for _ in range(10)])
    print(found)  # noqa: T201 - the figures
    assert 1 <= found[0] <= 2
    assert len(found) == 2
    assert await reused("another") == 0


async def test_caller_who_leaves_frees_the_replica(engine: VllmEngine) -> None:
    async with aclosing(engine.generate(ask("Tell a long story.", max_tokens=900))) as events:
        await first_piece(events)
    began = time.perf_counter()
    assert tokens_in(await answer(engine, ask("Hi", max_tokens=4))) <= 4
    assert time.perf_counter() - began < 10


async def test_answers_of_a_killed_replica_fail_and_all_others_come(
    engine: VllmEngine, cluster: RayCluster
) -> None:
    async def story(number: int) -> EngineErrorKind | None:
        prompt = ask(f"Tell a long story of {number}.", max_tokens=200)
        async with aclosing(engine.generate(prompt)) as events:
            await first_piece(events)
            begun.release()
            try:
                async for _ in events:
                    pass
            except EngineError as error:
                return error.kind
        return None

    begun = asyncio.Semaphore(0)
    stories = [asyncio.create_task(story(number)) for number in range(6)]
    for _ in stories:
        await begun.acquire()
    replicas = cluster.replicas()
    assert len(replicas) == 2
    os.kill(replicas[0], signal.SIGKILL)
    ended = Counter(await asyncio.gather(*stories))
    print(ended)  # noqa: T201 - the figures
    assert set(ended) == {EngineErrorKind.FAILED, None}
    for _ in range(6):
        assert tokens_in(await answer(engine, ask("Hi", max_tokens=4))) <= 4
