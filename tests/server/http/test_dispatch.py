"""The steps that every request goes through, in their order, and the route that its log names."""

from typing import Any

import pytest

from antiphon.server.app import ORGANIZATIONS_PATH, build_app
from support.asgi import HELLO, Client
from support.logs import capture_logs
from support.organization import ADMIN

pytestmark = pytest.mark.anyio

WORKSPACES = f"{ORGANIZATIONS_PATH}/workspaces"
GOOD = {"x-api-key": ADMIN, "anthropic-version": "2026-10-21"}
# One fault for each step, in the order of the steps.
FAULTS: list[tuple[str, dict[str, Any], int, str]] = [
    ("key", {"x-api-key": "wrong"}, 401, "invalid x-api-key"),
    ("version", {"anthropic-version": "1"}, 400, 'anthropic-version: "1" is not a valid version'),
    ("betas", {"anthropic-beta": "a b"}, 400, "Unexpected value(s) `a b`"),
    ("bytes", {"content-encoding": "br"}, 400, "Content-Encoding 'br' is not supported"),
    ("query", {"?": "page=x"}, 400, "page: Extra inputs are not permitted"),
    ("body", {"!": {"title": "x"}}, 400, "name: Field required"),
    ("use case", {"!": {"name": " "}}, 400, "name: Input should be printable characters"),
]


@pytest.fixture
async def admin(platform) -> Client:
    return Client(build_app(await platform({"admin_key": ADMIN})), GOOD)


@pytest.mark.parametrize("step", range(len(FAULTS)), ids=[name for name, *_ in FAULTS])
async def test_fault_of_the_earliest_step_is_reported(admin: Client, step: int) -> None:
    *_, status, sentence = FAULTS[step]
    merged: dict[str, Any] = {"!": {"name": "w"}}
    for _, fault, _, _ in reversed(FAULTS[step:]):
        merged |= fault
    query, body = merged.pop("?", ""), merged.pop("!")
    answer = await admin.start("POST", f"{WORKSPACES}?{query}", body, merged).task
    assert answer.error[0] == status
    assert answer.error[2].startswith(sentence)


@pytest.mark.parametrize(
    ("method", "path", "route"),
    [
        ("POST", "/v1/messages", "/v1/messages"),
        ("GET", "/v1/models/scripted", "/v1/models/{model_id}"),
        ("GET", f"{WORKSPACES}/wrkspc_1/members/u", f"{WORKSPACES}/{{workspace}}/members/{{user}}"),
        (
            "POST",
            f"{ORGANIZATIONS_PATH}/rate_limits/rl_meta/small",
            f"{ORGANIZATIONS_PATH}/rate_limits/{{limit}}",
        ),
        ("GET", "/health", "/health"),
        ("HEAD", "/health", "/health"),
        ("GET", "/nowhere", None),
        ("PUT", "/v1/messages", None),
    ],
)
async def test_log_names_the_route_by_its_template(
    platform, method: str, path: str, route: str | None
) -> None:
    with capture_logs() as logs:
        caller = Client(build_app(await platform()))
        await caller.start(method, path, HELLO).task
    (line,) = [one for one in logs if one["event"] == "request"]
    assert (line["method"], line["path"], line["route"]) == (method, path, route)


async def test_body_of_a_route_without_one_is_not_read(admin: Client) -> None:
    answer = await admin.start("GET", WORKSPACES, b"\xff", {"content-encoding": "br"}).task
    assert answer.status == 200


async def test_unknown_query_is_ignored_for_models_and_refused_for_administrators(
    platform, admin: Client
) -> None:
    caller = Client(build_app(await platform()))
    assert (await caller.get("/v1/models?lifecycle[]=active&limit=1")).status == 200
    assert (await caller.get("/v1/models?limit=0&beta=true")).status == 400
    refused = await admin.get(f"{WORKSPACES}?lifecycle[]=active")
    assert refused.error[::2] == (400, "lifecycle: Extra inputs are not permitted")
    assert (await admin.get(f"{WORKSPACES}?beta=true")).status == 200


async def test_admin_request_without_a_body_is_read_as_an_empty_object(admin: Client) -> None:
    made = (await admin.post(WORKSPACES, {"name": "w"})).json
    archived = await admin.post(f"{WORKSPACES}/{made['id']}/archive", b"")
    assert (archived.status, archived.json["id"]) == (200, made["id"])
    assert (await admin.post(WORKSPACES, b"")).error[2] == "name: Field required"


async def test_message_without_a_body_is_refused_as_invalid_json(client) -> None:
    answer = await (await client()).post("/v1/messages", b"")
    assert answer.error[2].startswith("The request body is not valid JSON: ")


@pytest.mark.parametrize(
    ("path", "methods"),
    [
        (WORKSPACES, "GET, HEAD, POST"),
        (f"{ORGANIZATIONS_PATH}/users/u", "DELETE, GET, HEAD, POST"),
        (f"{WORKSPACES}/w/members/u", "DELETE, GET, HEAD, POST"),
        ("/v1/messages", "POST"),
        ("/v1/models/a/b", "GET, HEAD"),
    ],
)
async def test_refused_method_is_told_all_methods_of_the_path(
    admin: Client, path: str, methods: str
) -> None:
    answer = await admin.start("PUT", path, b"", {}).task
    assert (answer.status, answer.headers["allow"]) == (405, methods)


async def test_preflight_states_no_length(admin: Client) -> None:
    answer = await admin.start("OPTIONS", "/v1/messages", b"", {"origin": "http://x"}).task
    assert answer.status == 204
    assert not {"content-length", "content-type", "transfer-encoding"} & set(answer.headers)


async def test_query_of_too_many_parameters_is_refused(admin: Client) -> None:
    for separator in ("&", "=&", "=%20&page&"):
        answer = await admin.get(f"{WORKSPACES}?{('ids[]' + separator) * 1001}")
        assert answer.error[::2] == (400, "The query has more than 1000 parameters")
