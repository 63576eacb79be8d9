"""The settings of tools that reach the web: `web_search` and `web_fetch`."""

from decimal import Decimal
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from antiphon.core.billing.money import nano_dollars_of_dollars
from antiphon.secret import Secret

# Where each service is unless `url` says otherwise.
USUAL_URLS = {
    "brave": "https://api.search.brave.com/res/v1/web/search",
    "tavily": "https://api.tavily.com/search",
}
_OF_MANY = 1000


class WebSettings(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """What models may look up: the `[web]` table. By default nothing.

    `search` names the service that searches, and `url` where it is; `own` is a service of the
    operator's that is asked as the how-to says. `key` is the service's. A search gets at most
    `results`. `price` is in US dollars for 1,000 searches. With `fetch` the server also fetches the
    pages that conversations name, of at most `fetch_bytes`.
    """

    search: Literal["searxng", "brave", "tavily", "own"] | None = None
    url: Annotated[str, Meta(pattern=r"^https?://[^\s#]+\Z", max_length=512)] | None = None
    key: Secret | None = None
    results: Annotated[int, Meta(ge=1, le=20)] = 8
    timeout_s: Annotated[float, Meta(gt=0, le=60)] = 10.0
    price: Decimal = Decimal(0)
    fetch: bool = False
    fetch_bytes: Annotated[int, Meta(ge=1024, le=64 * 1024 * 1024)] = 10 * 1024 * 1024

    def __post_init__(self) -> None:
        if self.search in {"searxng", "own"} and self.url is None:
            raise ValueError(f'url is missing: search = "{self.search}" has no usual address')
        if self.search in {"brave", "tavily"} and self.key is None:
            raise ValueError(f'key is missing: search = "{self.search}" needs one')
        if self.search is None and (self.url or self.key):
            raise ValueError("`url` and `key` are for a search: say which with `search`")
        try:
            _ = self.search_price
        except ValueError as error:
            raise ValueError(f"price {error}") from error

    @property
    def search_price(self) -> int:
        """The price of one search, in nano-dollars."""
        return -(-nano_dollars_of_dollars(self.price) // _OF_MANY)

    @property
    def search_url(self) -> str:
        """Where the service is."""
        return self.url or USUAL_URLS.get(self.search or "", "")
