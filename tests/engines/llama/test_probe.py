"""What is tried at the start, and what is given up if it does not work."""

from pathlib import Path
from typing import Any

import pytest

from antiphon.engines.base import EngineError, EngineErrorKind
from antiphon.engines.llama.engine import LlamaEngine
from antiphon.engines.llama.probe import probe
from antiphon.engines.llama.server_types import RestoredSlot
from support.caching import answered, asked, child_of, opened, text
from support.conversation import eventually
from support.logs import capture_logs
from support.tiny_models import Kind, write_model

pytestmark = pytest.mark.anyio


async def tried(engine: LlamaEngine, monkeypatch: pytest.MonkeyPatch, restore: Any) -> list[Any]:
    monkeypatch.setattr(engine.machine.client, "restore_slot", restore)
    with capture_logs() as logs:
        await probe(engine.machine.parts, None)
    return [line for line in logs if line["event"] == "no snapshots are kept"]


@pytest.mark.parametrize("kind", list(Kind))
async def test_each_kind_of_memory_has_snapshots(kind: Kind, tmp_path: Path) -> None:
    with capture_logs() as logs:
        async with opened(write_model(kind, tmp_path / "tiny.gguf"), tmp_path / "state") as engine:
            store = engine.machine.parts.store
            assert store is not None
            assert engine.machine.parts.keeps_images
            assert not [path for path in store.folder.iterdir() if "probe" in path.name]
    assert [line for line in logs if line["log_level"] == "warning"] == []


async def test_server_that_reads_again_keeps_none(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def nothing(*_: object) -> RestoredSlot:
        return RestoredSlot(0, 0)

    async with opened(write_model(Kind.ATTENTION, tmp_path / "tiny.gguf"), tmp_path) as engine:
        (told,) = await tried(engine, monkeypatch, nothing)
        assert (told["of"], told["reused"]) == ("prompts", 0)
        assert engine.machine.parts.store is None
        prompt = asked(text("slots", 200), "?", marks=[0])
        await answered(engine, prompt)
        assert (await answered(engine, prompt))[0].reused > 0


async def test_server_that_cannot_restore_is_restarted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def refused(*_: object) -> RestoredSlot:
        raise EngineError(EngineErrorKind.FAILED, "llama.cpp refused")

    async with opened(write_model(Kind.ATTENTION, tmp_path / "tiny.gguf"), tmp_path) as engine:
        child = child_of(engine)
        (told,) = await tried(engine, monkeypatch, refused)
        assert engine.machine.parts.store is None
        assert told["reason"] == "llama.cpp refused"
        await eventually(lambda: engine.ready and child_of(engine) is not child)
