"""The Admin API of spend limits: what is set, what is refused, and what is said of them."""

from decimal import Decimal
from typing import Any

import pytest

from antiphon.settings import PriceSettings
from support.organization import House, StartHouse

pytestmark = pytest.mark.anyio

ORGANIZATION = {"type": "organization"}
LIMITS = "/spend_limits"
EFFECTIVE = "/spend_limits/effective"
PRICE = PriceSettings(input=Decimal(3), output=Decimal(15))
# A prompt of 5 tokens, and 3 of the answer's four.
CUT = {"max_tokens": 3}
CUT_COST = "0.006"  # cents
AN_AMOUNT = "amount: Input should be an amount in cents, such as '50000' or '12.5'"


async def set_limit(home: House, scope: dict[str, str], amount: str, period: str) -> Any:
    return await home.post(LIMITS, {"scope": scope, "amount": amount, "period": period})


async def member(home: House, name: str) -> str:
    invite = await home.post("/invites", {"email": f"{name}@example.org", "role": "developer"})
    user = await home.post(f"/invites/{invite['id']}/accept", {"name": name})
    return str(user["id"])


# ── amounts


@pytest.mark.parametrize(
    ("amount", "said"),
    [
        ("-1", AN_AMOUNT),
        ("-0", AN_AMOUNT),
        ("1e3", AN_AMOUNT),
        ("NaN", AN_AMOUNT),
        ("Infinity", AN_AMOUNT),
        ("", AN_AMOUNT),
        ("1,000", AN_AMOUNT),
        ("0.00000001", "amount: Input should have at most 7 decimals"),
        ("12." + "0" * 40 + "1", "amount: Input should have at most 7 decimals"),
        ("900000001", "amount: Input should be less than or equal to 900000000 cents"),
        ("900000000.0000001", "amount: Input should be less than or equal to 900000000 cents"),
        ("9" * 5000, "amount: Input should be less than or equal to 900000000 cents"),
        (100, "amount: Input should be a valid string"),
        (True, "amount: Input should be a valid string"),
        (1.5, "amount: Input should be a valid string"),
        (["5"], "amount: Input should be a valid string"),
    ],
)
async def test_what_is_no_amount_is_refused_and_changes_nothing(
    house: StartHouse, amount: object, said: str
) -> None:
    home = await house()
    kept = await set_limit(home, ORGANIZATION, "5", "monthly")
    before = await home.audit()
    place = f"{LIMITS}/{kept['id']}"
    assert await home.refusal(LIMITS, {"scope": ORGANIZATION, "amount": amount}) == (400, said)
    assert await home.refusal(place, {"amount": amount}) == (400, said)
    assert (await home.get(LIMITS))["data"] == [kept]
    assert await home.audit() == before


async def test_null_is_refused_where_nothing_is_inherited(house: StartHouse) -> None:
    home = await house()
    status, said = await home.refusal(LIMITS, {"scope": ORGANIZATION, "amount": None})
    assert (status, said) == (
        400,
        "amount: nothing is inherited here that `null` could override; delete the limit",
    )
    assert (await home.get(LIMITS))["data"] == []


async def test_largest_and_smallest_amounts_are_kept_exactly(house: StartHouse) -> None:
    home = await house()
    for amount in ("900000000", "0", "0.0000001", "899999999.9999999"):
        assert (await set_limit(home, ORGANIZATION, amount, "daily"))["amount"] == amount


@pytest.mark.parametrize(
    ("scope", "status"),
    [
        ({"type": "workspace", "workspace_id": "wrkspc_none"}, 404),
        ({"type": "api_key", "api_key_id": "apikey_none"}, 404),
        ({"type": "user", "user_id": "user_none"}, 400),
        ({"type": "usage_tier"}, 400),
        ({"type": "workspace"}, 400),
        ("organization", 400),
        (None, 400),
    ],
)
async def test_limit_needs_somebody_whom_it_can_limit(
    house: StartHouse, scope: object, status: int
) -> None:
    home = await house()
    assert (await home.refusal(LIMITS, {"scope": scope, "amount": "5"}))[0] == status
    assert (await home.get(LIMITS))["data"] == []


async def test_who_is_archived_gets_no_limit_and_no_other_amount(house: StartHouse) -> None:
    home = await house()
    _, workspace, key = await home.guest()
    of_workspace = {"type": "workspace", "workspace_id": workspace}
    of_key = {"type": "api_key", "api_key_id": key}
    kept = [await set_limit(home, scope, "5", "daily") for scope in (of_workspace, of_key)]
    await home.post(f"/workspaces/{workspace}/archive")
    await home.post(f"/api_keys/{key}", {"status": "archived"})
    for scope, limit, said in (
        (of_workspace, kept[0], "scope.workspace_id: this workspace is archived"),
        (of_key, kept[1], "scope.api_key_id: this key is archived"),
    ):
        place = f"{LIMITS}/{limit['id']}"
        assert await home.refusal(LIMITS, {"scope": scope, "amount": "7"}) == (400, said)
        assert await home.refusal(place, {"amount": "7"}) == (400, said)
        assert await home.get(place) == limit
        await home.delete(place)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_only_admin_keys_see_or_change_limits(house: StartHouse, method: str) -> None:
    home = await house()
    kept = await set_limit(home, ORGANIZATION, "5", "monthly")
    for path in (LIMITS, EFFECTIVE, f"{LIMITS}/{kept['id']}"):
        if method == "GET" or path != EFFECTIVE:
            call = home.caller.start(method, f"/v1/organizations{path}", {"amount": "7"})
            answer = await call.task
            assert answer.status == (405 if (method, path) == ("DELETE", LIMITS) else 403), path
    assert (await home.get(LIMITS))["data"] == [kept]


# ── listing


async def test_limits_are_listed_newest_first_by_scope_and_workspace(house: StartHouse) -> None:
    home = await house({"limits": {"monthly_spend": "7"}})
    _, workspace, key = await home.guest()
    scopes = {
        "organization": ORGANIZATION,
        "workspace": {"type": "workspace", "workspace_id": workspace},
        "api_key": {"type": "api_key", "api_key_id": key},
    }
    made = {}
    for name, scope in scopes.items():
        home.clock.passes(seconds=1)
        made[name] = await set_limit(home, scope, "5", "daily")

    async def found(query: str) -> list[str]:
        listed = (await home.get(f"{LIMITS}?{query}"))["data"]
        return [one["scope"]["type"] for one in listed]

    assert await found("") == ["api_key", "workspace", "organization", "usage_tier"]
    assert await found("scope_type[]=workspace&scope_type[]=usage_tier") == [
        "workspace",
        "usage_tier",
    ]
    assert await found(f"workspace_id={workspace}") == ["workspace"]
    assert await found(f"workspace_id={workspace}&scope_type=organization") == []
    assert await home.get(f"{LIMITS}/{made['api_key']['id']}") == made["api_key"]
    status, said = await home.refusal(f"{LIMITS}?scope_type[]=seat_tier", method="GET")
    assert (status, said.split(":")[0]) == (400, "scope_type.0")
    assert (await home.refusal(f"{LIMITS}?workspace_id=wrkspc_none", method="GET"))[0] == 404


async def test_page_has_twenty_limits_where_nobody_says_how_many(house: StartHouse) -> None:
    home = await house()
    for number in range(21):
        key = (await home.post("/api_keys", {"name": str(number)}))["id"]
        await set_limit(home, {"type": "api_key", "api_key_id": key}, "5", "daily")
    first = await home.get(LIMITS)
    assert (len(first["data"]), first["next_page"]) == (20, "page_20")
    second = await home.get(f"{LIMITS}?page={first['next_page']}")
    assert (len(second["data"]), second["next_page"]) == (1, None)


async def test_cap_of_the_server_is_a_limit_that_only_the_server_changes(
    house: StartHouse,
) -> None:
    home = await house({"limits": {"monthly_spend": "7"}})
    (cap,) = (await home.get(LIMITS))["data"]
    assert cap == {
        "id": cap["id"],
        "type": "spend_limit",
        "scope": {"type": "usage_tier"},
        "amount": "700",
        "currency": "USD",
        "period": "monthly",
        "is_enabled": True,
        "created_at": "2026-11-23T12:00:00Z",
        "updated_at": "2026-11-23T12:00:00Z",
    }
    place = f"{LIMITS}/{cap['id']}"
    assert await home.get(place) == cap
    refused = (
        400,
        "This limit is the server's own: `monthly_spend` in its settings changes it.",
    )
    assert await home.refusal(place, {"amount": "9"}) == refused
    assert await home.refusal(place, method="DELETE") == refused
    assert (await home.get(LIMITS))["data"] == [cap]


# ── members


@pytest.mark.covers("administration: GET /spend_limits/effective", "effect")
async def test_members_share_the_limits_and_each_has_spent_what_their_keys_have(
    house: StartHouse,
) -> None:
    home = await house(price=PRICE, text="One two three")
    daily = await set_limit(home, ORGANIZATION, "700", "daily")
    monthly = await set_limit(home, ORGANIZATION, "5000", "monthly")
    ada, bob = await member(home, "Ada"), await member(home, "Bob")
    for count in (1, 2):
        key = {"name": "a key", "created_by_user_id": ada}
        caller = home.caller_with((await home.post("/api_keys", key))["secret"])
        for _ in range(count):
            assert (await caller.create(**CUT)).status == 200
    assert (await home.caller.create(**CUT)).status == 200  # nobody's key
    await home.entries()

    found = (await home.get(EFFECTIVE))["data"]
    told = {(one["actor"]["user_id"], one["period"]): one for one in found}
    assert set(told) == {(who, when) for who in (ada, bob) for when in ("daily", "monthly")}
    assert told[ada, "daily"] == {
        "actor": {
            "type": "user_actor",
            "user_id": ada,
            "name": "Ada",
            "email_address": "ada@example.org",
            "deleted": False,
        },
        "scope": {"type": "user", "user_id": ada},
        "source": {"type": "organization"},
        "spend_limit_id": daily["id"],
        "amount": "700",
        "currency": "USD",
        "period": "daily",
        "period_to_date_spend": "0.018",
    }
    assert told[ada, "monthly"]["spend_limit_id"] == monthly["id"]
    assert told[bob, "monthly"]["period_to_date_spend"] == "0"


async def test_spend_of_a_member_ends_with_its_period(house: StartHouse) -> None:
    home = await house(timed=True, price=PRICE, text="One two three")
    ada = await member(home, "Ada")
    for period in ("daily", "weekly", "monthly"):
        await set_limit(home, ORGANIZATION, "700", period)
    key = await home.post("/api_keys", {"name": "a key", "created_by_user_id": ada})
    assert (await home.caller_with(key["secret"]).create(**CUT)).status == 200

    async def spent() -> list[str]:
        await home.entries()
        return [one["period_to_date_spend"] for one in (await home.get(EFFECTIVE))["data"]]

    assert await spent() == [CUT_COST, CUT_COST, CUT_COST]
    home.clock.passes(days=1)
    assert await spent() == ["0", CUT_COST, CUT_COST]
    home.clock.passes(days=6)
    assert await spent() == ["0", "0", CUT_COST]
    home.clock.passes(days=1)
    assert await spent() == ["0", "0", "0"]


async def test_tighter_of_the_cap_and_the_limit_is_the_effective_one(house: StartHouse) -> None:
    home = await house({"limits": {"monthly_spend": "7"}})
    await member(home, "Ada")
    (capped,) = (await home.get(EFFECTIVE))["data"]
    (cap,) = (await home.get(LIMITS))["data"]
    assert (capped["source"], capped["amount"]) == ({"type": "usage_tier"}, "700")
    assert capped["spend_limit_id"] == cap["id"]
    own = await set_limit(home, ORGANIZATION, "300", "monthly")
    (limited,) = (await home.get(EFFECTIVE))["data"]
    assert (limited["source"], limited["amount"]) == ({"type": "organization"}, "300")
    assert limited["spend_limit_id"] == own["id"]


async def test_members_whom_nothing_limits_have_no_line(house: StartHouse) -> None:
    home = await house()
    await member(home, "Ada")
    _, workspace, _ = await home.guest()
    await set_limit(home, {"type": "workspace", "workspace_id": workspace}, "5", "daily")
    assert await home.get(EFFECTIVE) == {"data": [], "next_page": None}


async def test_lines_of_a_member_are_never_on_two_pages(house: StartHouse) -> None:
    home = await house()
    members = [await member(home, name) for name in ("Ada", "Bob", "Eve")]
    for period in ("daily", "weekly"):
        await set_limit(home, ORGANIZATION, "700", period)
    first = await home.get(f"{EFFECTIVE}?limit=2")
    assert len(first["data"]) == 4
    second = await home.get(f"{EFFECTIVE}?limit=2&page={first['next_page']}")
    assert (len(second["data"]), second["next_page"]) == (2, None)
    seen = [one["actor"]["user_id"] for one in (*first["data"], *second["data"])]
    assert sorted(seen) == sorted(2 * members)


async def test_report_of_members_is_restricted_as_asked(house: StartHouse) -> None:
    home = await house()
    ada, _ = await member(home, "Ada"), await member(home, "Bob")
    for period in ("daily", "monthly"):
        await set_limit(home, ORGANIZATION, "700", period)
    (line,) = (await home.get(f"{EFFECTIVE}?user_ids[]={ada}&period[]=monthly"))["data"]
    assert (line["actor"]["user_id"], line["period"]) == (ada, "monthly")


@pytest.mark.parametrize(
    ("query", "refusal"),
    [
        ("user_ids[]=user_none", (404, "User user_none not found.")),
        ("period[]=yearly", (400, "period.0: Input should be 'daily', 'weekly' or 'monthly'")),
        ("page=page_9", (400, "page: not a page of this listing")),
        ("limit=0", (400, "limit: Input should be greater than or equal to 1")),
        ("scope=user", (400, "scope: Extra inputs are not permitted")),
        (
            "&".join(["user_ids[]=x"] * 101),
            (400, "user_ids: List should have at most 100 items, not 101"),
        ),
    ],
)
async def test_report_of_members_refuses_what_it_does_not_know(
    house: StartHouse, query: str, refusal: tuple[int, str]
) -> None:
    home = await house()
    assert await home.refusal(f"{EFFECTIVE}?{query}", method="GET") == refusal
