"""The served models: they are opened once, found by any of their names, and listed."""

import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from contextlib import AsyncExitStack
from pathlib import Path
from typing import TypeAlias

import msgspec
from msgspec.structs import replace

from antiphon.core.catalogue import Catalogue
from antiphon.core.errors import NotFoundError, OverloadedError
from antiphon.core.idle_use import IdleUse
from antiphon.core.limits.rate_limits import CALL_GROUPS
from antiphon.core.model_capabilities import model_capabilities
from antiphon.core.pagination import IdCursor, page
from antiphon.engines.base import (
    CallFormat,
    CallingEngine,
    Engine,
    EngineConfig,
    ReportingEngine,
    SnapshotReport,
)
from antiphon.engines.routed import RoutedEngine, WeightedEngine
from antiphon.engines.states import MemberState
from antiphon.service.engine_meter import EngineMeter
from antiphon.service.limits.batch_lane import BatchLane
from antiphon.service.limits.gate import Gate
from antiphon.settings import LimitSettings, ModelSettings, SettingsError
from antiphon.wire.errors import shortened
from antiphon.wire.models import ModelInfo, ModelPage

Open: TypeAlias = Callable[[str, EngineConfig], Awaitable[Engine]]
Clock: TypeAlias = Callable[[], float]

ENGINES_FOLDER = "engines"
"""The folder of the data folder that is for engines to use."""
UNKNOWN_TIME = "1970-01-01T00:00:00Z"


class ModelSource(msgspec.Struct, frozen=True):
    """A model to serve: its settings, the files of its engines, and their time.

    `weights` has a file, or `None`, for each engine of the settings.
    """

    settings: ModelSettings
    weights: tuple[Path | None, ...] = ()
    created_at: str = UNKNOWN_TIME


# The pause of interactive requests after which batches use this machine. Agents pause shorter.
QUIET_S = 1.0
# Prompts of one model that are counted at once. More would slow each other down.
COUNTED_AT_ONCE = 16


class ServedModel:
    """One model; its engine may still be loading."""

    def __init__(
        self, source: ModelSource, limits: LimitSettings, clock: Clock, *, web_search: bool = False
    ) -> None:
        settings = source.settings
        self._web_search = web_search
        self.id = settings.id
        self.limit_group = _limit_group(settings)
        self.price = settings.price.price() if settings.price else None
        self.gate = Gate(limits.concurrent_requests, limits.queued_requests)
        # Counting has a gate of its own, so that it keeps out no request for an answer.
        self.counting = Gate(COUNTED_AT_ONCE, limits.queued_requests)
        self.meter = EngineMeter(len(settings.runs_on()), clock)
        self._source = source
        self._clock = clock
        self._engine: Engine | None = None
        self._members: tuple[Engine, ...] = ()

    async def open(self, open_engine: Open, state_dir: Path, machine: BatchLane) -> Engine:
        """Open the engines; if one fails, those before it are closed again.

        `machine` is the lane of the batches of all models that are computed here.
        """
        members: list[WeightedEngine] = []
        async with AsyncExitStack() as stack:
            for index, runs_on in enumerate(self._source.settings.runs_on()):
                config = EngineConfig(
                    model=self.id,
                    weights=self._weights(index),
                    options=runs_on.options,
                    state_dir=state_dir,
                    cache_minimum_tokens=self.settings.cache_minimum_tokens,
                    number=index,
                )
                engine = await open_engine(runs_on.engine, config)
                stack.push_async_callback(engine.aclose)
                members.append(WeightedEngine(engine, runs_on.weight))
            stack.pop_all()
        alone = not self._source.settings.engines
        engine = members[0].engine if alone else RoutedEngine(self.id, members, self._clock)
        if engine.capabilities.computes_here:
            self.gate.batches.join(machine)
        self._engine = engine
        self._members = tuple(member.engine for member in members)
        return engine

    def accept(self, source: ModelSource) -> None:
        """Take the files of the model, which were not here when it was made."""
        self._source = source

    def take_names(self, names: Sequence[str]) -> None:
        """Answer to these names as well."""
        aliases = tuple(dict.fromkeys((*self.settings.aliases, *names)))
        self._source = replace(self._source, settings=replace(self.settings, aliases=aliases))

    async def aclose(self) -> bool:
        """Close the engine; return whether there was one."""
        engine, self._engine, self._members = self._engine, None, ()
        if engine is None:
            return False
        await engine.aclose()
        return True

    @property
    def has_requests(self) -> bool:
        """Whether requests work with it, or wait for it."""
        gates = (self.gate, self.counting, self.gate.batches)
        return any(gate.running or gate.waiting for gate in gates)

    def _weights(self, index: int) -> Path | None:
        weights = self._source.weights
        return weights[index] if index < len(weights) else None

    @property
    def settings(self) -> ModelSettings:
        return self._source.settings

    @property
    def weights(self) -> tuple[Path, ...]:
        """The files of its engines, of each that runs one."""
        return tuple(one for one in self._source.weights if one is not None)

    @property
    def names(self) -> tuple[str, ...]:
        """The id and the aliases of the model, as in the settings."""
        return _names(self.settings)

    @property
    def ready(self) -> bool:
        return self._engine is not None and self._engine.ready

    @property
    def is_open(self) -> bool:
        """Whether its engine has been opened."""
        return self._engine is not None

    def engine(self) -> Engine:
        """Return the engine; raises `OverloadedError` until it is open."""
        if self._engine is None:
            raise OverloadedError("The model is loading. Please try again in a moment.")
        return self._engine

    @property
    def opened(self) -> tuple[Engine, ...]:
        """Its engines, in the order of the settings; none while it is loading."""
        return self._members

    def members(self) -> tuple[MemberState, ...]:
        """Return how each of several engines does; empty for one alone."""
        return self._engine.members() if isinstance(self._engine, RoutedEngine) else ()

    def snapshot_reports(self) -> tuple[SnapshotReport, ...]:
        """Return what its engines have saved of prompts, of each that tells."""
        told = (one.snapshot_report() for one in self._members if isinstance(one, ReportingEngine))
        return tuple(one for one in told if one is not None)

    def call_formats(self) -> tuple[CallFormat, ...]:
        """Return the formats of calls of its engines, of each that knows it."""
        return tuple(one.call_format() for one in self._members if isinstance(one, CallingEngine))

    def listed(self) -> ModelInfo:
        """Return the model as `/v1/models` lists it; its capabilities need an open engine."""
        limits = self._engine.capabilities if self._engine else None
        if limits is not None and self._web_search and limits.tools:
            limits = replace(limits, web_search=True)
        return ModelInfo(
            id=self.id,
            display_name=self._source.settings.display_name or self.id,
            created_at=self._source.created_at,
            max_input_tokens=limits.context_tokens if limits else None,
            max_tokens=(limits.max_output_tokens or limits.context_tokens) if limits else None,
            capabilities=model_capabilities(limits) if limits else None,
        )


class Models:
    """All served models. Raises `SettingsError` for conflicting names.

    A `successor` is not served before it has joined, and answers to no name before another model
    hands its names over.
    """

    def __init__(  # noqa: PLR0913 - what it is made of
        self,
        sources: Sequence[ModelSource],
        state_dir: Path,
        open_engine: Open,
        limits: LimitSettings | None = None,
        clock: Clock = time.monotonic,
        *,
        successor: ModelSource | None = None,
        web_search: bool = False,
    ) -> None:
        self._models: dict[str, ServedModel] = {}
        known = [*sources, *((successor,) if successor is not None else ())]
        for source in known:
            if source.settings.id in self._models:
                raise SettingsError(f"two models have the id {source.settings.id!r}")
            served = ServedModel(source, limits or LimitSettings(), clock, web_search=web_search)
            self._models[source.settings.id] = served
        self.groups = LimitGroups([source.settings for source in known])
        self._catalogue = catalogue_of(source.settings for source in sources)
        self._open_engine = open_engine
        self._state_dir = state_dir
        self._engines = AsyncExitStack()
        self._machine = BatchLane(clock, exclusive=True, quiet_s=QUIET_S)

    async def open(self) -> None:
        """Open every engine; raises the `EngineStartError` of the first that fails."""
        # In turn: loading two models at once is slower.
        for model in self.served:
            if not model.is_open:
                await self._open(model)

    async def _open(self, model: ServedModel) -> None:
        await model.open(self._open_engine, self._state_dir, self._machine)
        self._engines.push_async_callback(model.aclose)

    async def join(self, source: ModelSource) -> None:
        """Open the successor, whose files are here now. Raises `EngineStartError`."""
        model = self._models[source.settings.id]
        model.accept(source)
        await self._open(model)

    def hand_over(self, old_id: str, new_id: str) -> None:
        """Have the successor answer to all names of a model, which answers to none from now on."""
        old, new = self._models[old_id], self._models[new_id]
        new.take_names(old.names)
        served = [new if one is old else one for one in self.served]
        self._catalogue = catalogue_of(one.settings for one in served)

    def has_requests(self, model_id: str) -> bool:
        """Return whether requests work with a model, or wait for it."""
        return self._models[model_id].has_requests

    async def retire(self, model_id: str) -> bool:
        """Close a model that has handed its names over; return whether it was open."""
        return await self._models[model_id].aclose()

    async def aclose(self) -> None:
        await self._engines.aclose()

    @property
    def served(self) -> tuple[ServedModel, ...]:
        """The models that answer to names, each with its gate."""
        return tuple(self._models[model_id] for model_id in self._catalogue.ids)

    @property
    def known(self) -> tuple[ServedModel, ...]:
        """The same, with a successor that has not joined, and with a model that has retired."""
        return tuple(self._models.values())

    @property
    def ids(self) -> tuple[str, ...]:
        """The ids of all models, as `known`."""
        return tuple(self._models)

    @property
    def ready(self) -> bool:
        return all(model.ready for model in self.served)

    def states(self) -> dict[str, str]:
        """Return `ready` or `loading` for each model."""
        return {model.id: "ready" if model.ready else "loading" for model in self.served}

    def idle_uses(self) -> dict[str, IdleUse]:
        """Return what batches used of the time of each model's engine, if they used any.

        Models whose engines share a machine share its lane, and say the same.
        """
        uses = {model.id: model.gate.batches.lane.idle_use for model in self._models.values()}
        return {model: use for model, use in uses.items() if use.busy_s}

    def take_idle_uses(self) -> dict[str, IdleUse]:
        """Return what was used of the time of each lane since the last call, by its name.

        The name is the id of a model on another server, or empty for the models that are computed
        on this machine. Models that are loading have no lane yet.
        """
        lanes = {
            "" if lane is self._machine else model.id: lane
            for model in self._models.values()
            if model.is_open
            for lane in (model.gate.batches.lane,)
        }
        return {name: lane.meter.take() for name, lane in lanes.items()}

    def group_of(self, name: str | None) -> str | None:
        """Return the group of the model of this name, or else the only group."""
        model_id = None if name is None else self._catalogue.resolve(name)
        if model_id is not None:
            return self._models[model_id].limit_group
        groups = {model.limit_group for model in self._models.values()}
        return groups.pop() if len(groups) == 1 else None

    def engines_of(self, model_id: str) -> tuple[str, ...]:
        """Return the engines of a model, by its id, as the settings name them."""
        return tuple(one.engine for one in self._models[model_id].settings.runs_on())

    def id_of(self, name: str) -> str | None:
        """Return the id of the model that answers to `name`; `None` if none does."""
        return self._catalogue.resolve(name)

    def serves(self, name: str) -> bool:
        """Return whether a model answers to `name`."""
        return self._catalogue.resolve(name) is not None

    def find(self, name: str) -> ServedModel:
        """Return the model that answers to `name`; raises `NotFoundError` in the wire's words."""
        model_id = self._catalogue.resolve(name)
        if model_id is None:
            raise NotFoundError(f"model: {shortened(name)}")
        return self._models[model_id]

    def listing(self, cursor: IdCursor) -> ModelPage:
        listing = page(self._catalogue.ids, cursor)
        return ModelPage(
            data=tuple(self._models[model_id].listed() for model_id in listing.ids),
            has_more=listing.has_more,
            first_id=listing.ids[0] if listing.ids else None,
            last_id=listing.ids[-1] if listing.ids else None,
        )


class LimitGroups:
    """The groups of models that share rate limits. Raises `SettingsError` as `Models` does.

    `names` are the ids and aliases of each group's models.
    """

    def __init__(self, models: Sequence[ModelSettings]) -> None:
        self.names: dict[str, list[str]] = {}
        for model in models:
            self.names.setdefault(_limit_group(model), []).extend(_names(model))
        for reserved in CALL_GROUPS:
            if reserved in self.names:
                raise SettingsError(f"no model's `limit_group` or id can be {reserved!r}")
        self._groups = {model.id: _limit_group(model) for model in models}
        self._catalogue = catalogue_of(models)

    def of(self, name: str) -> str:
        """Return the group of the model that answers to `name`; raises `NotFoundError`."""
        model_id = self._catalogue.resolve(name)
        if model_id is None:
            raise NotFoundError(f"model: {shortened(name)}")
        return self._groups[model_id]


def catalogue_of(models: Iterable[ModelSettings]) -> Catalogue:
    """Return the names of models; raises `SettingsError` for a name of two."""
    try:
        return Catalogue({model.id: model.aliases for model in models})
    except ValueError as error:
        raise SettingsError(str(error)) from error


def _limit_group(model: ModelSettings) -> str:
    return model.limit_group or model.id


def _names(model: ModelSettings) -> tuple[str, ...]:
    return (model.id, *model.aliases)
