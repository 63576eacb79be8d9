"""What refused a request, for the request log: callers are told in the API's words."""

from typing import Literal, TypeAlias

import msgspec

from antiphon.core.limits.values import Scope
from antiphon.wire.admin.limits import BucketInfo

RefusedByKind: TypeAlias = Literal["rate_limit", "spend_limit", "queue"]


class RefusedBy(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """The limit that refused a request.

    Stored and told with the words of `Scope`, also where the Admin API says `api_key` elsewhere.
    `limit` is an amount a minute for a rate limit, nano-dollars for a spend limit, and the number
    of requests that may wait for a queue; `type` is the rate limit's type, or the period. `held`
    says of a spend limit that there is money, which running requests hold. `buckets` are the levels
    of all rate limits of the caller.
    """

    kind: RefusedByKind
    limit: int
    scope: Scope | None = None
    scope_id: str | None = None
    type: str | None = None
    held: bool = False
    retry_after_ms: int | None = None
    buckets: tuple[BucketInfo, ...] = ()
