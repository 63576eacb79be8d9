"""Engines of a settings file, for contract tests of an installed engine."""

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import TypeAlias

from antiphon.engines.base import Engine, EngineConfig
from antiphon.engines.registry import open_engine
from antiphon.settings import EngineSettings, Settings
from antiphon.weights.progress import open_progress
from antiphon.weights.pull import ensure_model

OpenConfigured: TypeAlias = Callable[..., Awaitable[Engine]]

MODELS = Path(__file__).parents[2] / ".models"


def openers_of(file: Path) -> dict[str, OpenConfigured]:
    """Return a function that opens it, for each engine of each model in a settings file.

    Its name is the model's id; if the model has several engines, the engine's index follows.
    """
    openers: dict[str, OpenConfigured] = {}
    for model in Settings.load({}, environ={}, config=file).served():
        for index, engine in enumerate(model.runs_on()):
            name = f"{model.id}-{index}" if model.engines else model.id
            openers[name] = _opener(model.id, engine)
    return openers


def _opener(model_id: str, settings: EngineSettings) -> OpenConfigured:
    async def opened(*_: Path) -> Engine:
        source, weights = settings.source, None
        if source is not None:
            weights = ensure_model(source, MODELS, open_progress(model_id))
        return await open_engine(settings.engine, EngineConfig(model_id, weights, settings.options))

    return opened
