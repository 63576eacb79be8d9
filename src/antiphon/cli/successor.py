"""The model that is to take over from the default one, by the settings."""

from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

from antiphon.engines.llama.memory import free_memory
from antiphon.settings import ModelSettings, Settings
from antiphon.weights.catalogue import CatalogueModel, Machine, fits, read_catalogue
from antiphon.weights.pull import is_here
from antiphon.weights.source import PullError


def successor_of(
    settings: Settings,
    machine: Machine | None = None,
    models: Sequence[CatalogueModel] | None = None,
) -> ModelSettings | None:
    """Return the model that is to take over; `None` if the settings name none, or if none fits.

    That is the one that they name, or the one of the catalogue that is recommended for a machine,
    by default this one: the best of those whose files are here, else the best. So no start fetches
    another one because other programs use the memory now.
    """
    name = settings.successor
    if name is None:
        return None
    if name:
        return settings.successor_settings(name)
    found = fits(machine or Machine(free_memory()), models or read_catalogue())
    fitting = [fit.model for fit in found if not fit.model.is_toy]
    here = [model for model in fitting if _is_here(model, settings.data_dir)]
    chosen = next(iter((*here, *fitting)), None)
    return None if chosen is None else settings.successor_settings(chosen.model, chosen.name)


def all_served(settings: Settings) -> tuple[ModelSettings, ...]:
    """Return the models that are served from the start, and the one that takes over."""
    successor = successor_of(settings)
    return settings.served() if successor is None else (*settings.served(), successor)


def _is_here(model: CatalogueModel, data_dir: Path) -> bool:
    with suppress(PullError):
        return is_here(model.model, data_dir)
    return False
