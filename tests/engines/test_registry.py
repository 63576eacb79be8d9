import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.engines.base import EngineConfig, EngineStartError
from antiphon.engines.registry import engine_names, open_engine
from antiphon.engines.scripted import ScriptedEngine

pytestmark = pytest.mark.anyio

ENTRY_POINTS = """\
[antiphon.engines]
third_party = antiphon_third_party:open_parrot
without_module = antiphon_third_party_gone:open_parrot
without_opener = antiphon_third_party:open_nothing
"""
MODULE = """\
async def open_parrot(config):
    return "parrot of " + config.model
"""


@pytest.fixture
def third_party(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An installed package that brings engines."""
    metadata = tmp_path / "antiphon_third_party-1.dist-info"
    metadata.mkdir()
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: x\nVersion: 1\n")
    (metadata / "entry_points.txt").write_text(ENTRY_POINTS)
    (tmp_path / "antiphon_third_party.py").write_text(MODULE)
    monkeypatch.syspath_prepend(tmp_path)
    yield
    sys.modules.pop("antiphon_third_party", None)


def test_built_in_engines_come_through_entry_points() -> None:
    assert {"llama", "scripted"} <= set(engine_names())


async def test_built_in_engine_is_opened_by_its_name() -> None:
    engine = await open_engine("scripted", EngineConfig("m"))
    assert isinstance(engine, ScriptedEngine)


async def test_unknown_engine_is_a_clear_error() -> None:
    with pytest.raises(EngineStartError, match=r"model m: no engine 'parrot' \(installed: .*llama"):
        await open_engine("parrot", EngineConfig("m"))


@pytest.mark.usefixtures("third_party")
async def test_engine_of_a_third_party_is_opened_in_the_same_way() -> None:
    assert "third_party" in engine_names()
    assert await open_engine("third_party", EngineConfig("m")) == "parrot of m"


@pytest.mark.usefixtures("third_party")
@pytest.mark.parametrize("name", ["without_module", "without_opener"])
async def test_engine_that_cannot_be_loaded_is_a_clear_error(name: str) -> None:
    with pytest.raises(EngineStartError, match=f"model m: engine '{name}' cannot be loaded: "):
        await open_engine(name, EngineConfig("m"))
