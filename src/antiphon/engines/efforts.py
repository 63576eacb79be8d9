"""Levels of effort, and models that know fewer of them than the wire."""

from collections.abc import Sequence
from typing import Final, Literal, TypeAlias, get_args

Effort: TypeAlias = Literal["low", "medium", "high", "xhigh", "max"]

EFFORTS: Final[tuple[str, ...]] = get_args(Effort)


def nearest(effort: str, levels: Sequence[str]) -> str:
    """Return the level that is the nearest to `effort`, of two as near the lower one."""
    asked = EFFORTS.index(effort)
    return min(levels, key=lambda level: abs(EFFORTS.index(level) - asked))
