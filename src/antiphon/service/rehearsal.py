"""Finds the mistakes of a start before the files of models are fetched, which may take minutes."""

from collections.abc import Iterable, Mapping
from typing import Any

from msgspec.structs import replace

from antiphon.engines.base import EngineConfig, EngineStartError
from antiphon.engines.registry import check_engine
from antiphon.service.models import ModelSource
from antiphon.service.platform import build_platform
from antiphon.setting_places import PlacedOptions
from antiphon.settings import ModelSettings, Settings


def check_engines(models: Iterable[ModelSettings]) -> None:
    """Check the options of every engine, as far as that needs no files.

    Raises `EngineStartError`, which begins with the place of a wrong option.
    """
    for model in models:
        for runs_on in model.runs_on():
            try:
                check_engine(runs_on.engine, EngineConfig(model.id, options=runs_on.options))
            except EngineStartError as error:
                if place := _place(runs_on.options, str(error)):
                    raise EngineStartError(f"{place}: {error}") from error
                raise


def _place(options: Mapping[str, Any], fault: str) -> str:
    return options.place_in(fault) if isinstance(options, PlacedOptions) else ""


async def rehearse(settings: Settings, address: str) -> None:
    """Open all that a server needs but its models, and close it. Raises as `build_platform`."""
    sources = [ModelSource(model) for model in settings.served()]
    # Without models no request of a batch may be claimed.
    settings = replace(settings, workers=0)
    async with build_platform(settings, sources, address=address):
        pass
