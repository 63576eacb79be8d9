"""API keys: make one, list them, revoke one."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from antiphon.core.identity import (
    ADMIN_SECRET_PREFIX,
    ID_ENTROPY,
    SECRET_ENTROPY,
    SECRET_PREFIX,
    api_key_id,
    checked_secret,
    hash_secret,
    hint,
    make_secret,
)
from antiphon.store.accounts import (
    ApiKey,
    KeyKind,
    add_key,
    archive_key,
    count_keys,
    find_key,
    list_keys,
)
from antiphon.store.database import Database
from antiphon.store.directory import read_directory

LONGEST_NAME = 100


class KeyRefusedError(ValueError):
    """A key that cannot be made, or that is not there."""


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key with its secret, which is shown once and can never be read again."""

    key: ApiKey
    secret: str


class Keys:
    """The use cases of API keys."""

    def __init__(
        self,
        database: Database,
        entropy: Callable[[int], bytes],
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._entropy = entropy
        self._now = now

    async def create(self, name: str, kind: KeyKind = KeyKind.API) -> NewKey:
        """Make a key of the Default workspace, or an admin key. Raises `KeyRefusedError`."""
        return await self._store(name, kind, None)

    async def first(self, chosen: str | None, kind: KeyKind = KeyKind.API) -> NewKey | None:
        """Make the first key of its kind, `chosen` if there is one; else nothing.

        Raises `KeyRefusedError` for a chosen secret that cannot be one.
        """
        async with self._database.read() as connection:
            if await count_keys(connection, kind):
                return None
        if chosen is None:
            return await self.create("default", kind)
        try:
            secret = checked_secret(chosen)
        except ValueError as error:
            variable = "ANTIPHON_API_KEY" if kind is KeyKind.API else "ANTIPHON_ADMIN_KEY"
            raise KeyRefusedError(f"{variable}: {error}") from error
        return await self._store("default", kind, secret)

    async def all(self) -> tuple[ApiKey, ...]:
        async with self._database.read() as connection:
            return await list_keys(connection)

    async def revoke(self, id_or_name: str) -> ApiKey:
        """Archive a key; running servers refuse it from now on. Raises `KeyRefusedError`."""
        async with self._database.write() as connection:
            found = await find_key(connection, id_or_name)
            revoked = found and await archive_key(connection, found.id, self._now())
        if not revoked:
            raise KeyRefusedError(f"there is no key {id_or_name!r}; `antiphon keys list` shows all")
        return revoked

    async def _store(self, name: str, kind: KeyKind, chosen: str | None) -> NewKey:
        if not name.strip() or len(name) > LONGEST_NAME or not name.isprintable():
            raise KeyRefusedError(f"a key's name is 1 to {LONGEST_NAME} printable characters")
        prefix = SECRET_PREFIX if kind is KeyKind.API else ADMIN_SECRET_PREFIX
        secret = chosen or make_secret(self._entropy(SECRET_ENTROPY), prefix)
        async with self._database.write() as connection:
            default = (await read_directory(connection)).default_workspace
            key = ApiKey(
                id=api_key_id(self._entropy(ID_ENTROPY)),
                name=name.strip(),
                kind=kind,
                workspace_id=default.id if kind is KeyKind.API else None,
                hint=hint(secret),
                created_at=self._now(),
            )
            await add_key(connection, key, hash_secret(secret))
        return NewKey(key, secret)
