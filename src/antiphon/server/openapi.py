"""`/openapi.json`: the description of the API for programs, made of the route table.

OpenAPI 3.1. Each row of the table is an operation. Its body is the row's struct, its answer what
the handler's annotation says, so the description cannot say anything else than the code does.
"""

import asyncio
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Final, get_type_hints

import msgspec

from antiphon import __version__
from antiphon.server.http.exchange import Exchange
from antiphon.server.http.queries import OpenQuery
from antiphon.server.http.routing import Route
from antiphon.server.openapi_shapes import BODIES, ITEMS, LISTS, WRITTEN
from antiphon.store.accounts import KeyKind
from antiphon.wire.admin.organizations import Listing, TokenListing
from antiphon.wire.base import BetaValue
from antiphon.wire.errors import ErrorEnvelope
from antiphon.wire.tools import (
    CachingWebFetchParam,
    CustomToolParam,
    DefinedToolParam,
    EditorToolParam,
    LaterWebFetchParam,
    LaterWebSearchParam,
    ToolParam,
    ToolSearchParam,
    WebFetchParam,
    WebSearchParam,
)

JSON: Final = "application/json"
_REF: Final = "#/components/schemas/{name}"
_ABOUT: Final = (
    "The Claude API, and an Admin API, as this server serves them. Under `anthropic-version: "
    "2026-10-21` messages have no `temperature`, `top_p` and `top_k`. Every answer has a "
    "`request-id`. Keys that are not listed are refused by their name."
)
_SECURITY: Final[Mapping[str, Any]] = {
    "key": {"type": "apiKey", "in": "header", "name": "x-api-key"},
    "bearer": {"type": "http", "scheme": "bearer"},
    "session": {
        "type": "apiKey",
        "in": "cookie",
        "name": "antiphon_session",
        "description": "A user who is signed in to the Console.",
    },
}
_HEADERS: Final[Mapping[str, Any]] = {
    "version": {
        "name": "anthropic-version",
        "in": "header",
        "required": True,
        "schema": {"type": "string", "enum": ["2023-06-01", "2026-10-21"]},
    },
    "beta": {
        "name": "anthropic-beta",
        "in": "header",
        "description": "Names of betas, separated by commas. Unknown ones have no effect.",
        "schema": {"type": "string"},
    },
    "workspace": {
        "name": "anthropic-workspace-id",
        "in": "header",
        "description": "The workspace of the request, for keys of the organization.",
        "schema": {"type": "string"},
    },
}
# The structs of tools stand behind a type that the schema of a message cannot name.
_TOOLS: Final = (
    CustomToolParam,
    DefinedToolParam,
    EditorToolParam,
    ToolSearchParam,
    WebSearchParam,
    LaterWebSearchParam,
    WebFetchParam,
    CachingWebFetchParam,
    LaterWebFetchParam,
)


class OpenApiEndpoint:
    """The endpoint of the description, which is made when it is first asked for."""

    def __init__(self, routes: Callable[[], Sequence[Route]]) -> None:
        self._routes = routes
        self._made: bytes | None = None
        self._turn = asyncio.Lock()

    async def show(self, exchange: Exchange) -> None:
        """Describe the API for programs."""
        # Anybody may ask, so it is made once, however many ask at once.
        async with self._turn:
            if self._made is None:
                # 50 ms, which no stream should wait for.
                self._made = await asyncio.to_thread(self._make)
        await exchange.send_whole(200, JSON, self._made)

    def _make(self) -> bytes:
        return msgspec.json.encode(openapi_document(self._routes()))


def openapi_document(routes: Iterable[Route]) -> dict[str, Any]:
    """Return the description of these routes."""
    rows = [route for route in routes if route.method != "HEAD"]
    shapes = _Shapes(rows)
    paths: dict[str, dict[str, Any]] = {}
    for route in rows:
        paths.setdefault(route.template, {})[route.method.lower()] = _operation(route, shapes)
    return {
        "openapi": "3.1.0",
        "info": {"title": "Antiphon", "version": __version__, "description": _ABOUT},
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": shapes.components,
            "securitySchemes": dict(_SECURITY),
            "parameters": dict(_HEADERS),
        },
    }


class _Shapes:
    """The schemas of all bodies and answers."""

    def __init__(self, routes: Sequence[Route]) -> None:
        kinds: list[Any] = [ErrorEnvelope, ToolParam, *_TOOLS]
        for route in routes:
            kinds += [kind for _, kind in _bodies(route)]
            kinds += _answers(route).values()
            kinds += [ITEMS[name]] if (name := _name(route)) in ITEMS else []
        self._places = {id(kind): place for place, kind in enumerate(kinds)}
        # Keeps the types alive whose ids these are.
        self._kinds = kinds
        self._schemas, components = msgspec.json.schema_components(
            kinds, schema_hook=_special, ref_template=_REF
        )
        self.components = _plain(components)

    def of(self, kind: Any) -> Any:
        return _plain(self._schemas[self._places[id(kind)]])


def _special(kind: type) -> dict[str, Any]:
    """Return the schema of a type that only `wire.decoding` knows."""
    if issubclass(kind, ToolParam):
        return {"anyOf": [{"$ref": _REF.format(name=one.__name__)} for one in _TOOLS]}
    if issubclass(kind, BetaValue):
        return {"description": f"Allowed with the beta {kind.beta}, and without effect."}
    raise NotImplementedError(kind)


def _plain(schema: Any) -> Any:
    """Return a schema in the words of OpenAPI: for patterns, and for bytes that are no JSON."""
    match schema:
        case {"contentEncoding": "base64", **rest}:
            return {**rest, "contentMediaType": "application/octet-stream"}
        case {"pattern": str(pattern), **rest}:
            # Those of Python end in another way.
            return {"pattern": pattern.replace(r"\Z", "$"), **_plain(rest)}
        case dict():
            return {name: _plain(value) for name, value in schema.items()}
        case list() | tuple():
            return [_plain(one) for one in schema]
        case _:
            return schema


def _operation(route: Route, shapes: _Shapes) -> dict[str, Any]:
    told: dict[str, Any] = {
        "operationId": _operation_id(route),
        "summary": _summary(route),
        "tags": [_tag(route.template)],
        "parameters": _parameters(route),
        "responses": {
            "200": _answered(route, shapes),
            "default": {
                "description": "An error.",
                "content": {JSON: {"schema": shapes.of(ErrorEnvelope)}},
            },
        },
        "security": _security(route),
    }
    content = {media_type: {"schema": shapes.of(kind)} for media_type, kind in _bodies(route)}
    if content:
        # An administrator may send none if the path identifies the request.
        told["requestBody"] = {"required": route.key is not KeyKind.ADMIN, "content": content}
    if route.needs is not None:
        told["x-antiphon-permission"] = route.needs
    return told


def _name(route: Route) -> str:
    return f"{route.method} {route.template}"


def _operation_id(route: Route) -> str:
    # `/console` is a page, and `/v1/console` is not.
    below = (
        route.template.replace("/v1/", "/")
        if "/v1/console" not in route.template
        else route.template
    )
    path = re.sub(r"[^a-z0-9]+", "_", below.lower()).strip("_")
    return f"{route.method.lower()}_{path}"


def _summary(route: Route) -> str:
    handler = route.handler
    told = (handler.__doc__ or handler.__name__.replace("_", " ")).strip().partition("\n")[0]
    return (told[0].upper() + told[1:]).rstrip(".") + "."


def _tag(template: str) -> str:
    parts = [one for one in template.split("/") if one and one != "v1"]
    return {"organizations": "admin"}.get(parts[0], parts[0])


def _parameters(route: Route) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"\{(\w+)\}", route.template)
    ]
    query = route.query
    for name in query.names if isinstance(query, OpenQuery) else query:
        is_list = name in LISTS
        schema: dict[str, Any] = {"type": "integer" if name == "limit" else "string"}
        found.append(
            {
                "name": f"{name}[]" if is_list else name,
                "in": "query",
                "schema": {"type": "array", "items": schema} if is_list else schema,
            }
        )
    if route.key is not None:
        names = ("version", "beta", "workspace") if route.key is KeyKind.API else ("version",)
        found += [{"$ref": f"#/components/parameters/{name}"} for name in names]
    return found


def _bodies(route: Route) -> list[tuple[str, Any]]:
    if route.body is not None:
        return [(JSON, route.body.kind)]
    return [BODIES[name]] if (name := _name(route)) in BODIES else []


def _answers(route: Route) -> Mapping[str, Any]:
    """Return the shapes of an answer by their media types."""
    if (name := _name(route)) in WRITTEN:
        return WRITTEN[name]
    return {JSON: get_type_hints(route.handler)["return"]}


def _answered(route: Route, shapes: _Shapes) -> dict[str, Any]:
    content = {
        media_type: {"schema": _listed(route, shapes.of(kind), kind, shapes)}
        for media_type, kind in _answers(route).items()
    }
    return {"description": "The answer.", "content": content}


def _listed(route: Route, schema: Any, kind: Any, shapes: _Shapes) -> Any:
    """Return the schema of a listing with that of its items."""
    if kind not in (Listing, TokenListing):
        return schema
    items = shapes.of(ITEMS[_name(route)])
    return {"allOf": [schema, {"properties": {"data": {"type": "array", "items": items}}}]}


def _security(route: Route) -> list[dict[str, list[str]]]:
    if route.key is None:
        return [{}]
    ways: list[dict[str, list[str]]] = [{"key": []}, {"bearer": []}]
    return ways if route.needs is None else [*ways, {"session": []}]
