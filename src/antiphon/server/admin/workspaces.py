"""`/v1/organizations/workspaces`: workspaces and their members."""

from antiphon.server.http.requests import Request
from antiphon.server.http.selections import read_selection
from antiphon.service.admin.administration import Administration
from antiphon.store.listings import MEMBER_ORDERS, WORKSPACE_ORDERS
from antiphon.wire.admin.organizations import (
    AddMemberParams,
    CreateWorkspaceParams,
    Listing,
    MemberDeleted,
    MemberInfo,
    NoParams,
    UpdateMemberParams,
    UpdateWorkspaceParams,
    WorkspaceInfo,
)


class WorkspaceEndpoints:
    """The endpoints of workspaces and members."""

    def __init__(self, administration: Administration) -> None:
        self._workspaces = administration.workspaces

    async def list_workspaces(self, request: Request[None]) -> Listing:
        query = request.query
        return await self._workspaces.all(
            query.by_ids(),
            include_archived=query.flag("include_archived"),
            include_default=query.flag("include_default"),
            wanted=read_selection(query),
            reach=request.reach,
            order=query.order(WORKSPACE_ORDERS),
        )

    async def create_workspace(self, request: Request[CreateWorkspaceParams]) -> WorkspaceInfo:
        return await self._workspaces.create(request.actor, request.params)

    async def show_workspace(self, request: Request[None]) -> WorkspaceInfo:
        return await self._workspaces.one(request.path("workspace"), request.reach)

    async def update_workspace(self, request: Request[UpdateWorkspaceParams]) -> WorkspaceInfo:
        workspace = request.path("workspace")
        return await self._workspaces.update(request.actor, workspace, request.params)

    async def archive_workspace(self, request: Request[NoParams]) -> WorkspaceInfo:
        return await self._workspaces.archive(request.actor, request.path("workspace"))

    async def list_members(self, request: Request[None]) -> Listing:
        query = request.query
        return await self._workspaces.members(
            request.path("workspace"),
            query.by_ids(),
            read_selection(query),
            query.order(MEMBER_ORDERS),
            request.reach,
        )

    async def add_member(self, request: Request[AddMemberParams]) -> MemberInfo:
        workspace = request.path("workspace")
        return await self._workspaces.add_member(
            request.actor, workspace, request.params, request.reach
        )

    async def show_member(self, request: Request[None]) -> MemberInfo:
        workspace, user = request.path("workspace"), request.path("user")
        return await self._workspaces.member(workspace, user, request.reach)

    async def update_member(self, request: Request[UpdateMemberParams]) -> MemberInfo:
        return await self._workspaces.change_member(
            request.actor,
            request.path("workspace"),
            request.path("user"),
            request.params.workspace_role,
            request.reach,
        )

    async def remove_member(self, request: Request[None]) -> MemberDeleted:
        return await self._workspaces.remove_member(
            request.actor, request.path("workspace"), request.path("user"), request.reach
        )
