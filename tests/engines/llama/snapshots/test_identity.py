import os
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from antiphon.engines.llama.snapshots.identity import EDGE_BYTES, file_identity
from support.snapshots import IDENTITY

OTHERS: list[dict[str, Any]] = [
    {"weights": "v"},
    {"projector": "p"},
    {"template": "u"},
    {"kv_types": ("f16", "q8_0")},
    {"kv_types": ("q8_0", "f16")},
    {"build": "b2"},
]


@pytest.mark.parametrize("other", OTHERS)
def test_each_part_makes_another_identity(other: dict[str, Any]) -> None:
    assert replace(IDENTITY, **other).digest() != IDENTITY.digest()


def test_equal_models_have_one_identity() -> None:
    assert replace(IDENTITY).digest() == IDENTITY.digest()
    assert len(IDENTITY.digest()) == 64


def test_file_is_known_by_its_size_time_and_edges(tmp_path: Path) -> None:
    path = tmp_path / "weights.gguf"
    content = bytearray(3 * EDGE_BYTES)
    path.write_bytes(content)
    os.utime(path, (1, 1))
    first = file_identity(path)
    assert file_identity(path) == first
    for at in (0, len(content) - 1):
        content[at] ^= 1
        path.write_bytes(content)
        os.utime(path, (1, 1))
        assert file_identity(path) != first
        content[at] ^= 1
    path.write_bytes(content)
    assert file_identity(path) != first  # the time
    path.write_bytes(content[:-1])
    os.utime(path, (1, 1))
    assert file_identity(path) != first


def test_small_file_has_an_identity(tmp_path: Path) -> None:
    (tmp_path / "empty").write_bytes(b"")
    assert file_identity(tmp_path / "empty").startswith("0-")
