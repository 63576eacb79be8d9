"""Administrative changes: one transaction each, with an entry in the audit log."""

from collections.abc import AsyncGenerator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from antiphon.core.errors import ConflictError, InvalidRequestError
from antiphon.core.ids import ID_ENTROPY, audit_entry_id
from antiphon.core.names import is_readable
from antiphon.store.audit import AuditEntry, add_audit_entry
from antiphon.store.database.changes import claim
from antiphon.store.database.database import Database
from antiphon.store.database.errors import DuplicateError
from antiphon.wire.base import AnswerStruct

if TYPE_CHECKING:
    from antiphon.store.database.connection import AsyncConnection

# Fields of answers that an audit entry never holds.
_SECRETS = ("secret", "link")


class Actor(msgspec.Struct, frozen=True):
    """The author of a change: an admin key, a user, the command line, or the server itself."""

    type: str
    id: str | None = None
    request_id: str | None = None

    @property
    def described(self) -> dict[str, Any]:
        return {"type": self.type, "id": self.id}


# The type of an actor who has signed in.
USER = "user"
COMMAND_LINE = Actor("command_line")
# The author of changes that a server makes at start, by its settings.
SERVER = Actor("server")


class Change(msgspec.Struct, frozen=True):
    """One change, as the audit log records it.

    `of` is the type and the id of the changed object, if `before` and `after` do not hold them.
    """

    action: str
    before: AnswerStruct | None = None
    after: AnswerStruct | None = None
    of: tuple[str, str] | None = None


class AdminTransactions:
    """The database, the clock and the source of ids that administrative changes use."""

    def __init__(
        self,
        database: Database,
        entropy: Callable[[int], bytes],
        now: Callable[[], datetime],
    ) -> None:
        self._database = database
        self._entropy = entropy
        self.now = now
        self._joined: ContextVar[AsyncConnection | None] = ContextVar("joined", default=None)

    def entropy(self, size: int = ID_ENTROPY) -> bytes:
        return self._entropy(size)

    def read(self) -> AbstractAsyncContextManager["AsyncConnection"]:
        return self._database.read()

    @asynccontextmanager
    async def change(self) -> AsyncGenerator["AsyncConnection"]:
        """Open a transaction that commits all of its changes or none; others wait for its end.

        Inside of `together` it joins that transaction. Raises `ConflictError` for an object that
        another process has created meanwhile.
        """
        if (joined := self._joined.get()) is not None:
            yield joined
            return
        try:
            async with self._database.write() as connection:
                await claim(connection)
                yield connection
        except DuplicateError as error:
            raise ConflictError("This was changed at the same time. Please try again.") from error

    @asynccontextmanager
    async def together(self) -> AsyncGenerator[None]:
        """Join all changes of this task in the block: if one is refused, none is made."""
        async with self.change() as connection:
            token = self._joined.set(connection)
            try:
                yield
            finally:
                self._joined.reset(token)

    async def note(self, connection: "AsyncConnection", actor: Actor, *changes: Change) -> None:
        """Write entries into the audit log, in the transaction of the changes.

        A change without a difference leaves no entry.
        """
        entries = [entry for change in changes if (entry := self._entry(actor, change))]
        if entries:
            await add_audit_entry(connection, *entries)

    def _entry(self, actor: Actor, change: Change) -> AuditEntry | None:
        before, after = _described(change.before), _described(change.after)
        if before == after:
            return None
        kind, named = change.of or _named(after or before or {})
        return AuditEntry(
            id=audit_entry_id(self._entropy(ID_ENTROPY)),
            at=self.now(),
            actor=actor.described,
            action=change.action,
            object_type=kind,
            object_id=named,
            before=before,
            after=after,
            request_id=actor.request_id,
        )


def _named(described: Mapping[str, Any]) -> tuple[str, str]:
    return str(described["type"]), str(described["id"])


def _described(answer: AnswerStruct | None) -> dict[str, Any] | None:
    if answer is None:
        return None
    plain: dict[str, Any] = msgspec.to_builtins(answer)
    return {name: value for name, value in plain.items() if name not in _SECRETS}


def moment(value: datetime) -> str:
    """Return a moment in the format of the wire."""
    return value.strftime("%Y-%m-%dT%H:%M:%SZ")


def optional_moment(value: datetime | None) -> str | None:
    """Return a moment in the format of the wire; `None` for `None`."""
    return None if value is None else moment(value)


def readable(name: str) -> str:
    """Return a name without spaces around it. Raises `InvalidRequestError` if it is unreadable."""
    if not is_readable(name):
        raise InvalidRequestError("name: Input should be printable characters, not only spaces")
    return name.strip()
