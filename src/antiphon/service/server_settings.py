"""What a server runs with, for whoever administers it: settings, versions, disk, backup."""

import platform
import shutil
from collections.abc import Sequence
from pathlib import Path

from anyio import to_thread

from antiphon import __version__
from antiphon.core.batches import RETENTION
from antiphon.core.billing.reports import wire_time
from antiphon.core.billing.rollups import DAY, HOUR, KEPT_FOR, MINUTE
from antiphon.service.shown_settings import shown_model, shown_settings, without_secrets
from antiphon.settings import ModelSettings, Settings
from antiphon.store.data_folder import database_path, last_backup
from antiphon.store.database.database import Database, server_database_name
from antiphon.store.database.dumps import dump_command
from antiphon.store.database.facts import database_facts
from antiphon.wire.admin.settings import (
    BackupInfo,
    CountersInfo,
    DatabaseInfo,
    DataFolderInfo,
    RetentionInfo,
    ServerSettingsInfo,
)


class ServerSettings:
    """Tells what a server runs with. The settings are those that it has read at its start."""

    def __init__(
        self, settings: Settings, models: Sequence[ModelSettings], database: Database
    ) -> None:
        self._settings = settings
        self._models = models
        self._database = database

    async def show(self) -> ServerSettingsInfo:
        """Return all of it. Raises `StoreError` while the database is away."""
        settings, url = self._settings, self._settings.database_url
        facts = await database_facts(self._database)
        folder = await to_thread.run_sync(_folder, settings.data_dir)
        name = (
            str(database_path(settings.data_dir))
            if url is None
            else server_database_name(url.reveal())
        )
        return ServerSettingsInfo(
            version=__version__,
            python=platform.python_version(),
            system=f"{platform.system()} {platform.machine()}",
            database=DatabaseInfo(
                kind=facts.kind, version=facts.version, name=name, size_bytes=facts.size
            ),
            data_folder=folder,
            counters=_counters(settings),
            backup=await to_thread.run_sync(_backup, settings),
            retention=_retention(settings),
            settings=shown_settings(settings),
            models=tuple(map(shown_model, self._models)),
        )


def _folder(path: Path) -> DataFolderInfo:
    try:
        usage = shutil.disk_usage(path)
    except OSError:
        return DataFolderInfo(path=str(path), free_bytes=None, total_bytes=None)
    return DataFolderInfo(path=str(path), free_bytes=usage.free, total_bytes=usage.total)


def _counters(settings: Settings) -> CountersInfo:
    url = settings.counters_url
    if url is None:
        return CountersInfo(backend="memory", name=None)
    return CountersInfo(backend="valkey", name=without_secrets(url.reveal()))


def _backup(settings: Settings) -> BackupInfo:
    if settings.database_url is not None:
        command = dump_command(settings.database_url.reveal(), "antiphon.dump")
        return BackupInfo(command=command, last_at=None, last_size_bytes=None)
    last = last_backup(settings.data_dir)
    return BackupInfo(
        command="antiphon backup antiphon-$(date +%F).db",
        last_at=None if last is None else wire_time(last.at),
        last_size_bytes=None if last is None else last.size,
    )


def _retention(settings: Settings) -> tuple[RetentionInfo, ...]:
    console = settings.console
    return (
        RetentionInfo(name="Bills, audit log and sums by the day", days=None),
        RetentionInfo(name="Sums by the hour", days=KEPT_FOR[HOUR] / DAY),
        RetentionInfo(name="Sums by the minute", days=KEPT_FOR[MINUTE] / DAY),
        RetentionInfo(name="Request log", days=settings.request_log_days),
        RetentionInfo(name="Results of batches", days=RETENTION / DAY),
        RetentionInfo(name="Sessions of the Console", days=console.lifetime_days),
    )
