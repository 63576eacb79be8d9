"""The effective spend limits of members."""

from decimal import Decimal

import pytest

from antiphon.settings import PriceSettings
from support.organization import NOT_A_PAGE, Organization, StartOrganization

pytestmark = pytest.mark.anyio

ORGANIZATION = {"type": "organization"}
LIMITS = "/spend_limits"
EFFECTIVE = "/spend_limits/effective"
PRICE = PriceSettings(input=Decimal(3), output=Decimal(15))
# A prompt of 5 tokens, and 3 of the answer's four.
CUT = {"max_tokens": 3}
CUT_COST = "0.006"  # cents


async def member(org: Organization, name: str) -> str:
    return str((await org.add_user(name))["id"])


@pytest.mark.covers("administration: GET /spend_limits/effective", "effect")
async def test_effective_limits_show_the_spending_of_each_members_keys(
    organization: StartOrganization,
) -> None:
    org = await organization(price=PRICE, text="One two three")
    daily = await org.spend_limit_in_cents(ORGANIZATION, "700", "daily")
    monthly = await org.spend_limit_in_cents(ORGANIZATION, "5000", "monthly")
    ada, bob = await member(org, "Ada"), await member(org, "Bob")
    for count in (1, 2):
        key = {"name": "a key", "created_by_user_id": ada}
        caller = org.caller_with((await org.post("/api_keys", key))["secret"])
        for _ in range(count):
            assert (await caller.create(**CUT)).status == 200
    assert (await org.caller.create(**CUT)).status == 200  # a key without a creator
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


async def test_spend_of_a_member_is_zero_in_a_new_period(organization: StartOrganization) -> None:
    org = await organization(timed=True, price=PRICE, text="One two three")
    ada = await member(org, "Ada")
    for period in ("daily", "weekly", "monthly"):
        await org.spend_limit_in_cents(ORGANIZATION, "700", period)
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


async def test_effective_limit_is_the_tighter_of_cap_and_limit(
    organization: StartOrganization,
) -> None:
    org = await organization({"limits": {"monthly_spend": "7"}})
    await member(org, "Ada")
    (capped,) = (await org.get(EFFECTIVE))["data"]
    (cap,) = (await org.get(LIMITS))["data"]
    assert (capped["source"], capped["amount"]) == ({"type": "usage_tier"}, "700")
    assert capped["spend_limit_id"] == cap["id"]
    own = await org.spend_limit_in_cents(ORGANIZATION, "300", "monthly")
    (limited,) = (await org.get(EFFECTIVE))["data"]
    assert (limited["source"], limited["amount"]) == ({"type": "organization"}, "300")
    assert limited["spend_limit_id"] == own["id"]


async def test_effective_limits_of_unlimited_members_are_empty(
    organization: StartOrganization,
) -> None:
    org = await organization()
    await member(org, "Ada")
    _, workspace, _ = await org.guest()
    await org.spend_limit_in_cents({"type": "workspace", "workspace_id": workspace}, "5", "daily")
    assert await org.get(EFFECTIVE) == {"data": [], "next_page": None}


async def test_effective_limits_of_a_member_are_on_one_page(
    organization: StartOrganization,
) -> None:
    org = await organization()
    members = [await member(org, name) for name in ("Ada", "Bob", "Eve")]
    for period in ("daily", "weekly"):
        await org.spend_limit_in_cents(ORGANIZATION, "700", period)
    first = await org.get(f"{EFFECTIVE}?limit=2")
    assert len(first["data"]) == 4
    second = await org.get(f"{EFFECTIVE}?limit=2&page={first['next_page']}")
    assert (len(second["data"]), second["next_page"]) == (2, None)
    seen = [one["actor"]["user_id"] for one in (*first["data"], *second["data"])]
    assert sorted(seen) == sorted(2 * members)


async def test_effective_limits_are_filtered_by_user_and_period(
    organization: StartOrganization,
) -> None:
    org = await organization()
    ada, _ = await member(org, "Ada"), await member(org, "Bob")
    for period in ("daily", "monthly"):
        await org.spend_limit_in_cents(ORGANIZATION, "700", period)
    (line,) = (await org.get(f"{EFFECTIVE}?user_ids[]={ada}&period[]=monthly"))["data"]
    assert (line["actor"]["user_id"], line["period"]) == (ada, "monthly")


@pytest.mark.parametrize(
    ("query", "refusal"),
    [
        ("user_ids[]=user_none", (404, "User user_none not found.")),
        ("period[]=yearly", (400, "period.0: Input should be 'daily', 'weekly' or 'monthly'")),
        ("page=page_9", (400, NOT_A_PAGE)),
        ("limit=0", (400, "limit: Input should be greater than or equal to 1")),
        ("scope=user", (400, "scope: Extra inputs are not permitted")),
        (
            "&".join(["user_ids[]=x"] * 101),
            (400, "user_ids: List should have at most 100 items, not 101"),
        ),
    ],
)
async def test_invalid_query_of_effective_limits_is_refused(
    organization: StartOrganization, query: str, refusal: tuple[int, str]
) -> None:
    org = await organization()
    assert await org.refusal(f"{EFFECTIVE}?{query}", method="GET") == refusal
