"""The administrative use cases for the command line, with the look-up of objects by name."""

import asyncio
import os
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from datetime import UTC, datetime
from functools import partial
from typing import Any, TypeVar

import msgspec

from antiphon.cli.command import CommandError
from antiphon.core.errors import NotFoundError
from antiphon.core.pagination import EVERYTHING
from antiphon.service.admin.administration import Administration, build_administration
from antiphon.service.admin.audit import ORGANIZATION
from antiphon.service.admin.transactions import AdminTransactions
from antiphon.service.batches.batches import Batches
from antiphon.service.batches.idle_use import IdleUseSummary
from antiphon.service.caching import salt_of
from antiphon.service.console.operator_links import OperatorLinks
from antiphon.service.files.arrival import FileLimits
from antiphon.service.files.files import Files
from antiphon.service.installation import opened_database, signing_key_of
from antiphon.service.limits.seeding import SpentTotals
from antiphon.service.models import LimitGroups
from antiphon.service.reports import UsageSummary
from antiphon.service.requests import Requests
from antiphon.settings import Settings
from antiphon.store.accounts import KeyKind
from antiphon.store.batches.create import find_repeated
from antiphon.store.batches.rows import Batch
from antiphon.store.counters.memory import MemoryCounters
from antiphon.store.database.database import Database
from antiphon.store.directory import read_limit_directory
from antiphon.store.listings import KeySelection
from antiphon.wire.admin.keys import KeyInfo
from antiphon.wire.admin.organizations import InviteInfo, UserInfo, WorkspaceInfo
from antiphon.wire.decoding import BodyDecoder, BodyError
from antiphon.wire.errors import shortened

T = TypeVar("T")
P = TypeVar("P")


class AdminSession(msgspec.Struct, frozen=True):
    """The use cases over an open database. Objects are found by id or by name."""

    administration: Administration
    batches: Batches
    batch_made_with: Callable[[bytes], Awaitable[Batch | None]]
    files: Files
    used: UsageSummary
    idle_use: IdleUseSummary
    requests: Requests
    now: datetime
    default_workspace: str
    salting: Callable[[], Awaitable[Callable[[str], str]]]
    together: Callable[[], AbstractAsyncContextManager[None]]
    links: OperatorLinks

    async def keys(self) -> tuple[KeyInfo, ...]:
        """Return all keys, the newest first."""
        keys = self.administration.keys
        return (await keys.all(EVERYTHING, KeySelection())).data

    async def key(self, wanted: str) -> KeyInfo:
        """Find a key by id or name; of several with one name, the unarchived one."""
        keys = await self.keys()
        return _one(
            "key", wanted, [(key.id, key.name, key.status != "archived") for key in keys], keys
        )

    async def workspaces(self) -> tuple[WorkspaceInfo, ...]:
        """Return all workspaces, with the Default workspace and archived ones."""
        found = await self.administration.workspaces.all(
            EVERYTHING, include_archived=True, include_default=True
        )
        return found.data

    async def workspace(self, wanted: str) -> WorkspaceInfo:
        """Find a workspace by id or name."""
        found = await self.workspaces()
        names = [(one.id, one.name, one.archived_at is None) for one in found]
        return _one("workspace", wanted, names, found)

    async def salts(self) -> dict[str, WorkspaceInfo]:
        """Return the workspaces by the salts of their prefixes in the prompt cache."""
        salt = await self.salting()
        return {salt(one.id): one for one in await self.workspaces()}

    async def user(self, wanted: str) -> UserInfo:
        """Find a user by id or address."""
        users: tuple[UserInfo, ...] = (await self.administration.people.users(EVERYTHING)).data
        names = [(user.id, user.email, True) for user in users]
        return _one("user", wanted.lower() if "@" in wanted else wanted, names, users)

    async def invite(self, wanted: str) -> InviteInfo:
        """Find an invite by id or address."""
        found = await self.administration.people.invites(EVERYTHING)
        invites: tuple[InviteInfo, ...] = found.data
        names = [(one.id, one.email, one.status == "pending") for one in invites]
        return _one("invite", wanted.lower() if "@" in wanted else wanted, names, invites)

    async def names(self) -> dict[str, str]:
        """Return what people call each key, workspace, user and invite, by its id."""
        people = self.administration.people
        users: tuple[UserInfo, ...] = (await people.users(EVERYTHING)).data
        invites: tuple[InviteInfo, ...] = (await people.invites(EVERYTHING)).data
        return {
            **{key.id: f"key {key.name}" for key in await self.keys()},
            **{one.id: f"workspace {one.name}" for one in await self.workspaces()},
            **{user.id: f"user {user.email}" for user in users},
            **{invite.id: f"invite {invite.email}" for invite in invites},
        }

    async def named(self, wanted: str) -> frozenset[str]:
        """Return the ids of everything that has this name, address or id, or else once had it.

        A model stands for the rate limits of its group. Raises `CommandError` if there is nothing.
        """
        people = self.administration.people
        name = wanted.lower() if "@" in wanted else wanted
        users: tuple[UserInfo, ...] = (await people.users(EVERYTHING)).data
        invites: tuple[InviteInfo, ...] = (await people.invites(EVERYTHING)).data
        ids = {
            *(key.id for key in await self.keys() if name in {key.id, key.name}),
            *(one.id for one in await self.workspaces() if name in {one.id, one.name}),
            *(user.id for user in users if name in {user.id, user.email, user.name}),
            *(one.id for one in invites if name in {one.id, one.email}),
            *await self._rate_limit_ids(name),
        }
        if name == ORGANIZATION:
            ids.add(ORGANIZATION)
        found = ids or await self.administration.audit.once_named(name)
        if not found:
            raise CommandError(
                "there is no key, workspace, user, invite or model "
                f"{shortened(wanted)!r}, and there was none"
            )
        return frozenset(found)

    async def _rate_limit_ids(self, model: str) -> Sequence[str]:
        try:
            groups = await self.administration.rate_limits.groups(model)
        except NotFoundError:
            return ()
        return [group.rate_limit_id for group in groups]


def open_session(
    settings: Settings, use: Callable[[AdminSession], Awaitable[T]], *, may_found: bool = False
) -> T:
    """Open the database, call `use` with a session, and close the database.

    Only a command that makes something may also found the database that it goes into: others
    would show an empty one for a folder whose name is mistyped.
    """

    async def run() -> T:
        def now() -> datetime:
            return datetime.now(UTC)

        async with opened_database(settings, may_found=may_found) as database:
            async with database.read() as connection:
                directory = await read_limit_directory(connection)

            async def salting() -> Callable[[str], str]:
                key = await signing_key_of(database, os.urandom)
                return partial(salt_of, key, directory.organization.id)

            async def batch_made_with(key: bytes) -> Batch | None:
                async with database.read() as connection:
                    return await find_repeated(connection, key)

            transactions = AdminTransactions(database, os.urandom, now)
            # Only a running server knows its holds for running requests.
            seed = await SpentTotals(database, now, with_settled=False)()
            counters = MemoryCounters()
            await counters.seed(seed.spent)
            administration = build_administration(
                transactions,
                settings.limits,
                counters,
                lambda: LimitGroups(settings.served()),
                kinds=tuple(KeyKind),
            )
            return await use(
                AdminSession(
                    administration,
                    _batches(settings, database, now),
                    batch_made_with,
                    Files(
                        database,
                        transactions,
                        os.urandom,
                        now,
                        FileLimits.of(settings),
                        downloads=settings.file_downloads,
                    ),
                    UsageSummary(transactions),
                    IdleUseSummary(transactions),
                    Requests(transactions, settings.served()),
                    now(),
                    directory.default_workspace.id,
                    salting,
                    transactions.together,
                    OperatorLinks(transactions),
                )
            )

    return asyncio.run(run())


def _batches(settings: Settings, database: Database, now: Callable[[], datetime]) -> Batches:
    """Return the use cases of batches. Workers of other processes look for new ones themselves."""
    return Batches(
        database,
        os.urandom,
        now,
        largest_request=settings.max_body_bytes,
        queued_requests=settings.limits.queued_batch_requests,
        added=lambda: None,
        cancelled=lambda _: None,
    )


def checked(kind: type[P], **fields: Any) -> P:
    """Return params from fields, checked like a body of the API."""
    given = {name: value for name, value in fields.items() if value is not None}
    try:
        return BodyDecoder(kind).decode(msgspec.json.encode(given))
    except BodyError as error:
        raise CommandError(str(error)) from error


def refuse_taken(kind: str, name: str, taken: Mapping[str, str]) -> None:
    """Raise `CommandError` for a name that another object has, whose id is in `taken`."""
    if name in taken:
        raise CommandError(
            f"there is a {kind} {name!r} already, {taken[name]}: choose another name"
        )


def _one(kind: str, wanted: str, names: Iterable[tuple[str, str, bool]], things: Sequence[T]) -> T:
    found = [(key, name == wanted and key != wanted, open_) for key, name, open_ in names]
    by_id = [thing for thing, (key, _, _) in zip(things, found, strict=True) if key == wanted]
    named = [(thing, row) for thing, row in zip(things, found, strict=True) if row[1]]
    alive = [(thing, row) for thing, row in named if row[2]]
    if len(alive) > 1 and not by_id:
        ids = ", ".join(row[0] for _, row in alive)
        raise CommandError(f"several {kind}s are called {wanted!r}; choose one by its id: {ids}")
    chosen = by_id or [thing for thing, _ in alive or named]
    if not chosen:
        raise CommandError(f"there is no {kind} {wanted!r}; `antiphon {kind}s list` shows them")
    return chosen[0]
