"""Authentication: finds keys in memory, and refuses revoked ones at once.

`Caller` and `RequestContext` say to the use cases whose request it is.
"""

from collections.abc import Callable
from datetime import datetime

import msgspec

from antiphon.core.errors import AuthenticationError, PermissionError_
from antiphon.core.hints import NO_HINTS, Hints
from antiphon.core.ids import hash_secret
from antiphon.service.accounts import Accounts
from antiphon.service.console.sessions import SignedIn
from antiphon.service.limits.batch_lane import BatchTicket
from antiphon.service.limits.waits import Waits
from antiphon.store.accounts import ApiKey, KeyKind
from antiphon.store.directory import Directory
from antiphon.wire.messages import ServiceTier

BEARER = "bearer "


class Caller(msgspec.Struct, frozen=True):
    """The caller of a request: its key, and the workspace of the request.

    A request of an admin key concerns the organization, so it has no workspace. `directory` is the
    state of the accounts at authentication; every decision about the request uses it.

    A user of the Console has a `session` instead of a key; the id of `key` is then empty.
    """

    key: ApiKey
    workspace_id: str | None
    directory: Directory
    session: SignedIn | None = None

    @property
    def key_id(self) -> str:
        return self.key.id

    @property
    def in_default_workspace(self) -> bool:
        return self.workspace_id == self.directory.default_workspace.id

    @property
    def sees_organizations_limits(self) -> bool:
        """Whether it may know the amounts of the organization's spend limits.

        A user may with the permission; a key may that is the organization's or of the Default
        workspace, which has no limits of its own. Other workspaces are guests.
        """
        if self.session is not None:
            return "limits.read" in self.session.permissions
        return self.key.workspace_id is None or self.in_default_workspace

    @property
    def organization_id(self) -> str:
        return self.directory.organization.id


def _hold_nothing(_: int) -> None:
    """Keep no account of the bytes."""


class RequestContext(msgspec.Struct, frozen=True):
    """The caller of a request, its id, the version of the API, and the size of its body in bytes.

    `retries` is the number of earlier tries, if the client states it. `hints` are the client's. A
    request of a batch has its `batch_id` and its `ticket`. `waits` gets what it waits for, and
    `hold` the bytes of files that are kept in memory for it; it may raise `OverloadedError`.
    """

    caller: Caller
    request_id: str
    version: str
    size: int = 0
    retries: int | None = None
    hints: Hints = NO_HINTS
    batch_id: str | None = None
    ticket: BatchTicket | None = None
    waits: Waits | None = None
    hold: Callable[[int], None] = _hold_nothing

    @property
    def tier(self) -> ServiceTier:
        """The tier that is told and billed."""
        return "standard" if self.batch_id is None else "batch"


class NoKeyError(AuthenticationError):
    """A request without a key."""


class Access:
    """Authenticates callers by the keys that are active now.

    What has expired stays expired for the life of the server, also if the clock is set back: the
    latest moment that a request has seen decides.
    """

    def __init__(self, accounts: Accounts, now: Callable[[], datetime]) -> None:
        self._accounts = accounts
        self._now = now
        self._latest = now()

    async def accepts(self, secret: str, kind: KeyKind) -> bool:
        """Return whether a secret authenticates a key of this kind now. Raises `StoreError`."""
        try:
            await self.authenticate(secret, None, kind=kind)
        except (AuthenticationError, PermissionError_):
            return False
        return True

    async def authenticate(
        self,
        api_key: str | None,
        authorization: str | None,
        workspace: str | None = None,
        kind: KeyKind = KeyKind.API,
    ) -> Caller:
        """Find the caller by `x-api-key`, `authorization` and `anthropic-workspace-id`.

        `x-api-key` takes precedence over `authorization`. Raises `AuthenticationError`, and
        `PermissionError_` for a key of another kind and for a workspace that is not the key's.
        """
        latest = self._latest = max(self._latest, self._now())
        secret, refusal = credential(api_key, authorization)
        directory = await self._accounts.current()
        active = directory.active_secrets.get(hash_secret(secret))
        if active is None:
            raise AuthenticationError(refusal)
        if active.has_ended(latest):
            raise AuthenticationError("API key has expired")
        _check_kind(active.key, kind)
        if kind is KeyKind.ADMIN:
            return Caller(active.key, None, directory)
        return Caller(active.key, _workspace(active.key, workspace, directory), directory)


def credential(api_key: str | None, authorization: str | None) -> tuple[str, str]:
    """Return the secret of a request, and the message for an unknown one.

    Raises `NoKeyError` for a request without a secret.
    """
    if api_key is not None:
        return api_key, "invalid x-api-key"
    if authorization is None:
        raise NoKeyError("x-api-key header is required")
    scheme, secret = authorization[: len(BEARER)], authorization[len(BEARER) :].strip()
    if scheme.lower() != BEARER:
        raise AuthenticationError("Invalid authentication credentials")
    return secret, "Invalid bearer token"


def _check_kind(key: ApiKey, kind: KeyKind) -> None:
    if key.kind is kind:
        return
    if kind is KeyKind.ADMIN:
        raise PermissionError_("This endpoint needs an admin key; this key can only call models")
    raise PermissionError_("An admin key cannot call models; use an ordinary API key")


def _workspace(key: ApiKey, wanted: str | None, directory: Directory) -> str:
    """Return the workspace of a request: the key's own, or the one that the request names."""
    if key.workspace_id is not None:
        if wanted not in {None, key.workspace_id}:
            raise PermissionError_("anthropic-workspace-id: this key belongs to another workspace")
        return key.workspace_id
    if wanted is None:
        return directory.default_workspace.id
    workspace = directory.workspaces.get(wanted)
    if workspace is None or workspace.archived_at is not None:
        raise no_workspace()
    return workspace.id


def no_workspace() -> PermissionError_:
    """Return the refusal of a request in a workspace that is not there, or archived."""
    return PermissionError_("anthropic-workspace-id: no such workspace, or it is archived")
