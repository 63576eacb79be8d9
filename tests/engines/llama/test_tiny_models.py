"""The models that tests of the cache run on: real llama.cpp, one for each kind of memory."""

import sys
from collections.abc import AsyncIterator
from pathlib import Path
from subprocess import run

import pytest

from antiphon.engines.base import EngineConfig, FinishReason
from antiphon.engines.llama.engine import LlamaEngine, open_llama
from support.conversation import answer, ask, reason_of, text_of, tokens_in
from support.tiny_models import CONTROL, Kind, write_model

pytestmark = pytest.mark.anyio

MOST_BYTES = 5_000_000
OPTIONS = {"context": 512, "slots": 1, "threads": 1}
WRITE = (
    "import sys; from pathlib import Path; from support.tiny_models import Kind, write_model\n"
    "for kind in Kind: write_model(kind, Path(sys.argv[1], kind.value))"
)


@pytest.fixture(params=list(Kind))
async def engine_of_kind(
    request: pytest.FixtureRequest, tmp_path: Path
) -> AsyncIterator[LlamaEngine]:
    weights = write_model(request.param, tmp_path / "tiny.gguf")
    engine = await open_llama(EngineConfig("tiny", weights, OPTIONS))
    yield engine
    await engine.aclose()


async def test_tiny_model_answers_through_its_template(engine_of_kind: LlamaEngine) -> None:
    prompt = ask("Hello in the land.", max_tokens=8)
    events = await answer(engine_of_kind, prompt)
    assert events == await answer(engine_of_kind, prompt)
    assert reason_of(events) in (FinishReason.MAX_TOKENS, FinishReason.END_TURN)
    assert 1 <= tokens_in(events) <= 8


async def test_tokens_of_a_tiny_model_are_its_text(engine_of_kind: LlamaEngine) -> None:
    text = "the hand, and: <|im_start|> é 漢 \x00\n"
    machine = engine_of_kind.machine.client
    plain = await machine.tokenize(text, control=False)
    control = await machine.tokenize(text, control=True)
    assert await machine.detokenize(plain) == await machine.detokenize(control) == text
    assert CONTROL.index("<|im_start|>") in control
    assert not {0, 1, 2} & set(plain)
    assert len(plain) > len(control)
    assert len(plain) < len(text.encode())  # merges apply


@pytest.mark.parametrize(
    "text", ["Hello there, 12 + 34.\n\n\tIf", "<|im_start|>user", "é 漢字 🦜 \x00", "</think>"]
)
async def test_tokens_of_the_tiny_model_are_those_of_the_default_model(
    tiny_engine: LlamaEngine, engine: LlamaEngine, text: str
) -> None:
    for control in (True, False):
        tokens = await engine.machine.client.tokenize(text, control=control)
        assert await tiny_engine.machine.client.tokenize(text, control=control) == tokens
    assert await tiny_engine.tokens_of(ask(text)) == await engine.tokens_of(ask(text))


async def test_tiny_model_speaks_ascii_without_end(tiny_engine: LlamaEngine) -> None:
    for temperature in (0.0, 1.0):
        events = await answer(tiny_engine, ask("Hello?", max_tokens=200, temperature=temperature))
        assert (reason_of(events), tokens_in(events)) == (FinishReason.MAX_TOKENS, 200)
    greedy = await answer(tiny_engine, ask("Hello?", max_tokens=200))
    assert text_of(greedy).isascii()


@pytest.mark.parametrize("kind", Kind)
def test_model_of_the_same_seed_has_the_same_bytes(kind: Kind, tmp_path: Path) -> None:
    here = write_model(kind, tmp_path / "here").read_bytes()
    assert len(here) < MOST_BYTES
    assert here != write_model(kind, tmp_path / "other", seed=2).read_bytes()


def test_other_process_writes_the_same_bytes(tmp_path: Path) -> None:
    environ = {"PYTHONPATH": ":".join(sys.path), "PYTHONHASHSEED": "7"}
    run([sys.executable, "-c", WRITE, str(tmp_path)], env=environ, check=True)
    for kind in Kind:
        assert (tmp_path / kind.value).read_bytes() == write_model(
            kind, tmp_path / "here"
        ).read_bytes()
