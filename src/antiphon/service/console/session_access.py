"""Authenticates the requests of signed-in users at the endpoints that keys call."""

from antiphon.core.errors import AuthenticationError, PermissionError_
from antiphon.core.permissions import Permission
from antiphon.service.access import Caller, no_workspace
from antiphon.service.accounts import Accounts
from antiphon.service.console.sessions import Sessions, SignedIn
from antiphon.service.console.sign_in import ENDED
from antiphon.store.accounts import ApiKey, KeyKind
from antiphon.store.directory import Directory


class SessionAccess:
    """Finds the caller of a session, and refuses what the role of its user may not do."""

    def __init__(self, accounts: Accounts, sessions: Sessions) -> None:
        self._accounts = accounts
        self._sessions = sessions

    async def signed_in(self, token: str | None) -> SignedIn:
        """Return the session of a token. Raises `AuthenticationError` without one."""
        session = None if token is None else await self._sessions.find(token)
        if session is None:
            raise AuthenticationError(ENDED)
        return session

    async def authenticate(
        self, token: str, needs: Permission | None, workspace: str | None, kind: KeyKind
    ) -> Caller:
        """Return the caller of a request that needs a permission.

        `workspace` is `anthropic-workspace-id`; models and batches are used in it, by default in
        the Default workspace. Raises `AuthenticationError`, and `PermissionError_` for what the
        role of the user does not permit, and for a workspace that the user is no member of.
        """
        session = await self.signed_in(token)
        user = session.user
        if needs is None or needs not in session.permissions:
            raise PermissionError_(f"Your role, {user.role}, does not permit this")
        directory = await self._accounts.current()
        within = _workspace(session, workspace, directory) if kind is KeyKind.API else None
        # Stands for the key that there is not: bills and batches name its creator.
        nobodys = ApiKey(
            id="",
            name="",
            hint="",
            created_at=session.stored.created_at,
            kind=kind,
            workspace_id=within,
            created_by=user.id,
        )
        return Caller(nobodys, within, directory, session)


def _workspace(session: SignedIn, wanted: str | None, directory: Directory) -> str:
    """Return the workspace of a request: the Default one, or one of which the user is a member."""
    if wanted in {None, directory.default_workspace.id}:
        return directory.default_workspace.id
    workspace = directory.workspaces.get(wanted or "")
    if workspace is None or workspace.archived_at is not None:
        raise no_workspace()
    if session.user.role != "admin" and workspace.id not in session.memberships:
        raise no_workspace()
    return workspace.id
