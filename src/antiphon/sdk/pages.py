"""Lists of the API that come in pages. Iterating walks through all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

import msgspec

from antiphon.sdk.call import Answer, Call, CallOptions, query_pairs
from antiphon.sdk.endpoint import Method, RawResponse
from antiphon.sdk.errors import APIResponseValidationError
from antiphon.sdk.types.base import Answered
from antiphon.sdk.types.decoding import decode_answer

if TYPE_CHECKING:
    from antiphon.sdk.async_client import AsyncClient
    from antiphon.sdk.client import Client
    from antiphon.sdk.endpoint import AsyncResource, Resource

P = ParamSpec("P")
T = TypeVar("T")
A = TypeVar("A", bound=Answered)

# The names of the query that say where a page begins.
PLACES = frozenset({"after_id", "before_id", "page"})


class PageBody(msgspec.Struct, Generic[T], frozen=True, kw_only=True):
    """A page as it came. Lists by ids have the first four fields, lists by cursor the last."""

    data: list[T]
    has_more: bool = False
    first_id: str | None = None
    last_id: str | None = None
    next_page: str | None = None


_RAW_PAGE = msgspec.json.Decoder(PageBody[msgspec.Raw])


def page_of(kind: type[A]) -> Callable[[Answer], PageBody[A]]:
    """Return what decodes a page of structs of answers, each with all that came."""

    def decode(answer: Answer) -> PageBody[A]:
        raw = _RAW_PAGE.decode(answer.body)
        return PageBody(
            data=[decode_answer(kind, item) for item in raw.data],
            has_more=raw.has_more,
            first_id=raw.first_id,
            last_id=raw.last_id,
            next_page=raw.next_page,
        )

    return decode


class PageInfo(msgspec.Struct, frozen=True):
    """How a page is asked for: the query."""

    params: dict[str, str]


class PageCall(msgspec.Struct, Generic[T], frozen=True):
    """The call of one page, and how to ask for the next one."""

    call: Call[PageBody[T]]

    def next_after(self, page: PageBody[T]) -> PageCall[T] | None:
        """Return the call of the page behind this one, or `None` behind the last.

        A list that was asked for backwards (`before_id`) goes on backwards. Raises
        `APIResponseValidationError` if the next page would be this one.
        """
        query = self.call.query
        if page.next_page is not None:
            place = ("page", page.next_page)
        elif not page.has_more or not page.data:
            return None
        elif any(name == "before_id" for name, _ in query) and page.first_id is not None:
            place = ("before_id", page.first_id)
        elif page.last_id is not None:
            place = ("after_id", page.last_id)
        else:
            return None
        if place in query:
            raise APIResponseValidationError(
                f"GET {self.call.path}: the list does not end: behind the page of {place[0]} "
                f"{place[1]!r} comes the same one",
                status_code=200,
                request_id=None,
            )
        kept = tuple(pair for pair in query if pair[0] not in PLACES)
        return PageCall(msgspec.structs.replace(self.call, query=(*kept, place)))


def page_call(  # noqa: PLR0913 - the facts of a list
    path: str,
    decode: Callable[[Answer], PageBody[T]],
    query: dict[str, Any],
    options: CallOptions,
    *,
    admin: bool = False,
    headers: tuple[tuple[str, str], ...] = (),
) -> PageCall[T]:
    """Return the call of a list; the values of `query` that are `None` are left out."""
    return PageCall(
        Call(
            method="GET",
            path=path,
            decode=decode,
            query=query_pairs(query),
            headers=headers,
            options=options,
            admin=admin,
        )
    )


class _AnyPage(Generic[T]):
    def __init__(self, call: PageCall[T], body: PageBody[T]) -> None:
        self._call, self._body = call, body

    @property
    def data(self) -> list[T]:
        return self._body.data

    @property
    def has_more(self) -> bool:
        return self._body.has_more

    @property
    def first_id(self) -> str | None:
        return self._body.first_id

    @property
    def last_id(self) -> str | None:
        return self._body.last_id

    @property
    def next_page(self) -> str | None:
        return self._body.next_page

    def has_next_page(self) -> bool:
        return self._call.next_after(self._body) is not None

    def next_page_info(self) -> PageInfo | None:
        """Return how the page behind this one is asked for; `None` behind the last."""
        following = self._call.next_after(self._body)
        return None if following is None else PageInfo(dict(following.call.query))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._body.data!r})"


class Page(_AnyPage[T]):
    """A page. Iterating begins with its own objects and fetches the pages behind it."""

    def __init__(self, client: Client, call: PageCall[T], body: PageBody[T]) -> None:
        self._client = client
        super().__init__(call, body)

    def __iter__(self) -> Iterator[T]:
        page: Page[T] | None = self
        while page is not None:
            yield from page.data
            page = page.get_next_page()

    def get_next_page(self) -> Page[T] | None:
        """Fetch the page behind this one; `None` behind the last."""
        following = self._call.next_after(self._body)
        return None if following is None else self._client.run(_shown_by(self._client, following))


def _shown_by(client: Client, call: PageCall[T]) -> Call[Page[T]]:
    """Return the call of a page whose result is that page."""
    inner = call.call
    decode = lambda answer: Page(client, call, inner.decode(answer))  # noqa: E731
    shown: Any = msgspec.structs.replace(inner, decode=decode)
    found: Call[Page[T]] = shown
    return found


class AsyncPage(_AnyPage[T]):
    """A page of an async client."""

    def __init__(self, client: AsyncClient, call: PageCall[T], body: PageBody[T]) -> None:
        self._client = client
        super().__init__(call, body)

    async def __aiter__(self) -> AsyncIterator[T]:
        page: AsyncPage[T] | None = self
        while page is not None:
            for item in page.data:
                yield item
            page = await page.get_next_page()

    async def get_next_page(self) -> AsyncPage[T] | None:
        """Fetch the page behind this one; `None` behind the last."""
        following = self._call.next_after(self._body)
        if following is None:
            return None
        return await self._client.run(_async_shown_by(self._client, following))


def _async_shown_by(client: AsyncClient, call: PageCall[T]) -> Call[AsyncPage[T]]:
    """As `_shown_by`, for asyncio."""
    inner = call.call
    decode = lambda answer: AsyncPage(client, call, inner.decode(answer))  # noqa: E731
    shown: Any = msgspec.structs.replace(inner, decode=decode)
    found: Call[AsyncPage[T]] = shown
    return found


class AsyncPages(Generic[T]):
    """A list that was not asked for yet: await it for its first page, or iterate over all."""

    def __init__(self, client: AsyncClient, call: PageCall[T]) -> None:
        self._client, self._call = client, call

    def __await__(self) -> Any:
        return self._first().__await__()

    async def __aiter__(self) -> AsyncIterator[T]:
        async for item in await self._first():
            yield item

    async def _first(self) -> AsyncPage[T]:
        return await self._client.run(_async_shown_by(self._client, self._call))


class PageEndpoint(Generic[P, T]):
    """Makes an operation that lists a method of a `Resource`."""

    def __init__(self, make: Callable[P, PageCall[T]]) -> None:
        self.make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, resource: None, owner: type[Any]) -> PageEndpoint[P, T]: ...
    @overload
    def __get__(self, resource: Resource, owner: type[Any]) -> Method[P, Page[T]]: ...
    def __get__(
        self, resource: Resource | None, owner: type[Any]
    ) -> PageEndpoint[P, T] | Method[P, Page[T]]:
        if resource is None:
            return self
        client = resource._client  # noqa: SLF001

        def call_of(*args: P.args, **kwargs: P.kwargs) -> Call[Page[T]]:
            return _shown_by(client, self.make(*args, **kwargs))

        return Method(client, call_of)


class AsyncPageMethod(Generic[P, T]):
    """An operation that lists, of an async client."""

    def __init__(self, client: AsyncClient, make: Callable[P, PageCall[T]]) -> None:
        self._client, self._make = client, make

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> AsyncPages[T]:
        return AsyncPages(self._client, self._make(*args, **kwargs))

    def call_of(self, *args: P.args, **kwargs: P.kwargs) -> Call[AsyncPage[T]]:
        return _async_shown_by(self._client, self._make(*args, **kwargs))

    async def raw(self, *args: P.args, **kwargs: P.kwargs) -> RawResponse[AsyncPage[T]]:
        call = self.call_of(*args, **kwargs)
        return RawResponse(call, await self._client.answer(call))


class AsyncPageEndpoint(Generic[P, T]):
    """Makes an operation that lists a method of an `AsyncResource`."""

    def __init__(self, make: Callable[P, PageCall[T]]) -> None:
        self.make = make
        self.__doc__ = make.__doc__

    @overload
    def __get__(self, resource: None, owner: type[Any]) -> AsyncPageEndpoint[P, T]: ...
    @overload
    def __get__(self, resource: AsyncResource, owner: type[Any]) -> AsyncPageMethod[P, T]: ...
    def __get__(
        self, resource: AsyncResource | None, owner: type[Any]
    ) -> AsyncPageEndpoint[P, T] | AsyncPageMethod[P, T]:
        if resource is None:
            return self
        return AsyncPageMethod(resource._client, self.make)  # noqa: SLF001
