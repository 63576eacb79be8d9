"""Spend limits and balances."""

import pytest

from support.organization import StartOrganization

pytestmark = pytest.mark.anyio

ORGANIZATION = {"type": "organization"}
LIMITS = "/spend_limits"
EFFECTIVE = "/spend_limits/effective"
AN_AMOUNT = "amount: Input should be an amount in cents, such as '50000' or '12.5'"


@pytest.mark.covers("administration: GET /spend_limits", "effect")
@pytest.mark.covers("administration: POST /spend_limits", "effect")
@pytest.mark.covers("administration: GET /spend_limits/{limit}", "effect")
@pytest.mark.covers("administration: POST /spend_limits/{limit}", "effect")
@pytest.mark.covers("administration: DELETE /spend_limits/{limit}", "effect")
async def test_spend_limits_are_set_changed_and_removed(organization: StartOrganization) -> None:
    org = await organization()
    body = {"scope": {"type": "organization"}, "amount": "50000", "period": "monthly"}
    made = await org.post("/spend_limits", body)
    assert made == {
        **body,
        "id": made["id"],
        "type": "spend_limit",
        "currency": "USD",
        "is_enabled": True,
        "created_at": "2026-11-23T12:00:00Z",
        "updated_at": "2026-11-23T12:00:00Z",
    }
    again = await org.post("/spend_limits", {**body, "amount": "12.5"})
    assert (again["id"], again["amount"]) == (made["id"], "12.5")
    changed = await org.post(f"/spend_limits/{made['id']}", {"amount": "7"})
    assert (await org.get("/spend_limits"))["data"] == [changed]
    assert await org.get(f"/spend_limits/{made['id']}") == changed
    gone = await org.delete(f"/spend_limits/{made['id']}")
    assert gone == {"id": made["id"], "type": "spend_limit_deleted"}
    assert (await org.refusal(f"/spend_limits/{made['id']}", method="GET"))[0] == 404


async def test_invalid_amount_is_refused_and_changes_nothing(
    organization: StartOrganization,
) -> None:
    org = await organization()
    kept = await org.spend_limit_in_cents(ORGANIZATION, "5", "monthly")
    before = await org.audit()
    path = f"{LIMITS}/{kept['id']}"
    for amount, said in (
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
    ):
        new = {"scope": ORGANIZATION, "amount": amount}
        assert await org.refusal(LIMITS, new) == (400, said), amount
        assert await org.refusal(path, {"amount": amount}) == (400, said), amount
        assert (await org.get(LIMITS))["data"] == [kept], amount
        assert await org.audit() == before, amount


async def test_limit_that_is_set_again_to_its_amount_is_as_it_was(
    organization: StartOrganization,
) -> None:
    org = await organization()
    made = await org.spend_limit_in_cents(ORGANIZATION, "5", "daily")
    before = await org.audit()
    org.clock.passes(seconds=1)
    assert await org.spend_limit_in_cents(ORGANIZATION, "5", "daily") == made
    assert await org.post(f"{LIMITS}/{made['id']}", {"amount": "5.0"}) == made
    assert await org.audit() == before


@pytest.mark.parametrize("amount", ["-1", "x", "1e3", ""])
async def test_malformed_amount_is_refused(organization: StartOrganization, amount: str) -> None:
    org = await organization()
    body = {"scope": {"type": "organization"}, "amount": amount}
    assert await org.refusal("/spend_limits", body) == (
        400,
        "amount: Input should be an amount in cents, such as '50000' or '12.5'",
    )


async def test_null_amount_is_refused_where_no_limit_is_inherited(
    organization: StartOrganization,
) -> None:
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
        assert (await org.spend_limit_in_cents(ORGANIZATION, amount, "daily"))["amount"] == amount


async def test_spend_limit_above_the_cap_of_the_server_is_refused(
    organization: StartOrganization,
) -> None:
    org = await organization({"limits": {"monthly_spend": "5"}})
    body = {"scope": {"type": "organization"}, "amount": "501"}
    assert await org.refusal("/spend_limits", body) == (
        400,
        "amount: 501 is above the cap of this server, 500 cents",
    )


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
async def test_spend_limit_in_cents_an_unknown_scope_is_refused(
    organization: StartOrganization, scope: object, status: int
) -> None:
    org = await organization()
    assert (await org.refusal(LIMITS, {"scope": scope, "amount": "5"}))[0] == status
    assert (await org.get(LIMITS))["data"] == []


async def test_spend_limit_in_cents_an_archived_scope_cannot_be_set(
    organization: StartOrganization,
) -> None:
    org = await organization()
    _, workspace, key = await org.guest()
    of_workspace = {"type": "workspace", "workspace_id": workspace}
    of_key = {"type": "api_key", "api_key_id": key}
    kept = [await org.spend_limit_in_cents(scope, "5", "daily") for scope in (of_workspace, of_key)]
    await org.post(f"/workspaces/{workspace}/archive")
    await org.post(f"/api_keys/{key}", {"status": "archived"})
    for scope, limit, said in (
        (of_workspace, kept[0], "scope.workspace_id: this workspace is archived"),
        (of_key, kept[1], "scope.api_key_id: this key is archived"),
    ):
        path = f"{LIMITS}/{limit['id']}"
        assert await org.refusal(LIMITS, {"scope": scope, "amount": "7"}) == (400, said)
        assert await org.refusal(path, {"amount": "7"}) == (400, said)
        assert await org.get(path) == limit
        await org.delete(path)


@pytest.mark.parametrize("method", ["GET", "POST", "DELETE"])
async def test_only_admin_keys_read_or_change_spend_limits(
    organization: StartOrganization, method: str
) -> None:
    org = await organization()
    kept = await org.spend_limit_in_cents(ORGANIZATION, "5", "monthly")
    for path in (LIMITS, EFFECTIVE, f"{LIMITS}/{kept['id']}"):
        if method == "GET" or path != EFFECTIVE:
            call = org.caller.start(method, f"/v1/organizations{path}", {"amount": "7"})
            answer = await call.task
            assert answer.status == (405 if (method, path) == ("DELETE", LIMITS) else 403), path
    assert (await org.get(LIMITS))["data"] == [kept]


async def test_spend_limits_are_listed_newest_first_and_filtered(
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
        made[name] = await org.spend_limit_in_cents(scope, "5", "daily")

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


async def test_page_of_spend_limits_has_twenty_by_default(
    organization: StartOrganization,
) -> None:
    org = await organization()
    for number in range(21):
        key = (await org.post("/api_keys", {"name": str(number)}))["id"]
        await org.spend_limit_in_cents({"type": "api_key", "api_key_id": key}, "5", "daily")
    first = await org.get(LIMITS)
    assert len(first["data"]) == 20
    second = await org.get(f"{LIMITS}?page={first['next_page']}")
    assert (len(second["data"]), second["next_page"]) == (1, None)


async def test_cap_of_the_server_is_the_last_of_all_pages(
    organization: StartOrganization,
) -> None:
    org = await organization({"limits": {"monthly_spend": "100"}})
    for period in ("daily", "weekly"):
        await org.spend_limit_in_cents({"type": "organization"}, "5", period)
    for size, sizes in ((1, [1, 1, 1]), (2, [2, 1]), (3, [3])):
        found = []
        page = {"next_page": ""}
        while page["next_page"] is not None:
            token = page["next_page"] and f"&page={page['next_page']}"
            page = await org.get(f"{LIMITS}?limit={size}{token}")
            found.append([one["scope"]["type"] for one in page["data"]])
        assert [len(one) for one in found] == sizes
        assert found[-1][-1] == "usage_tier"


async def test_cap_of_the_server_is_listed_and_cannot_be_changed(
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
    path = f"{LIMITS}/{cap['id']}"
    assert await org.get(path) == cap
    refused = (
        400,
        "This limit is the server's own: `monthly_spend` in its settings changes it.",
    )
    assert await org.refusal(path, {"amount": "9"}) == refused
    assert await org.refusal(path, method="DELETE") == refused
    assert (await org.get(LIMITS))["data"] == [cap]


@pytest.mark.covers("administration: GET /balances", "effect")
async def test_balance_shows_limit_spent_and_remaining(organization: StartOrganization) -> None:
    org = await organization()
    scope = {"type": "organization"}
    await org.post("/spend_limits", {"scope": scope, "amount": "12.5"})
    (balance,) = (await org.get("/balances?scope=organization"))["data"]
    assert (balance["scope"], balance["period"]) == (scope, "monthly")
    assert (balance["limit"], balance["remaining"], balance["spent"]) == ("12.5", "12.5", "0")
