"""How an operation becomes a method of a client: written once, for the blocking and the async one.

    class Models(Resource):                     class AsyncModels(AsyncResource):
        retrieve = Endpoint(retrieve_model)         retrieve = AsyncEndpoint(retrieve_model)

`retrieve_model` is a function of the parameters that returns a `Call`. A type checker sees its
parameters on both methods. `client.models.retrieve.raw(...)` returns the answer with its headers.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from functools import update_wrapper
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, overload

import msgspec

from antiphon.sdk.call import Answer, Call, result_of
from antiphon.transport.base import Discreet

if TYPE_CHECKING:
    from antiphon.sdk.async_client import AsyncClient
    from antiphon.sdk.client import Client
    from antiphon.sdk.streamed_response import Streamed

P = ParamSpec("P")
T = TypeVar("T")


class RawResponse(Discreet, Generic[T], frozen=True):
    """An answer as it came, and what to read it with."""

    call: Call[T]
    answer: Answer

    def _shown(self) -> dict[str, Any]:
        return {"call": self.call, "status_code": self.status_code, "request_id": self.request_id}

    @property
    def status_code(self) -> int:
        return self.answer.status

    @property
    def headers(self) -> Any:
        return self.answer.headers

    @property
    def request_id(self) -> str | None:
        return self.answer.request_id

    @property
    def retries(self) -> int:
        return self.answer.retries

    @property
    def elapsed(self) -> float:
        """The seconds that the last attempt took."""
        return self.answer.elapsed

    def read(self) -> bytes:
        return self.answer.body

    def text(self) -> str:
        return self.answer.body.decode("utf-8", "replace")

    def json(self) -> Any:
        return msgspec.json.decode(self.answer.body)

    def parse(self) -> T:
        """Return what the call without `.raw` returns."""
        return result_of(self.call, self.answer)


class AsyncRawResponse(Generic[T]):
    """A `RawResponse` whose parts are awaited, as programs for the official SDK do."""

    def __init__(self, response: RawResponse[T]) -> None:
        self.response = response

    @property
    def status_code(self) -> int:
        return self.response.status_code

    @property
    def headers(self) -> Any:
        return self.response.headers

    @property
    def request_id(self) -> str | None:
        return self.response.request_id

    @property
    def retries(self) -> int:
        return self.response.retries

    @property
    def elapsed(self) -> float:
        """The seconds that the last attempt took."""
        return self.response.elapsed

    async def read(self) -> bytes:
        return self.response.read()

    async def text(self) -> str:
        return self.response.text()

    async def json(self) -> Any:
        return self.response.json()

    async def parse(self) -> T:
        """Return what the call itself returns."""
        return self.response.parse()


class Resource:
    """A group of operations of a client that blocks."""

    def __init__(self, client: Client) -> None:
        self._client = client

    @property
    def with_raw_response(self) -> Raw:
        """The same operations; each returns a `RawResponse`."""
        return Raw(self)

    @property
    def with_streaming_response(self) -> Streamed:
        """The same operations as context managers; bodies are read as they come."""
        from antiphon.sdk.streamed_response import Streamed, StreamedResponse  # noqa: PLC0415

        return Streamed(self, StreamedResponse)


class AsyncResource:
    """A group of operations of an async client."""

    def __init__(self, client: AsyncClient) -> None:
        self._client = client

    @property
    def with_raw_response(self) -> AsyncRaw:
        """The same operations; each returns an `AsyncRawResponse`."""
        return AsyncRaw(self)

    @property
    def with_streaming_response(self) -> Streamed:
        """The same operations as context managers; bodies are read as they come."""
        from antiphon.sdk.streamed_response import (  # noqa: PLC0415
            AsyncStreamedResponse,
            Streamed,
        )

        return Streamed(self, AsyncStreamedResponse)


class Raw:
    """The operations of a resource in their raw form."""

    def __init__(self, resource: Resource) -> None:
        self._resource = resource

    def __getattr__(self, name: str) -> Any:
        return getattr(self._resource, name).raw


class AsyncRaw:
    """The operations of a resource of an async client in their raw form."""

    def __init__(self, resource: AsyncResource) -> None:
        self._resource = resource

    def __getattr__(self, name: str) -> Any:
        raw = getattr(self._resource, name).raw

        async def awaited(*args: Any, **named: Any) -> AsyncRawResponse[Any]:
            return AsyncRawResponse(await raw(*args, **named))

        return awaited


class Method(Generic[P, T]):
    """An operation of a client that blocks."""

    __slots__ = ("_client", "call_of")

    def __init__(self, client: Client, make: Callable[P, Call[T]]) -> None:
        self._client, self.call_of = client, make

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        return self._client.run(self.call_of(*args, **kwargs))

    def raw(self, *args: P.args, **kwargs: P.kwargs) -> RawResponse[T]:
        call = self.call_of(*args, **kwargs)
        return RawResponse(call, self._client.answer(call))


class AsyncMethod(Generic[P, T]):
    """An operation of an async client."""

    __slots__ = ("_client", "call_of")

    def __init__(self, client: AsyncClient, make: Callable[P, Call[T]]) -> None:
        self._client, self.call_of = client, make

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> Awaitable[T]:
        return self._client.run(self.call_of(*args, **kwargs))

    async def raw(self, *args: P.args, **kwargs: P.kwargs) -> RawResponse[T]:
        call = self.call_of(*args, **kwargs)
        return RawResponse(call, await self._client.answer(call))


class _Operation(Generic[P, T]):
    def __init__(self, make: Callable[P, Call[T]]) -> None:
        self.make = make
        update_wrapper(self, make)  # type: ignore[arg-type] # `help` shows the operation's own text


class Endpoint(_Operation[P, T]):
    """Makes an operation a method of a `Resource`."""

    @overload
    def __get__(self, resource: None, owner: type[Any]) -> Endpoint[P, T]: ...
    @overload
    def __get__(self, resource: Resource, owner: type[Any]) -> Method[P, T]: ...
    def __get__(self, resource: Resource | None, owner: type[Any]) -> Endpoint[P, T] | Method[P, T]:
        return self if resource is None else Method(resource._client, self.make)  # noqa: SLF001


class AsyncEndpoint(_Operation[P, T]):
    """Makes an operation a method of an `AsyncResource`."""

    @overload
    def __get__(self, resource: None, owner: type[Any]) -> AsyncEndpoint[P, T]: ...
    @overload
    def __get__(self, resource: AsyncResource, owner: type[Any]) -> AsyncMethod[P, T]: ...
    def __get__(
        self, resource: AsyncResource | None, owner: type[Any]
    ) -> AsyncEndpoint[P, T] | AsyncMethod[P, T]:
        return self if resource is None else AsyncMethod(resource._client, self.make)  # noqa: SLF001
