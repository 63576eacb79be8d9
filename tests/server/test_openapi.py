"""`/openapi.json`: every route, valid, and true of the wire and of the official SDK."""

import ast
import asyncio
import inspect
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import anthropic
import pytest
from jsonschema import Draft202012Validator
from openapi_spec_validator import OpenAPIV31SpecValidator

from antiphon.server.app import build_app, routes
from antiphon.server.http.exchange import Exchange
from antiphon.server.openapi import JSON, OpenApiEndpoint, openapi_document
from antiphon.server.openapi_shapes import BODIES, ITEMS, LISTS, WRITTEN
from support.asgi import HELLO, Client
from support.forms import upload
from support.organization import StartOrganization
from wire.test_examples import PATHS, REQUESTS, kind_of

pytestmark = pytest.mark.anyio

SERVER = Path(inspect.getfile(routes)).parent
VERBS = {"_get": "get", "_get_api_list": "get", "_post": "post", "_put": "put", "_patch": "patch"}
# What the SDK knows and this server does not serve.
NOT_SERVED = (
    "/v1/agents",
    "/v1/organizations/analytics",
    "/v1/organizations/claude_code",
    "/v1/organizations/claude_tag",
    "/v1/organizations/compliance",
    "/v1/organizations/external_keys",
    "/v1/organizations/federation",
    "/v1/organizations/plugin",
    "/v1/organizations/rbac",
    "/v1/organizations/service_accounts",
    "/v1/organizations/spend_limit_increase_requests",
    "/v1/organizations/telemetry",
    "/v1/organizations/webhooks",
    "/v1/organizations/workspaces/{}/service_accounts",
    "/v1/complete",
    "/v1/deployment",
    "/v1/dreams",
    "/v1/environments",
    "/v1/memory_stores",
    "/v1/sessions",
    "/v1/skills",
    "/v1/threads",
    "/v1/tunnels",
    "/v1/user_profiles",
    "/v1/vaults",
    "/v1/webhooks",
)


@pytest.fixture
async def document(platform: Any) -> Any:
    return openapi_document(routes(await platform()))


async def test_server_sends_the_description_without_a_key(platform: Any, document: Any) -> None:
    answer = await Client(build_app(await platform()), {}).get("/openapi.json")
    assert answer.status == 200
    assert answer.headers["content-type"] == "application/json"
    assert answer.json == json.loads(json.dumps(document))


async def test_description_is_valid(document: Any) -> None:
    OpenAPIV31SpecValidator(document).validate()


async def test_every_route_is_described(platform: Any, document: Any) -> None:
    rows = routes(await platform())
    told = {
        f"{method.upper()} {path}"
        for path, operations in document["paths"].items()
        for method in operations
    }
    assert told == {f"{route.method} {route.template}" for route in rows}
    ids = [one["operationId"] for path in document["paths"].values() for one in path.values()]
    assert len(set(ids)) == len(ids)
    assert {*ITEMS, *WRITTEN, *BODIES} <= told


def listed_in_code() -> Iterator[str]:
    """Yield the names of the parameters that the endpoints read as lists."""
    for path in SERVER.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            match node:
                case ast.Call(
                    func=ast.Attribute(attr="many"), args=[ast.Constant(value=str(name)), *_]
                ):
                    yield name


def test_lists_are_those_of_the_endpoints() -> None:
    assert set(listed_in_code()) <= LISTS


def methods_of_sdk() -> Iterator[tuple[str, str]]:
    """Yield the verb and the path of every request that a resource of the SDK makes."""
    resources = Path(inspect.getfile(anthropic)).parent / "resources"
    for file in resources.rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text("utf-8"))):
            match node:
                case ast.Call(func=ast.Attribute(attr=attr), args=[first, *_]) if attr in {
                    *VERBS,
                    "_delete",
                }:
                    if (path := path_of(first)) is not None:
                        yield VERBS.get(attr, "delete"), path


def path_of(node: ast.expr) -> str | None:
    match node:
        case ast.Constant(value=str(path)):
            return path
        case ast.Call(args=[ast.Constant(value=str(path)), *_]):
            return path
        case ast.IfExp(body=body):
            return path_of(body)
    return None


def plain(path: str) -> str:
    return re.sub(r"\{[^}]*\}", "{}", path.partition("?")[0])


async def test_methods_of_the_sdk_are_described(document: Any) -> None:
    served = {(method, plain(path)) for path, one in document["paths"].items() for method in one}
    wanted = {
        (verb, plain(path))
        for verb, path in methods_of_sdk()
        if not plain(path).startswith(NOT_SERVED)
    }
    assert {("post", "/v1/messages"), ("post", "/v1/files"), ("get", "/v1/models/{}")} <= wanted
    assert len(wanted) > 30
    assert wanted - served == set()
    assert not [path for _, path in served if path.startswith(NOT_SERVED)]


def validator(document: Any, schema: Any) -> Draft202012Validator:
    return Draft202012Validator({**schema, "components": document["components"]})


def bodies(document: Any) -> dict[Any, Any]:
    """Return the schema of each body, by the type that decodes it."""
    found: dict[Any, Any] = {}
    for name, (media_type, kind) in BODIES.items():
        method, path = name.split()
        content = document["paths"][path][method.lower()]["requestBody"]["content"]
        found[kind] = content[media_type]["schema"]
    return found


async def test_example_bodies_fit(platform: Any, document: Any) -> None:
    schemas = bodies(document)
    for route in routes(await platform()):
        if route.body is not None:
            operation = document["paths"][route.template][route.method.lower()]
            schemas[route.body.kind] = operation["requestBody"]["content"][JSON]["schema"]
    seen = set()
    for example in PATHS:
        kind = REQUESTS.get(kind_of(example))
        # The command line alone decodes some, and a line of a batch is no body.
        if kind not in schemas:
            continue
        seen.add(kind)
        checked = validator(document, schemas[kind])
        body = json.loads(example.read_text("utf-8"))
        assert [error.message for error in checked.iter_errors(body)] == [], example.name
        # Bodies are closed.
        assert list(checked.iter_errors({**body, "unknown": 1})), example.name
    assert len(seen) > 20


async def test_answers_fit(organization: StartOrganization, document: Any) -> None:
    org = await organization()
    file = await upload(org.caller)
    await org.add_user("ada")
    batch = await org.caller.post(
        "/v1/messages/batches", {"requests": [{"custom_id": "a", "params": HELLO}]}
    )
    answers = [
        ("/v1/messages", "post", await org.caller.create()),
        ("/v1/models", "get", await org.caller.get("/v1/models")),
        ("/v1/files", "get", await org.caller.get("/v1/files")),
        ("/v1/files/{file_id}", "get", await org.caller.get(f"/v1/files/{file['id']}")),
        ("/v1/messages/batches", "post", batch),
    ]
    for path, one in document["paths"].items():
        if path.startswith("/v1/organizations") and "{" not in path and "get" in one:
            query = (
                "?starting_at=2026-11-22T00:00:00Z"
                if "report" in path or "activity" in path
                else ""
            )
            answers.append(
                (path, "get", await org.admin.get(path + query, anthropic_version="2026-10-21"))
            )
    for path, method, answer in answers:
        assert answer.status == 200, (path, answer.json)
        told = document["paths"][path][method]["responses"]["200"]["content"]
        schema = told["application/json"]["schema"]
        errors = [error.message for error in validator(document, schema).iter_errors(answer.json)]
        assert errors == [], path
    refused = await org.caller.create(model=1)
    schema = document["paths"]["/v1/messages"]["post"]["responses"]["default"]["content"]
    assert (
        list(validator(document, schema["application/json"]["schema"]).iter_errors(refused.json))
        == []
    )


async def test_description_is_made_once_however_many_ask_at_once() -> None:
    """Anybody may ask, and it takes 50 ms of a processor."""
    made: list[int] = []

    def table() -> tuple[Any, ...]:
        made.append(1)
        return ()

    endpoint = OpenApiEndpoint(table)
    sent: list[bytes] = []

    class Asking(Exchange):
        async def send_whole(self, status: int, content_type: str, body: bytes) -> None:
            assert (status, content_type) == (200, JSON)
            sent.append(body)

    async def nothing(*_: Any) -> Any:
        raise AssertionError

    asking = [Asking({"headers": []}, nothing, nothing, "req_1") for _ in range(20)]
    await asyncio.gather(*map(endpoint.show, asking))
    assert (len(made), len(sent), len(set(sent))) == (1, 20, 1)
