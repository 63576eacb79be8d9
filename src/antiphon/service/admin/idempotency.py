"""`Idempotency-Key`: a repeated request has no second effect.

A repeated request gets the same secret although none is stored: the secret is derived from the
admin key of the request and from a stored nonce. Only the same admin key can derive it again.
"""

from datetime import timedelta
from hashlib import sha256
from typing import TYPE_CHECKING

import msgspec

from antiphon.core.ids import SECRET_ENTROPY, repeatable_entropy
from antiphon.service.admin.transactions import AdminTransactions
from antiphon.service.idempotency_key import check_key, check_same
from antiphon.store.idempotency import (
    RepeatableRequest,
    find_request,
    forget_requests,
    keep_request,
)

if TYPE_CHECKING:
    from antiphon.store.database.connection import AsyncConnection

REMEMBERED = timedelta(hours=24)


class PriorResult(msgspec.Struct, frozen=True):
    """The result of an earlier request: a key, and the random bytes of its secret."""

    key_id: str
    entropy: bytes


class Idempotency:
    """One idempotent request: its name, its parameters, and the secret of its sender."""

    def __init__(self, name: str, params: bytes, credential: str) -> None:
        check_key(name)
        # The stored name includes the secret of the sender: other senders may use the same name.
        self._name = sha256(f"{credential} {name}".encode("utf-8", "surrogatepass")).digest()
        self._params = sha256(params).digest()
        self._credential = credential

    async def before(
        self, connection: "AsyncConnection", transactions: AdminTransactions
    ) -> PriorResult | None:
        """Return the earlier result. Raises `InvalidRequestError` for a name of another request."""
        await forget_requests(connection, transactions.now() - REMEMBERED)
        found = await find_request(connection, self._name)
        if found is None:
            return None
        check_same(found.asked, self._params)
        return PriorResult(found.key_id, repeatable_entropy(self._credential, found.nonce))

    async def make(
        self, connection: "AsyncConnection", transactions: AdminTransactions, key_id: str
    ) -> bytes:
        """Store the result of this request, and return the random bytes of its secret."""
        nonce = transactions.entropy(SECRET_ENTROPY)
        await keep_request(
            connection,
            RepeatableRequest(
                name=self._name,
                asked=self._params,
                key_id=key_id,
                nonce=nonce,
                at=transactions.now(),
            ),
        )
        return repeatable_entropy(self._credential, nonce)
