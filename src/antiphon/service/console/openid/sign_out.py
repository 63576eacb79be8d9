"""Signing out of the OpenID provider too: the browser ends its session there by itself."""

from antiphon.core.errors import InvalidRequestError
from antiphon.logs import EventLog
from antiphon.service.admin.transactions import AdminTransactions
from antiphon.service.console.openid.asking import ProviderError
from antiphon.service.console.openid.provider import Provider
from antiphon.service.console.sessions import SignedIn
from antiphon.service.console.sign_in import SignIn
from antiphon.store.console import id_token_of


class OidcSignOut:
    """The use case of people who leave a machine that others use as well."""

    def __init__(
        self, provider: Provider, transactions: AdminTransactions, sign_in: SignIn
    ) -> None:
        self._provider = provider
        self._transactions = transactions
        self._sign_in = sign_in
        self._log = EventLog(__name__)

    def offered_to(self, who: SignedIn) -> str | None:
        """Return the name of the provider at which a session can be ended too; `None` for none."""
        settings = self._provider.settings
        same = settings.sign_out_there and who.stored.provider == settings.issuer
        return settings.name if same else None

    async def sign_out(self, who: SignedIn, request_id: str, back_to: str) -> str | None:
        """End a session, in every process; return where the browser ends the one at the provider.

        `None` if the provider cannot be reached: the session has ended here alone. Raises
        `InvalidRequestError` for a session that did not begin there, which goes on.
        """
        if self.offered_to(who) is None:
            raise InvalidRequestError("This session can be ended here alone.")
        async with self._transactions.read() as connection:
            id_token = await id_token_of(connection, who.stored.digest)
        await self._sign_in.sign_out(who, request_id)
        try:
            return await self._provider.end_session_address(id_token, back_to)
        except ProviderError as error:
            self._log.warning("no sign-out at the OpenID provider", reason=str(error))
            return None
