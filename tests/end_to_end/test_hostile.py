"""A few hostile seconds; `make soak` has ten minutes, with limits of time and memory."""

from pathlib import Path

import pytest

from support.hostile.connections import CONNECTIONS
from support.hostile.siege import lay_siege

pytestmark = pytest.mark.anyio

BODIES = ("schemas", "stop_sequences", "nested", "long_names", "numbers", "citations", "images")


async def test_attacked_server_serves_and_bills_everybody_and_ends(tmp_path: Path) -> None:
    siege = await lay_siege(tmp_path, 5, [("20", *CONNECTIONS), ("2", *BODIES)], calm_s=0)
    siege.check()
    assert sum(siege.attacks.values()) > 20
