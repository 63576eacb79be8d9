"""The files of a model that is split over several, as llama.cpp names them."""

import re
from pathlib import Path
from typing import Final

MOST_PARTS: Final = 1_000
_PART: Final = re.compile(r"-(\d{5})-of-(\d{5})(\.gguf)$", re.IGNORECASE)


def files_of(path: Path) -> list[Path]:
    """Return the files of a model, of which one is named; the first is the one that is loaded."""
    found = _PART.search(path.name)
    count = int(found[2]) if found else 1
    if found is None or not 1 < count <= MOST_PARTS:
        return [path]
    stem = path.name[: found.start()]
    names = (f"{stem}-{number:05}-of-{found[2]}{found[3]}" for number in range(1, count + 1))
    return [path.with_name(name) for name in names]


def size_of_files(path: Path) -> int:
    """Return the bytes of all files of a model. Raises `OSError` if one is missing."""
    return sum(file.stat().st_size for file in files_of(path))
