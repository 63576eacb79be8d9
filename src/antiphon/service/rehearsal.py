"""Finds the mistakes of a start before the files of models are fetched, which may take minutes."""

from antiphon.engines.base import EngineConfig
from antiphon.engines.registry import check_engine
from antiphon.service.models import ModelSource
from antiphon.service.platform import build_platform
from antiphon.settings import Settings


async def rehearse(settings: Settings, address: str) -> None:
    """Check the options of every engine; open all that a server needs but its models; close it.

    Raises `EngineStartError`, and what `build_platform` raises.
    """
    models = settings.served()
    for model in models:
        for runs_on in model.runs_on():
            check_engine(runs_on.engine, EngineConfig(model.id, options=runs_on.options))
    async with build_platform(settings, [ModelSource(model) for model in models], address=address):
        pass
