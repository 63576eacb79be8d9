"""What a real SGLang answered: the client reads it; the simulated one answers in its words."""

import json
from collections.abc import AsyncIterator
from contextlib import aclosing
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from antiphon.engines.base import EngineError, EngineErrorKind
from antiphon.engines.sglang.client import SglangClient
from antiphon.engines.token.machine import CompletionRequest, PieceEnd
from antiphon.engines.token_server.vocabulary import Vocabulary, open_vocabulary
from antiphon.engines.upstream.http import Patience, Upstream
from support.hf_folder import write_folder
from support.recordings import events_of, form
from support.sglang_recorder import ASKED, FILE, INCREMENTAL, PLACES, bodies
from support.simulated_sglang import SimulatedSglang
from support.simulated_vllm import running
from support.tiny_models import read_tokens
from support.upstreams import FakeUpstream, fake_upstream

pytestmark = pytest.mark.anyio

RECORDED: dict[str, Any] = json.loads(FILE.read_text(encoding="utf-8"))
REFUSED = [name for name, one in RECORDED.items() if '"error":' in one["text"]] + [
    name for name, one in RECORDED.items() if '"abort"' in one["text"]
]
STREAMED = [name for name, one in RECORDED.items() if one["kind"] == "text/event-stream"]
READ = [name for name in STREAMED if name not in REFUSED]
TOO_LONG = {"too long": (4200, 4096), "longer than it takes": (4092, 4090)}


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
    found = bodies(model)
    return {**found, "incremental": found[INCREMENTAL]}


@pytest.fixture
async def fake() -> AsyncIterator[FakeUpstream]:
    async with fake_upstream() as server:
        yield server


@pytest.mark.parametrize("name", READ)
async def test_client_reads_what_a_real_server_wrote(
    fake: FakeUpstream, real_vocabulary: Vocabulary, asked: dict[str, dict[str, Any]], name: str
) -> None:
    """Its text is the server's own."""
    body, text = asked[name], RECORDED[name]["text"]
    fake.says(text.encode(), kind="text/event-stream")
    upstream = Upstream(fake.url, {}, Patience(1.0, 1.0, 1.0))
    client = SglangClient(upstream, "smollm2", real_vocabulary)
    request = CompletionRequest(
        tokens=body["input_ids"],
        max_tokens=body["sampling_params"]["max_new_tokens"],
        temperature=0.0,
    )
    told: list[int] = []
    async with aclosing(client.complete(request, "", tell_cached=told.append)) as pieces:
        found = [piece async for piece in pieces]
    await upstream.aclose()
    events = events_of(text)
    meta = events[-1]["meta_info"]
    written = "".join(one["text"] for one in events) if name == "incremental" else None
    assert "".join(piece.text for piece in found) == (written or events[-1]["text"])
    assert sum(piece.count for piece in found) == meta["completion_tokens"]
    assert told == [meta["cached_tokens"]]
    limited = meta["finish_reason"]["type"] == "length"
    assert found[-1].end is (PieceEnd.LIMIT if limited else PieceEnd.MODEL)


@pytest.mark.parametrize("name", REFUSED)
async def test_client_tells_what_a_real_server_refused(
    fake: FakeUpstream, real_vocabulary: Vocabulary, name: str
) -> None:
    answer = RECORDED[name]
    fake.says(answer["text"].encode(), status=answer["status"], kind=answer["kind"])
    upstream = Upstream(fake.url, {}, Patience(1.0, 1.0, 1.0))
    client = SglangClient(upstream, "smollm2", real_vocabulary)
    request = CompletionRequest(tokens=[1], max_tokens=1, temperature=0.0)
    with pytest.raises(EngineError) as caught:
        async with aclosing(client.complete(request, "")) as pieces:
            await anext(pieces)
    await upstream.aclose()
    assert caught.value.kind is EngineErrorKind.UNSUPPORTED
    if name in TOO_LONG:
        size, most = TOO_LONG[name]
        assert str(caught.value) == f"prompt is too long: {size} tokens > {most} maximum"


async def test_simulated_server_answers_in_the_form_of_a_real_one(
    model: Path, asked: dict[str, dict[str, Any]]
) -> None:
    for incremental in (False, True):
        server = SimulatedSglang(model, context=4096, priorities=True, incremental=incremental)
        names = ["incremental"] if incremental else [*PLACES, *ASKED]
        async with running(server), aiohttp.ClientSession(server.url) as session:
            if incremental:  # that one had been asked before, too
                await session.post("/generate", json=asked["priority"])
            for name in names:
                if name != "wrong grammar":  # it knows right ones only
                    await _compare(session, server, name, asked.get(name))


async def _compare(
    session: aiohttp.ClientSession, server: SimulatedSglang, name: str, body: dict[str, Any] | None
) -> None:
    if name == "end":
        server.says = ["Hello."]
    path = PLACES.get(name, "/generate")
    real = RECORDED[name]
    async with session.request("GET" if name in PLACES else "POST", path, json=body) as answer:
        text = await answer.text()
        assert (answer.status, answer.content_type) == (real["status"], real["kind"]), name
    ours, theirs = events_of(text), events_of(real["text"])
    known = [form(one) for one in theirs]
    assert all(form(one) in known for one in ours), name
    assert form(ours[-1]) == known[-1], name
    if name in {"cold", "warm", "other namespace", "warm stream"}:
        had = [one[-1]["meta_info"]["cached_tokens"] for one in (ours, theirs)]
        assert had[0] == had[1], name
    if name in REFUSED:
        assert {**ours[0], "meta_info": 0} == {**theirs[0], "meta_info": 0}
    if name in TOO_LONG and "meta_info" in ours[0]:
        reasons = [one[0]["meta_info"]["finish_reason"] for one in (ours, theirs)]
        assert reasons[0] == reasons[1]
