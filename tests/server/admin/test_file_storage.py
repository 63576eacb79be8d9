"""What the files of a workspace take, and who is told."""

import pytest

from antiphon.server.app import ORGANIZATIONS_PATH
from support.console import join, member, set_up
from support.forms import FORM, remove, upload, upload_form
from support.organization import StartOrganization

pytestmark = pytest.mark.anyio

STORAGE = "/file_storage"


@pytest.mark.covers("administration: GET /file_storage", "effect")
async def test_storage_tells_what_files_take_and_what_is_left(
    organization: StartOrganization,
) -> None:
    org = await organization(settings={"file_quota_bytes": 100, "max_file_bytes": 2000})
    lab = (await org.post("/workspaces", {"name": "Lab"}))["id"]
    browser = await set_up(org)
    await browser.post(
        "/v1/files", upload_form(b"x" * 30), content_type=FORM, anthropic_workspace_id=lab
    )
    file = await upload(org.caller, b"hello")
    told = await org.get(STORAGE)
    default = told["workspace_id"]
    assert told == {
        "type": "file_storage",
        "workspace_id": default,
        "used_bytes": 5,
        "quota_bytes": None,
        "free_bytes": 65,
        "largest_file_bytes": 2000,
        "downloadable": False,
    }
    assert (await org.get(f"{STORAGE}?workspace_id={lab}"))["used_bytes"] == 30
    await remove(org.caller, file["id"])
    assert (await org.get(f"{STORAGE}?workspace_id={default}"))["free_bytes"] == 70


async def test_quota_of_the_workspace_is_what_is_left_first(
    organization: StartOrganization,
) -> None:
    settings = {"workspace_file_quota_bytes": 20, "file_downloads": True}
    org = await organization(settings=settings)
    await upload(org.caller, b"hello")
    told = await org.get(STORAGE)
    assert (told["quota_bytes"], told["free_bytes"], told["downloadable"]) == (20, 15, True)


async def test_storage_is_told_within_the_reach_of_a_role(organization: StartOrganization) -> None:
    org = await organization()
    await set_up(org)
    lab, other = [(await org.post("/workspaces", {"name": name}))["id"] for name in ("Lab", "X")]
    browser, user_id = await member(org, "bob", "developer")
    await join(org, user_id, lab, "workspace_developer")
    path = f"{ORGANIZATIONS_PATH}{STORAGE}"
    assert (await browser.get(path)).status == 200
    assert (await browser.get(f"{path}?workspace_id={lab}")).status == 200
    hidden = await browser.get(f"{path}?workspace_id={other}")
    assert hidden.error[:2] == (404, "not_found_error")
    eve, _ = await member(org, "eve", "user")
    assert (await eve.get(path)).status == 403
