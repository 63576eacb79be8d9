"""Requests that may be repeated, each with its result."""

from datetime import datetime

import msgspec
from sqlalchemy import delete, select

from antiphon.store.database.connection import AsyncConnection
from antiphon.store.database.records import add, read
from antiphon.store.database.tables import repeatable_requests


class RepeatableRequest(msgspec.Struct, frozen=True, kw_only=True):
    """A request for a key. `name` and `asked` are digests of its name and its parameters."""

    name: bytes
    asked: bytes
    key_id: str
    nonce: bytes
    at: datetime


async def find_request(connection: AsyncConnection, name: bytes) -> RepeatableRequest | None:
    """Find a request by its name."""
    one = select(repeatable_requests).where(repeatable_requests.c.name == name)
    return next(iter(await read(connection, RepeatableRequest, one)), None)


async def keep_request(connection: AsyncConnection, request: RepeatableRequest) -> None:
    """Store a request; the transaction fails with `DuplicateError` if its name is taken."""
    await add(connection, repeatable_requests, request)


async def forget_requests(connection: AsyncConnection, before: datetime) -> None:
    """Delete the requests from before this moment."""
    await connection.execute(delete(repeatable_requests).where(repeatable_requests.c.at < before))
