"""The models as Claude Code lists them: by names that it keeps, each with a description."""

from contextlib import suppress

from msgspec import UNSET
from msgspec.structs import replace

from antiphon.core.claude_code import claude_name, description
from antiphon.core.pagination import IdCursor, page
from antiphon.engines.llama.split_files import size_of_files
from antiphon.engines.states import TellingEngine
from antiphon.service.models import Models, ServedModel
from antiphon.wire.models import ModelInfo, ModelPage


def discovered(models: Models, cursor: IdCursor) -> ModelPage:
    """Return a page of the models, in their order."""
    served: dict[str, ServedModel] = {}
    for model in models.served:
        served.setdefault(claude_name(model.id), model)
    listing = page(tuple(served), cursor)
    return ModelPage(
        data=tuple(_described(name, served[name]) for name in listing.ids),
        has_more=listing.has_more,
        first_id=listing.ids[0] if listing.ids else None,
        last_id=listing.ids[-1] if listing.ids else None,
    )


def _described(name: str, model: ServedModel) -> ModelInfo:
    listed = model.listed()
    is_local = model.is_open and model.engine().capabilities.computes_here
    told = description(
        size=_size(model),
        context=listed.max_input_tokens,
        speed=_speed(model),
        is_local=is_local,
    )
    return replace(
        listed,
        id=name,
        display_name=f"{listed.display_name} (local)" if is_local else listed.display_name,
        description=told or UNSET,
    )


def _size(model: ServedModel) -> int | None:
    """Return the bytes of the model's files; of several engines, of the first that has some."""
    for weights in model.weights:
        with suppress(OSError):
            return size_of_files(weights)
    return None


def _speed(model: ServedModel) -> float | None:
    """Return how fast the fastest engine of a model answers, as it was measured last."""
    speeds = [
        _told(engine) or model.meter.latest_decode(index)
        for index, engine in enumerate(model.opened)
    ]
    return max((speed for speed in speeds if speed is not None), default=None)


def _told(engine: object) -> float | None:
    state = engine.state() if isinstance(engine, TellingEngine) else None
    return None if state is None or state.speeds is None else state.speeds.decode
