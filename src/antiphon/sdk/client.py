"""The client that blocks. Any number of threads may use one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack
from weakref import finalize

import msgspec

from antiphon.sdk.any_client import AnyClient
from antiphon.sdk.call import Answer, Call, json_body, query_pairs, result_of
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
    ResponseStream,
    Transport,
    TransportError,
    without_userinfo,
)

if TYPE_CHECKING:
    from antiphon.sdk.beta import Beta
    from antiphon.sdk.files import Files
    from antiphon.sdk.messages import Messages
    from antiphon.sdk.models import Models
    from antiphon.sdk.organization.resource import Organization

T = TypeVar("T")


class Client(AnyClient):
    """A client of one server of the API.

    A client holds connections: make one, and share it. All parameters may be left out:

    `base_url`: the server; by default the one on this machine, `http://127.0.0.1:8000`.
    `api_key`, `auth_token`: what says who asks, as `x-api-key` or as `authorization: Bearer`.
    `admin_key`: the key of `organization`.
    `timeout`: seconds, or an `antiphon.Timeout`; 600.
    `max_retries`: how often a call is repeated; 2.
    `default_headers`, `default_query`: what every request has besides.
    `cache`: "auto", "5m" or "1h" sets breakpoints of the prompt cache.
    `observers`: objects that see every attempt, as `antiphon.Limiter` and `antiphon.CallSpans`.
    `environment`: in place of the variables of this process, which say addresses and keys.
    `transport`: sends requests another way, as into a server in the same process. The client
    closes only one that it made itself.
    `sleep`, `now`: the clock, for tests.

    Raises `TypeError` for another parameter, and `ValueError` for a wrong one.
    """

    def __init__(
        self,
        *,
        transport: Transport | None = None,
        sleep: Callable[[float], object] = time.sleep,
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
    def transport(self) -> Transport:
        """What sends the requests; made when the first one is sent."""
        if self._given_transport is not None:
            return self._given_transport
        from antiphon.transport import Connections  # noqa: PLC0415 - sockets, when one is needed

        connections = Connections(proxy=self.options.proxies)
        # Of a client that nobody closed. It belongs to no loop, so this is right at any moment.
        finalize(self, connections.close)
        return connections

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
    def messages(self) -> Messages:
        """Messages: `create`, `stream`, `parse`, `run_tools`, `count_tokens`, and `batches`."""
        from antiphon.sdk.messages import Messages  # noqa: PLC0415

        return Messages(self)

    @cached_property
    def beta(self) -> Beta:
        """What the official SDK has under `beta`: here it is the same as without."""
        from antiphon.sdk.beta import Beta  # noqa: PLC0415

        return Beta(self)

    @cached_property
    def files(self) -> Files:
        """Files that requests name: `upload`, `list`, `download_to`, `delete` and more."""
        from antiphon.sdk.files import Files  # noqa: PLC0415

        return Files(self)

    @cached_property
    def organization(self) -> Organization:
        """People, workspaces, keys, limits and reports: with an admin key."""
        from antiphon.sdk.organization.resource import Organization  # noqa: PLC0415

        return Organization(self)

    @cached_property
    def models(self) -> Models:
        """What the server offers: `list`, `retrieve`."""
        from antiphon.sdk.models import Models  # noqa: PLC0415

        return Models(self)

    def run(self, call: Call[T]) -> T:
        """Make a call and return its result. Raises `APIError`."""
        answer: Any = self._drive(call, streamed=False)[0]
        return result_of(call, answer)

    def answer(self, call: Call[Any]) -> Answer:
        """Make a call and return its answer as it came. Raises `APIError`."""
        answer: Any = self._drive(call, streamed=False)[0]
        whole: Answer = answer  # what a whole call ends with
        return whole

    def open(self, call: Call[Any]) -> ResponseStream:
        """Make a call and return its answer when the head has come; close it. Raises `APIError`."""
        _, stream = self._drive(call, streamed=True)
        assert stream is not None  # noqa: S101 - what a streamed call ends with
        return stream

    def _drive(
        self, call: Call[Any], *, streamed: bool
    ) -> tuple[Answer | Opened, ResponseStream | None]:
        """Do what the exchange says, until it ends."""
        steps: Steps = exchange(
            call,
            self._outgoing.request(call),
            self._outgoing.conditions(call),
            streamed=streamed,
        )
        outcome: Outcome | None = None
        stream: ResponseStream | None = None
        try:
            while True:
                step = steps.send(outcome)
                if isinstance(step, Pause):
                    self._sleep(step.seconds)
                    outcome = None
                else:
                    outcome, stream = send(self.transport, step)
        except StopIteration as ended:
            return ended.value, stream
        except BaseException:
            steps.close()
            # A stream that is refused, or one that an observer fails at.
            if stream is not None:
                with suppress(TransportError):
                    stream.close()
            raise

    def get(self, path: str, *, cast_to: type[T], **options: Any) -> T:
        """Call any path that this SDK does not know; `query` and the options of calls apply."""
        return self.run(any_call("GET", path, cast_to, None, options))

    def post(self, path: str, *, cast_to: type[T], body: Any = None, **options: Any) -> T:
        """Call any path that this SDK does not know, with a body in JSON."""
        return self.run(any_call("POST", path, cast_to, body, options))

    def delete(self, path: str, *, cast_to: type[T], **options: Any) -> T:
        """Call any path that this SDK does not know."""
        return self.run(any_call("DELETE", path, cast_to, None, options))

    def close(self) -> None:
        """Close the connections, if the client made them itself."""
        if self._own_transport and "transport" in self.__dict__:
            self.transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"Client(base_url={without_userinfo(self.options.base_url)!r})"


def send(transport: Transport, step: Send) -> tuple[Outcome, ResponseStream | None]:
    """Send a request once, and say how it went. Of an opened stream the answer is left open."""
    stream: ResponseStream | None = None
    begun = time.monotonic()
    try:
        stream = transport.open(
            step.request, connect_timeout=step.connect_timeout, timeout=step.timeout
        )
        if step.streamed and stream.status < ERRORS_FROM:
            return Opened(stream.status, stream.headers, time.monotonic() - begun), stream
        left = None if step.timeout is None else step.timeout - (time.monotonic() - begun)
        body = stream.read(None if left is None else max(left, 0.001))
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
        # An interrupt in the middle of an answer: the connection is of no use to anybody.
        if stream is not None:
            with suppress(TransportError):
                stream.close()
        raise


def any_call(
    method: str, path: str, cast_to: type[T], body: Any, options: Mapping[str, Any]
) -> Call[T]:
    """Return the call of a path that no operation of this SDK has."""
    known = {"timeout", "max_retries", "extra_headers", "extra_query", "extra_body", "query"}
    if unknown := set(options) - known:
        raise TypeError(f"unknown options: {', '.join(sorted(unknown))}")
    own: Any = {name: value for name, value in options.items() if name != "query"}
    # A type that a program gives need not be one that can be remembered, as `decoded` does.
    decoder = msgspec.json.Decoder(cast_to)
    return Call(
        method=method,
        path=path if path.startswith("/") else f"/{path}",
        decode=lambda answer: decoder.decode(answer.body),
        query=query_pairs(options.get("query") or {}),
        body=b"" if body is None else json_body(body, own),
        options=own,
    )


def _draw() -> float:
    from random import random  # noqa: PLC0415 - 8 ms, and only a retry needs it

    return random()  # noqa: S311 - spreads callers in time
