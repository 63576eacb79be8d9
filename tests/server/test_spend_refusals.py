"""What the refusal of a spend limit tells its caller, and what it keeps from whom."""

from decimal import Decimal

import pytest

from antiphon.settings import PriceSettings
from antiphon.store.counters.base import CountersAwayError
from support.asgi import HELLO, Answer
from support.console import join, member, set_up
from support.organization import Organization, StartOrganization

pytestmark = pytest.mark.anyio

PRICE = PriceSettings(input=Decimal(3), output=Decimal(15))
WHOLE = {"type": "organization"}
# A prompt of 5 tokens: 15 µ$ and 15 µ$ for each token of the answer.
PROMPT_AND_ONE = 30_000
COULD_COST = "This request could cost up to $0.000165. "
ASK = "You may also contact an administrator to request a higher limit."


async def opened(organization: StartOrganization) -> Organization:
    return await organization(price=PRICE, text="One two three")


def said(answer: Answer) -> str:
    status, kind, message = answer.error
    assert (status, kind) == (400, "invalid_request_error")
    return message.partition("00:00 UTC. ")[2]


async def test_key_is_named_and_a_smaller_answer_is_advised_where_it_helps(
    organization: StartOrganization,
) -> None:
    org = await opened(organization)
    caller, _, key = await org.guest()
    await org.spend_limit({"type": "api_key", "api_key_id": key}, PROMPT_AND_ONE)
    refused = await caller.create(max_tokens=10)
    name = f"This is the monthly limit of $0.00003 of API key 'guest', {key}. "
    helps = "A smaller `max_tokens` can make it fit. "
    assert said(refused) == f"{name}{COULD_COST}{helps}{ASK}"
    assert (await caller.create(max_tokens=1)).status == 200
    helps = "A smaller `max_tokens` alone does not make it fit. "
    assert said(await caller.create(max_tokens=10)) == f"{name}{COULD_COST}{helps}{ASK}"


async def test_keys_of_other_workspaces_are_not_told_the_amount_of_the_organization(
    organization: StartOrganization,
) -> None:
    org = await opened(organization)
    guest, workspace, _ = await org.guest()
    whole = await org.post("/api_keys", {"name": "whole", "scope": WHOLE})
    await org.spend_limit(WHOLE, 20_000)
    amount, without = [
        f"This is the monthly limit{amount} of the organization. {COULD_COST}"
        for amount in (" of $0.00002", "")
    ]
    callers = (org.caller, org.caller_with(whole["secret"]))
    for caller in callers:
        assert said(await caller.create(max_tokens=10)).startswith(amount)
    assert said(await guest.create(max_tokens=10)).startswith(without)
    # The limit of the guest's own workspace is told.
    await org.spend_limit({"type": "workspace", "workspace_id": workspace}, 10_000)
    await org.spend_limit(WHOLE, 10**9)
    assert said(await guest.create(max_tokens=10)).startswith(
        f"This is the monthly limit of $0.00001 of workspace {workspace}. "
    )


@pytest.mark.parametrize(("role", "told"), [("developer", True), ("user", False)])
async def test_user_is_told_what_the_role_may_see(
    organization: StartOrganization, role: str, told: bool
) -> None:
    org = await opened(organization)
    await set_up(org)
    browser, bob = await member(org, "bob", role)
    workspace = (await org.post("/workspaces", {"name": "Lab"}))["id"]
    await join(org, bob, workspace, "workspace_user")
    await org.spend_limit(WHOLE, 20_000)
    body = {**HELLO, "max_tokens": 10}
    refused = await browser.post("/v1/messages", body, anthropic_workspace_id=workspace)
    assert ("$0.00002 " in said(refused)) == told


async def test_refusal_stands_where_the_counters_do_not_tell_what_is_left(
    organization: StartOrganization, monkeypatch: pytest.MonkeyPatch
) -> None:
    org = await opened(organization)
    await org.spend_limit(WHOLE, 20_000)

    async def away(_: object) -> None:
        raise CountersAwayError("away")

    monkeypatch.setattr(org.platform.admitter._counters, "balance", away)
    assert said(await org.caller.create(max_tokens=10)).endswith(f"{COULD_COST}{ASK}")


async def test_refused_rate_leads_to_a_request_for_more(organization: StartOrganization) -> None:
    org = await opened(organization)
    await org.limit("", requests_per_minute=1)
    assert (await org.caller.create()).status == 200
    refused = await org.caller.create()
    assert refused.error[2].endswith(
        "try again later. You may also contact an administrator to request a rate limit increase."
    )
