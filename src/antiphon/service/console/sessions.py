"""Sessions of browsers: found in memory, ended at once in every process, as keys are."""

from collections.abc import Callable, Collection, Mapping
from datetime import datetime, timedelta

import msgspec

from antiphon.core.ids import SECRET_ENTROPY, hash_secret, make_secret
from antiphon.core.permissions import Permission, Reach, permissions_of, reach_of
from antiphon.service.accounts import Kept, LastUses
from antiphon.store.console import (
    StoredSession,
    add_session,
    end_session,
    has_passwords,
    keep_newest,
    last_use_of,
    list_sessions,
    memberships_of_signed_in,
    note_session_use,
    remove_ended,
)
from antiphon.store.database.changes import EVERYBODY, AccountChange, ChangeKind, ChangeSignal
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.database import Database
from antiphon.store.organizations import User, find_users
from antiphon.store.workspaces import default_workspace_id

# A user has so many browsers; a new session beyond them ends the oldest one.
MOST_OF_A_USER = 20
# The last use of a session in the database may be so much behind.
NOTED_EVERY = timedelta(minutes=1)
# How long a session that began with a link may set a password without the current one.
RENEWS_FOR = timedelta(minutes=15)


class SignedIn(msgspec.Struct, frozen=True):
    """A session, its user, and what the user may do now."""

    stored: StoredSession
    user: User
    memberships: Mapping[str, str]
    permissions: frozenset[Permission]
    reach: Reach


class SessionLife(msgspec.Struct, frozen=True):
    """How long a session lasts without use, and at most."""

    idle: timedelta
    longest: timedelta


class BegunThere(msgspec.Struct, frozen=True):
    """The session at a provider by which one here began: its issuer, and what tells which it is."""

    issuer: str
    id_token: str | None


class NewSession(msgspec.Struct, frozen=True):
    """The token of a new session, which its browser keeps, and how long it lasts at most."""

    token: str
    longest: timedelta


class ConsoleState(msgspec.Struct, frozen=True):
    """All sessions by their digests, and whether anybody can sign in by a password."""

    sessions: Mapping[bytes, SignedIn]
    has_passwords: bool


class Sessions:
    """Finds sessions by the tokens of cookies.

    All sessions are in memory, so a token that is unknown costs a look-up and no query. What has
    ended stays ended if the clock is set back: the latest moment that a request has seen decides.
    """

    def __init__(
        self,
        database: Database,
        signal: ChangeSignal,
        now: Callable[[], datetime],
        entropy: Callable[[int], bytes],
        life: SessionLife,
    ) -> None:
        self._database = database
        self._kept = Kept[ConsoleState](database, signal, _read_state, _changed_state)
        self._now = now
        self._latest = now()
        self._entropy = entropy
        self._life = life
        self._uses: dict[bytes, datetime] = {}
        self._of: ConsoleState | None = None
        self.usage = LastUses[bytes](database, now, note_session_use, "sessions")

    async def find(self, token: str) -> SignedIn | None:
        """Return the session of a token, and note its use; `None` for an ended or unknown one.

        Raises `StoreError`.
        """
        now = self._latest = max(self._latest, self._now())
        state = await self._kept.current()
        if state is not self._of:
            self._of = state
            self._uses = {one: at for one, at in self._uses.items() if one in state.sessions}
        digest = hash_secret(token)
        found = state.sessions.get(digest)
        if found is None or found.stored.ends_at <= now:
            return None
        used = self._uses.get(digest, found.stored.last_used_at)
        if used + self._life.idle <= now:
            told = await self._told_use(digest)
            if told is None or told + self._life.idle <= now:
                return None
            used = told
        if used + NOTED_EVERY <= now or digest not in self._uses:
            self._uses[digest] = now
            self.usage.note(digest)
        return found

    async def setup_needed(self) -> bool:
        """Return whether nobody can sign in yet. Raises `StoreError`."""
        return not (await self._kept.current()).has_passwords

    async def _told_use(self, digest: bytes) -> datetime | None:
        """Return the last use that any process has told: another one may have served it."""
        async with self._database.read() as connection:
            return await last_use_of(connection, digest)

    async def open(
        self,
        connection: AsyncConnection,
        user_id: str,
        *,
        by_link: bool = False,
        instead_of: str | None = None,
        there: BegunThere | None = None,
    ) -> NewSession:
        """Begin a session with a new token, in the transaction of `connection`.

        The session of the browser until now, `instead_of`, ends. `there` is the session at a
        provider that can be ended with it.
        """
        now = self._now()
        await remove_ended(connection, now, now - self._life.idle)
        if instead_of is not None:
            await end_session(connection, hash_secret(instead_of))
        token = make_secret(self._entropy(SECRET_ENTROPY), "")
        session = StoredSession(
            digest=hash_secret(token),
            user_id=user_id,
            created_at=now,
            last_used_at=now,
            ends_at=now + self._life.longest,
            renews_until=now + RENEWS_FOR if by_link else None,
            provider=None if there is None else there.issuer,
        )
        await add_session(connection, session, None if there is None else there.id_token)
        await keep_newest(connection, user_id, MOST_OF_A_USER)
        return NewSession(token, self._life.longest)


async def _changed_state(
    connection: AsyncConnection, known: ConsoleState, changes: Collection[AccountChange]
) -> ConsoleState:
    """Read the sessions of people who have changed again; keys and limits are not in them."""
    people = {one.object_id for one in changes if one.kind is ChangeKind.PEOPLE}
    if not people:
        return known
    if EVERYBODY in people:
        return await _read_state(connection)
    others = {one: of for one, of in known.sessions.items() if of.user.id not in people}
    theirs = await _signed_in(connection, people)
    return ConsoleState({**others, **theirs}, await has_passwords(connection))


async def _read_state(connection: AsyncConnection) -> ConsoleState:
    """Read all sessions, with their users and what these may do now.

    It grows with the sessions, and not with the users; one has `MOST_OF_A_USER` sessions at most.
    """
    return ConsoleState(await _signed_in(connection), await has_passwords(connection))


async def _signed_in(
    connection: AsyncConnection, user_ids: Collection[str] | None = None
) -> dict[bytes, SignedIn]:
    """Read the sessions of these users, or all, in portions."""
    default = await default_workspace_id(connection)
    memberships = await memberships_of_signed_in(connection, user_ids)
    found: dict[bytes, SignedIn] = {}
    async for sessions in list_sessions(connection, user_ids):
        assert default is not None  # noqa: S101 - users come after the organization
        users = await find_users(connection, {session.user_id for session in sessions})
        for session in sessions:
            user = users[session.user_id]
            their = memberships.get(user.id, {})
            found[session.digest] = SignedIn(
                stored=session,
                user=user,
                memberships=their,
                permissions=permissions_of(user.role),
                reach=reach_of(user.role, user.id, their, default),
            )
    return found
