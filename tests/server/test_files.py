"""`/v1/files`: upload, list, show, download, delete."""

import asyncio
import gzip
from functools import partial
from typing import Any

import pytest

from antiphon.core.pagination import TokenCursor
from antiphon.service.files.upkeep import FileUpkeep
from antiphon.store.database.database import open_database
from antiphon.store.files import CHUNK_BYTES
from support.disks import SmallDisk
from support.forms import FORM, OF_BETA, remove, send_file, upload, upload_form
from support.organization import NOT_A_PAGE, Organization, StartOrganization

pytestmark = pytest.mark.anyio
FILES = "/v1/files"


def code(answer: Any) -> str | None:
    found: str | None = (answer.json["error"].get("details") or {}).get("error_code")
    return found


async def content_of(org: Organization, file_id: str) -> bytes:
    content = await org.platform.files.content(None, file_id)
    return await content.whole()


@pytest.mark.covers("routes: POST /v1/files", "effect")
@pytest.mark.covers("routes: GET /v1/files/{id}", "effect")
async def test_file_is_told_and_its_content_is_kept(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    size = 4 * CHUNK_BYTES + 1234
    content = bytes(number % 251 for number in range(size))
    body = upload_form(content, "naïve.bin", "application/x-own")
    pieces = [body[start : start + 65_536] for start in range(0, len(body), 65_536)]
    answer = await send_file(org.caller, pieces)
    assert answer.status == 200, answer.json
    told = answer.json
    assert told == {
        "id": told["id"],
        "type": "file",
        "filename": "naïve.bin",
        "mime_type": "application/x-own",
        "size_bytes": size,
        "created_at": "2026-11-23T12:00:00.000000Z",
        "downloadable": False,
        "expires_at": None,
    }
    assert told["id"].startswith("file_011C")
    assert (await org.caller.get(f"{FILES}/{told['id']}")).json == told
    assert await content_of(org, told["id"]) == content


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, 4 * CHUNK_BYTES, 4 * CHUNK_BYTES + 1])
async def test_file_of_any_size_is_kept(organization: StartOrganization, size: int) -> None:
    org = await organization()
    told = await upload(org.caller, b"x" * size)
    assert told["size_bytes"] == size
    assert await content_of(org, told["id"]) == b"x" * size


async def test_client_of_the_beta_gets_its_shapes(organization: StartOrganization) -> None:
    org = await organization()
    answer = await send_file(org.caller, upload_form(), anthropic_beta=f"other-1, {OF_BETA}")
    assert "expires_at" not in answer.json
    file_id = answer.json["id"]
    one = await org.caller.get(f"{FILES}/{file_id}", anthropic_beta=OF_BETA)
    assert one.json == answer.json
    listed = await org.caller.get(FILES, anthropic_beta=OF_BETA)
    assert listed.json == {
        "data": [answer.json],
        "has_more": False,
        "first_id": file_id,
        "last_id": file_id,
    }


async def three_files(org: Organization) -> list[str]:
    """Upload three files; return their ids, the newest first."""
    ids = []
    for number in range(3):
        ids.append((await upload(org.caller, b"x", f"{number}.txt"))["id"])
        org.clock.passes(seconds=1)
    return ids[::-1]


@pytest.mark.sql_elsewhere
@pytest.mark.covers("routes: GET /v1/files", "effect")
async def test_listing_has_pages(on_both_databases: StartOrganization) -> None:
    org = await on_both_databases()
    ids = await three_files(org)
    first = (await org.caller.get(f"{FILES}?limit=2")).json
    assert [one["id"] for one in first["data"]] == ids[:2]
    rest = (await org.caller.get(f"{FILES}?limit=2&page={first['next_page']}")).json
    assert [one["id"] for one in rest["data"]] == ids[2:]
    assert rest["next_page"] is None
    wrong = await org.caller.get(f"{FILES}?page=page_x")
    assert wrong.error == (400, "invalid_request_error", NOT_A_PAGE)


async def test_listing_of_the_beta_is_walked_by_ids(organization: StartOrganization) -> None:
    org = await organization()
    ids = await three_files(org)
    page = await org.caller.get(f"{FILES}?limit=1&after_id={ids[0]}", anthropic_beta=OF_BETA)
    assert [one["id"] for one in page.json["data"]] == [ids[1]]
    assert page.json["has_more"] is True
    before = await org.caller.get(f"{FILES}?before_id={ids[2]}", anthropic_beta=OF_BETA)
    assert [one["id"] for one in before.json["data"]] == ids[:2]


async def test_listing_by_ids_leaves_out_what_there_is_not(
    organization: StartOrganization,
) -> None:
    org = await organization()
    ids = await three_files(org)
    wanted = f"ids[]={ids[2]}&ids[]={ids[0]}&ids[]=file_unknown&ids[]=%00"
    found = await org.caller.get(f"{FILES}?ids[]={ids[2]}&ids[]={ids[0]}&ids[]=file_unknown")
    assert [one["id"] for one in found.json["data"]] == [ids[0], ids[2]]
    assert found.json["next_page"] is None
    assert (await org.caller.get(f"{FILES}?{wanted}")).status == 400
    both = await org.caller.get(f"{FILES}?ids[]={ids[0]}&limit=3")
    assert both.error[2] == "ids: Input should not be given with `limit` or `page`"
    many = "&".join(f"ids[]=file_{number}" for number in range(101))
    assert "at most 100 items" in (await org.caller.get(f"{FILES}?{many}")).error[2]
    assert (await org.caller.get(f"{FILES}?scope_id=sesn_1")).json["data"] == []


@pytest.mark.sql_elsewhere
@pytest.mark.covers("routes: DELETE /v1/files/{id}", "effect")
async def test_deleted_file_is_gone_at_once_and_its_content_soon(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    file_id = (await upload(org.caller, b"x" * (5 * CHUNK_BYTES)))["id"]
    answer = await remove(org.caller, file_id)
    assert answer.json == {"id": file_id, "type": "file_deleted"}
    missing = (404, "not_found_error", f"File not found: {file_id}")
    assert (await org.caller.get(f"{FILES}/{file_id}")).error == missing
    assert (await org.caller.get(f"{FILES}/{file_id}/content")).error == missing
    assert (await remove(org.caller, file_id)).error == missing
    assert (await org.caller.get(FILES)).json["data"] == []


async def test_of_several_deletions_one_finds_the_file(
    on_both_databases: StartOrganization,
) -> None:
    org = await on_both_databases()
    file_id = (await upload(org.caller))["id"]
    answers = await asyncio.gather(*(remove(org.caller, file_id) for _ in range(4)))
    assert sorted(answer.status for answer in answers) == [200, 404, 404, 404]
    entries = [one for one in await org.audit() if one["action"] == "file.delete"]
    assert len(entries) == 1


@pytest.mark.covers("routes: GET /v1/files/{id}/content", "effect")
async def test_uploaded_file_cannot_be_downloaded(organization: StartOrganization) -> None:
    org = await organization()
    file_id = (await upload(org.caller))["id"]
    answer = await org.caller.get(f"{FILES}/{file_id}/content")
    assert answer.error[:2] == (400, "invalid_request_error")
    assert code(answer) == "file_not_downloadable"


async def test_operator_may_permit_downloads(organization: StartOrganization) -> None:
    org = await organization({"file_downloads": True})
    content = b"<script>" + b"x" * (2 * CHUNK_BYTES)
    told = await upload(org.caller, content, "a b.html", "text/html")
    assert told["downloadable"] is True
    answer = await org.caller.get(f"{FILES}/{told['id']}/content")
    assert (answer.status, answer.body == content) == (200, True)
    assert answer.headers["content-type"] == "text/html"
    # A browser that is signed in must not run it.
    assert answer.headers["content-disposition"] == "attachment; filename*=UTF-8''a%20b.html"
    assert answer.headers["x-content-type-options"] == "nosniff"
    assert answer.headers["content-security-policy"] == "sandbox"
    head = await org.caller.start("HEAD", f"{FILES}/{told['id']}/content").task
    assert (head.status, head.body) == (200, b"")


async def test_file_expires(organization: StartOrganization) -> None:
    org = await organization()
    told = await upload(org.caller, expires_in_seconds="3600")
    assert told["expires_at"] == "2026-11-23T13:00:00.000000Z"
    org.clock.passes(seconds=3600)
    answer = await org.caller.get(f"{FILES}/{told['id']}")
    assert answer.error[:2] == (404, "not_found_error")
    assert code(answer) == "file_expired"
    assert (await org.caller.get(FILES)).json["data"] == []


async def test_files_of_another_workspace_are_not_there(organization: StartOrganization) -> None:
    org = await organization()
    guest, workspace, _ = await org.guest()
    own, theirs = await upload(org.caller), await upload(guest)
    for caller, file_id in ((org.caller, theirs["id"]), (guest, own["id"])):
        missing = (404, "not_found_error", f"File not found: {file_id}")
        assert (await caller.get(f"{FILES}/{file_id}")).error == missing
        assert (await caller.get(f"{FILES}/{file_id}/content")).error == missing
        assert (await remove(caller, file_id)).error == missing
        assert (await caller.get(f"{FILES}?ids[]={file_id}")).json["data"] == []
    assert [one["id"] for one in (await guest.get(FILES)).json["data"]] == [theirs["id"]]
    # Its key is revoked with the workspace; what it has kept must not fill the quota for ever.
    await org.post(f"/workspaces/{workspace}/archive")
    assert await org.platform.files.page(workspace, TokenCursor(limit=10)) == ()


async def test_workspace_that_is_archived_meanwhile_keeps_nothing(
    organization: StartOrganization,
) -> None:
    org = await organization()
    guest, workspace, _ = await org.guest()
    await org.post(f"/workspaces/{workspace}/archive")
    assert (await send_file(guest, upload_form())).status == 401


@pytest.mark.parametrize(
    ("body", "headers", "said"),
    [
        (b"{}", {"content_type": "application/json"}, "content-type: Input should be multipart"),
        (b"", {}, "The form ends before its last boundary"),
        (upload_form()[:-10], {}, "The form ends before its last boundary"),
        (upload_form(filename="a?b"), {}, "filename: Input should be printable"),
        (upload_form(purpose="x"), {}, "purpose: Extra inputs are not permitted"),
        (upload_form(expires_in_seconds="1"), {}, "expires_in_seconds: Input should be greater"),
        (upload_form(expires_in_seconds="x"), {}, "expires_in_seconds: Input should be a valid"),
    ],
)
async def test_form_that_is_refused_leaves_nothing(
    organization: StartOrganization, body: bytes, headers: dict[str, str], said: str
) -> None:
    org = await organization()
    answer = await org.caller.post(FILES, body, **{"content_type": FORM, **headers})
    assert answer.error[:2] == (400, "invalid_request_error")
    assert answer.error[2].startswith(said)
    assert (await org.caller.get(FILES)).json["data"] == []


@pytest.mark.parametrize("name", ["../../etc/passwd", "..\\\\..\\\\passwd", "/etc/passwd"])
async def test_path_in_a_name_leads_nowhere(organization: StartOrganization, name: str) -> None:
    org = await organization()
    assert (await upload(org.caller, b"x", name))["filename"] == "passwd"


async def test_file_that_is_too_large_is_refused_and_dropped(
    organization: StartOrganization,
) -> None:
    org = await organization({"max_file_bytes": 5 * CHUNK_BYTES})
    body = upload_form(b"x" * (5 * CHUNK_BYTES + 1))
    pieces = [body[start : start + CHUNK_BYTES] for start in range(0, len(body), CHUNK_BYTES)]
    answer = await send_file(org.caller, pieces)
    assert answer.error[:2] == (413, "request_too_large")
    # Its length says so before anything has arrived.
    huge = await send_file(org.caller, b"", content_length=str(10**9))
    assert huge.error[:2] == (413, "request_too_large")
    assert (await org.caller.get(FILES)).json["data"] == []
    assert (await upload(org.caller, b"x" * (5 * CHUNK_BYTES)))["size_bytes"] == 5 * CHUNK_BYTES


@pytest.mark.parametrize("setting", ["file_quota_bytes", "workspace_file_quota_bytes"])
async def test_quota_refuses_what_does_not_fit(
    organization: StartOrganization, setting: str
) -> None:
    org = await organization({setting: 1000})
    first = await upload(org.caller, b"x" * 600)
    answer = await send_file(org.caller, upload_form(b"x" * 401))
    assert answer.error[:2] == (400, "invalid_request_error")
    assert code(answer) == "storage_quota_exceeded"
    guest, _, _ = await org.guest()
    of_guest = await send_file(guest, upload_form(b"x" * 401))
    assert of_guest.status == (400 if setting == "file_quota_bytes" else 200)
    assert (await upload(org.caller, b"x" * 400))["size_bytes"] == 400
    await remove(org.caller, first["id"])
    assert (await upload(org.caller, b"x" * 600))["size_bytes"] == 600


async def test_caller_who_hangs_up_leaves_nothing(organization: StartOrganization) -> None:
    org = await organization()
    body = upload_form(b"x" * (6 * CHUNK_BYTES))[:-10]
    call = org.caller.start("POST", FILES, [body, b""], {"content-type": FORM})
    call.hang_up()
    await call.task
    assert (await org.caller.get(FILES)).json["data"] == []


@pytest.mark.parametrize(("encoding", "status"), [("identity", 200), ("gzip", 200), ("br", 400)])
async def test_form_may_be_compressed(
    organization: StartOrganization, encoding: str, status: int
) -> None:
    org = await organization()
    body = upload_form(b"x" * 1000)
    sent = gzip.compress(body) if encoding == "gzip" else body
    answer = await send_file(org.caller, sent, content_encoding=encoding)
    assert answer.status == status, answer.json


async def test_bomb_is_refused(organization: StartOrganization) -> None:
    org = await organization({"max_file_bytes": CHUNK_BYTES})
    bomb = gzip.compress(upload_form(b"\0" * (64 * CHUNK_BYTES)))
    answer = await send_file(org.caller, bomb, content_encoding="gzip")
    assert answer.error[:2] == (413, "request_too_large")


async def test_every_call_draws_from_a_limit_of_its_own(organization: StartOrganization) -> None:
    org = await organization({"limits": {"file_requests_per_minute": 3}}, timed=True)
    answers = [await org.caller.get(FILES), await org.caller.get(f"{FILES}/file_unknown")]
    answers.append(await send_file(org.caller, upload_form()))
    left = [one.headers["anthropic-ratelimit-requests-remaining"] for one in answers]
    assert ([one.status for one in answers], left) == ([200, 404, 200], ["2", "1", "0"])
    refused = await org.caller.get(FILES)
    assert refused.error[:2] == (429, "rate_limit_error")
    assert (await org.caller.create()).status == 200
    listed = {one["group"]["id"]: one for one in (await org.get("/rate_limits"))["data"]}
    assert listed["files"]["group"] == {"type": "files", "id": "files"}


async def test_uploads_and_deletions_are_in_the_audit_log(
    organization: StartOrganization,
) -> None:
    org = await organization()
    told = await upload(org.caller)
    # Entries of one moment have the order of their ids.
    org.clock.passes(seconds=1)
    await remove(org.caller, told["id"])
    entries = [one for one in await org.audit() if one["action"].startswith("file.")]
    assert [(one["action"], one["before"], one["after"]) for one in entries] == [
        ("file.delete", told, None),
        ("file.create", None, told),
    ]
    assert {one["object"]["id"] for one in entries} == {told["id"]}


async def test_file_that_does_not_fit_on_the_disk_leaves_room_for_others(
    organization: StartOrganization,
) -> None:
    disk = SmallDisk(40 * CHUNK_BYTES)
    opening = partial(open_database, disk_usage=disk.usage)
    org = await organization(open_database=opening)
    body = upload_form(b"x" * (40 * CHUNK_BYTES))
    pieces = [body[start : start + CHUNK_BYTES] for start in range(0, len(body), CHUNK_BYTES)]
    refused = await send_file(org.caller, pieces)
    assert refused.error[:2] == (529, "overloaded_error")
    assert disk.least_free >= 8 * CHUNK_BYTES
    await FileUpkeep(org.platform.database, org.clock, no_pause).remove_old()
    assert (await upload(org.caller, b"x" * CHUNK_BYTES))["size_bytes"] == CHUNK_BYTES


async def no_pause(_: float) -> None:
    pass
