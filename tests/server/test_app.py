import pytest

from antiphon.server.app import build_app
from antiphon.service.admin.transactions import COMMAND_LINE
from antiphon.wire.admin.keys import CreateKeyParams, UpdateKeyParams
from support.asgi import HELLO, KEY, Client
from support.logs import capture_logs

pytestmark = pytest.mark.anyio

PROTECTED = [
    ("POST", "/v1/messages"),
    ("POST", "/v1/messages/count_tokens"),
    ("GET", "/v1/models"),
    ("GET", "/v1/models/scripted"),
]


@pytest.mark.covers("errors: authentication_error", "effect")
@pytest.mark.parametrize(("method", "path"), PROTECTED)
@pytest.mark.parametrize(
    ("headers", "message"),
    [
        ({}, "x-api-key header is required"),
        ({"x-api-key": "wrong"}, "invalid x-api-key"),
        ({"x-api-key": ""}, "invalid x-api-key"),
        ({"authorization": "Bearer wrong"}, "Invalid bearer token"),
        ({"authorization": "Basic eDp5"}, "Invalid authentication credentials"),
        ({"x-api-key": "wrong", "authorization": f"Bearer {KEY}"}, "invalid x-api-key"),
    ],
)
async def test_request_without_a_known_key_is_refused(
    shared_client, method, path, headers, message
) -> None:
    caller: Client = await shared_client()
    answer = await caller.start(method, path, HELLO, {"x-api-key": None, **headers}).task
    assert answer.error == (401, "authentication_error", message)
    assert answer.headers["x-should-retry"] == "false"


@pytest.mark.covers("headers: authorization", "effect")
@pytest.mark.parametrize(
    "headers",
    [
        {"x-api-key": KEY},
        {"x-api-key": None, "authorization": f"Bearer {KEY}"},
        {"x-api-key": None, "authorization": f"bearer  {KEY}"},
        {"x-api-key": KEY, "authorization": "Bearer wrong"},
    ],
)
async def test_a_key_comes_in_either_header_and_x_api_key_counts_first(client, headers) -> None:
    answer = await (await client()).start("POST", "/v1/messages", HELLO, headers).task
    assert answer.status == 200


@pytest.mark.parametrize(
    ("version", "message"),
    [
        (None, "anthropic-version: header is required"),
        ("2023-10-01", 'anthropic-version: "2023-10-01" is not a valid version'),
        (
            "2023-06-01, 2023-06-01",
            'anthropic-version: "2023-06-01, 2023-06-01" is not a valid version',
        ),
    ],
)
async def test_absent_or_unknown_version_is_refused(shared_client, version, message) -> None:
    answer = await (await shared_client()).post("/v1/messages", HELLO, anthropic_version=version)
    assert answer.error == (400, "invalid_request_error", message)


@pytest.mark.covers("headers: anthropic-version: 2023-06-01", "effect")
@pytest.mark.covers("headers: anthropic-version: 2026-10-21", "effect")
async def test_both_versions_are_served(client) -> None:
    caller: Client = await client()
    for version in ("2023-06-01", "2026-10-21"):
        assert (await caller.post("/v1/messages", HELLO, anthropic_version=version)).status == 200


@pytest.mark.covers("routes: unknown path", "effect")
@pytest.mark.parametrize("path", ["/", "/v1", "/v1/messages/", "/v1/complete", "/v2/messages"])
async def test_an_unknown_path_is_a_404_in_the_envelope(client, path) -> None:
    assert (await (await client()).get(path)).error == (404, "not_found_error", "Not Found")


@pytest.mark.covers("routes: unknown method", "effect")
@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/v1/messages"), ("POST", "/v1/models"), ("DELETE", "/health")]
)
async def test_an_unknown_method_is_a_405_in_the_envelope(client, method, path) -> None:
    answer = await (await client()).start(method, path).task
    assert answer.error == (405, "invalid_request_error", "Method Not Allowed")
    assert method not in answer.headers["allow"]


@pytest.mark.parametrize(
    "betas",
    [
        "claude-code-20250219,interleaved-thinking-2025-05-14",
        "prompt-caching-2024-07-31, nobody-knows-2031-01-01 ,",
        "",
    ],
)
async def test_known_and_unknown_betas_are_ignored(client, betas) -> None:
    caller = await client()
    assert (await caller.get("/v1/models", anthropic_beta=betas)).status == 200


@pytest.mark.parametrize(
    ("betas", "named"),
    [("a b", "`a b`"), ("fine-1,-x, {}", "`-x`, `{}`"), ("a;b", "`a;b`")],
)
async def test_malformed_beta_name_is_refused(client, betas, named) -> None:
    caller = await client()
    status, kind, message = (await caller.get("/v1/models", anthropic_beta=betas)).error
    assert (status, kind) == (400, "invalid_request_error")
    assert message == (
        f"Unexpected value(s) {named} for the `anthropic-beta` header. Please consult our "
        "documentation at platform.claude.com/docs or try again without the header."
    )


async def test_unknown_query_parameter_is_ignored(client) -> None:
    assert (await (await client()).post("/v1/messages?beta=true", HELLO)).status == 200


@pytest.mark.covers("headers: request-id", "effect")
async def test_every_answer_has_its_own_request_id(client) -> None:
    caller: Client = await client()
    answers = [await caller.get(path) for path in ("/health", "/nowhere", "/v1/models")]
    answers += [await caller.create(), await caller.create(stream=True)]
    ids = {answer.headers["request-id"] for answer in answers}
    assert len(ids) == len(answers)
    assert all(one.startswith("req_011C") and len(one) == 28 for one in ids)


@pytest.mark.covers("routes: GET /v1/models", "effect")
async def test_models_are_listed_with_their_true_limits(client) -> None:
    page = (await (await client(context_tokens=4321)).get("/v1/models")).json
    assert (page["has_more"], page["first_id"], page["last_id"]) == (False, "scripted", "scripted")
    (model,) = page["data"]
    assert (model["id"], model["max_input_tokens"], model["max_tokens"]) == ("scripted", 4321, 4321)


@pytest.mark.covers("routes: GET /v1/models/{id}", "effect")
async def test_a_model_is_found_by_its_aliases(client) -> None:
    caller: Client = await client()
    for name in ("scripted", "claude-opus-5-5"):
        assert (await caller.get(f"/v1/models/{name}")).json["id"] == "scripted"
    assert (await caller.get("/v1/models/gpt-1")).error[2] == "model: gpt-1"


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=1001", "limit=x", "limit=-1", "after_id=nobody", "before_id=nobody"]
)
async def test_invalid_page_parameter_is_a_400(shared_client, query) -> None:
    answer = await (await shared_client()).get(f"/v1/models?{query}")
    assert answer.error[0] == 400
    assert query.partition("=")[0] in answer.error[2]


async def test_health_and_readiness_need_no_key(client) -> None:
    caller: Client = await client()
    assert (await caller.get("/health", x_api_key=None)).json == {"status": "ok"}
    assert (await caller.get("/ready", x_api_key=None)).json == {
        "status": "ready",
        "models": {"scripted": "ready"},
        "needs": {
            "store": {"kind": "sqlite", "status": "ready"},
            "counters": {"kind": "memory", "status": "ready"},
            "journal": {"kind": "file", "status": "ready"},
            "engines": {"scripted": [{"engine": "scripted", "status": "ready"}]},
        },
    }


@pytest.mark.parametrize(
    ("path", "level"), [("/health", "debug"), ("/ready", "debug"), ("/v1/models", "info")]
)
async def test_probes_are_logged_at_debug_level(client, path: str, level: str) -> None:
    with capture_logs() as logs:
        await (await client()).get(path)
    assert [line["log_level"] for line in logs if line["event"] == "request"] == [level]


async def test_stopping_server_is_healthy_and_not_ready(platform) -> None:
    started = await platform()
    caller = Client(build_app(started))
    started.stopping.set()
    assert (await caller.get("/health")).status == 200
    assert (await caller.get("/ready")).status == 503


@pytest.mark.covers("headers: browser opt-in", "effect")
async def test_web_page_without_the_opt_in_is_refused(client) -> None:
    caller: Client = await client()
    refused = await caller.post("/v1/messages", HELLO, origin="http://site.test")
    assert refused.error == (
        401,
        "authentication_error",
        "CORS requests must set 'anthropic-dangerous-direct-browser-access' header",
    )
    allowed = await caller.post(
        "/v1/messages",
        HELLO,
        origin="http://site.test",
        anthropic_dangerous_direct_browser_access="true",
    )
    assert allowed.status == 200
    assert allowed.headers["access-control-allow-origin"] == "*"


async def test_preflight_of_a_browser_is_answered(client) -> None:
    call = (await client()).start(
        "OPTIONS",
        "/v1/messages",
        headers={
            "x-api-key": None,
            "origin": "http://site.test",
            "access-control-request-headers": "x-api-key,content-type",
        },
    )
    answer = await call.task
    assert answer.status == 204
    assert answer.headers["access-control-allow-headers"] == "x-api-key,content-type"


async def test_unexpected_exception_is_a_500_without_details(platform) -> None:
    started = await platform()
    started.models.find = lambda _: 1 / 0  # type: ignore[method-assign]
    answer = await Client(build_app(started)).create()
    assert answer.error == (500, "api_error", "Internal server error")


async def test_a_revoked_key_is_refused_at_once(platform) -> None:
    started = await platform()
    caller = Client(build_app(started))
    keys = started.administration.keys
    new = await keys.create(COMMAND_LINE, CreateKeyParams(name="other"))
    headers = {"x-api-key": new.secret}
    assert (await caller.start("POST", "/v1/messages", HELLO, headers).task).status == 200
    archived = UpdateKeyParams(status="archived")
    await keys.update(COMMAND_LINE, new.id, archived)
    refused = await caller.start("POST", "/v1/messages", HELLO, headers).task
    assert refused.error[2] == "invalid x-api-key"


@pytest.mark.covers("headers: anthropic-workspace-id", "effect")
@pytest.mark.covers("headers: anthropic-organization-id", "effect")
@pytest.mark.covers("errors: permission_error", "effect")
async def test_a_request_is_for_the_workspace_that_it_names(client) -> None:
    caller: Client = await client()
    plain = await caller.create()
    own = plain.headers["anthropic-workspace-id"]
    assert plain.headers["anthropic-organization-id"]
    named = await caller.post("/v1/messages", HELLO, anthropic_workspace_id=own)
    assert (named.status, named.headers["anthropic-workspace-id"]) == (200, own)
    refused = await caller.post("/v1/messages", HELLO, anthropic_workspace_id="wrkspc_nobody")
    status, kind, message = refused.error
    assert (status, kind) == (403, "permission_error")
    assert message.startswith("anthropic-workspace-id: ")
