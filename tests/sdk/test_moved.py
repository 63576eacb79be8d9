"""Programs for the official SDK run here with only their import changed."""

import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from antiphon.testing import Server
from support.moved import FOLDER, moved_server, prepare, printed, programs, write_files

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/sdk/moving.md"
# What each program prints with the official SDK. `python -m support.moved` writes it.
RECORDED: dict[str, str] = json.loads(FOLDER.joinpath("printed.json").read_text(encoding="utf-8"))
MOVED = programs(moved=True)

OTHERWISE = {
    "structured_outputs.output_as_it_comes",
    "structured_outputs.schema_that_is_transformed",
}
"""They run, and print something else."""
NOT_HERE = {"clients.http_client_of_ones_own": ImportError}
"""They do not run. docs/sdk/moving.md says why."""


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with moved_server() as server:
        yield server


@pytest.fixture
def ready(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A server and files for one program, which finds them as any program does."""
    prepare(server)
    write_files(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", server.url)
    monkeypatch.setenv("ANTHROPIC_API_KEY", server.key)
    for name in ("ANTIPHON_BASE_URL", "ANTIPHON_API_KEY", "ANTHROPIC_AUTH_TOKEN"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("name", [name for name in MOVED if name not in NOT_HERE])
def test_program_prints_the_same(name: str) -> None:
    said = printed(MOVED[name])
    assert (said == RECORDED[name]) is (name not in OTHERWISE), said


@pytest.mark.usefixtures("ready")
@pytest.mark.parametrize("name", NOT_HERE)
def test_program_that_does_not_run_says_so(name: str) -> None:
    with pytest.raises(NOT_HERE[name]):
        printed(MOVED[name])


def test_page_has_the_counts_and_the_exceptions() -> None:
    page = " ".join(PAGE.read_text(encoding="utf-8").split())
    same = len(MOVED) - len(OTHERWISE) - len(NOT_HERE)
    assert f"**{same} of {len(MOVED)}** programs" in page
    for name in OTHERWISE | set(NOT_HERE):
        assert name in page
    assert MOVED.keys() == RECORDED.keys()
    for area, count in Counter(name.partition(".")[0] for name in MOVED).items():
        assert f"`{area}` {count}" in page


@pytest.mark.soak
def test_official_sdk_prints_what_is_recorded(tmp_path: Path) -> None:
    command = [sys.executable, "-W", "ignore", "-m", "support.moved", str(tmp_path / "out.json")]
    subprocess.run(command, check=True, cwd=ROOT / "tests", timeout=300)
    assert json.loads(tmp_path.joinpath("out.json").read_text(encoding="utf-8")) == RECORDED
