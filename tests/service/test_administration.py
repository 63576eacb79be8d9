"""Accounts against a plain model of them: whatever is done in whatever order, refused or not.

The audit log is the second witness: every change has its line, and no refusal has one.
"""

import asyncio
import os
from collections.abc import Awaitable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from antiphon.core.errors import ApiError, InvalidRequestError, NotFoundError
from antiphon.core.ids import hash_secret
from antiphon.core.pagination import EVERYTHING, TokenCursor
from antiphon.service.accounts import establish
from antiphon.service.admin.administration import build_administration
from antiphon.service.admin.transactions import Actor, AdminTransactions
from antiphon.service.models import LimitGroups
from antiphon.settings import LimitSettings, ModelSettings
from antiphon.store.accounts import active_secrets
from antiphon.store.counters.memory import MemoryCounters
from antiphon.store.database.database import open_database, sqlite_url
from antiphon.store.database.migrations import migrate
from antiphon.store.listings import KeySelection
from antiphon.wire.admin.keys import CreateKeyParams, UpdateKeyParams, WorkspaceKeyScopeParam
from antiphon.wire.admin.limits import LimitParam
from antiphon.wire.admin.organizations import (
    AddMemberParams,
    CreateInviteParams,
    CreateWorkspaceParams,
    UpdateWorkspaceParams,
)
from support.examples import examples

NOON = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
INVITE_LIFE = timedelta(days=21)
ADMIN = Actor("api_key", "apikey_admin", "req_1")
NAMES = st.sampled_from(["a", "b", " c ", " ", "\t", "d\x00", "é", "x" * 40, "\u202eevil"])
EMAILS = st.sampled_from(["a@b.c", "A@B.C", "d@e.f"])
PLACES = st.integers(0, 3)


@dataclass
class Key:
    name: str
    workspace: str
    expires_at: datetime | None
    status: str = "active"
    secrets: dict[bytes, datetime | None] = field(default_factory=dict)

    def state(self, now: datetime) -> str:
        over = self.expires_at is not None and self.expires_at <= now
        return "expired" if over and self.status != "archived" else self.status


@dataclass
class Invite:
    email: str
    role: str
    until: datetime
    end: str | None = None

    def state(self, now: datetime) -> str:
        return self.end or ("pending" if now < self.until else "expired")


def readable(name: str) -> bool:
    return bool(name.strip()) and name.isprintable()


class Accounts(RuleBasedStateMachine):
    """What administrators do, to a real database and to dictionaries."""

    def __init__(self) -> None:
        super().__init__()
        self.now = NOON
        self.folder = TemporaryDirectory()
        self.runner = asyncio.Runner()
        self.keys: dict[str, Key] = {}
        self.workspaces: dict[str, list[Any]] = {}
        self.users: dict[str, list[str]] = {}
        self.invites: dict[str, Invite] = {}
        self.members: dict[tuple[str, str], str] = {}
        self.limits: dict[tuple[str, str], int] = {}
        self.lines: set[str] = set()
        self.run(self.open())

    def run(self, work: Awaitable[Any]) -> Any:
        async def whole() -> Any:
            return await work

        return self.runner.run(whole())

    async def open(self) -> None:
        self.database = await open_database(sqlite_url(Path(self.folder.name) / "antiphon.db"))
        await migrate(self.database)
        await establish(self.database, os.urandom, lambda: self.now)
        transactions = AdminTransactions(self.database, os.urandom, lambda: self.now)
        groups = LimitGroups([ModelSettings(id="small")])
        self.administration = build_administration(
            transactions, LimitSettings(), MemoryCounters(), lambda: groups
        )
        shown = await self.administration.workspaces.all(EVERYTHING, include_default=True)
        self.workspaces = {shown.data[0].id: ["Default", False]}

    def teardown(self) -> None:
        self.run(self.database.aclose())
        self.runner.close()
        self.folder.cleanup()

    # ── how everything is done

    def done(self, work: Awaitable[Any], refused: type[ApiError] | None, *lines: str) -> Any:
        """Do something: it is refused if it should be, and says in the log what it did."""
        found: ApiError | None = None
        answer: Any = None
        try:
            answer = self.run(work)
        except ApiError as error:
            found = error
        assert (type(found) if found else None) is refused, found or answer
        log = self.run(self.administration.audit.page(TokenCursor(1000))).data
        # By their ids: a clock that was set back has put them among older ones.
        new = [entry for entry in log if entry.id not in self.lines]
        assert sorted(entry.action for entry in new) == (sorted(lines) if refused is None else [])
        assert all(entry.actor == ADMIN.described and entry.before != entry.after for entry in new)
        self.lines |= {entry.id for entry in new}
        return answer

    def pick(self, things: dict[Any, Any], place: int) -> Any:
        """One of these, or what is none of them."""
        ids = list(things)
        return ids[place % len(ids)] if ids and place < 3 else "nothing\0"

    def archived(self, workspace: str) -> bool:
        return bool(self.workspaces[workspace][1])

    def is_fixed(self, workspace: str) -> bool:
        return workspace == self.default or self.archived(workspace)

    @property
    def default(self) -> str:
        return next(iter(self.workspaces))

    # ── time

    @rule(hours=st.sampled_from([-30, -1, 1, 30, 600]))
    def clock_jumps(self, hours: int) -> None:
        self.now += timedelta(hours=hours)

    # ── workspaces

    @rule(name=NAMES)
    def make_workspace(self, name: str) -> None:
        refused = None if readable(name) else InvalidRequestError
        work = self.administration.workspaces.create(ADMIN, CreateWorkspaceParams(name=name))
        if made := self.done(work, refused, "workspace.create"):
            self.workspaces[made.id] = [name.strip(), False]

    @rule(place=PLACES, name=NAMES)
    def rename_workspace(self, place: int, name: str) -> None:
        one = self.pick(self.workspaces, place)
        refused: type[ApiError] | None = None
        lines = ["workspace.update"]
        if one not in self.workspaces:
            refused = NotFoundError
        elif self.is_fixed(one) or not readable(name):
            refused = InvalidRequestError
        elif self.workspaces[one][0] == name.strip():
            lines = []
        work = self.administration.workspaces.update(ADMIN, one, UpdateWorkspaceParams(name=name))
        if self.done(work, refused, *lines):
            self.workspaces[one][0] = name.strip()

    @rule(place=PLACES)
    def archive_workspace(self, place: int) -> None:
        one = self.pick(self.workspaces, place)
        refused: type[ApiError] | None = None
        lines: list[str] = []
        theirs = [key for key in self.keys.values() if key.workspace == one]
        alive = [key for key in theirs if key.status != "archived"]
        if one not in self.workspaces:
            refused = NotFoundError
        elif one == self.default:
            refused = InvalidRequestError
        elif not self.archived(one):
            lines = ["workspace.archive", *("api_key.update" for _ in alive)]
        if self.done(self.administration.workspaces.archive(ADMIN, one), refused, *lines):
            self.workspaces[one][1] = True
            for key in alive:
                key.status = "archived"

    # ── keys

    @rule(place=PLACES, name=NAMES, life=st.sampled_from([None, 3600, 90_000]))
    def make_key(self, place: int, name: str, life: int | None) -> None:
        one = self.pick(self.workspaces, place)
        refused: type[ApiError] | None = None
        if one not in self.workspaces:
            refused = NotFoundError
        elif self.archived(one) or not readable(name):
            refused = InvalidRequestError
        params = CreateKeyParams(
            name=name, scope=WorkspaceKeyScopeParam(workspace_id=one), expires_in_seconds=life
        )
        work = self.administration.keys.create(ADMIN, params)
        if made := self.done(work, refused, "api_key.create"):
            end = None if life is None else self.now + timedelta(seconds=life)
            key = Key(name.strip(), one, end)
            key.secrets[hash_secret(made.secret)] = None
            self.keys[made.id] = key

    @rule(
        place=PLACES,
        name=st.none() | NAMES,
        status=st.sampled_from([None, "active", "inactive", "archived"]),
    )
    def change_key(self, place: int, name: str | None, status: Any) -> None:
        one = self.pick(self.keys, place)
        key = self.keys.get(one)
        refused: type[ApiError] | None = NotFoundError
        lines = ["api_key.update"]
        if key is not None:
            renamed = name is not None and name != key.name
            moved = status is not None and status != key.status
            wrong = renamed and not readable(str(name))
            dead = (renamed or moved) and key.status == "archived"
            late = moved and status == "active" and key.state(self.now) == "expired"
            refused = InvalidRequestError if wrong or dead or late else None
            if not moved and (not renamed or str(name).strip() == key.name):
                lines = []
        params = UpdateKeyParams(name=name, status=status)
        if self.done(self.administration.keys.update(ADMIN, one, params), refused, *lines):
            assert key is not None
            key.name = key.name if name is None else name.strip()
            key.status = status or key.status

    @rule(place=PLACES, grace=st.sampled_from([0, 3600, 90_000]))
    def rotate_key(self, place: int, grace: int) -> None:
        one = self.pick(self.keys, place)
        key = self.keys.get(one)
        refused: type[ApiError] | None = NotFoundError
        if key is not None:
            dead = key.state(self.now) in {"archived", "expired"}
            refused = InvalidRequestError if dead else None
        work = self.administration.keys.rotate(ADMIN, one, grace)
        if made := self.done(work, refused, "api_key.rotate"):
            assert key is not None
            end = self.now + timedelta(seconds=grace)
            key.secrets = {
                digest: end if until is None else min(until, end)
                for digest, until in key.secrets.items()
            }
            key.secrets[hash_secret(made.secret)] = None

    @rule(place=PLACES, of_key=st.booleans(), value=st.sampled_from([None, 5, 7]))
    def limit(self, place: int, of_key: bool, value: int | None) -> None:
        things: dict[str, Any] = self.keys if of_key else self.workspaces
        one = self.pick(things, place)
        refused: type[ApiError] | None = None
        if one not in things:
            refused = NotFoundError
        elif self.keys[one].status == "archived" if of_key else self.is_fixed(one):
            refused = InvalidRequestError
        kind = "api_key" if of_key else "workspace"
        lines = [] if self.limits.get((kind, one)) == value else ["rate_limit.update"]
        limits = [LimitParam(type="requests_per_minute", value=value)]
        rates = self.administration.rate_limits
        change = rates.set_for_key if of_key else rates.set_for_workspace
        if self.done(change(ADMIN, (one, "rl_small"), limits), refused, *lines):
            self.limits.pop((kind, one), None)
            if value is not None:
                self.limits[(kind, one)] = value

    # ── people

    @rule(email=EMAILS)
    def invite(self, email: str) -> None:
        low = email.lower()
        known = any(user[0] == low for user in self.users.values())
        waits = any(
            one.email == low and one.state(self.now) == "pending" for one in self.invites.values()
        )
        refused = InvalidRequestError if known or waits else None
        params = CreateInviteParams(email=email, role="user")
        work = self.administration.people.send_invite(ADMIN, params)
        if made := self.done(work, refused, "invite.create"):
            self.invites[made.id] = Invite(low, "user", self.now + INVITE_LIFE)

    @rule(place=PLACES, name=NAMES)
    def accept(self, place: int, name: str) -> None:
        one = self.pick(self.invites, place)
        invite = self.invites.get(one)
        refused: type[ApiError] | None = NotFoundError
        if invite is not None:
            known = any(user[0] == invite.email for user in self.users.values())
            fit = invite.state(self.now) == "pending" and not known and readable(name)
            refused = None if fit else InvalidRequestError
        work = self.administration.people.accept(ADMIN, one, name)
        if user := self.done(work, refused, "user.create"):
            assert invite is not None
            invite.end = "accepted"
            self.users[user.id] = [invite.email, invite.role]

    @rule(place=PLACES)
    def take_back(self, place: int) -> None:
        one = self.pick(self.invites, place)
        invite = self.invites.get(one)
        refused: type[ApiError] | None = NotFoundError
        if invite is not None:
            refused = None if invite.end is None else InvalidRequestError
        if self.done(self.administration.people.take_back(ADMIN, one), refused, "invite.delete"):
            assert invite is not None
            invite.end = "deleted"

    @rule(place=PLACES, role=st.sampled_from(["user", "billing"]))
    def change_role(self, place: int, role: Any) -> None:
        one = self.pick(self.users, place)
        refused = None if one in self.users else NotFoundError
        same = one in self.users and self.users[one][1] == role
        lines = [] if same else ["user.update"]
        if self.done(self.administration.people.change_role(ADMIN, one, role), refused, *lines):
            self.users[one][1] = role

    @precondition(lambda self: self.users)
    @rule(place=PLACES)
    def remove_user(self, place: int) -> None:
        one = self.pick(self.users, place)
        refused = None if one in self.users else NotFoundError
        places = [member for member in self.members if member[1] == one]
        lines = ["user.delete", *("workspace_member.delete" for _ in places)]
        if self.done(self.administration.people.remove(ADMIN, one), refused, *lines):
            del self.users[one]
            for member in places:
                del self.members[member]

    @precondition(lambda self: self.users)
    @rule(place=PLACES, user=PLACES, role=st.sampled_from(["workspace_user", "workspace_admin"]))
    def join(self, place: int, user: int, role: Any) -> None:
        workspace, who = self.pick(self.workspaces, place), self.pick(self.users, user)
        refused: type[ApiError] | None = None
        if workspace not in self.workspaces:
            refused = NotFoundError
        elif self.is_fixed(workspace):
            refused = InvalidRequestError
        elif who not in self.users:
            refused = NotFoundError
        elif (workspace, who) in self.members:
            refused = InvalidRequestError
        params = AddMemberParams(user_id=who, workspace_role=role)
        work = self.administration.workspaces.add_member(ADMIN, workspace, params)
        if self.done(work, refused, "workspace_member.create"):
            self.members[(workspace, who)] = role

    @precondition(lambda self: self.members)
    @rule(
        place=PLACES,
        role=st.sampled_from([None, "workspace_user", "workspace_restricted_developer"]),
    )
    def change_member(self, place: int, role: Any) -> None:
        """Give a member another role, or with `None` take it out."""
        one = self.pick(self.members, place)
        workspace, user = one if one in self.members else (self.default, "nobody")
        refused: type[ApiError] | None = None if one in self.members else NotFoundError
        if self.archived(workspace):
            refused = InvalidRequestError
        workspaces = self.administration.workspaces
        if role is None:
            work: Awaitable[Any] = workspaces.remove_member(ADMIN, workspace, user)
            lines = ["workspace_member.delete"]
        else:
            work = workspaces.change_member(ADMIN, workspace, user, role)
            lines = [] if self.members.get(one) == role else ["workspace_member.update"]
        if self.done(work, refused, *lines):
            self.members.pop((workspace, user))
            if role is not None:
                self.members[(workspace, user)] = role

    # ── what is so afterwards

    @invariant()
    def everything_is_as_the_model_says(self) -> None:
        assert self.run(self.state()) == (
            {one: (key.name, key.state(self.now), key.workspace) for one, key in self.keys.items()},
            {one: tuple(workspace) for one, workspace in self.workspaces.items()},
            {one: tuple(user) for one, user in self.users.items()},
            {one: invite.state(self.now) for one, invite in self.invites.items()},
            self.members,
            {
                digest: until
                for key in self.keys.values()
                if key.status == "active"
                for digest, until in key.secrets.items()
            },
        )

    async def state(self) -> Any:
        administration = self.administration
        keys = (await administration.keys.all(EVERYTHING, KeySelection())).data
        places = await administration.workspaces.all(
            EVERYTHING, include_archived=True, include_default=True
        )
        invites = await administration.people.invites(
            EVERYTHING, statuses=("pending", "accepted", "expired", "deleted")
        )
        members = [
            one
            for place in places.data
            for one in (await administration.workspaces.members(place.id, EVERYTHING)).data
        ]
        async with self.database.read() as connection:
            opening_secrets = await active_secrets(connection)
        return (
            {key.id: (key.name, key.status, key.scope.workspace_id) for key in keys},
            {one.id: (one.name, one.archived_at is not None) for one in places.data},
            {
                user.id: (user.email, user.role)
                for user in (await administration.people.users(EVERYTHING)).data
            },
            {one.id: one.status for one in invites.data},
            {(one.workspace_id, one.user_id): one.workspace_role for one in members},
            {digest: secret.valid_until for digest, secret in opening_secrets.items()},
        )


TestAccounts = Accounts.TestCase
TestAccounts.settings = settings(max_examples=examples(0.12), stateful_step_count=40, deadline=None)
