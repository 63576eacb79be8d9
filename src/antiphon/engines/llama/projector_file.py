"""What the file of a vision projector (`mmproj`) says: how images become tokens, and its limits.

Not every file says all of it: llama.cpp knows the limits of some kinds of projectors itself, and
these are not repeated here.
"""

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec

from antiphon.engines.llama.gguf import Value, read_metadata
from antiphon.engines.llama.gguf_header import HeaderError, read_header
from antiphon.engines.llama.memory import whole

ARCHITECTURE: Final = "clip"
"""The architecture of all projectors."""


class ProjectorFile(msgspec.Struct, frozen=True, kw_only=True):
    """The facts of a projector; `None` is what its file does not say.

    `sees`: it reads images; one may read sounds only. An image is cut into patches of `patch_size`
    pixels a side; if it is stated, `merged` of these a side become one token. An image is scaled to
    a square of `image_size` pixels a side, or, where there are `least_pixels`, `most_pixels` or
    tiles, keeps its form: with `most_tiles`, up to so many squares are made of it. `width` is that
    of the embeddings of its model.
    """

    kind: str | None
    sees: bool
    image_size: int | None
    patch_size: int | None
    merged: int | None
    least_pixels: int | None
    most_pixels: int | None
    most_tiles: int | None
    width: int | None

    @property
    def token_pixels(self) -> int | None:
        """The pixels of which one token is made."""
        patch, merged = self.patch_size, self.merged
        return None if patch is None or merged is None else (patch * merged) ** 2

    @property
    def seen_pixels(self) -> int | None:
        """The most pixels of an image that the model sees; `None` if the file does not say."""
        if self.most_pixels is not None:
            return self.most_pixels
        if self.most_tiles is None or self.image_size is None:
            return None
        return self.most_tiles * self.image_size**2

    @property
    def most_tokens(self) -> int | None:
        """About the most tokens of an image; `None` if the file does not say."""
        seen, of_token = self.seen_pixels, self.token_pixels
        return None if seen is None or of_token is None else max(1, seen // of_token)

    def as_json(self) -> dict[str, Any]:
        """Return the facts for programs."""
        return {**msgspec.structs.asdict(self), "most_tokens": self.most_tokens}


def projector_file(facts: Mapping[str, Value]) -> ProjectorFile | None:
    """Return the facts of a projector from the metadata of its file; `None` if it is none."""
    if facts.get("general.architecture") != ARCHITECTURE:
        return None

    def count(name: str) -> int | None:
        return whole(facts.get(f"clip.vision.{name}")) or None

    kind = facts.get("clip.vision.projector_type", facts.get("clip.projector_type"))
    return ProjectorFile(
        kind=kind if isinstance(kind, str) and kind else None,
        sees=bool(facts.get("clip.has_vision_encoder", count("patch_size"))),
        image_size=count("preproc_image_size") or count("image_size"),
        patch_size=count("patch_size"),
        merged=count("spatial_merge_size") or count("projector.scale_factor"),
        least_pixels=count("image_min_pixels"),
        most_pixels=count("image_max_pixels"),
        most_tiles=count("preproc_max_tiles"),
        width=count("projection_dim"),
    )


def read_projector(path: Path) -> ProjectorFile | None:
    """Read the facts of a file; `None` if it is no projector. Raises `OSError`."""
    return projector_file(read_metadata(path))


def seen_pixels(path: str | None) -> int | None:
    """Return the most pixels of an image that a projector sees, as far as its file says it."""
    if path is None:
        return None
    with suppress(OSError):
        found = read_projector(Path(path))
        return None if found is None else found.seen_pixels
    return None


def mismatch(weights: Path, projector: Path) -> str | None:
    """Return what tells that a projector is not that of a model; `None` if nothing does."""
    try:
        found = read_projector(projector)
        with weights.open("rb") as file:
            facts = read_header(file).facts
    except (OSError, HeaderError):
        return None
    width = whole(facts.get(f"{facts.get('general.architecture')}.embedding_length"))
    if found is None:
        return f"{projector} is no projector"
    if not found.width or not width or found.width == width:
        return None
    return (
        f"{projector} is a projector for embeddings of {found.width:,}, and those of this model "
        f"have {width:,}: it belongs to another model"
    )
