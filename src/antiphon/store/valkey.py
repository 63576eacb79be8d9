"""A Valkey server that is asked by scripts, each call one script in one round trip.

Operations that are asked for at the same time share a call.
"""

import re
from asyncio import Future, Task, create_task, get_running_loop, timeout
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from hashlib import sha1
from importlib.resources import files
from typing import TYPE_CHECKING, Any, Final, TypeAlias

import msgspec

if TYPE_CHECKING:
    from valkey.asyncio import Valkey

PATIENCE_S: Final = 0.25
"""A server without an answer after this time is away."""
SOCKET_PATIENCE_S: Final = 1.0
"""The same behind a socket of this machine: that of one that has ended refuses at once, so silence
means that others use the processor. With the watch of the counters it is less than their grace."""
CONNECTIONS: Final = 32
"""The most calls at once; further ones wait."""
TOGETHER: Final = 64
"""The most operations in a call, which is one step of the server: nothing else runs meanwhile."""


class ValkeySetupError(Exception):
    """A server that cannot be asked at all: the client is missing, or the URL is none."""


class ValkeyAwayError(Exception):
    """The server does not answer in time, or not as a working server does."""


class Script:
    """A script, and the name by which the server knows it once it has run.

    `script.lua` stands in front of it: the time, and how numbers are written.
    """

    def __init__(self, text: bytes) -> None:
        self.text = text = (files(__package__) / "script.lua").read_bytes() + text
        self.digest = sha1(text).hexdigest()  # noqa: S324 - how Valkey names a script


# An operation in MessagePack, and what takes its answer.
_Asked: TypeAlias = "tuple[msgspec.Raw, Future[Any]]"


class ValkeyServer:
    """The server behind a client. Every key begins with `prefix`, a hash tag.

    So all keys are in one slot, and a cluster sends every script to the node that has them.
    `place` is where the server is, for errors.
    """

    def __init__(
        self, client: "Valkey", name: str, patience_s: float = PATIENCE_S, place: str = ""
    ) -> None:
        self.client = client
        self.prefix = f"{{{name}}}"
        self._place = place
        self._patience_s = patience_s
        self._execute: Callable[..., Awaitable[Any]] = client.execute_command
        # By script and time, while a call is under way: the operations for the next one.
        self._waiting: dict[tuple[str, int | None], deque[_Asked]] = {}
        self._senders: set[Task[None]] = set()

    async def run(self, script: Script, operation: str, argument: Any, now: int | None) -> Any:
        """Run an operation of a script; return its answer. It reads and writes MessagePack.

        MessagePack in Lua has texts, but no bytes. `now` replaces the time of the server in tests.
        Operations that are asked for while a call is under way go together with the next one, so a
        busy process makes few calls, and an operation waits for two of them if fewer than
        `TOGETHER` wait before it. One whose caller has left meanwhile may be done all the same.
        Raises `ValkeyAwayError`.
        """
        asked = msgspec.Raw(msgspec.msgpack.encode((operation, argument)))
        key = script.digest, now
        if key in self._waiting:
            answer: Future[Any] = get_running_loop().create_future()
            self._waiting[key].append((asked, answer))
            return await answer
        self._waiting[key] = deque()
        try:
            (answered,) = await self._call(script, [asked], now)
        finally:
            if self._waiting[key]:
                sender = create_task(self._send_waiting(script, now), name="antiphon-valkey")
                self._senders.add(sender)
                sender.add_done_callback(self._senders.discard)
            else:
                del self._waiting[key]
        return _result(answered)

    async def _send_waiting(self, script: Script, now: int | None) -> None:
        """Send the operations that wait, as many together as a call may have, until none waits."""
        key = script.digest, now
        waiting = self._waiting[key]
        group: list[_Asked] = []
        try:
            while waiting:
                group = [waiting.popleft() for _ in range(min(len(waiting), TOGETHER))]
                # Nobody waits for those of callers that have left.
                group = [(asked, answer) for asked, answer in group if not answer.done()]
                try:
                    answered = await self._call(script, [asked for asked, _ in group], now)
                except ValkeyAwayError as error:
                    for _, answer in group:
                        if not answer.done():
                            answer.set_exception(ValkeyAwayError(str(error)))
                else:
                    for (_, answer), one in zip(group, answered, strict=True):
                        _deliver(answer, one)
                    group = []
        finally:
            del self._waiting[key]
            # Only if this task was ended: nobody may wait for ever.
            for _, answer in (*group, *waiting):
                answer.cancel()

    async def _call(self, script: Script, asked: Sequence[msgspec.Raw], now: int | None) -> Any:
        from valkey.exceptions import NoScriptError  # noqa: PLC0415 - an extra

        parts: list[Any] = [1, self.prefix, msgspec.msgpack.encode(asked)]
        if now is not None:
            parts.append(now)
        async with self.asking():
            try:
                answer = await self._execute("EVALSHA", script.digest, *parts)
            except NoScriptError:
                answer = await self._execute("EVAL", script.text, *parts)
        return msgspec.msgpack.decode(answer)

    @asynccontextmanager
    async def asking(self) -> AsyncGenerator[None]:
        """Limit the time of calls in the block, and raise `ValkeyAwayError` for their errors."""
        from valkey.exceptions import ValkeyError  # noqa: PLC0415 - an extra

        try:
            async with timeout(self._patience_s):
                yield
        except (ValkeyError, OSError) as error:
            at = f" at {self._place}" if self._place else ""
            raise ValkeyAwayError(
                f"the Valkey server{at} cannot be asked: {_reason(error)}"
            ) from error

    async def aclose(self) -> None:
        await self.client.aclose()
        await self.client.connection_pool.aclose()


def connect(
    url: str, *, name: str, patience_s: float | None = None, connections: int = CONNECTIONS
) -> ValkeyServer:
    """Return the server at a URL, not yet connected: `valkey://`, `valkeys://` (TLS), `unix://`.

    Without `patience_s` it depends on where the server is.

    `name` begins every key, so several installations can share a server. Raises
    `ValkeySetupError`.
    """
    try:
        from valkey.asyncio import BlockingConnectionPool, Valkey  # noqa: PLC0415 - an extra
        from valkey.asyncio.retry import Retry  # noqa: PLC0415
        from valkey.backoff import NoBackoff  # noqa: PLC0415
    except ModuleNotFoundError as error:
        raise ValkeySetupError("Valkey needs a client: pip install 'antiphon[valkey]'") from error
    try:
        # No timeouts of the client: with them, Python 3.11 may lose the cancellation of a task.
        pool = BlockingConnectionPool.from_url(
            url,
            max_connections=connections,
            timeout=None,
            socket_timeout=None,
            # A lost call may have had its effect, so it is not sent again.
            retry=Retry(NoBackoff(), 0),
        )
    except ValueError as error:
        # Not the URL itself: it may hold a password.
        raise ValkeySetupError("The URL of the Valkey server cannot be read") from error
    place = _place_of(pool.connection_kwargs)
    if patience_s is None:
        patience_s = SOCKET_PATIENCE_S if "path" in pool.connection_kwargs else PATIENCE_S
    return ValkeyServer(Valkey.from_pool(pool), name, patience_s, place)


def _result(answered: Sequence[Any]) -> Any:
    """Return the result of an operation. Raises `ValkeyAwayError` if it failed."""
    if not answered[0]:
        raise ValkeyAwayError(f"the Valkey server refuses an operation: {answered[1]}")
    # In Lua a list ends before `nil`.
    return answered[1] if len(answered) > 1 else None


def _deliver(answer: "Future[Any]", answered: Sequence[Any]) -> None:
    if answer.done():
        # Its caller has left.
        return
    try:
        answer.set_result(_result(answered))
    except ValkeyAwayError as error:
        answer.set_exception(error)


def _place_of(options: Mapping[str, Any]) -> str:
    """Return where a server is, without its user and its password: its socket, or its host."""
    path: str | None = options.get("path")
    host: str = options.get("host", "localhost")
    return path or f"{f'[{host}]' if ':' in host else host}:{options.get('port', 6379)}"


def _reason(error: Exception) -> str:
    line = next(iter(str(error).splitlines()), "") or "no answer in time"
    # The client's error of a connection repeats the address.
    found = re.fullmatch(r"Error .*? connecting to \S+\. (.+?)\.*", line)
    return found[1] if found else line.rstrip(".")
