"""Which engines one process runs for all others."""

from collections.abc import Iterable
from typing import Final

from antiphon.settings import ModelSettings

HOSTED: Final = "llama"
"""Its model is loaded once, and its slots need one owner, also where a server elsewhere has them.

Other engines ask servers that are made for many callers, or compute nothing worth sharing.
"""


def is_hosted(engine: str) -> bool:
    """Return whether the engine host runs the engines of this name."""
    return engine == HOSTED


def needs_host(models: Iterable[ModelSettings]) -> bool:
    """Return whether any of these models has an engine that is hosted."""
    return any(is_hosted(one.engine) for model in models for one in model.runs_on())
