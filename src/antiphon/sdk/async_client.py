"""The client for asyncio. Any number of tasks may use one, and any number of loops one by one."""

from __future__ import annotations

import time
from asyncio import sleep as async_sleep
from collections.abc import Awaitable, Callable
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

from antiphon.sdk.any_client import AnyClient
from antiphon.sdk.call import Answer, Call, result_of
from antiphon.sdk.client import _draw, any_call
from antiphon.sdk.exchange import (
    ERRORS_FROM,
    Opened,
    Outcome,
    Pause,
    Send,
    Steps,
    exchange,
)
from antiphon.sdk.options import (
    ClientParameters,
    changed_parameters,
    client_options,
    with_environment,
)
from antiphon.sdk.outgoing import Outgoing
from antiphon.transport.base import (
    AsyncResponseStream,
    AsyncTransport,
    TransportError,
    without_userinfo,
)

if TYPE_CHECKING:
    from antiphon.sdk.beta import AsyncBeta
    from antiphon.sdk.files import AsyncFiles
    from antiphon.sdk.messages import AsyncMessages
    from antiphon.sdk.models import AsyncModels
    from antiphon.sdk.organization.async_resource import AsyncOrganization

T = TypeVar("T")


class AsyncClient(AnyClient):
    """As `Client`, for asyncio. To close it is polite, not needed: nothing waits for a loop."""

    def __init__(
        self,
        *,
        transport: AsyncTransport | None = None,
        sleep: Callable[[float], Awaitable[object]] = async_sleep,
        now: Callable[[], float] = time.monotonic,
        **parameters: Unpack[ClientParameters],
    ) -> None:
        self._parameters = with_environment(parameters)
        self.options = client_options(**self._parameters)
        self._outgoing = Outgoing(self.options, now=now, wall=time.time, draw=_draw)
        self._parent: Self | None = None
        self.now = now
        self._own_transport = transport is None
        self._given_transport = transport
        self._sleep = sleep

    @cached_property
    def transport(self) -> AsyncTransport:
        """What sends the requests; made when the first one is sent."""
        if self._given_transport is not None:
            return self._given_transport
        from antiphon.transport import AsyncConnections  # noqa: PLC0415

        return AsyncConnections(proxy=self.options.proxies)

    def with_options(self, **changes: Unpack[ClientParameters]) -> Self:
        """Return a client with other parameters that shares the connections of this one."""
        client = type(self)(
            transport=self.transport,
            sleep=self._sleep,
            now=self.now,
            **changed_parameters(self._parameters, changes),
        )
        # What it shares is closed with this one, so this one stays.
        client._parent = self  # noqa: SLF001 - one of its own kind
        return client

    @cached_property
    def messages(self) -> AsyncMessages:
        from antiphon.sdk.messages import AsyncMessages  # noqa: PLC0415

        return AsyncMessages(self)

    @cached_property
    def beta(self) -> AsyncBeta:
        """What the official SDK has under `beta`: here it is the same as without."""
        from antiphon.sdk.beta import AsyncBeta  # noqa: PLC0415

        return AsyncBeta(self)

    @cached_property
    def files(self) -> AsyncFiles:
        from antiphon.sdk.files import AsyncFiles  # noqa: PLC0415

        return AsyncFiles(self)

    @cached_property
    def organization(self) -> AsyncOrganization:
        """People, workspaces, keys, limits and reports: with an admin key."""
        from antiphon.sdk.organization.async_resource import AsyncOrganization  # noqa: PLC0415

        return AsyncOrganization(self)

    @cached_property
    def models(self) -> AsyncModels:
        from antiphon.sdk.models import AsyncModels  # noqa: PLC0415

        return AsyncModels(self)

    async def run(self, call: Call[T]) -> T:
        """Make a call and return its result. Raises `APIError`."""
        answer: Any = (await self._drive(call, streamed=False))[0]
        return result_of(call, answer)

    async def answer(self, call: Call[Any]) -> Answer:
        """Make a call and return its answer as it came. Raises `APIError`."""
        answer: Any = (await self._drive(call, streamed=False))[0]
        whole: Answer = answer  # what a whole call ends with
        return whole

    async def open(self, call: Call[Any]) -> AsyncResponseStream:
        """Make a call and return its answer when the head has come; close it. Raises `APIError`."""
        _, stream = await self._drive(call, streamed=True)
        assert stream is not None  # noqa: S101 - what a streamed call ends with
        return stream

    async def _drive(
        self, call: Call[Any], *, streamed: bool
    ) -> tuple[Answer | Opened, AsyncResponseStream | None]:
        """Do what the exchange says, until it ends."""
        steps: Steps = exchange(
            call,
            self._outgoing.request(call),
            self._outgoing.conditions(call),
            streamed=streamed,
        )
        outcome: Outcome | None = None
        stream: AsyncResponseStream | None = None
        try:
            while True:
                step = steps.send(outcome)
                if isinstance(step, Pause):
                    await self._sleep(step.seconds)
                    outcome = None
                else:
                    outcome, stream = await send(self.transport, step)
        except StopIteration as ended:
            return ended.value, stream
        except BaseException:
            steps.close()
            # A stream that is refused, or one that an observer fails at.
            if stream is not None:
                stream.close()
            raise

    async def get(self, path: str, *, cast_to: type[T], **options: Any) -> T:
        """Call any path that this SDK does not know; `query` and the options of calls apply."""
        return await self.run(any_call("GET", path, cast_to, None, options))

    async def post(self, path: str, *, cast_to: type[T], body: Any = None, **options: Any) -> T:
        """Call any path that this SDK does not know, with a body in JSON."""
        return await self.run(any_call("POST", path, cast_to, body, options))

    async def delete(self, path: str, *, cast_to: type[T], **options: Any) -> T:
        """Call any path that this SDK does not know."""
        return await self.run(any_call("DELETE", path, cast_to, None, options))

    async def close(self) -> None:
        """Close the connections, if the client made them itself."""
        if self._own_transport and "transport" in self.__dict__:
            self.transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __repr__(self) -> str:
        return f"AsyncClient(base_url={without_userinfo(self.options.base_url)!r})"


async def send(transport: AsyncTransport, step: Send) -> tuple[Outcome, AsyncResponseStream | None]:
    """Send a request once, and say how it went. Of an opened stream the answer is left open."""
    stream: AsyncResponseStream | None = None
    begun = time.monotonic()
    try:
        stream = await transport.open(
            step.request, connect_timeout=step.connect_timeout, timeout=step.timeout
        )
        if step.streamed and stream.status < ERRORS_FROM:
            return Opened(stream.status, stream.headers, time.monotonic() - begun), stream
        left = None if step.timeout is None else step.timeout - (time.monotonic() - begun)
        body = await stream.read(None if left is None else max(left, 0.001))
        return (
            Answer(
                status=stream.status,
                headers=stream.headers,
                body=body,
                http_version=stream.http_version,
                elapsed=time.monotonic() - begun,
            ),
            None,
        )
    except TransportError as error:
        error.elapsed = time.monotonic() - begun
        return error, None
    except BaseException:
        # Cancelled in the middle of an answer: the connection is of no use to anybody.
        if stream is not None:
            stream.close()
        raise
