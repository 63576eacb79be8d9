"""Ten thousand random requests with breakpoints; restarts and full disks between them."""

from pathlib import Path

import pytest

from support.cache_traffic import CacheTraffic
from support.tiny_models import Kind, write_model

pytestmark = [pytest.mark.anyio, pytest.mark.soak]


@pytest.mark.parametrize("kind", list(Kind))
async def test_claims_are_what_llama_cpp_reports(
    kind: Kind, tmp_path: Path, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    requests = pytestconfig.getoption("cache_requests") // len(Kind)
    traffic = CacheTraffic(write_model(kind, tmp_path / "tiny.gguf"), tmp_path / "state", seed=7)
    await traffic.run(requests)
    await traffic.compare(200)
    with capsys.disabled():
        print("", dict(traffic.counts), sep="\n")  # noqa: T201 - the figures are for people
    assert (traffic.claims, traffic.wrong) == ([], [])
    assert traffic.counts["mismatches"] == 0
