"""What a real vLLM answered: the client reads it, and the simulated one answers in its words."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from antiphon.engines.base import EngineError, EngineErrorKind
from antiphon.engines.token.machine import CompletionRequest, PieceEnd
from antiphon.engines.token_server.vocabulary import Vocabulary, open_vocabulary
from antiphon.engines.upstream.http import Patience, Upstream
from antiphon.engines.vllm.client import VllmClient
from support.hf_folder import write_folder
from support.recordings import events_of, form
from support.simulated_vllm import SimulatedVllm, running
from support.tiny_models import read_tokens
from support.upstreams import FakeUpstream, fake_upstream
from support.vllm_recorder import ASKED, FILE, PLACES, bodies

pytestmark = pytest.mark.anyio

RECORDED: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
REFUSED = [name for name in ASKED if '"error":' in RECORDED[name]["text"]]
STREAMED = [name for name in ASKED if ASKED[name].get("stream") and name not in REFUSED]


@pytest.fixture(scope="module")
def model(models_dir: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the vocabulary of the model that was recorded."""
    from conftest import fetch_default_model  # noqa: PLC0415 - not to be run on both cores

    tokens = read_tokens(fetch_default_model(models_dir))
    return write_folder(tmp_path_factory.mktemp("smollm2"), tokens)


@pytest.fixture(scope="module")
def real_vocabulary(model: Path) -> Vocabulary:
    return open_vocabulary("m", (model / "tokenizer.json").read_bytes())


@pytest.fixture(scope="module")
def asked(model: Path) -> dict[str, dict[str, Any]]:
    """The requests that were answered."""
    return bodies(model)


@pytest.fixture
async def fake() -> AsyncIterator[FakeUpstream]:
    async with fake_upstream() as server:
        yield server


@pytest.mark.parametrize("name", STREAMED)
async def test_client_reads_what_a_real_server_wrote(
    fake: FakeUpstream, real_vocabulary: Vocabulary, asked: dict[str, dict[str, Any]], name: str
) -> None:
    """Its text is the server's own, but for the token that ends it and the stop text."""
    body, text = asked[name], RECORDED[name]["text"]
    fake.says(text.encode(), kind="text/event-stream")
    upstream = Upstream(fake.url, {}, Patience(1.0, 1.0, 1.0))
    client = VllmClient(upstream, "smollm2", real_vocabulary)
    request = CompletionRequest(
        tokens=body["prompt"],
        max_tokens=body["max_tokens"],
        temperature=0.0,
        stop=tuple(body.get("stop", ())),
    )
    async with aclosing(client.complete(request, "")) as pieces:
        found = [piece async for piece in pieces]
    await upstream.aclose()
    events = events_of(text)
    written = "".join(one["text"] for event in events for one in event["choices"])
    assert "".join(piece.text for piece in found) == written.removesuffix("<|im_end|>")
    assert sum(piece.count for piece in found) == events[-1]["usage"]["completion_tokens"]
    (reason,) = {one["finish_reason"] for event in events for one in event["choices"]} - {None}
    ends = {"limit": PieceEnd.LIMIT, "stop": PieceEnd.STOP}
    assert found[-1].end is ends.get(name, PieceEnd.MODEL), reason


@pytest.mark.parametrize("name", REFUSED)
async def test_client_tells_what_a_real_server_refused(
    fake: FakeUpstream, real_vocabulary: Vocabulary, name: str
) -> None:
    answer = RECORDED[name]
    fake.says(answer["text"].encode(), status=answer["status"], kind=answer["kind"])
    upstream = Upstream(fake.url, {}, Patience(1.0, 1.0, 1.0))
    client = VllmClient(upstream, "smollm2", real_vocabulary)
    request = CompletionRequest(tokens=[1], max_tokens=1, temperature=0.0)
    with pytest.raises(EngineError) as caught:
        async with aclosing(client.complete(request, "")) as pieces:
            await anext(pieces)
    await upstream.aclose()
    kinds = {"unknown model": EngineErrorKind.FAILED}
    assert caught.value.kind is kinds.get(name, EngineErrorKind.UNSUPPORTED)
    if name == "too long":
        assert str(caught.value) == "prompt is too long: 4200 tokens > 4096 maximum"


async def test_simulated_server_answers_in_the_form_of_a_real_one(
    model: Path, asked: dict[str, dict[str, Any]]
) -> None:
    server = SimulatedVllm(model, context=4096, block=128, priorities=True)
    async with running(server), aiohttp.ClientSession(server.url) as session:
        for name, real in RECORDED.items():
            if name == "wrong grammar":
                continue  # it knows right ones only
            if name == "end":
                server.says = ["Hello."]
            path = PLACES.get(name, "/v1/completions")
            method = "GET" if name in PLACES else "POST"
            async with session.request(method, path, json=asked.get(name)) as answer:
                text = await answer.text()
                assert (answer.status, answer.content_type) == (real["status"], real["kind"]), name
            ours, theirs = events_of(text), events_of(real["text"])
            assert form(ours[0]) == form(theirs[0]), name
            assert form(ours[-1]) == form(theirs[-1]), name
            assert {str(form(one)) for one in ours} <= {str(form(one)) for one in theirs}, name
            if name in {"cold", "warm", "more than fits"}:
                assert ours[0]["usage"] == theirs[0]["usage"]
