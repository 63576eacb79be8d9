"""What `antiphon doctor` says of vLLM servers: it examines them as the start does."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import huggingface_hub
import pytest
from huggingface_hub.errors import LocalEntryNotFoundError

from antiphon.cli.doctor.finding import Finding
from antiphon.cli.doctor.upstreams import check_server
from support.hf_folder import write_folder
from support.simulated_sglang import SimulatedSglang
from support.simulated_vllm import SimulatedVllm, running


@contextmanager
def served(server: SimulatedVllm) -> Iterator[SimulatedVllm]:
    """Run a server in a thread of its own, as commands have a loop of their own."""
    loop, started = asyncio.new_event_loop(), threading.Event()

    async def serve() -> None:
        async with running(server):
            started.set()
            await over.wait()

    over = asyncio.Event()
    thread = threading.Thread(target=loop.run_until_complete, args=(serve(),))
    thread.start()
    try:
        assert started.wait(10)
        yield server
    finally:
        loop.call_soon_threadsafe(over.set)
        thread.join()
        loop.close()


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_folder(tmp_path / "hf")


def found(server: SimulatedVllm, tmp_path: Path, **options: Any) -> Finding:
    return checked({"url": server.url, **options}, tmp_path / "engines")


def checked(options: dict[str, Any], state_dir: Path) -> Finding:
    one = check_server("vllm", "m", options, state_dir)
    assert one is not None
    return one


def test_server_that_does_what_it_has_to_is_ok(folder: Path, tmp_path: Path) -> None:
    with served(SimulatedVllm(folder)) as server:
        one = found(server, tmp_path)
    assert (one.state, one.text) == ("ok", "m: vllm, 1,024 tokens of context")
    assert not (tmp_path / "engines").exists()


@pytest.mark.parametrize(("tells", "state"), [({}, "ok"), ({"block": 4096}, "note")])
def test_sglang_is_examined_as_well(
    folder: Path, tmp_path: Path, tells: dict[str, Any], state: str
) -> None:
    with served(SimulatedSglang(folder, **tells)) as server:
        one = check_server("sglang", "m", {"url": server.url}, tmp_path)
    assert one is not None
    assert (one.state, one.text.split(";")[0]) == (state, "m: sglang, 1,018 tokens of context")
    assert (one.mend is None) == (state == "ok")


def test_server_that_reports_nothing_of_its_cache_is_a_note(folder: Path, tmp_path: Path) -> None:
    with served(SimulatedVllm(folder, details=False)) as server:
        one = found(server, tmp_path)
    assert one.state == "note"
    assert "--enable-prompt-tokens-details" in str(one.mend)


@pytest.mark.parametrize(
    ("how", "options", "said"),
    [
        ({}, {"model": "qwen"}, "no model `qwen`"),
        ({"grammars": False}, {}, "does not keep to a grammar"),
        ({"ids": False}, {}, "does not tell the tokens"),
    ],
)
def test_wrong_server_is_a_problem(
    folder: Path, tmp_path: Path, how: dict[str, Any], options: dict[str, Any], said: str
) -> None:
    with served(SimulatedVllm(folder, **how)) as server:
        one = found(server, tmp_path, **options)
    assert one.state == "problem"
    assert said in one.text
    assert one.mend


def test_server_that_is_away_is_a_problem_or_a_note(folder: Path, tmp_path: Path) -> None:
    away = {"url": "http://127.0.0.1:9"}
    assert checked(away, tmp_path).state == "problem"
    known = {**away, "model": "m", "context_tokens": 1024, "tokenizer": str(folder)}
    one = checked(known, tmp_path)
    assert (one.state, one.text) == ("note", "m: its vLLM server is away")


def test_tokenizer_that_would_be_fetched_is_not(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: Any, **how: Any) -> str:
        assert how["local_files_only"]
        raise LocalEntryNotFoundError("not here")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", missing)
    with served(SimulatedVllm(folder)) as server:
        one = found(server, tmp_path, tokenizer="Qwen/Qwen3-8B")
    assert one.state == "ok"
    assert "not here yet; the first start fetches it" in one.text


def test_engine_that_asks_no_server_has_nothing_to_examine(tmp_path: Path) -> None:
    assert check_server("scripted", "m", {}, tmp_path) is None
