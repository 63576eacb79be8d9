"""Requests that are done once, however often they are sent: `Idempotency-Key`.

A secret is stored nowhere, and still the same request gets the same one: it is made of the admin
key that asks and of a nonce that is kept. Only the same admin key can have it made again.
"""

from dataclasses import dataclass
from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

from antiphon.core.errors import InvalidRequestError
from antiphon.core.ids import SECRET_ENTROPY, repeatable_entropy
from antiphon.service.admin.transactions import AdminTransactions
from antiphon.store.idempotency import (
    RepeatableRequest,
    find_request,
    forget_requests,
    keep_request,
)

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncConnection

REMEMBERED = timedelta(hours=24)
LONGEST_NAME = 255


@dataclass(frozen=True, slots=True)
class PriorResult:
    """What a request has made before: a key, and the random bytes of its secret."""

    key_id: str
    entropy: bytes


class Idempotency:
    """One such request: what its sender calls it, what it asks for, and the sender's own secret."""

    def __init__(self, called: str, asked: bytes, credential: str) -> None:
        if not (called.isascii() and called.isprintable() and 0 < len(called) <= LONGEST_NAME):
            raise InvalidRequestError(
                f"Idempotency-Key: Input should be 1 to {LONGEST_NAME} printable ASCII characters"
            )
        # The sender's secret is a part of the name: others may call theirs the same.
        self._name = sha256(f"{credential} {called}".encode("utf-8", "surrogatepass")).digest()
        self._asked = sha256(asked).digest()
        self._credential = credential

    async def before(
        self, connection: "AsyncConnection", office: AdminTransactions
    ) -> PriorResult | None:
        """Return what this request has made. Raises `InvalidRequestError` if it is another one."""
        await forget_requests(connection, office.now() - REMEMBERED)
        found = await find_request(connection, self._name)
        if found is None:
            return None
        if found.asked != self._asked:
            raise InvalidRequestError("Idempotency-Key: it has been used for another request")
        return PriorResult(found.key_id, repeatable_entropy(self._credential, found.nonce))

    async def make(
        self, connection: "AsyncConnection", office: AdminTransactions, key_id: str
    ) -> bytes:
        """Keep what this request makes, and return the random bytes of its secret."""
        nonce = office.entropy(SECRET_ENTROPY)
        await keep_request(
            connection,
            RepeatableRequest(
                name=self._name, asked=self._asked, key_id=key_id, nonce=nonce, at=office.now()
            ),
        )
        return repeatable_entropy(self._credential, nonce)
