"""What a server depends on, and how each of these things does: for `GET /ready`."""

from typing import Literal

import msgspec

from antiphon.service.accounts import Accounts
from antiphon.service.limits.admitter import Admitter
from antiphon.service.models import Models, ServedModel
from antiphon.settings import Settings
from antiphon.store.database.database import Database
from antiphon.store.database.errors import StoreError


class Dependency(msgspec.Struct, frozen=True, omit_defaults=True):
    """One thing that a request needs, and why it cannot be used now."""

    kind: str
    status: Literal["ready", "away"]
    reason: str | None = None


class EngineReadiness(msgspec.Struct, frozen=True):
    """An engine of a model. One of several that has failed is `left_out` for a while."""

    engine: str
    status: Literal["ready", "loading", "restarting", "left_out"]


class Dependencies(msgspec.Struct, frozen=True):
    """Everything that a request needs; the engines by the ids of their models."""

    store: Dependency
    counters: Dependency
    journal: Dependency
    engines: dict[str, tuple[EngineReadiness, ...]]


class Readiness:
    """Looks at what a server depends on, as a request would find it."""

    def __init__(
        self,
        settings: Settings,
        accounts: Accounts,
        database: Database,
        admitter: Admitter,
        models: Models,
    ) -> None:
        self._settings = settings
        self._accounts = accounts
        self._database = database
        self._admitter = admitter
        self._models = models

    async def dependencies(self) -> Dependencies:
        """Return all of them as they are now. It asks the database after a change only."""
        return Dependencies(
            await self._store(),
            _dependency(
                "memory" if self._settings.counters_url is None else "valkey",
                self._admitter.counters_refused,
            ),
            _dependency("file", self._admitter.journal_refused),
            {model.id: _engines(model) for model in self._models.served},
        )

    async def _store(self) -> Dependency:
        reason = self._database.lost
        if reason is None:
            try:
                await self._accounts.current()
            except StoreError as error:
                reason = str(error)
        kind = "sqlite" if self._settings.database_url is None else "postgresql"
        return _dependency(kind, reason)


def _dependency(kind: str, reason: str | None) -> Dependency:
    return Dependency(kind, "ready" if reason is None else "away", reason)


def _engines(model: ServedModel) -> tuple[EngineReadiness, ...]:
    names = [one.engine for one in model.settings.runs_on()]
    if not model.is_open:
        return tuple(EngineReadiness(name, "loading") for name in names)
    left_out = [one.left_out_s > 0 for one in model.members()] or [False]
    return tuple(
        EngineReadiness(name, "restarting" if not engine.ready else "left_out" if out else "ready")
        for name, engine, out in zip(names, model.opened, left_out, strict=True)
    )
