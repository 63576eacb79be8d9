"""Answers about the server itself: its settings without secrets, its versions, its disk.

The API has none of these: all shapes are ours.
"""

from typing import Literal, TypeAlias

from antiphon.wire.base import AnswerStruct

SettingValue: TypeAlias = bool | int | float | str | tuple[str, ...] | None


class SettingInfo(AnswerStruct, kw_only=True, frozen=True):
    """One setting. `value` is always `None` for a secret; `is_set` says whether it has a value.

    `source` is where it is set, and `place` its place there: `antiphon.toml: port`. `file_line` and
    `variable_line` are what sets it in the file and in the environment, with the present value, or
    `…` for one that is not shown; no variable sets what has `None`.
    """

    name: str
    value: SettingValue
    default: SettingValue
    is_set: bool
    is_secret: bool
    source: Literal["default", "file", "environment", "flag"]
    place: str | None
    text: str
    file_line: str
    variable_line: str | None


class EngineOptionInfo(AnswerStruct, kw_only=True, frozen=True):
    """An option of an engine that is set; one that may hold a secret has no `value`."""

    name: str
    value: SettingValue


class EngineSettingsInfo(AnswerStruct, kw_only=True, frozen=True):
    """One engine of a model; `source` is the model's file, without what could be a secret."""

    engine: str
    weight: int
    source: str | None
    options: tuple[EngineOptionInfo, ...]


class ModelSettingsInfo(AnswerStruct, kw_only=True, frozen=True):
    """A served model as it is set. `has_price`: its tokens have a price of their own."""

    id: str
    aliases: tuple[str, ...]
    limit_group: str
    cache_minimum_tokens: int
    has_price: bool
    engines: tuple[EngineSettingsInfo, ...]


class DatabaseInfo(AnswerStruct, kw_only=True, frozen=True):
    """The database: its kind, its version, its size; `name` has neither user nor password."""

    kind: Literal["sqlite", "postgresql"]
    version: str
    name: str
    size_bytes: int


class DataFolderInfo(AnswerStruct, kw_only=True, frozen=True):
    """The data folder, and the disk that it is on; `None`: the disk cannot be asked."""

    path: str
    free_bytes: int | None
    total_bytes: int | None


class CountersInfo(AnswerStruct, kw_only=True, frozen=True):
    """What keeps the state of limits; `name` is the host of a Valkey server."""

    backend: Literal["memory", "valkey"]
    name: str | None


class RetentionInfo(AnswerStruct, kw_only=True, frozen=True):
    """For how many days a thing is kept; `None` is for ever."""

    name: str
    days: float | None


class BackupInfo(AnswerStruct, kw_only=True, frozen=True):
    """The last backup that is known of, and the command that makes one.

    `antiphon backup` leaves a note in the data folder; what else copies the database does not.
    """

    command: str
    last_at: str | None
    last_size_bytes: int | None


class ServerSettingsInfo(AnswerStruct, kw_only=True, frozen=True):
    """What a server runs with."""

    type: Literal["server_settings"] = "server_settings"
    version: str
    python: str
    system: str
    database: DatabaseInfo
    data_folder: DataFolderInfo
    counters: CountersInfo
    backup: BackupInfo
    retention: tuple[RetentionInfo, ...]
    settings: tuple[SettingInfo, ...]
    models: tuple[ModelSettingsInfo, ...]
