"""The older version's shape of what the Admin API answers."""

from typing import Any

import msgspec
import pytest

from antiphon.wire.admin.keys import (
    AdminKeyScope,
    KeyInfo,
    OrganizationKeyScope,
    WorkspaceKeyScope,
)
from antiphon.wire.admin.limits import (
    BatchGroup,
    KeyRateLimitInfo,
    LimitValue,
    ModelGroup,
    RateLimitInfo,
    TokenCountGroup,
    WorkspaceRateLimitInfo,
)
from antiphon.wire.admin.organizations import Listing, OrganizationInfo, TokenListing
from antiphon.wire.admin.versions import as_of_2023_06_01

MODELS = ModelGroup(id="small", display_name="small")
COUNTING = TokenCountGroup(id="token_count")
BATCHES = BatchGroup(id="batch")


def key(scope: Any, **more: Any) -> KeyInfo:
    return KeyInfo(
        id="apikey_1",
        name="laptop",
        status="active",
        created_at="2026-11-23T12:00:00Z",
        expires_at=None,
        last_used_at=None,
        created_by=None,
        partial_key_hint=None,
        scope=scope,
        **more,
    )


def plain(answer: Any) -> Any:
    return msgspec.json.decode(msgspec.json.encode(answer))


@pytest.mark.parametrize(
    ("scope", "shown"),
    [
        (WorkspaceKeyScope(workspace_id="wrkspc_1"), "wrkspc_1"),
        (WorkspaceKeyScope(workspace_id="wrkspc_default"), None),
        (OrganizationKeyScope(), None),
        (AdminKeyScope(), None),
    ],
)
def test_key_shows_the_workspace_that_it_belongs_to(scope: Any, shown: str | None) -> None:
    newest = key(scope, secret="s")
    older = as_of_2023_06_01(newest, "wrkspc_default")
    assert plain(older) == {**plain(newest), "workspace_id": shown}


@pytest.mark.parametrize(
    ("group", "shown"), [(MODELS, "model_group"), (COUNTING, "token_count"), (BATCHES, "batch")]
)
def test_rate_limit_shows_the_type_of_its_group(group: Any, shown: str) -> None:
    infos = [
        RateLimitInfo(id="rl_1", group=group, models=None, limits=(LimitValue(type="x", value=1),)),
        WorkspaceRateLimitInfo(
            rate_limit_id="rl_1", workspace_id="wrkspc_1", group=group, models=("a",), limits=()
        ),
        KeyRateLimitInfo(
            rate_limit_id="rl_1", api_key_id="apikey_1", group=group, models=None, limits=()
        ),
    ]
    for info in infos:
        assert plain(as_of_2023_06_01(info, "w")) == {**plain(info), "group_type": shown}


def test_listing_shows_each_item_in_the_older_version() -> None:
    newest = key(OrganizationKeyScope())
    listing = Listing(data=(newest,), has_more=False, first_id="apikey_1", last_id="apikey_1")
    (item,) = plain(as_of_2023_06_01(listing, "w"))["data"]
    assert item == {**plain(newest), "workspace_id": None}
    page = TokenListing(data=(OrganizationInfo(id="o", name="n"),), next_page=None)
    assert as_of_2023_06_01(page, "w") == page
