"""`/v1/organizations/api_keys`: keys, and their secrets."""

from typing import Any, Final, get_args

from msgspec.structs import asdict, replace

from antiphon.server.http.browser import session_token
from antiphon.server.http.requests import Request
from antiphon.server.http.selections import read_selection
from antiphon.service.access import credential
from antiphon.service.admin.administration import Administration
from antiphon.service.admin.idempotency import Idempotency
from antiphon.store.listings import KEY_ORDERS, KeySelection
from antiphon.wire.admin.keys import (
    CreateKeyParams,
    KeyInfo,
    KeyState,
    RotateKeyParams,
    UpdateKeyParams,
)
from antiphon.wire.admin.organizations import Listing

KEY_QUERY: Final = ("status", "workspace_id", "created_by_user_id")


class KeyEndpoints:
    """The endpoints of API keys."""

    def __init__(self, administration: Administration) -> None:
        self._keys = administration.keys

    async def list_keys(self, request: Request[None]) -> Listing:
        query = request.query
        wanted = KeySelection(
            **asdict(read_selection(query)),
            status=query.choice("status", get_args(KeyState)),
            workspace_id=query.one("workspace_id"),
            created_by=query.one("created_by_user_id"),
        )
        order = query.order(KEY_ORDERS)
        return await self._keys.all(query.by_ids(), wanted, request.reach, order)

    async def create_key(self, request: Request[CreateKeyParams]) -> KeyInfo:
        params, session = request.params, request.caller.session
        if session is not None and params.created_by_user_id is None:
            params = replace(params, created_by_user_id=session.user.id)
        return await self._keys.create(
            request.actor, params, _idempotency(request), reach=request.reach
        )

    async def show_key(self, request: Request[None]) -> KeyInfo:
        return await self._keys.one(request.path("key"), request.reach)

    async def update_key(self, request: Request[UpdateKeyParams]) -> KeyInfo:
        return await self._keys.update(
            request.actor, request.path("key"), request.params, request.reach
        )

    async def rotate_key(self, request: Request[RotateKeyParams]) -> KeyInfo:
        grace_s = request.params.grace_period_seconds
        return await self._keys.rotate(
            request.actor, request.path("key"), grace_s, _idempotency(request), request.reach
        )


def _idempotency(request: Request[Any]) -> Idempotency | None:
    """Return the idempotency of a request with an `Idempotency-Key`, `None` without one."""
    header = request.exchange.header
    name = header(b"idempotency-key")
    if name is None:
        return None
    if request.caller.session is None:
        secret, _ = credential(header(b"x-api-key"), header(b"authorization"))
    else:
        secret = session_token(request.exchange) or ""
    path: str = request.exchange.scope["path"]
    return Idempotency(name, path.encode() + b"\0" + request.body, secret)
