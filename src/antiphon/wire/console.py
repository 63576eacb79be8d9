"""Requests and answers of the Console: signing in, sessions, passwords. All are our own."""

from typing import Annotated, Literal, TypeAlias

from msgspec import Meta

from antiphon.wire.admin.organizations import (
    Email,
    OrganizationInfo,
    PersonName,
    UserInfo,
    WorkspaceRole,
)
from antiphon.wire.base import AnswerStruct, Param

# A password that is to be set. Its characters are free (NIST SP 800-63B).
NewPassword: TypeAlias = Annotated[str, Meta(min_length=10, max_length=1024)]
# A password as somebody types it at sign-in: a wrong one of any length is just wrong.
GivenPassword: TypeAlias = Annotated[str, Meta(max_length=1024)]
# The token of a one-time link.
Token: TypeAlias = Annotated[str, Meta(min_length=1, max_length=256)]


class SetUpParams(Param, kw_only=True, frozen=True):
    """The first administrator, by the link that a new server prints."""

    token: Token
    email: Email
    name: PersonName
    password: NewPassword


class SignInParams(Param, kw_only=True, frozen=True):
    email: Annotated[str, Meta(max_length=254)]
    password: GivenPassword


class SignInByLinkParams(Param, kw_only=True, frozen=True):
    token: Token


class AcceptByLinkParams(Param, kw_only=True, frozen=True):
    """The name and the password of an invited person, by the link of the invite."""

    token: Token
    name: PersonName
    password: NewPassword


class ChangePasswordParams(Param, kw_only=True, frozen=True):
    """A session that has just begun with a link needs no `current_password`."""

    current_password: GivenPassword | None = None
    new_password: NewPassword


class OidcAnswerParams(Param, kw_only=True, frozen=True):
    """What the OpenID provider has sent back by the browser (RFC 6749, 4.1.2; RFC 9207)."""

    code: Annotated[str, Meta(min_length=1, max_length=8192)]
    state: Annotated[str, Meta(min_length=1, max_length=256)]
    iss: Annotated[str, Meta(max_length=512)] | None = None


class LinkIdentityParams(Param, kw_only=True, frozen=True):
    """A session that has just begun with a link needs no `current_password`."""

    current_password: GivenPassword | None = None


class OidcInfo(AnswerStruct, kw_only=True, frozen=True):
    """The OpenID provider by which people can sign in."""

    name: str


class ConsoleInfo(AnswerStruct, kw_only=True, frozen=True):
    """What a page needs to know before anybody has signed in."""

    type: Literal["console"] = "console"
    version: str
    setup_needed: bool
    passwords: bool = True
    oidc: OidcInfo | None = None


class OidcRequest(AnswerStruct, kw_only=True, frozen=True):
    """Where the browser signs in. It keeps a cookie until it comes back."""

    type: Literal["oidc_request"] = "oidc_request"
    url: str


class OidcSignedOut(AnswerStruct, kw_only=True, frozen=True):
    """The session has ended here. At `url` the browser ends the one at the provider.

    `url` is null if the provider cannot be reached.
    """

    type: Literal["oidc_signed_out"] = "oidc_signed_out"
    url: str | None


class IdentityInfo(AnswerStruct, kw_only=True, frozen=True):
    """By what a user can sign in; `linked_at` is null without an account at the provider."""

    type: Literal["identity"] = "identity"
    has_password: bool
    linked_at: str | None = None


class SessionWorkspace(AnswerStruct, kw_only=True, frozen=True):
    """A workspace in which a session can act; the role is `null` without a membership."""

    id: str
    name: str
    workspace_role: WorkspaceRole | None
    is_default: bool


class SessionInfo(AnswerStruct, kw_only=True, frozen=True):
    """A signed-in user, and what the user may do. `expires_at` is the latest end.

    `sign_out_of` names the OpenID provider at which the session can be ended too.
    """

    type: Literal["session"] = "session"
    user: UserInfo
    organization: OrganizationInfo
    permissions: tuple[str, ...]
    workspaces: tuple[SessionWorkspace, ...]
    expires_at: str
    sign_out_of: str | None = None


class SessionDeleted(AnswerStruct, kw_only=True, frozen=True):
    type: Literal["session_deleted"] = "session_deleted"
