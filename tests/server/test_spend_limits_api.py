"""The Admin API of spend limits: what is set, what is refused, and what is said of them."""

from decimal import Decimal
from typing import Any

import pytest

from antiphon.settings import PriceSettings
from support.organization import Organization, StartOrganization

pytestmark = pytest.mark.anyio

ORGANIZATION = {"type": "organization"}
LIMITS = "/spend_limits"
EFFECTIVE = "/spend_limits/effective"
PRICE = PriceSettings(input=Decimal(3), output=Decimal(15))
# A prompt of 5 tokens, and 3 of the answer's four.
CUT = {"max_tokens": 3}
CUT_COST = "0.006"  # cents
AN_AMOUNT = "amount: Input should be an amount in cents, such as '50000' or '12.5'"


async def set_limit(org: Organization, scope: dict[str, str], amount: str, period: str) -> Any:
    return await org.post(LIMITS, {"scope": scope, "amount": amount, "period": period})


async def member(org: Organization, name: str) -> str:
    invite = await org.post("/invites", {"email": f"{name}@example.org", "role": "developer"})
    user = await org.post(f"/invites/{invite['id']}/accept", {"name": name})
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
async def test_invalid_amount_is_refused_and_changes_nothing(
    organization: StartOrganization, amount: object, said: str
) -> None:
    org = await organization()
    kept = await set_limit(org, ORGANIZATION, "5", "monthly")
    before = await org.audit()
    place = f"{LIMITS}/{kept['id']}"
    assert await org.refusal(LIMITS, {"scope": ORGANIZATION, "amount": amount}) == (400, said)
    assert await org.refusal(place, {"amount": amount}) == (400, said)
    assert (await org.get(LIMITS))["data"] == [kept]
    assert await org.audit() == before


async def test_null_is_refused_where_nothing_is_inherited(organization: StartOrganization) -> None:
    org = await organization()
    status, said = await org.refusal(LIMITS, {"scope": ORGANIZATION, "amount": None})
    assert (status, said) == (
        400,
        "amount: nothing is inherited here that `null` could override; delete the limit",
    )
    assert (await org.get(LIMITS))["data"] == []


async def test_largest_and_smallest_amounts_are_kept_exactly(
    organization: StartOrganization,
) -> None:
    org = await organization()
    for amount in ("900000000", "0", "0.0000001", "899999999.9999999"):
        assert (await set_limit(org, ORGANIZATION, amount, "daily"))["amount"] == amount


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
async def test_limit_of_an_unknown_scope_is_refused(
    organization: StartOrganization, scope: object, status: int
) -> None:
    org = await organization()
    assert (await org.refusal(LIMITS, {"scope": scope, "amount": "5"}))[0] == status
    assert (await org.get(LIMITS))["data"] == []


async def test_archived_scope_gets_no_new_limit_and_no_new_amount(
    organization: StartOrganization,
) -> None:
    org = await organization()
    _, workspace, key = await org.guest()
    of_workspace = {"type": "workspace", "workspace_id": workspace}
    of_key = {"type": "api_key", "api_key_id": key}
    kept = [await set_limit(org, scope, "5", "daily") for scope in (of_workspace, of_key)]
    await org.post(f"/workspaces/{workspace}/archive")
    await org.post(f"/api_keys/{key}", {"status": "archived"})
    for scope, limit, said in (
        (of_workspace, kept[0], "scope.workspace_id: this workspace is archived"),
        (of_key, kept[1], "scope.api_key_id: this key is archived"),
    ):
        place = f"{LIMITS}/{limit['id']}"
        assert await org.refusal(LIMITS, {"scope": scope, "amount": "7"}) == (400, said)
        assert await org.refusal(place, {"amount": "7"}) == (400, said)
        assert await org.get(place) == limit
        await org.delete(place)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_only_admin_keys_see_or_change_limits(
    organization: StartOrganization, method: str
) -> None:
    org = await organization()
    kept = await set_limit(org, ORGANIZATION, "5", "monthly")
    for path in (LIMITS, EFFECTIVE, f"{LIMITS}/{kept['id']}"):
        if method == "GET" or path != EFFECTIVE:
            call = org.caller.start(method, f"/v1/organizations{path}", {"amount": "7"})
            answer = await call.task
            assert answer.status == (405 if (method, path) == ("DELETE", LIMITS) else 403), path
    assert (await org.get(LIMITS))["data"] == [kept]


# ── listing


async def test_limits_are_listed_newest_first_by_scope_and_workspace(
    organization: StartOrganization,
) -> None:
    org = await organization({"limits": {"monthly_spend": "7"}})
    _, workspace, key = await org.guest()
    scopes = {
        "organization": ORGANIZATION,
        "workspace": {"type": "workspace", "workspace_id": workspace},
        "api_key": {"type": "api_key", "api_key_id": key},
    }
    made = {}
    for name, scope in scopes.items():
        org.clock.passes(seconds=1)
        made[name] = await set_limit(org, scope, "5", "daily")

    async def found(query: str) -> list[str]:
        listed = (await org.get(f"{LIMITS}?{query}"))["data"]
        return [one["scope"]["type"] for one in listed]

    assert await found("") == ["api_key", "workspace", "organization", "usage_tier"]
    assert await found("scope_type[]=workspace&scope_type[]=usage_tier") == [
        "workspace",
        "usage_tier",
    ]
    assert await found(f"workspace_id={workspace}") == ["workspace"]
    assert await found(f"workspace_id={workspace}&scope_type=organization") == []
    assert await org.get(f"{LIMITS}/{made['api_key']['id']}") == made["api_key"]
    status, said = await org.refusal(f"{LIMITS}?scope_type[]=seat_tier", method="GET")
    assert (status, said.split(":")[0]) == (400, "scope_type.0")
    assert (await org.refusal(f"{LIMITS}?workspace_id=wrkspc_none", method="GET"))[0] == 404


async def test_page_without_a_limit_has_twenty_spend_limits(
    organization: StartOrganization,
) -> None:
    org = await organization()
    for number in range(21):
        key = (await org.post("/api_keys", {"name": str(number)}))["id"]
        await set_limit(org, {"type": "api_key", "api_key_id": key}, "5", "daily")
    first = await org.get(LIMITS)
    assert (len(first["data"]), first["next_page"]) == (20, "page_20")
    second = await org.get(f"{LIMITS}?page={first['next_page']}")
    assert (len(second["data"]), second["next_page"]) == (1, None)


async def test_cap_of_the_server_is_a_limit_that_only_the_server_changes(
    organization: StartOrganization,
) -> None:
    org = await organization({"limits": {"monthly_spend": "7"}})
    (cap,) = (await org.get(LIMITS))["data"]
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
    assert await org.get(place) == cap
    refused = (
        400,
        "This limit is the server's own: `monthly_spend` in its settings changes it.",
    )
    assert await org.refusal(place, {"amount": "9"}) == refused
    assert await org.refusal(place, method="DELETE") == refused
    assert (await org.get(LIMITS))["data"] == [cap]


# ── members


@pytest.mark.covers("administration: GET /spend_limits/effective", "effect")
async def test_effective_limits_show_the_spending_of_each_members_keys(
    organization: StartOrganization,
) -> None:
    org = await organization(price=PRICE, text="One two three")
    daily = await set_limit(org, ORGANIZATION, "700", "daily")
    monthly = await set_limit(org, ORGANIZATION, "5000", "monthly")
    ada, bob = await member(org, "Ada"), await member(org, "Bob")
    for count in (1, 2):
        key = {"name": "a key", "created_by_user_id": ada}
        caller = org.caller_with((await org.post("/api_keys", key))["secret"])
        for _ in range(count):
            assert (await caller.create(**CUT)).status == 200
    assert (await org.caller.create(**CUT)).status == 200  # nobody's key
    await org.entries()

    found = (await org.get(EFFECTIVE))["data"]
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


async def test_spend_of_a_member_ends_with_its_period(organization: StartOrganization) -> None:
    org = await organization(timed=True, price=PRICE, text="One two three")
    ada = await member(org, "Ada")
    for period in ("daily", "weekly", "monthly"):
        await set_limit(org, ORGANIZATION, "700", period)
    key = await org.post("/api_keys", {"name": "a key", "created_by_user_id": ada})
    assert (await org.caller_with(key["secret"]).create(**CUT)).status == 200

    async def spent() -> list[str]:
        await org.entries()
        return [one["period_to_date_spend"] for one in (await org.get(EFFECTIVE))["data"]]

    assert await spent() == [CUT_COST, CUT_COST, CUT_COST]
    org.clock.passes(days=1)
    assert await spent() == ["0", CUT_COST, CUT_COST]
    org.clock.passes(days=6)
    assert await spent() == ["0", "0", CUT_COST]
    org.clock.passes(days=1)
    assert await spent() == ["0", "0", "0"]


async def test_tighter_of_the_cap_and_the_limit_is_the_effective_one(
    organization: StartOrganization,
) -> None:
    org = await organization({"limits": {"monthly_spend": "7"}})
    await member(org, "Ada")
    (capped,) = (await org.get(EFFECTIVE))["data"]
    (cap,) = (await org.get(LIMITS))["data"]
    assert (capped["source"], capped["amount"]) == ({"type": "usage_tier"}, "700")
    assert capped["spend_limit_id"] == cap["id"]
    own = await set_limit(org, ORGANIZATION, "300", "monthly")
    (limited,) = (await org.get(EFFECTIVE))["data"]
    assert (limited["source"], limited["amount"]) == ({"type": "organization"}, "300")
    assert limited["spend_limit_id"] == own["id"]


async def test_effective_limits_of_unlimited_members_are_empty(
    organization: StartOrganization,
) -> None:
    org = await organization()
    await member(org, "Ada")
    _, workspace, _ = await org.guest()
    await set_limit(org, {"type": "workspace", "workspace_id": workspace}, "5", "daily")
    assert await org.get(EFFECTIVE) == {"data": [], "next_page": None}


async def test_limits_of_one_member_are_on_one_page(organization: StartOrganization) -> None:
    org = await organization()
    members = [await member(org, name) for name in ("Ada", "Bob", "Eve")]
    for period in ("daily", "weekly"):
        await set_limit(org, ORGANIZATION, "700", period)
    first = await org.get(f"{EFFECTIVE}?limit=2")
    assert len(first["data"]) == 4
    second = await org.get(f"{EFFECTIVE}?limit=2&page={first['next_page']}")
    assert (len(second["data"]), second["next_page"]) == (2, None)
    seen = [one["actor"]["user_id"] for one in (*first["data"], *second["data"])]
    assert sorted(seen) == sorted(2 * members)


async def test_report_of_members_is_restricted_as_asked(organization: StartOrganization) -> None:
    org = await organization()
    ada, _ = await member(org, "Ada"), await member(org, "Bob")
    for period in ("daily", "monthly"):
        await set_limit(org, ORGANIZATION, "700", period)
    (line,) = (await org.get(f"{EFFECTIVE}?user_ids[]={ada}&period[]=monthly"))["data"]
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
    organization: StartOrganization, query: str, refusal: tuple[int, str]
) -> None:
    org = await organization()
    assert await org.refusal(f"{EFFECTIVE}?{query}", method="GET") == refusal
