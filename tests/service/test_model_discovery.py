"""What Claude Code is told of a model that loads, of its file, and of how fast it was."""

from pathlib import Path

import pytest
from msgspec import UNSET

from antiphon.core.pagination import EVERYTHING
from antiphon.engines.registry import open_engine
from antiphon.service.model_discovery import discovered
from antiphon.service.models import Models, ModelSource
from antiphon.settings import ModelSettings
from antiphon.wire.models import ModelInfo

pytestmark = pytest.mark.anyio


def models_of(tmp_path: Path, *weights: Path | None) -> Models:
    settings = ModelSettings(id="small", engine="scripted", options={"context_tokens": 512})
    return Models([ModelSource(settings, weights)], tmp_path, open_engine)


def only(models: Models) -> ModelInfo:
    (model,) = discovered(models, EVERYTHING).data
    return model


async def test_model_that_loads_is_told_with_its_file_alone(tmp_path: Path) -> None:
    file = tmp_path / "small.gguf"
    file.write_bytes(bytes(2_500_000))
    models = models_of(tmp_path, None, file)
    assert only(models).description == "2.5 MB"
    await models.open()
    try:
        assert only(models).description == "2.5 MB, 512 context"
    finally:
        await models.aclose()


async def test_files_of_a_split_model_count_together(tmp_path: Path) -> None:
    files = [tmp_path / f"small-0000{number}-of-00002.gguf" for number in (1, 2)]
    for file in files:
        file.write_bytes(bytes(1_500_000))
    assert only(models_of(tmp_path, files[0])).description == "3 MB"


async def test_model_of_which_nothing_is_known_has_no_description(tmp_path: Path) -> None:
    assert only(models_of(tmp_path, tmp_path / "removed.gguf")).description is UNSET
