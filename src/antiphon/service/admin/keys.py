"""API keys: creation, listing, changes, rotation. A secret is shown once, when it is created."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec.structs import replace

from antiphon.core.errors import (
    ConflictError,
    InvalidRequestError,
    NotFoundError,
    PermissionError_,
)
from antiphon.core.ids import (
    ADMIN_SECRET_PREFIX,
    SECRET_ENTROPY,
    SECRET_PREFIX,
    api_key_id,
    checked_secret,
    hash_secret,
    hint,
    make_secret,
)
from antiphon.core.pagination import NEWEST, IdCursor, ListOrder, listing
from antiphon.core.permissions import EVERYTHING, Reach
from antiphon.service.admin.idempotency import Idempotency, PriorResult
from antiphon.service.admin.people import the_user
from antiphon.service.admin.transactions import (
    Actor,
    AdminTransactions,
    Change,
    moment,
    readable,
)
from antiphon.service.admin.views import has_expired, key_info, key_state
from antiphon.service.admin.workspaces import the_default_workspace, the_workspace
from antiphon.store.accounts import (
    ApiKey,
    KeyKind,
    KeyStatus,
    add_key,
    add_secret,
    change_key,
    count_keys,
    end_secrets,
    find_key,
    oldest_keys,
)
from antiphon.store.listings import KeySelection, page_of_keys
from antiphon.wire.admin.keys import (
    CreateKeyParams,
    KeyInfo,
    OrganizationKeyScopeParam,
    UpdateKeyParams,
    WorkspaceKeyScopeParam,
)
from antiphon.wire.admin.organizations import Listing
from antiphon.wire.errors import shortened

if TYPE_CHECKING:
    from antiphon.store.database.connection import AsyncConnection

# The time before its end in which a key counts as expiring soon.
WARNING = timedelta(days=7)
ORDINARY = frozenset({KeyKind.API})


class KeyRefusedError(ValueError):
    """A secret from the settings that is not allowed or already in use."""


# The name of the key that a server makes for a new installation.
FIRST_KEY = "first"


class KeyRing:
    """The use cases of keys of some kinds. Only the command line sees admin keys."""

    def __init__(
        self, transactions: AdminTransactions, kinds: Collection[KeyKind] = ORDINARY
    ) -> None:
        self._transactions = transactions
        self._kinds = kinds

    async def all(
        self,
        cursor: IdCursor,
        wanted: KeySelection,
        reach: Reach = EVERYTHING,
        order: ListOrder = NEWEST,
    ) -> Listing:
        """List the keys within reach."""
        now = self._transactions.now()
        async with self._transactions.read() as connection:
            found = await page_of_keys(
                connection,
                cursor,
                wanted,
                now,
                kinds=self._kinds,
                workspace_ids=reach.workspaces,
                order=order,
            )
        return listing([key_info(key, now) for key in found.records], has_more=found.has_more)

    async def one(self, key_id: str, reach: Reach = EVERYTHING) -> KeyInfo:
        """Return a key. Raises `NotFoundError`, also for one out of reach."""
        async with self._transactions.read() as connection:
            return self._info(await the_key(connection, key_id, self._kinds, reach))

    async def create(
        self,
        actor: Actor,
        params: CreateKeyParams,
        once: Idempotency | None = None,
        *,
        expires_at: datetime | None = None,
        reach: Reach = EVERYTHING,
    ) -> KeyInfo:
        """Create a key and return it with its secret; a repeated request gets the same answer.

        `expires_at` takes the place of `expires_in_seconds`. Raises `PermissionError_` for a key
        that the caller could not change.
        """
        async with self._transactions.change() as connection:
            if once and (made := await once.before(connection, self._transactions)):
                return await self._again(connection, made)
            if params.created_by_user_id is not None:
                await the_user(connection, params.created_by_user_id)
            workspace = await _workspace(connection, params)
            key = self._new(params, KeyKind.API, workspace, expires_at)
            if not reach.changes_key_of(key.created_by, workspace):
                raise PermissionError_("Your role permits own keys in your own workspaces only")
            random = await once.make(connection, self._transactions, key.id) if once else None
            secret = self._secret(KeyKind.API, random)
            return await self._add(connection, actor, key, secret)

    async def create_admin(
        self, actor: Actor, params: CreateKeyParams, expires_at: datetime | None = None
    ) -> KeyInfo:
        """Create an admin key and return it with its secret. `expires_at` is as in `create`."""
        async with self._transactions.change() as connection:
            key = self._new(params, KeyKind.ADMIN, None, expires_at)
            secret = self._secret(KeyKind.ADMIN)
            return await self._add(connection, actor, key, secret)

    async def first(
        self, actor: Actor, chosen: str | None, kind: KeyKind = KeyKind.API
    ) -> KeyInfo | None:
        """Create the first key of its kind, with the secret `chosen` if that is given.

        Returns `None` if a key exists already. Raises `KeyRefusedError` for a bad `chosen`.
        """
        async with self._transactions.read() as connection:
            if await count_keys(connection, kind):
                return None
        secret = self._secret(kind) if chosen is None else _chosen(chosen)
        try:
            async with self._transactions.change() as connection:
                # Another process may have created it meanwhile.
                if await count_keys(connection, kind):
                    return None
                default = await the_default_workspace(connection)
                workspace = default if kind is KeyKind.API else None
                key = self._new(CreateKeyParams(name="default"), kind, workspace)
                return await self._add(connection, actor, key, secret)
        except ConflictError as error:
            raise KeyRefusedError("another key has this secret") from error

    async def first_to_show(self, actor: Actor) -> KeyInfo | None:
        """Create the first key, if there is none, and return it with a secret to show.

        A start that fails before anybody reads the secret loses it, so a first key that no request
        has used yet gets another secret, and the earlier ones keep working.
        """
        async with self._transactions.change() as connection:
            keys = await oldest_keys(connection, 2)
            secret = self._secret(KeyKind.API)
            if not keys:
                workspace = await the_default_workspace(connection)
                new = self._new(CreateKeyParams(name=FIRST_KEY), KeyKind.API, workspace)
                return await self._add(connection, actor, new, secret)
            first = keys[0]
            is_active = key_state(first, self._transactions.now()) == "active"
            is_unused = first.name == FIRST_KEY and first.last_used_at is None
            if len(keys) > 1 or not (is_active and is_unused):
                return None
            return await self._give(connection, actor, first, secret)

    def _new(
        self,
        params: CreateKeyParams,
        kind: KeyKind,
        workspace: str | None,
        expires_at: datetime | None = None,
    ) -> ApiKey:
        now, life = self._transactions.now(), params.expires_in_seconds
        if expires_at is None and life is not None:
            expires_at = now + timedelta(seconds=life)
        return ApiKey(
            id=api_key_id(self._transactions.entropy()),
            name=readable(params.name),
            kind=kind,
            workspace_id=workspace,
            hint="",
            created_at=now,
            created_by=params.created_by_user_id,
            expires_at=expires_at,
        )

    async def _add(
        self, connection: "AsyncConnection", actor: Actor, new: ApiKey, secret: str
    ) -> KeyInfo:
        key = replace(new, hint=hint(secret))
        await add_key(connection, key, hash_secret(secret))
        info = self._info(key, secret)
        await self._transactions.note(connection, actor, Change("api_key.create", after=info))
        return info

    async def update(
        self, actor: Actor, key_id: str, params: UpdateKeyParams, reach: Reach = EVERYTHING
    ) -> KeyInfo:
        """Rename, disable, enable or archive a key. An archived key stays archived."""
        async with self._transactions.change() as connection:
            old = await the_key(connection, key_id, self._kinds, reach)
            _refuse_foreign(old, reach)
            changes = self._changes(old, params)
            if not changes:
                return self._info(old)
            new = await change_key(connection, key_id, changes) or old
            before, after = self._info(old), self._info(new)
            await self._transactions.note(
                connection, actor, Change("api_key.update", before, after)
            )
        return after

    def _changes(self, key: ApiKey, params: UpdateKeyParams) -> dict[str, Any]:
        changes: dict[str, Any] = {}
        if params.name is not None and params.name != key.name:
            changes["name"] = readable(params.name)
        if params.status is not None and params.status != key.status:
            changes["status"] = KeyStatus(params.status)
        if not changes:
            return changes
        if key.status is KeyStatus.ARCHIVED:
            raise InvalidRequestError("This API key is archived and cannot be changed.")
        if changes.get("status") is KeyStatus.ACTIVE and has_expired(key, self._transactions.now()):
            raise InvalidRequestError("status: an API key that has expired cannot be reactivated")
        if changes.get("status") is KeyStatus.ARCHIVED:
            changes["archived_at"] = self._transactions.now()
        return changes

    async def rotate(
        self,
        actor: Actor,
        key_id: str,
        grace: int | datetime,
        once: Idempotency | None = None,
        reach: Reach = EVERYTHING,
    ) -> KeyInfo:
        """Give a key a new secret; its old ones keep working for `grace` seconds, or until then."""
        now = self._transactions.now()
        end = grace if isinstance(grace, datetime) else now + timedelta(seconds=grace)
        async with self._transactions.change() as connection:
            if once and (made := await once.before(connection, self._transactions)):
                return await self._again(connection, made)
            old = await the_key(connection, key_id, self._kinds, reach)
            _refuse_foreign(old, reach)
            state = key_state(old, now)
            if state in {"archived", "expired"}:
                raise InvalidRequestError(f"This API key is {state} and cannot be rotated.")
            random = await once.make(connection, self._transactions, key_id) if once else None
            secret = self._secret(old.kind, random)
            await end_secrets(connection, key_id, end)
            return await self._give(connection, actor, old, secret)

    async def _give(
        self, connection: "AsyncConnection", actor: Actor, old: ApiKey, secret: str
    ) -> KeyInfo:
        """Give a key one more secret, and return it with that."""
        await add_secret(connection, old.id, hash_secret(secret))
        new = await change_key(connection, old.id, {"hint": hint(secret)}) or old
        before, after = self._info(old), self._info(new, secret)
        await self._transactions.note(connection, actor, Change("api_key.rotate", before, after))
        return after

    async def _again(self, connection: "AsyncConnection", made: PriorResult) -> KeyInfo:
        """Return the result of an earlier request: the current key, with its first secret."""
        key = await the_key(connection, made.key_id, self._kinds)
        return self._info(key, self._secret(key.kind, made.entropy))

    def _secret(self, kind: KeyKind = KeyKind.API, random: bytes | None = None) -> str:
        prefix = SECRET_PREFIX if kind is KeyKind.API else ADMIN_SECRET_PREFIX
        return make_secret(random or self._transactions.entropy(SECRET_ENTROPY), prefix)

    def _info(self, key: ApiKey, secret: str | None = None) -> KeyInfo:
        info = key_info(key, self._transactions.now())
        return info if secret is None else msgspec.structs.replace(info, secret=secret)


def expires_soon(key: KeyInfo, now: datetime) -> bool:
    """Return whether an active key expires within `WARNING`."""
    return (
        key.status == "active"
        and key.expires_at is not None
        and key.expires_at <= moment(now + WARNING)
    )


async def the_key(
    connection: "AsyncConnection",
    key_id: str,
    kinds: Collection[KeyKind] = ORDINARY,
    reach: Reach = EVERYTHING,
) -> ApiKey:
    """Find a key within reach by its id, or raise `NotFoundError`."""
    key = await find_key(connection, key_id) if key_id.startswith("apikey_") else None
    is_one = key is not None and key.id == key_id and key.kind in kinds
    if key is None or not is_one or not reach.sees(key.workspace_id):
        raise NotFoundError(f"API key {shortened(key_id)} not found.")
    return key


def _refuse_foreign(key: ApiKey, reach: Reach) -> None:
    if not reach.changes_key_of(key.created_by, key.workspace_id):
        raise PermissionError_(
            "Only its creator, and administrators of its workspace or of the organization, can "
            "change this key"
        )


async def _workspace(connection: "AsyncConnection", params: CreateKeyParams) -> str | None:
    match params.scope:
        case OrganizationKeyScopeParam():
            return None
        case WorkspaceKeyScopeParam(workspace_id=wanted):
            workspace = await the_workspace(connection, wanted)
            if workspace.archived_at is not None:
                raise InvalidRequestError("scope.workspace_id: this workspace is archived")
            return workspace.id
        case None:
            return await the_default_workspace(connection)


def _chosen(secret: str) -> str:
    try:
        return checked_secret(secret)
    except ValueError as error:
        raise KeyRefusedError(str(error)) from error
