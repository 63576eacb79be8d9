"""What the KV of a prefix depends on besides its tokens.

llama.cpp restores the file of another model if its layers have the same sizes, and answers
nonsense. So a snapshot is only seen by a store of the same identity.
"""

import os
from hashlib import sha256
from pathlib import Path
from typing import Final

import msgspec

from antiphon.engines.llama.split_files import files_of

EDGE_BYTES: Final = 1 << 20


class ModelIdentity(msgspec.Struct, frozen=True, kw_only=True):
    """A model as llama.cpp runs it; a change in any of these makes other KV.

    - `weights`, `projector`: their files, as `file_identity` names them.
    - `template`: the text of the chat template.
    - `kv_types`: the types of keys and values in memory.
    - `build`: the release of llama.cpp, and what it computes with. The server's own `build_info`
      is no release in every package.
    """

    weights: str
    projector: str | None
    template: str
    kv_types: tuple[str, str]
    build: str

    def digest(self) -> str:
        """Return 64 hexadecimal digits, which name the folder of the snapshots."""
        return sha256(msgspec.json.encode(self, order="deterministic")).hexdigest()


def file_identity(path: Path) -> str:
    """Name a model by the size, the time of the last change, and the edges of each of its files.

    The edges are the first and the last megabyte. To read all of it would take a second for each
    gigabyte, at every start. Blocks, in constant time and memory. Raises `OSError`.
    """
    return "+".join(map(_identity, files_of(path)))


def _identity(path: Path) -> str:
    with path.open("rb") as file:
        stat = os.fstat(file.fileno())
        digest = sha256(file.read(EDGE_BYTES))
        file.seek(max(0, stat.st_size - EDGE_BYTES))
        digest.update(file.read(EDGE_BYTES))
    return f"{stat.st_size}-{stat.st_mtime_ns}-{digest.hexdigest()}"
