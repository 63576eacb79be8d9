"""The server for tests, as a test sees it."""

import asyncio
from collections.abc import Mapping
from datetime import timedelta
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from antiphon.testing.answers import Answer, Block, Producer, StopReason, When, answer
from antiphon.testing.failures import Failure
from antiphon.testing.requests import RequestList
from antiphon.testing.script import MESSAGES, Deed, Script, Step

if TYPE_CHECKING:
    from antiphon.sdk.async_client import AsyncClient
    from antiphon.sdk.client import Client
    from antiphon.testing.clock import Clock
    from antiphon.testing.front import Control
    from antiphon.testing.in_process import App, AsyncInProcess, InProcess
    from antiphon.testing.running import Running

_LIMITS = {
    "requests_per_minute": "requests_per_minute",
    "input_tokens_per_minute": "input_tokens_per_minute_cache_aware",
    "output_tokens_per_minute": "output_tokens_per_minute",
}


class MissingExtraError(ImportError):
    """The packages of the server are not installed."""


class UnusedAnswersError(AssertionError):
    """The script of a strict server has steps that no request has used."""


class Server:
    """A whole server of Antiphon in this process, with a model that says what it is told.

    A context manager, and an asynchronous one. `settings` are those of `antiphon.toml`, by name.
    With `strict` it is an error if answers are left at the end. `clock` takes the place of the time
    of limits and of scripted delays.

    What is not scripted repeats the user. Raises `MissingExtraError` without `antiphon[server]`,
    `SettingsError` for wrong settings, both when it is entered.
    """

    def __init__(
        self,
        *,
        strict: bool = False,
        clock: "Clock | None" = None,
        control: "Control | None" = None,
        **settings: Any,
    ) -> None:
        self._strict = strict
        self._clock = clock
        self._control = control
        self._settings = settings
        self._script = Script()
        self._running: Running | None = None
        self.requests = RequestList()
        """The requests that came, in their order."""

    def __enter__(self) -> Self:
        running = self._made()
        running.start().result()
        self._running = running
        return self

    async def __aenter__(self) -> Self:
        running = self._made()
        try:
            await asyncio.shield(asyncio.wrap_future(running.start()))
        except BaseException:
            # Also of a task that is cancelled meanwhile: the server is up in a moment, and ends.
            await asyncio.to_thread(running.stop)
            raise
        self._running = running
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()
        if error is None:
            self.check()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await asyncio.to_thread(self.close)
        if error is None:
            self.check()

    def _made(self) -> "Running":
        try:
            from antiphon.testing.running import Running  # noqa: PLC0415 - the extra `server`
        except ImportError as error:
            raise MissingExtraError(
                f"the server for tests needs the extra `server` ({error.name} is missing): "
                "pip install 'antiphon[server]'"
            ) from error
        return Running(self._settings, self._script, self.requests, self._clock, self._control)

    def close(self) -> None:
        """End the server. Requests that run get an `overloaded_error`, as from any server."""
        if self._running is not None:
            self._running.stop()

    def check(self) -> None:
        """Raise what a function of the test has raised in a request, and `UnusedAnswersError`."""
        if self._script.mistakes:
            raise self._script.mistakes[0]
        if self._strict and (unused := self._script.unused):
            told = "".join(f"\n  {step}" for step in unused)
            raise UnusedAnswersError(f"no request has used:{told}")

    @property
    def _started(self) -> "Running":
        if self._running is None:
            raise RuntimeError("the server for tests runs inside of its `with` block")
        return self._running

    @property
    def key(self) -> str:
        """The API key of the Default workspace."""
        return self._started.parts.kit.template.key

    @property
    def admin_key(self) -> str:
        """An admin key."""
        return self._started.parts.kit.template.admin_key

    @property
    def url(self) -> str:
        """The URL of a real port on the loopback interface. It is opened when it is asked for."""
        return self.listen()

    def listen(self, port: int = 0) -> str:
        """Open a port on the loopback interface, once, and return its URL; 0 takes a free one.

        Raises `OSError` for a port that is taken.
        """
        return self._started.listen(port)

    @property
    def base_url(self) -> str:
        """The URL that the transports in this process know. No network reaches it."""
        from antiphon.testing.in_process import BASE_URL  # noqa: PLC0415

        return BASE_URL

    @property
    def app(self) -> "App":
        """An ASGI application for clients that call one, in whatever event loop they run."""
        from antiphon.testing.bridge import Bridge  # noqa: PLC0415

        return Bridge(self.async_transport())

    def transport(self) -> "InProcess":
        """Return a transport to this server for clients that block."""
        from antiphon.testing.in_process import InProcess  # noqa: PLC0415

        parts = self._started.parts
        return InProcess(parts.app, parts.loop, parts.process)

    def async_transport(self) -> "AsyncInProcess":
        """Return a transport to this server for clients with an event loop."""
        from antiphon.testing.in_process import AsyncInProcess  # noqa: PLC0415

        parts = self._started.parts
        return AsyncInProcess(parts.app, parts.loop, parts.process)

    def client(self, **options: Any) -> "Client":
        """Return a client of the SDK that calls this server in process, with both keys.

        Its pauses before another try take no time, unless `sleep` says otherwise. The variables of
        the environment that clients know do not reach it.
        """
        from antiphon.sdk.client import Client  # noqa: PLC0415

        return Client(
            **{"sleep": _at_once, **self._for_client(options)}, transport=self.transport()
        )

    def async_client(self, **options: Any) -> "AsyncClient":
        """Return an asynchronous client of the SDK, as `client`."""
        from antiphon.sdk.async_client import AsyncClient  # noqa: PLC0415

        return AsyncClient(
            **{"sleep": _at_once_async, **self._for_client(options)},
            transport=self.async_transport(),
        )

    def _for_client(self, options: Mapping[str, Any]) -> dict[str, Any]:
        from antiphon.sdk.environment import Environment  # noqa: PLC0415

        return {
            "api_key": self.key,
            "admin_key": self.admin_key,
            "base_url": self.base_url,
            "environment": Environment(),
            **options,
        }

    def answers(  # noqa: PLR0913 - one for each detail
        self,
        *blocks: "Answer | Block | Producer",
        when: When = None,
        times: int | None = 1,
        delay: float | timedelta = 0.0,
        tokens_per_second: float = 0.0,
        stop_reason: StopReason | None = None,
        pings: int = 0,
    ) -> Self:
        """Say these blocks in the answer to the next request, or to the next that fits `when`.

        `when` is a regular expression, searched in the last text of the user, or a function of the
        request. `times` is for how many requests; `None` is for all.

        A function in place of blocks gets the request, and returns a block, several, an `answer`
        with details, or a failure. It runs in the loop of the server, so it must not wait for it.

        `delay` passes before the first token. Raises `ValueError` for blocks in another order than
        thoughts, texts, calls, and `TypeError` for details beside a function or an `answer`.
        """
        details: dict[str, Any] = {
            "delay": _seconds(delay),
            "tokens_per_second": tokens_per_second,
            "stop_reason": stop_reason,
            "pings": pings,
        }
        given = {name: value for name, value in details.items() if value}
        self._script.add(Step(_deed(blocks, given), method="POST", when=when, left=times))
        return self

    def fails(
        self,
        failure: Failure,
        *,
        times: int | None = 1,
        when: When = None,
        path: str = MESSAGES,
        method: str | None = None,
    ) -> Self:
        """Fail the next request, or the next that fits `when`, and the next `times` in all.

        `path` is that of the requests, and may have `*`; by default messages fail.
        """
        if not isinstance(failure, Failure):
            raise TypeError(
                f"{failure!r} is no failure: use antiphon.testing.overloaded_error and its "
                "siblings, raw(…) or connection_lost"
            )
        self._script.add(Step(failure, path, method, when, times))
        return self

    def limit(self, **limits: int | None) -> Self:
        """Set real limits: `requests_per_minute`, `input_tokens_per_minute`, `output_tokens_…`.

        `None` removes one. They apply to requests from now on.
        """
        if unknown := limits.keys() - _LIMITS.keys():
            raise TypeError(f"no limit is called {unknown.pop()!r}: {', '.join(_LIMITS)}")
        self._started.call(self.set_limits(limits))
        return self

    async def set_limits(self, limits: Mapping[str, int | None]) -> None:
        """Set limits as `limit` does, from the loop of the server."""
        await self._started.set_limits({_LIMITS[name]: one for name, one in limits.items()})

    def reset(self) -> None:
        """Forget the script and the requests; keys, files, batches and limits stay."""
        self._script.clear()
        self.requests.clear()

    @property
    def unused(self) -> list[str]:
        """What of the script still waits for a request, in words."""
        return [str(step) for step in self._script.unused]


def _at_once(seconds: float) -> None:
    """Wait not at all: what was scripted does not come sooner by waiting."""
    del seconds


async def _at_once_async(seconds: float) -> None:
    """Let other tasks run, and wait not at all."""
    del seconds
    await asyncio.sleep(0)


def _deed(blocks: tuple[Any, ...], details: Mapping[str, Any]) -> Deed:
    whole = blocks[0] if len(blocks) == 1 else None
    if not isinstance(whole, Answer) and not callable(whole):
        return answer(*blocks, **details)
    if details:
        raise TypeError(
            f"{', '.join(details)}: a function, or an answer, has its own: "
            "antiphon.testing.answer(…, delay=2)"
        )
    deed: Deed = whole
    return deed


def _seconds(delay: float | timedelta) -> float:
    return delay.total_seconds() if isinstance(delay, timedelta) else float(delay)


def server(*, strict: bool = False, clock: "Clock | None" = None, **settings: Any) -> Server:
    """Return a server for tests, to be used as a context manager: see `Server`."""
    return Server(strict=strict, clock=clock, **settings)
