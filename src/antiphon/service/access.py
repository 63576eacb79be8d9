"""Who may come in: keys are found in memory, and revoked ones are refused at once."""

from dataclasses import dataclass

import anyio

from antiphon.core.errors import AuthenticationError
from antiphon.core.identity import hash_secret, same_digest
from antiphon.store.accounts import ApiKey, active_keys
from antiphon.store.changes import ChangeSignal
from antiphon.store.database import Database

BEARER = "bearer "


@dataclass(frozen=True, slots=True)
class Caller:
    """Who is asking."""

    key_id: str


class Access:
    """The keys that open the door.

    They are read again only when the signal says that an account has changed, by whichever
    process; asking it takes microseconds, so a revoked key fails on the very next request.
    """

    def __init__(self, database: Database, signal: ChangeSignal) -> None:
        self._database = database
        self._signal = signal
        self._version: int | None = None
        self._keys: dict[bytes, ApiKey] = {}
        self._reading = anyio.Lock()

    async def authenticate(self, api_key: str | None, authorization: str | None) -> Caller:
        """Find the caller by the values of `x-api-key` and `authorization`.

        If both are there `x-api-key` counts. Raises `AuthenticationError`.
        """
        if api_key is not None:
            secret, refusal = api_key, "invalid x-api-key"
        elif authorization is not None:
            scheme, secret = authorization[: len(BEARER)], authorization[len(BEARER) :].strip()
            refusal = "Invalid bearer token"
            if scheme.lower() != BEARER:
                raise AuthenticationError("Invalid authentication credentials")
        else:
            raise AuthenticationError("x-api-key header is required")
        digest = hash_secret(secret)
        key = (await self._current()).get(digest)
        if key is None or not same_digest(key.digest, digest):
            raise AuthenticationError(refusal)
        return Caller(key.id)

    async def _current(self) -> dict[bytes, ApiKey]:
        if self._signal.version() != self._version:
            async with self._reading:
                # Kept from before the reading: a change in between is noticed the next time.
                version = self._signal.version()
                if version != self._version:
                    async with self._database.read() as connection:
                        self._keys = await active_keys(connection)
                    self._version = version
        return self._keys
