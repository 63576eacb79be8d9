"""Balances and the spending of members, a page at a time."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from antiphon.core.errors import InvalidRequestError, NotFoundError
from antiphon.core.ids import hash_secret
from antiphon.core.limits.spend import SpendCap
from antiphon.core.limits.values import Account, Balance, Scope
from antiphon.core.pagination import IdCursor, TokenCursor, page_token
from antiphon.core.permissions import Reach
from antiphon.service.accounts import establish
from antiphon.service.admin.balances import Balances, Owner
from antiphon.service.admin.current_spending import CurrentSpending
from antiphon.service.admin.people import People
from antiphon.service.admin.spending import MemberSpending
from antiphon.service.admin.transactions import AdminTransactions
from antiphon.settings import LimitSettings
from antiphon.store.accounts import ApiKey, KeyKind, add_key, note_use
from antiphon.store.counters.memory import MemoryCounters
from antiphon.store.database.database import Database
from antiphon.store.limits import SpendLimit, set_spend_limit
from antiphon.store.listings import Selection
from antiphon.store.organizations import User, add_user, find_organization, remove_user
from antiphon.store.workspaces import Workspace, add_workspace
from antiphon.wire.admin.limits import BalanceInfo, SpendSummary

pytestmark = pytest.mark.anyio

NOW = datetime(2026, 11, 18, 12, tzinfo=UTC)
WORKSPACES, KEYS = 4, 9


class Asked(MemoryCounters):
    """Notes how many accounts are asked for at once."""

    def __init__(self) -> None:
        super().__init__()
        self.sizes: list[int] = []

    async def balance(self, accounts: Any) -> tuple[Balance, ...]:
        self.sizes.append(len(accounts))
        return await super().balance(accounts)


@pytest.fixture
async def counters() -> Asked:
    counters = Asked()
    spent: dict[Account, int] = {}
    for key, amount in (("apikey_2", 5), ("apikey_5", 7)):
        for period in ("daily", "monthly"):
            cap = SpendCap(Scope.KEY, key, period, 0)  # type: ignore[arg-type]  # one of the periods
            spent[cap.account(NOW)] = amount * 10**7
    await counters.seed(spent)
    return counters


@pytest.fixture
async def transactions(database: Database) -> AdminTransactions:
    await establish(database, bytes, lambda: NOW - timedelta(days=9))
    async with database.write() as connection:
        for number in range(WORKSPACES):
            made = NOW + timedelta(seconds=number // 2)
            one = Workspace(
                id=f"wrkspc_{number}", name="w", display_color="#000000", created_at=made
            )
            await add_workspace(connection, one)
        for number in range(KEYS):
            key = ApiKey(
                id=f"apikey_{number}",
                name="k",
                hint="h",
                created_at=NOW + timedelta(seconds=number // 3),
                workspace_id=f"wrkspc_{number % WORKSPACES}" if number else None,
                created_by=f"user_{number % 3}",
            )
            await add_key(connection, key, hash_secret(key.id))
        admin = ApiKey(id="apikey_a", name="k", hint="h", created_at=NOW, kind=KeyKind.ADMIN)
        await add_key(connection, admin, b"admin")
        for number in range(4):
            user = User(
                id=f"user_{number}",
                email=f"{number}@example.com",
                name=f"name {number}",
                role="user",
                added_at=NOW + timedelta(seconds=number // 2),
            )
            await add_user(connection, user)
        await limit(connection, Scope.KEY, "apikey_3", "daily")
        await limit(connection, Scope.KEY, "apikey_3", "weekly")
        await note_use(connection, {"apikey_2": NOW, "apikey_4": NOW})
        await note_use(connection, {"apikey_5": NOW - timedelta(days=30)})
    return AdminTransactions(database, bytes, lambda: NOW)


async def limit(connection: Any, scope: Scope, owner: str, period: Any) -> None:
    await set_spend_limit(
        connection,
        SpendLimit(
            id=f"spl_{owner}_{period}",
            scope=scope,
            scope_id=owner,
            period=period,
            amount=10**9,
            created_at=NOW,
            updated_at=NOW,
        ),
    )


@pytest.fixture
async def balances(transactions: AdminTransactions, counters: Asked) -> Balances:
    return Balances(transactions, CurrentSpending(LimitSettings(), counters))


async def pages(balances: Balances, size: int, **asked: Any) -> AsyncIterator[list[BalanceInfo]]:
    token = None
    while True:
        page = await balances.page(TokenCursor(size, token), **asked)
        yield list(page.data)
        if (token := page.next_page) is None:
            return


def owners(infos: list[BalanceInfo]) -> list[str]:
    found = [
        one.scope.get("api_key_id", one.scope.get("workspace_id", "organization")) for one in infos
    ]
    return list(dict.fromkeys(found))


@pytest.mark.sql_elsewhere
@pytest.mark.parametrize("size", [1, 2, 3, 7, 100])
@pytest.mark.parametrize("portion", [2, 500])
async def test_pages_together_are_the_whole(
    balances: Balances, size: int, portion: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = list((await balances.page(TokenCursor())).data)
    assert owners(whole)[0] == "organization"
    places = [one for one in owners(whole) if one.startswith("wrkspc")]
    assert places[:WORKSPACES] == ["wrkspc_3", "wrkspc_2", "wrkspc_1", "wrkspc_0"]
    keys = [one for one in owners(whole) if one.startswith("apikey")]
    assert keys == [f"apikey_{number}" for number in reversed(range(KEYS))]
    assert [one.period for one in whole if one.scope.get("api_key_id") == "apikey_3"] == [
        "daily",
        "weekly",
        "monthly",
    ]
    monkeypatch.setattr("antiphon.service.admin.balances.PORTION", portion)
    found = [page async for page in pages(balances, size)]
    assert [one for page in found for one in page] == whole
    assert {len(owners(page)) for page in found[:-1]} <= {size}
    for scope in ("organization", "workspace", "api_key"):
        of_scope = [page async for page in pages(balances, size, scope=scope)]
        expected = [one for one in whole if one.scope["type"] == scope]
        assert [one for page in of_scope for one in page] == expected


async def test_page_asks_for_its_owners_only(
    balances: Balances, counters: Asked, statements: list[str]
) -> None:
    statements.clear()
    page = await balances.page(TokenCursor(2), "api_key")
    assert [one.scope["api_key_id"] for one in page.data] == ["apikey_8", "apikey_7"]
    assert max(counters.sizes) <= 3
    (of_keys,) = (one for one in statements if "FROM api_keys" in one)
    assert "LIMIT" in of_keys


async def test_only_what_is_used_or_limited_is_shown(balances: Balances) -> None:
    found = [page async for page in pages(balances, 1, only_used=True)]
    shown = [
        (one.scope["api_key_id"], one.period, one.spent, one.limit)
        for page in found
        for one in page
    ]
    # The fourth was used and has spent nothing. Another was not used in this month, so nothing can
    # have been charged to it, whatever the counters say.
    assert shown == [
        ("apikey_3", "daily", "0", "100"),
        ("apikey_3", "weekly", "0", "100"),
        ("apikey_2", "monthly", "5", None),
    ]


@pytest.mark.sql_elsewhere
async def test_page_of_what_is_used_looks_at_so_many_scopes(
    balances: Balances, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = list((await balances.page(TokenCursor(), only_used=True)).data)
    monkeypatch.setattr("antiphon.service.admin.balances.MOST_LOOKED_AT", 2)
    found = [page async for page in pages(balances, 9, only_used=True)]
    assert [one for page in found for one in page] == whole
    # The organization, the Default workspace and four others come first, and have spent nothing.
    assert found[:3] == [[], [], []]


@pytest.mark.sql_elsewhere
async def test_reach_bounds_pages_and_their_tokens(balances: Balances) -> None:
    reach = Reach(workspaces=frozenset({"wrkspc_1"}), owner="user_1")
    found = [page async for page in pages(balances, 1, reach=reach)]
    assert owners([one for page in found for one in page]) == ["wrkspc_1", "apikey_5", "apikey_1"]
    for place in ("key apikey_2", "workspace wrkspc_2"):
        token = page_token(place)
        assert (await balances.page(TokenCursor(1, token))).data
        with pytest.raises(InvalidRequestError, match="page: not a page of this listing"):
            await balances.page(TokenCursor(1, token), reach=reach)
    organization = page_token("organization org_00")
    page = await balances.page(TokenCursor(9, organization), "organization", reach)
    assert page.data == ()


@pytest.mark.sql_elsewhere
@pytest.mark.parametrize("place", ["", "key", "key ", "user user_1", "key apikey_none", "key \0"])
async def test_token_of_no_owner_is_refused(balances: Balances, place: str) -> None:
    for token in (page_token(place), place):
        with pytest.raises(InvalidRequestError, match="page: not a page of this listing"):
            await balances.page(TokenCursor(1, token))
    with pytest.raises(InvalidRequestError, match="page: not a page of this listing"):
        await balances.page(TokenCursor(1, page_token("key apikey_2")), "workspace")


@pytest.mark.sql_elsewhere
async def test_balances_of_owners_are_in_their_order(
    balances: Balances, database: Database
) -> None:
    async with database.read() as connection:
        organization = await find_organization(connection)
    assert organization is not None
    asked = [Owner(Scope.KEY, "apikey_3"), Owner(Scope.ORGANIZATION, organization.id)]
    found = await balances.of(asked)
    assert list(found) == asked
    assert [len(infos) for infos in found.values()] == [3, 1]


@pytest.fixture
async def spending(
    transactions: AdminTransactions, counters: Asked, database: Database
) -> MemberSpending:
    async with database.write() as connection:
        organization = await find_organization(connection)
        assert organization is not None
        await limit(connection, Scope.ORGANIZATION, organization.id, "daily")
        await limit(connection, Scope.ORGANIZATION, organization.id, "monthly")
    return MemberSpending(transactions, CurrentSpending(LimitSettings(), counters))


async def test_members_are_read_by_the_page_with_their_keys(
    spending: MemberSpending,
    counters: Asked,
    statements: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    whole: list[SpendSummary] = list((await spending.page(TokenCursor())).data)
    spent = {
        (one.actor.user_id, one.period): one.period_to_date_spend  # type: ignore[attr-defined]
        for one in whole
    }
    assert [*dict.fromkeys(name for name, _ in spent)] == ["user_3", "user_2", "user_1", "user_0"]
    # The third and the sixth key are of the same member.
    assert spent["user_2", "daily"] == spent["user_2", "monthly"] == "12"
    assert {amount for (name, _), amount in spent.items() if name != "user_2"} == {"0"}
    monkeypatch.setattr("antiphon.store.database.records.PORTION", 2)
    statements.clear()
    counters.sizes.clear()
    first = await spending.page(TokenCursor(2))
    assert list(first.data) == whole[:4]
    # Of the three keys of this member two at a time, in two periods.
    assert max(counters.sizes) == 4
    assert not [one for one in statements if "FROM api_keys" in one and "created_by" not in one]
    (of_users,) = (one for one in statements if "FROM users" in one)
    assert "LIMIT" in of_users
    second = await spending.page(TokenCursor(2, first.next_page))
    assert (list(second.data), second.next_page) == (whole[4:], None)


@pytest.mark.sql_elsewhere
async def test_member_who_goes_between_two_pages_ends_no_listing(
    spending: MemberSpending, database: Database
) -> None:
    first = await spending.page(TokenCursor(2))
    async with database.write() as connection:
        await remove_user(connection, "user_2")
    rest = await spending.page(TokenCursor(9, first.next_page))
    assert [one.actor.user_id for one in rest.data] == ["user_1", "user_1", "user_0", "user_0"]


@pytest.mark.sql_elsewhere
async def test_wanted_members_and_periods_are_shown(spending: MemberSpending) -> None:
    page = await spending.page(TokenCursor(), ["user_2", "user_0"], ["monthly"])
    assert [(one.actor.user_id, one.period) for one in page.data] == [
        ("user_2", "monthly"),
        ("user_0", "monthly"),
    ]
    for unknown in ("user_9", "user_\0"):
        with pytest.raises(NotFoundError, match="not found"):
            await spending.page(TokenCursor(), ["user_2", unknown])


async def test_names_are_read_by_the_page(
    transactions: AdminTransactions, statements: list[str]
) -> None:
    people = People(transactions)
    statements.clear()
    page = await people.names(IdCursor(2))
    assert ([one.id for one in page.data], page.has_more) == (["user_3", "user_2"], True)
    (of_users,) = (one for one in statements if "FROM users" in one)
    assert "LIMIT" in of_users
    own = Reach(workspaces=frozenset(), owner="user_1", account="user_1")
    page = await people.names(IdCursor(2), reach=own)
    assert ([one.name for one in page.data], page.has_more) == (["name 1"], False)
    with pytest.raises(InvalidRequestError, match="no such id"):
        await people.names(IdCursor(2, after_id="user_2"), reach=own)
    some = await people.names(IdCursor(9), Selection(ids=["user_2", "user_0", "user_9"]))
    assert [one.id for one in some.data] == ["user_2", "user_0"]
    assert (await people.names(IdCursor(9), Selection(ids=["user_2"]), own)).data == ()
    found = await people.names(IdCursor(9), Selection(contains="NAME 2"))
    assert [one.id for one in found.data] == ["user_2"]
    # The address of each has it.
    assert (await people.names(IdCursor(9), Selection(contains="example"))).data == ()
