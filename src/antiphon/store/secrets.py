"""Secrets of the house itself: made once, the same for every process on one database."""

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.ext.asyncio import AsyncConnection

from antiphon.store.tables import house_secrets


async def house_secret(connection: AsyncConnection, name: str, fresh: bytes) -> bytes:
    """Return the secret of this name; if there is none yet, keep `fresh` as it."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    keep = dialect.insert(house_secrets).values(name=name, value=fresh).on_conflict_do_nothing()
    await connection.execute(keep)
    value = select(house_secrets.c.value).where(house_secrets.c.name == name)
    return bytes((await connection.execute(value)).scalar_one())
