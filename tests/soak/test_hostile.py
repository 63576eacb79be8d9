"""Ten hostile minutes: every known attack at once, beside a polite client."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from antiphon.service.content.file_child import MEMORY
from antiphon.service.content.file_reader import CHILDREN
from support.hostile.bodies import BODIES, DENSE
from support.hostile.connections import CONNECTIONS
from support.hostile.siege import GRACE_S, PARTING_S, lay_siege

pytestmark = [pytest.mark.anyio, pytest.mark.soak]

MOST_MEMORY = 400 * 2**20
MOST_MS = 250.0


async def test_polite_client_is_served_under_every_attack(
    tmp_path: Path, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    bodies = [*BODIES, *(DENSE if pytestconfig.getoption("hostile_dense") else ())]
    forces: Sequence[Sequence[str]] = [("40", *CONNECTIONS), ("8", *bodies)]
    siege = await lay_siege(tmp_path, pytestconfig.getoption("hostile_seconds"), forces)
    with capsys.disabled():
        print("", *siege.lines(), sep="\n")  # noqa: T201 - the figures are for people
    siege.check()
    assert set(siege.attacks) == {*CONNECTIONS, *bodies}
    assert siege.polite.quantile(0.99) < MOST_MS
    assert siege.memory < MOST_MEMORY
    assert siege.memory_of_children < CHILDREN * MEMORY
    assert siege.end_s < GRACE_S + PARTING_S
