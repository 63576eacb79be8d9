"""The Console of a running server: its parts, built once."""

import asyncio
from collections.abc import AsyncGenerator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta

import msgspec

from antiphon.oidc_settings import OidcSettings
from antiphon.service.accounts import Accounts
from antiphon.service.admin.people import People, user_info
from antiphon.service.admin.transactions import AdminTransactions, moment
from antiphon.service.console.onboarding import Onboarding
from antiphon.service.console.openid.provider import Provider
from antiphon.service.console.openid.recognition import Recognition
from antiphon.service.console.openid.sign_in import OidcSignIn
from antiphon.service.console.openid.sign_out import OidcSignOut
from antiphon.service.console.openid.signatures import is_installed
from antiphon.service.console.operator_links import OperatorLinks
from antiphon.service.console.passwords import PasswordHashing
from antiphon.service.console.session_access import SessionAccess
from antiphon.service.console.sessions import SessionLife, Sessions, SignedIn
from antiphon.service.console.sign_in import SignIn
from antiphon.service.console.throttle import SignInThrottle
from antiphon.settings import ConsoleSettings, SettingsError
from antiphon.store.database.changes import ChangeSignal
from antiphon.store.database.database import Database
from antiphon.store.directory import Directory
from antiphon.wire.admin.organizations import OrganizationInfo, WorkspaceRole
from antiphon.wire.console import SessionInfo, SessionWorkspace


class Console(msgspec.Struct, frozen=True):
    """The use cases of the Console, and the accounts that its requests look at.

    `oidc` and `oidc_sign_out` are `None` without an OpenID provider.
    """

    settings: ConsoleSettings
    accounts: Accounts
    sessions: Sessions
    access: SessionAccess
    sign_in: SignIn
    onboarding: Onboarding
    links: OperatorLinks
    oidc: OidcSignIn | None = None
    oidc_sign_out: OidcSignOut | None = None

    async def info(self, who: SignedIn) -> SessionInfo:
        """Return a session as the Console shows it. Raises `StoreError`."""
        there = None if self.oidc_sign_out is None else self.oidc_sign_out.offered_to(who)
        return session_info(who, await self.accounts.current(), there)


@asynccontextmanager
async def open_console(  # noqa: PLR0913 - the parts that it needs
    settings: ConsoleSettings,
    database: Database,
    signal: ChangeSignal,
    *,
    accounts: Accounts,
    transactions: AdminTransactions,
    signing_key: bytes,
    oidc: OidcSettings | None = None,
) -> AsyncGenerator[Console]:
    """Build the Console, and write what it notes in the background. Raises `SettingsError`."""
    if oidc is not None and not is_installed():
        raise SettingsError("[oidc] needs libraries: pip install 'antiphon[oidc]'")
    life = SessionLife(timedelta(hours=settings.idle_hours), timedelta(days=settings.lifetime_days))
    sessions = Sessions(database, signal, transactions.now, transactions.entropy, life)
    hashing = PasswordHashing(off=not settings.passwords)
    clock = asyncio.get_running_loop().time
    throttle = SignInThrottle(clock)
    sign_in = SignIn(transactions, sessions, hashing, throttle, signing_key)
    people = People(transactions)
    by_provider, sign_out_there = None, None
    if oidc is not None:
        provider = Provider(oidc, signing_key, clock)
        sign_out_there = OidcSignOut(provider, transactions, sign_in)
        by_provider = OidcSignIn(
            provider,
            Recognition(oidc, transactions, people),
            transactions=transactions,
            sessions=sessions,
            sign_in=sign_in,
            throttle=throttle,
            key=signing_key,
        )
    async with AsyncExitStack() as stack:
        await stack.enter_async_context(sessions.usage.writing())
        await stack.enter_async_context(sign_in.refused.writing())
        yield Console(
            settings=settings,
            accounts=accounts,
            sessions=sessions,
            access=SessionAccess(accounts, sessions),
            sign_in=sign_in,
            onboarding=Onboarding(transactions, people, sessions, hashing, throttle),
            links=OperatorLinks(transactions),
            oidc=by_provider,
            oidc_sign_out=sign_out_there,
        )


def session_info(who: SignedIn, directory: Directory, sign_out_of: str | None) -> SessionInfo:
    """Return a session as the Console shows it: what the user may do, and in which workspaces.

    `sign_out_of` names the OpenID provider at which it can be ended too.
    """
    whole = who.user.role == "admin"
    found = [
        SessionWorkspace(
            id=one.id,
            name=one.name,
            workspace_role=_role(who.memberships.get(one.id)),
            is_default=one.is_default,
        )
        for one in directory.workspaces.values()
        if one.archived_at is None and (whole or one.is_default or one.id in who.memberships)
    ]
    organization = directory.organization
    return SessionInfo(
        user=user_info(who.user),
        organization=OrganizationInfo(id=organization.id, name=organization.name),
        permissions=tuple(sorted(who.permissions)),
        workspaces=tuple(sorted(found, key=lambda one: (not one.is_default, one.name, one.id))),
        expires_at=moment(who.stored.ends_at),
        sign_out_of=sign_out_of,
    )


def _role(stored: str | None) -> WorkspaceRole | None:
    return stored  # type: ignore[return-value]  # the rows are ours
