"""Random traffic against the real engine; `make soak` sends 10,000 requests of it."""

from pathlib import Path

import pytest

from engines.llama.conftest import KINDS
from support.cache_traffic import CacheTraffic
from support.tiny_models import Kind, write_model

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("kind", KINDS)
async def test_claims_are_what_llama_cpp_reports(kind: Kind, tmp_path: Path) -> None:
    traffic = CacheTraffic(write_model(kind, tmp_path / "tiny.gguf"), tmp_path / "state", seed=1)
    await traffic.run(50)
    await traffic.compare(4)
    assert (traffic.claims, traffic.wrong) == ([], []), traffic.counts
    assert traffic.counts["read from the cache"] > 5, traffic.counts
    assert traffic.counts["mismatches"] == 0, traffic.counts
