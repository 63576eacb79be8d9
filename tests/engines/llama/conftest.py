from pathlib import Path

import pytest

from support.tiny_models import Kind, write_model

# A window goes back little and a recurrent state not at all: most that one needs the other needs as
# well. That each kind has snapshots of use is in test_probe.py and snapshots/test_real_slots.py.
KINDS = (
    Kind.ATTENTION,
    pytest.param(Kind.SLIDING_WINDOW, marks=pytest.mark.soak),
    Kind.RECURRENT,
)


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> Kind:
    """Each kind of memory that a model may have; a window in `make soak`."""
    assert isinstance(request.param, Kind)
    return request.param


@pytest.fixture(scope="module")
def weights(kind: Kind, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The file of a tiny model of this kind."""
    return write_model(kind, tmp_path_factory.mktemp("weights") / f"{kind}.gguf")
