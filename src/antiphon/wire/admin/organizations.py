"""Requests and answers of the Admin API: the organization, its people and its workspaces."""

from typing import Annotated, Any, Literal, TypeAlias

from msgspec import UNSET, Meta, UnsetType

from antiphon.wire.base import AnswerStruct, NonEmptyStr, Param

# The roles that the API sets; only the command line sets `admin`.
GivenRole: TypeAlias = Literal["billing", "claude_code_user", "developer", "managed", "user"]
Role: TypeAlias = Literal["billing", "claude_code_user", "developer", "managed", "user", "admin"]
WorkspaceRole: TypeAlias = Literal[
    "workspace_admin", "workspace_developer", "workspace_restricted_developer", "workspace_user"
]
InviteStatus: TypeAlias = Literal["accepted", "deleted", "expired", "pending"]
Email: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^[^@\s]+@[^@\s]+\.[^@\s]+\Z",
        max_length=254,
        extra={"pattern": "value is not a valid email address"},
    ),
]
Color: TypeAlias = Annotated[
    str,
    Meta(
        pattern=r"^#[0-9A-Fa-f]{6}\Z",
        extra={"pattern": "String should match pattern '^#[0-9A-Fa-f]{6}$'"},
    ),
]
WorkspaceName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=40)]
PersonName: TypeAlias = Annotated[str, Meta(min_length=1, max_length=200)]


class NoParams(Param, kw_only=True, frozen=True):
    """A body without fields: the path identifies the whole request."""


class OrganizationInfo(AnswerStruct, kw_only=True, frozen=True):
    """The organization that an admin key belongs to."""

    id: str
    type: Literal["organization"] = "organization"
    name: str


class UserInfo(AnswerStruct, kw_only=True, frozen=True):
    """A user of the organization."""

    id: str
    type: Literal["user"] = "user"
    email: str
    name: str
    role: Role
    added_at: str


class UserName(AnswerStruct, kw_only=True, frozen=True):
    """The name of a user, without the address. Not a part of the Claude API."""

    id: str
    type: Literal["user_name"] = "user_name"
    name: str


class UserSignedOut(AnswerStruct, kw_only=True, frozen=True):
    """How many sessions of a user have ended. Not a part of the Claude API."""

    id: str
    type: Literal["user_signed_out"] = "user_signed_out"
    sessions: int


class UpdateUserParams(Param, kw_only=True, frozen=True):
    role: GivenRole


class CreateUserParams(Param, kw_only=True, frozen=True):
    """A user without an invite. Only the command line creates one, and only it creates admins."""

    email: Email
    name: PersonName
    role: Role


class InviteInfo(AnswerStruct, kw_only=True, frozen=True):
    """An invitation to become a user. Its `link` is shown once, to whoever has created it."""

    id: str
    type: Literal["invite"] = "invite"
    email: str
    role: Role
    status: InviteStatus
    invited_at: str
    expires_at: str
    accepted_at: str | None
    rbac_group_ids: tuple[str, ...] = ()
    link: str | UnsetType = UNSET


class CreateInviteParams(Param, kw_only=True, frozen=True):
    email: Email
    role: GivenRole
    rbac_group_ids: Annotated[list[str], Meta(max_length=0)] | None = None


class AcceptInviteParams(Param, kw_only=True, frozen=True):
    """The name of the invited person. Not a part of the Claude API, where people sign in."""

    name: PersonName


class DataResidency(AnswerStruct, kw_only=True, frozen=True):
    """The location of a workspace's data, as constants that all clients know."""

    workspace_geo: Literal["us"] = "us"
    allowed_inference_geos: Literal["unrestricted"] = "unrestricted"
    default_inference_geo: Literal["global"] = "global"


class WorkspaceInfo(AnswerStruct, kw_only=True, frozen=True):
    """A workspace. All keys are always present."""

    id: str
    type: Literal["workspace"] = "workspace"
    name: str
    display_color: str
    created_at: str
    archived_at: str | None
    compartment_id: str
    data_residency: DataResidency = DataResidency()
    tags: dict[str, str]
    external_key_id: None = None
    user_profile_id: None = None


class DataResidencyParam(Param, kw_only=True, frozen=True):
    """The requested location of a workspace's data; only the values of `DataResidency` pass."""

    workspace_geo: Literal["us"] | None = None
    allowed_inference_geos: Literal["unrestricted"] | None = None
    default_inference_geo: Literal["global"] | None = None


class CreateWorkspaceParams(Param, kw_only=True, frozen=True):
    """`external_key_id` and `user_profile_id` are decoded only to be refused by name."""

    name: WorkspaceName
    display_color: Color | None = None
    data_residency: DataResidencyParam | None = None
    tags: dict[str, Any] | None = None
    external_key_id: NonEmptyStr | None = None
    user_profile_id: NonEmptyStr | None = None


class UpdateWorkspaceParams(Param, kw_only=True, frozen=True):
    """Changes of a workspace. An absent field stays unchanged. A tag of `null` is removed."""

    name: WorkspaceName | UnsetType = UNSET
    display_color: Color | UnsetType = UNSET
    data_residency: DataResidencyParam | None = None
    tags: dict[str, Any] | None = None
    external_key_id: NonEmptyStr | None = None
    user_profile_id: NonEmptyStr | None = None


class MemberInfo(AnswerStruct, kw_only=True, frozen=True):
    """The membership of a user in a workspace."""

    type: Literal["workspace_member"] = "workspace_member"
    user_id: str
    workspace_id: str
    workspace_role: WorkspaceRole


class AddMemberParams(Param, kw_only=True, frozen=True):
    user_id: NonEmptyStr
    workspace_role: WorkspaceRole


class UpdateMemberParams(Param, kw_only=True, frozen=True):
    workspace_role: WorkspaceRole


class Deleted(AnswerStruct, kw_only=True, frozen=True):
    """The confirmation of a deletion."""

    id: str
    type: Literal["user_deleted", "invite_deleted", "spend_limit_deleted"]


class MemberDeleted(AnswerStruct, kw_only=True, frozen=True):
    type: Literal["workspace_member_deleted"] = "workspace_member_deleted"
    user_id: str
    workspace_id: str


class AuditInfo(AnswerStruct, kw_only=True, frozen=True):
    """One administrative change: its actor, and the object before and after it.

    `scope` says of a limit whose it is, in the form of a spend limit's `scope`.
    """

    id: str
    type: Literal["audit_log_entry"] = "audit_log_entry"
    created_at: str
    actor: dict[str, Any]
    action: str
    object: dict[str, str]
    scope: dict[str, Any] | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    request_id: str | None


class Listing(AnswerStruct, kw_only=True, frozen=True):
    """One page of a listing that is walked by ids."""

    data: tuple[Any, ...]
    has_more: bool
    first_id: str | None
    last_id: str | None


class TokenListing(AnswerStruct, kw_only=True, frozen=True):
    """One page of a listing that is walked by tokens."""

    data: tuple[Any, ...]
    next_page: str | None
