"""The links that the operator of a server makes: to set it up, and to sign a user in."""

from datetime import timedelta

from antiphon.service.admin.people import the_user
from antiphon.service.admin.transactions import COMMAND_LINE, AdminTransactions
from antiphon.service.console.happenings import happened
from antiphon.service.console.links import link_to, make_link
from antiphon.store.console import LinkKind, has_passwords

SETUP_LIFE = timedelta(days=1)
SIGN_IN_LIFE = timedelta(minutes=10)


class OperatorLinks:
    """Makes the links that the operator of a server hands out.

    Whoever can run the program on the database can change every row of it, so a link gives nobody
    more than that.
    """

    def __init__(self, transactions: AdminTransactions) -> None:
        self._transactions = transactions

    async def to_set_up(self, base_url: str) -> str | None:
        """Return a link to make the first administrator; `None` if somebody can sign in.

        It works once, for a day. Earlier ones go on working: several servers may have started.
        """
        now = self._transactions.now()
        async with self._transactions.read() as connection:
            if await has_passwords(connection):
                return None
        async with self._transactions.change() as connection:
            kind = LinkKind.SETUP
            token = await make_link(connection, self._transactions, kind, now + SETUP_LIFE)
        return link_to(base_url, kind, token)

    async def to_sign_in(self, base_url: str, user_id: str) -> str:
        """Return a link that signs a user in, once, within ten minutes."""
        expires = self._transactions.now() + SIGN_IN_LIFE
        async with self._transactions.change() as connection:
            kind = LinkKind.SIGN_IN
            token = await make_link(connection, self._transactions, kind, expires, user_id)
            change = happened("link.create", await the_user(connection, user_id))
            await self._transactions.note(connection, COMMAND_LINE, change)
        return link_to(base_url, kind, token)
