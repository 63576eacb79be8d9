"""Names of model files: which are allowed, their parts, and how their weights are stored.

A name may be of a stranger: of a hub, of a page, or of somebody who pasted it.
"""

import re
from typing import Final

import msgspec

SUFFIX: Final = ".gguf"
MOST_PARTS: Final = 1_000

_PART: Final = re.compile(
    r"-(?P<number>\d{5})-of-(?P<count>\d{5})(?=\.gguf$)", re.IGNORECASE | re.ASCII
)
# The names of llama.cpp's quantizations at the end of a file's name; UD is a mark of one maker.
_QUANTIZATION: Final = re.compile(
    r"(?:^|[-._])(?P<label>(?:UD-)?(?:I?Q\d(?:_(?:K|NL|X{0,2}[SML]|\d))*|TQ\d_\d|B?F16|F32|MXFP4(?:_MOE)?|NVFP4))"
    r"(?=$|[-._])",
    re.IGNORECASE,
)
# Files beside a model that are none: projectors for images, importance matrices, drafts.
_NO_MODEL: Final = re.compile(
    r"mmproj|imatrix|(?:^|[-._/])(?:mtp|draft|eagle3?)[-._/]", re.IGNORECASE
)


class Part(msgspec.Struct, frozen=True):
    """One of the files of a model that is split: its number from 1 on, and how many there are."""

    number: int
    count: int


class Series(msgspec.Struct, frozen=True):
    """The files of a split model: what stands before and behind the numbers, and their count."""

    head: str
    count: int
    tail: str

    def name(self, number: int) -> str:
        """Return the name of a file of it."""
        return f"{self.head}-{number:05}-of-{self.count:05}{self.tail}"


def check_path(path: str) -> str | None:
    """Return why a path inside of a repository or a wheel is refused; `None` for a good one."""
    segments = path.split("/")
    if any(segment in {"", ".", ".."} for segment in segments):
        return "has an empty, '.' or '..' part in its path"
    if "\\" in path or not path.isprintable():
        return "has characters in its path that no file name should have"
    if not segments[-1].lower().endswith(SUFFIX) or len(segments[-1]) == len(SUFFIX):
        return "does not name a .gguf file"
    part = part_of(path)
    if part is not None and not 1 <= part.number <= part.count <= MOST_PARTS:
        return f"is no part of a model of at most {MOST_PARTS:,} files"
    return None


def part_of(name: str) -> Part | None:
    """Return which part of a model a file is; `None` for a whole model."""
    found = _PART.search(name)
    return found and Part(int(found["number"]), int(found["count"]))


def parts_of(name: str) -> tuple[str, ...]:
    """Return the names of all files of a model, of which one is named; the first is loaded."""
    one = series_of(name)
    if one is None:
        return (name,)
    series, _ = one
    return tuple(map(series.name, range(1, series.count + 1)))


def series_of(name: str) -> tuple[Series, int] | None:
    """Return the files of a model of which one is named, and its number; `None` for a whole one."""
    found = _PART.search(name)
    if found is None or not 1 <= int(found["count"]) <= MOST_PARTS:
        return None
    series = Series(name[: found.start()], int(found["count"]), name[found.end() :])
    return series, int(found["number"])


def first_part(name: str) -> str:
    """Return the name of the file by which a model is loaded."""
    return parts_of(name)[0]


def is_model(path: str) -> bool:
    """Return whether a file of a repository could be a model, or the first part of one."""
    part = part_of(path)
    return (
        check_path(path) is None
        and not _NO_MODEL.search(path)
        and (part is None or part.number == 1)
    )


def quantization_of(path: str) -> str | None:
    """Return how the weights of a file are stored, by its name: `Q4_K_M`; `None` if it says not."""
    stem = path.rpartition("/")[2][: -len(SUFFIX)]
    labels = [found["label"] for found in _QUANTIZATION.finditer(stem)]
    return labels[-1].upper() if labels else None


def answers_to(path: str, tag: str) -> bool:
    """Return whether a tag means this file: by its quantization, or by a word of its name."""
    label, wanted = quantization_of(path), tag.upper()
    if label is not None and label in {wanted, f"UD-{wanted}"}:
        return True
    stem = path.rpartition("/")[2][: -len(SUFFIX)].upper()
    return re.search(rf"(?:^|[-._]){re.escape(wanted)}(?:$|[-._])", stem) is not None
