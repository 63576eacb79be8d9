from pathlib import Path

import pytest

from support.tiny_models import Kind, write_model


@pytest.fixture(scope="module", params=list(Kind))
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of memory that a model may have."""
    assert isinstance(request.param, Kind)
    return request.param


@pytest.fixture(scope="module")
def weights(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a tiny model of this kind."""
    return write_model(kind, tmp_path_factory.mktemp("weights") / f"{kind}.gguf")
