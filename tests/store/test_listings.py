"""Listings that are sorted and filtered in the database, beside a naive list."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import anyio
import pytest
from anyio import from_thread, to_thread
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from sqlalchemy import text

from antiphon.core.errors import InvalidRequestError
from antiphon.core.ids import hash_secret
from antiphon.core.names import folded
from antiphon.core.pagination import EVERYTHING, IdCursor, ListOrder
from antiphon.store.accounts import ApiKey, KeyKind, KeyStatus, add_key, change_key, note_use
from antiphon.store.audit import AuditEntry, AuditFilter, add_audit_entry, list_audit_entries
from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.database import Database
from antiphon.store.database.pages import Page
from antiphon.store.listings import (
    INVITE_ORDERS,
    KEY_ORDERS,
    USER_ORDERS,
    WORKSPACE_ORDERS,
    KeySelection,
    Selection,
    page_of_invites,
    page_of_keys,
    page_of_members,
    page_of_users,
    page_of_workspaces,
)
from antiphon.store.organizations import Invite, User, add_invite, add_user
from antiphon.store.workspaces import Member, Workspace, add_member, add_workspace, change_workspace
from support.examples import examples

pytestmark = pytest.mark.anyio

NOON = datetime(2026, 11, 22, 12, tzinfo=UTC)
HOUR = timedelta(hours=1)
# Names in several cases, spellings and scripts, and with what LIKE takes for a pattern.
NAMES = ("Ärzte", "äpfel", "zebra", "Zoo", "100%", "a_b", "aXb", "Straße", "\\o/", "ﬁn", "日本")
PARTS = ("ä", "Z", "%", "_", "ss", "SS", "\\", "/", "fin", "本", "x", "nothing", "HINT-3")
ROLES = ("user", "developer")
STATUSES = ("active", "inactive", "archived", "expired")
# Where ids decide, they are compared; PostgreSQL sorts such ids like Python does.
NUMBERS = range(24)

WORKSPACES = [
    Workspace(
        id=f"wrkspc_{number:02}",
        name=NAMES[number % len(NAMES)],
        display_color="#123456",
        created_at=NOON + number // 2 * HOUR,
        is_default=number == 0,
        archived_at=NOON if number % 5 == 4 else None,
    )
    for number in NUMBERS
]
KEYS = [
    ApiKey(
        id=f"apikey_{number:02}",
        name=NAMES[number * 7 % len(NAMES)],
        hint=f"sk-Hint-{number}...x",
        created_at=NOON + number // 3 * HOUR,
        kind=KeyKind.ADMIN if number % 8 == 7 else KeyKind.API,
        status=(KeyStatus.ACTIVE, KeyStatus.INACTIVE, KeyStatus.ARCHIVED)[number % 3],
        workspace_id=None if number % 4 == 3 else f"wrkspc_{number % 4:02}",
        created_by=(None, "user_a", "user_b")[number // 2 % 3],
        expires_at=None if number % 2 else NOON + (number % 6 - 2) * HOUR,
        last_used_at=None if number % 3 == 1 else NOON - number % 5 * HOUR,
    )
    for number in NUMBERS
]
USERS = [
    User(
        id=f"user_{number:02}",
        email=f"{'abc'[number % 3]}_{number}@example.org",
        name=NAMES[number * 5 % len(NAMES)],
        role=ROLES[number % 2],
        added_at=NOON + number // 4 * HOUR,
    )
    for number in NUMBERS
]
INVITES = [
    Invite(
        id=f"invite_{number:02}",
        email=f"{'abc'[number % 3]}_{number % 7}@example.org",
        role=ROLES[number % 2],
        invited_at=NOON + number // 3 * HOUR,
        expires_at=NOON + (number % 5 - 2) * HOUR,
        accepted_at=NOON if number % 4 == 1 else None,
        deleted_at=NOON if number % 6 == 5 else None,
    )
    for number in NUMBERS
]
MEMBERS = [
    Member(
        workspace_id="wrkspc_01",
        user_id=user.id,
        workspace_role="workspace_user",
        added_at=NOON + number // 5 * HOUR,
    )
    for number, user in enumerate(USERS)
]
MOMENTS = st.none() | st.integers(-1, 9).map(lambda hours: NOON + hours * HOUR)
SELECTIONS: dict[str, st.SearchStrategy[Any]] = {
    "contains": st.none() | st.sampled_from(PARTS),
    "start": MOMENTS,
    "end": MOMENTS,
}


class Asked(NamedTuple):
    """A listing that is asked for, with the rows of a naive list in its order."""

    expected: Sequence[Any]
    seen: Sequence[Any]
    page: Callable[[AsyncConnection, IdCursor], Awaitable[Page[Any]]]
    id_of: Callable[[Any], str] = lambda one: str(one.id)


def ordered(rows: Sequence[Any], value: Callable[[Any], Any], order: ListOrder) -> list[Any]:
    return sorted(rows, key=lambda row: (value(row), row.id), reverse=order.is_descending)


def is_selected(wanted: Selection, at: datetime, ids: str, *texts: str) -> bool:
    part = None if wanted.contains is None else folded(wanted.contains)
    return (
        (not wanted.ids or ids in wanted.ids)
        and (part is None or any(part in one for one in texts))
        and (wanted.start is None or at >= wanted.start)
        and (wanted.end is None or at < wanted.end)
    )


def status_of(key: ApiKey) -> str:
    has_ended = key.expires_at is not None and key.expires_at <= NOON
    return "expired" if has_ended and key.status is not KeyStatus.ARCHIVED else key.status


KEY_VALUES: dict[str, Callable[[ApiKey], Any]] = {
    "created_at": lambda key: key.created_at,
    "name": lambda key: folded(key.name),
    "last_used_at": lambda key: key.last_used_at or datetime.min.replace(tzinfo=UTC),
    "expires_at": lambda key: key.expires_at or datetime.max.replace(tzinfo=UTC),
}


@st.composite
def listings_of_keys(draw: st.DrawFn) -> Asked:
    order = ListOrder(draw(st.none() | st.sampled_from(KEY_ORDERS)), draw(st.booleans()))
    reach = draw(st.none() | st.sets(st.sampled_from(["wrkspc_00", "wrkspc_01", "wrkspc_02"])))
    wanted = KeySelection(
        **{name: draw(values) for name, values in SELECTIONS.items()},
        ids=draw(st.just(()) | st.sets(st.sampled_from([key.id for key in KEYS]))),
        status=draw(st.none() | st.sampled_from(STATUSES)),
        workspace_id=draw(st.none() | st.just("wrkspc_01")),
        created_by=draw(st.none() | st.just("user_a")),
    )
    seen = [
        key
        for key in KEYS
        if key.kind is KeyKind.API and (reach is None or key.workspace_id in reach)
    ]
    expected = [
        key
        for key in seen
        if is_selected(wanted, key.created_at, key.id, folded(key.name), key.hint.lower())
        and wanted.status in {None, status_of(key)}
        and wanted.workspace_id in {None, key.workspace_id}
        and wanted.created_by in {None, key.created_by}
    ]

    async def page(connection: AsyncConnection, cursor: IdCursor) -> Page[ApiKey]:
        return await page_of_keys(
            connection,
            cursor,
            wanted,
            NOON,
            kinds=[KeyKind.API],
            workspace_ids=reach,
            order=order,
        )

    value = KEY_VALUES[order.by or "created_at"]
    return Asked(ordered(expected, value, order), ordered(seen, value, order), page)


@st.composite
def listings_of_workspaces(draw: st.DrawFn) -> Asked:
    order = ListOrder(draw(st.none() | st.sampled_from(WORKSPACE_ORDERS)), draw(st.booleans()))
    reach = draw(st.none() | st.sets(st.sampled_from([one.id for one in WORKSPACES])))
    wanted = Selection(**{name: draw(values) for name, values in SELECTIONS.items()})
    archived, default = draw(st.booleans()), draw(st.booleans())
    seen = [one for one in WORKSPACES if reach is None or one.id in reach]
    expected = [
        one
        for one in seen
        if is_selected(wanted, one.created_at, one.id, folded(one.name))
        and (archived or one.archived_at is None)
        and (default or not one.is_default)
    ]

    async def page(connection: AsyncConnection, cursor: IdCursor) -> Page[Workspace]:
        return await page_of_workspaces(
            connection,
            cursor,
            wanted,
            include_archived=archived,
            include_default=default,
            workspace_ids=reach,
            order=order,
        )

    def value(one: Workspace) -> Any:
        return folded(one.name) if order.by == "name" else one.created_at

    return Asked(ordered(expected, value, order), ordered(seen, value, order), page)


@st.composite
def listings_of_users(draw: st.DrawFn) -> Asked:
    order = ListOrder(draw(st.none() | st.sampled_from(USER_ORDERS)), draw(st.booleans()))
    wanted = Selection(**{name: draw(values) for name, values in SELECTIONS.items()})
    roles = draw(st.just(()) | st.sets(st.sampled_from(ROLES)))
    email = draw(st.none() | st.just("A_3@EXAMPLE.org"))
    expected = [
        one
        for one in USERS
        if is_selected(wanted, one.added_at, one.id, folded(one.name), one.email)
        and (not roles or one.role in roles)
        and (email is None or one.email == email.lower())
    ]

    async def page(connection: AsyncConnection, cursor: IdCursor) -> Page[User]:
        return await page_of_users(
            connection, cursor, wanted, email=email, roles=roles, order=order
        )

    def value(one: User) -> Any:
        return {"name": folded(one.name), "email": one.email}.get(order.by or "", one.added_at)

    return Asked(ordered(expected, value, order), ordered(USERS, value, order), page)


def invite_status(one: Invite) -> str:
    if one.deleted_at is not None:
        return "deleted"
    if one.accepted_at is not None:
        return "accepted"
    return "pending" if one.expires_at > NOON else "expired"


@st.composite
def listings_of_invites(draw: st.DrawFn) -> Asked:
    order = ListOrder(draw(st.none() | st.sampled_from(INVITE_ORDERS)), draw(st.booleans()))
    wanted = Selection(**{name: draw(values) for name, values in SELECTIONS.items()})
    every = st.sampled_from(["deleted", "accepted", "pending", "expired"])
    statuses = draw(st.just(()) | st.sets(every))
    roles = draw(st.just(()) | st.just(("user",)))
    email = draw(st.none() | st.just("b_4@example.org"))
    expected = [
        one
        for one in INVITES
        if is_selected(wanted, one.invited_at, one.id, one.email)
        and (not statuses or invite_status(one) in statuses)
        and (not roles or one.role in roles)
        and email in {None, one.email}
    ]

    async def page(connection: AsyncConnection, cursor: IdCursor) -> Page[Invite]:
        return await page_of_invites(
            connection,
            cursor,
            NOON,
            wanted,
            email=email,
            roles=roles,
            statuses=statuses,
            order=order,
        )

    def value(one: Invite) -> Any:
        return one.email if order.by == "email" else one.invited_at

    return Asked(ordered(expected, value, order), ordered(INVITES, value, order), page)


@st.composite
def listings_of_members(draw: st.DrawFn) -> Asked:
    order = ListOrder(None, draw(st.booleans()))
    wanted = Selection(**{name: draw(values) for name, values in SELECTIONS.items()})
    named = {
        user.id
        for user in USERS
        if is_selected(
            replace(wanted, start=None, end=None), NOON, "", user.folded_name, user.email
        )
    }
    expected = [
        one
        for one in MEMBERS
        if is_selected(replace(wanted, contains=None), one.added_at, one.user_id)
        and one.user_id in named
    ]

    async def page(connection: AsyncConnection, cursor: IdCursor) -> Page[Member]:
        return await page_of_members(connection, cursor, "wrkspc_01", wanted, order=order)

    def by_time(rows: Sequence[Member]) -> list[Member]:
        return sorted(
            rows, key=lambda one: (one.added_at, one.user_id), reverse=order.is_descending
        )

    return Asked(by_time(expected), by_time(MEMBERS), page, lambda one: str(one.user_id))


@pytest.fixture
async def filled(database: Database) -> Database:
    async with database.write() as connection:
        for workspace in WORKSPACES:
            await add_workspace(connection, workspace)
        for key in KEYS:
            await add_key(connection, key, hash_secret(key.id))
        for user in USERS:
            await add_user(connection, user)
        for invite in INVITES:
            await add_invite(connection, invite)
        for member in MEMBERS:
            await add_member(connection, member)
    return database


async def walked(database: Database, asked: Asked, limit: int, *, backwards: bool) -> list[Any]:
    """Return all rows of a listing, read a page at a time, from either of its ends."""
    rows: list[Any] = []
    # Backwards from the last row that there is, if it is asked for or not.
    edge = asked.id_of(asked.seen[-1]) if backwards else None
    async with database.read() as connection:
        while True:
            cursor = IdCursor(limit, None, edge) if backwards else IdCursor(limit, edge)
            page = await asked.page(connection, cursor)
            assert len(page.records) == limit if page.has_more else len(page.records) <= limit
            rows = [*page.records, *rows] if backwards else [*rows, *page.records]
            if not page.has_more:
                return rows
            edge = asked.id_of(page.records[0] if backwards else page.records[-1])


@pytest.mark.parametrize(
    "listings",
    [
        listings_of_keys,
        listings_of_workspaces,
        listings_of_users,
        listings_of_invites,
        listings_of_members,
    ],
)
async def test_listing_is_that_of_a_naive_list(
    filled: Database, listings: Callable[[], st.SearchStrategy[Asked]]
) -> None:
    @settings(max_examples=examples(0.4), deadline=None)
    @given(listings(), st.integers(1, 9))
    def check(asked: Asked, limit: int) -> None:
        async def compare() -> None:
            assert await walked(filled, asked, limit, backwards=False) == asked.expected
            if asked.seen:
                before = asked.expected
                if before and before[-1] == asked.seen[-1]:
                    before = before[:-1]
                assert await walked(filled, asked, limit, backwards=True) == before
            async with filled.read() as connection:
                whole = await asked.page(connection, EVERYTHING)
            assert list(whole.records) == asked.expected

        from_thread.run(compare)

    await to_thread.run_sync(check)


async def test_members_are_found_by_their_names_alone_where_addresses_are_hidden(
    filled: Database,
) -> None:
    async with filled.read() as connection:
        for part, found in (("example.org", 0), ("zoo", 2)):
            page = await page_of_members(
                connection, IdCursor(), "wrkspc_01", Selection(contains=part), by_address=False
            )
            assert len(page.records) == found


async def test_cursor_out_of_sight_is_refused(filled: Database) -> None:
    admin = next(key.id for key in KEYS if key.kind is KeyKind.ADMIN)
    for edge in (admin, "apikey_none", "a\0b"):
        async with filled.read() as connection:
            with pytest.raises(InvalidRequestError, match="before_id: no such id"):
                await page_of_keys(
                    connection,
                    IdCursor(before_id=edge),
                    KeySelection(),
                    NOON,
                    kinds=[KeyKind.API],
                )


async def names_like(database: Database, part: str) -> set[str]:
    async with database.read() as connection:
        keys = await page_of_keys(
            connection, IdCursor(), KeySelection(contains=part), NOON, kinds=[KeyKind.API]
        )
        spaces = await page_of_workspaces(connection, IdCursor(), Selection(contains=part))
    return {*(one.name for one in keys.records), *(one.name for one in spaces.records)}


async def test_renamed_things_are_found_by_their_new_names(filled: Database) -> None:
    async with filled.write() as connection:
        await change_key(connection, "apikey_00", {"name": "Ölkanne"})
        await change_workspace(connection, "wrkspc_01", {"name": "ÖLBERG"})
        await change_workspace(connection, "wrkspc_02", {"display_color": "#000000"})
    assert await names_like(filled, "öl") == {"Ölkanne", "ÖLBERG"}


async def test_last_use_of_a_key_moves_it_in_its_order(filled: Database) -> None:
    async with filled.write() as connection:
        await note_use(connection, {"apikey_04": NOON + 9 * HOUR})
    async with filled.read() as connection:
        page = await page_of_keys(
            connection,
            IdCursor(1),
            KeySelection(),
            NOON,
            kinds=[KeyKind.API],
            order=ListOrder("last_used_at"),
        )
    assert [key.id for key in page.records] == ["apikey_04"]


ENTRIES = [
    AuditEntry(
        id=f"audit_{number:02}",
        at=NOON + number // 3 * HOUR,
        actor={"type": "user", "id": f"user_{number % 3}"} if number % 4 else {"type": "server"},
        action=("api_key.create", "user.create")[number % 2],
        object_type="api_key",
        object_id=f"apikey_{number % 5}",
    )
    for number in NUMBERS
]
AUDIT_FILTERS = st.builds(
    AuditFilter,
    object_id=st.none() | st.just("apikey_1"),
    actor_id=st.none() | st.just("user_1"),
    action=st.none() | st.just("user.create"),
    start=MOMENTS,
    end=MOMENTS,
)


async def test_audit_log_is_that_of_a_naive_list(database: Database) -> None:
    async with database.write() as connection:
        for entry in ENTRIES:
            await add_audit_entry(connection, entry)

    async def compare(wanted: AuditFilter, limit: int, newest_first: bool) -> None:
        expected = [
            entry
            for entry in ENTRIES
            if wanted.object_id in {None, entry.object_id}
            and wanted.actor_id in {None, entry.actor.get("id")}
            and wanted.action in {None, entry.action}
            and (wanted.start is None or entry.at >= wanted.start)
            and (wanted.end is None or entry.at < wanted.end)
        ]
        found: list[AuditEntry] = []
        async with database.read() as connection:
            while True:
                page = await list_audit_entries(
                    connection,
                    limit=limit,
                    after=(found[-1].at, found[-1].id) if found else None,
                    wanted=wanted,
                    newest_first=newest_first,
                )
                found += page
                if len(page) < limit:
                    break
        assert found == (expected[::-1] if newest_first else expected)

    @settings(max_examples=examples(0.4), deadline=None)
    @given(AUDIT_FILTERS, st.integers(1, 9), st.booleans())
    def check(wanted: AuditFilter, limit: int, newest_first: bool) -> None:
        from_thread.run(compare, wanted, limit, newest_first)

    await anyio.to_thread.run_sync(check)


@pytest.mark.parametrize("url", ["sqlite"], indirect=True)
async def test_every_order_of_keys_is_that_of_an_index(filled: Database) -> None:
    columns = {
        "created_at": "created_at",
        "name": "folded_name",
        "last_used_at": "coalesce(last_used_at, 0)",
        "expires_at": "coalesce(expires_at, 9223372036854775807)",
    }
    assert set(columns) == set(KEY_ORDERS)
    for column in columns.values():
        query = f"SELECT * FROM api_keys ORDER BY {column} DESC, id DESC LIMIT 9"  # noqa: S608
        async with filled.read() as connection:
            plan = (await connection.execute(text(f"EXPLAIN QUERY PLAN {query}"))).all()
        assert "USING INDEX ix_api_keys" in str(plan)
        assert "TEMP B-TREE" not in str(plan)
