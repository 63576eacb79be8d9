"""What the audit log says of signing in; refused attempts are counted together."""

from collections import Counter
from contextlib import AbstractAsyncContextManager
from typing import Literal, TypeAlias

from msgspec import UNSET, UnsetType

from antiphon.logs import EventLog
from antiphon.service.admin.transactions import USER, Actor, AdminTransactions, Change
from antiphon.service.background import repeated
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.errors import StoreError
from antiphon.store.organizations import User, find_user
from antiphon.wire.base import AnswerStruct

# How a session began.
Way: TypeAlias = Literal["password", "link", "setup", "invite", "oidc"]

# Refused attempts of a user are one entry for each of these times, however many there were.
WRITE_EVERY_S = 60.0
# Whoever tries to sign in is not known to be anybody.
UNKNOWN = Actor("unknown")


class Happening(AnswerStruct, kw_only=True, frozen=True):
    """What happened to a user's sign-in, in the audit log. `refused` counts attempts."""

    type: Literal["user"] = "user"
    id: str
    email: str
    by: Way | UnsetType = UNSET
    refused: int | UnsetType = UNSET


def happened(action: str, user: User, by: Way | None = None) -> Change:
    """Return the change that says what a user did, such as `session.create`."""
    return Change(action, after=Happening(id=user.id, email=user.email, by=by or UNSET))


def acting(user_id: str | None, request_id: str) -> Actor:
    """Return a user as the author of a change; one who is just being made has no id."""
    return Actor(USER, user_id, request_id)


class RefusedSignIns:
    """Counts refused attempts by user, and writes the counts into the audit log."""

    def __init__(self, transactions: AdminTransactions) -> None:
        self._transactions = transactions
        self._counts: Counter[str] = Counter()
        self._log = EventLog(__name__)

    def note(self, user_id: str) -> None:
        """Count a refused attempt. It takes no time that would tell whether there is a user."""
        self._counts[user_id] += 1

    async def write(self) -> None:
        """Write an entry for each user with refused attempts. Raises `StoreError`."""
        counts, self._counts = self._counts, Counter()
        if not counts:
            return
        try:
            async with self._transactions.change() as connection:
                for user_id, refused in sorted(counts.items()):
                    await self._note(connection, user_id, refused)
        except StoreError:
            self._counts += counts
            raise

    async def _note(self, connection: AsyncConnection, user_id: str, refused: int) -> None:
        user = await find_user(connection, user_id)
        if user is not None:
            what = Happening(id=user.id, email=user.email, refused=refused)
            change = Change("session.refuse", after=what)
            await self._transactions.note(connection, UNKNOWN, change)

    async def _try_to_write(self) -> None:
        try:
            await self.write()
        except StoreError as error:
            self._log.warning("refused sign-ins not written", reason=str(error))

    def writing(self) -> AbstractAsyncContextManager[None]:
        """Write the counts regularly, and at the end of the block."""
        return repeated("antiphon-refused-sign-ins", self._try_to_write, WRITE_EVERY_S)
