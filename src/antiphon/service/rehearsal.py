"""Finds the mistakes of a start before the files of models are fetched, which may take minutes."""

from collections.abc import Iterable

from antiphon.engines.base import EngineConfig
from antiphon.engines.registry import check_engine
from antiphon.service.models import ModelSource
from antiphon.service.platform import build_platform
from antiphon.settings import ModelSettings, Settings


def check_engines(models: Iterable[ModelSettings]) -> None:
    """Check the options of every engine, as far as that needs no files.

    Raises `EngineStartError`.
    """
    for model in models:
        for runs_on in model.runs_on():
            check_engine(runs_on.engine, EngineConfig(model.id, options=runs_on.options))


async def rehearse(settings: Settings, address: str) -> None:
    """Open all that a server needs but its models, and close it. Raises as `build_platform`."""
    sources = [ModelSource(model) for model in settings.served()]
    async with build_platform(settings, sources, address=address):
        pass
