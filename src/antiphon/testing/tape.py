"""Cassettes: what a server has answered once, and is answered again without it."""

from collections.abc import Iterable
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import TYPE_CHECKING, Any, Literal, Self, TypeAlias, TypeVar, get_args

from antiphon.testing.requests import differences, shown
from antiphon.testing.tape_file import (
    Exchange,
    Secrets,
    TapeAnswer,
    TapeRequest,
    canonical,
    read_tape,
    request_of,
    write_tape,
)
from antiphon.transport.base import AsyncTransport, HttpRequest, Transport, whole

if TYPE_CHECKING:
    from antiphon.sdk.async_client import AsyncClient
    from antiphon.sdk.client import Client
    from antiphon.testing.tape_transports import AsyncTapeTransport, TapeTransport

Mode: TypeAlias = Literal["none", "once", "new", "all"]
MODES: tuple[Mode, ...] = get_args(Mode)

Kept = TypeVar("Kept", "Client", "AsyncClient")

_MOST_DIFFERENCES = 10


class CassetteMismatchError(AssertionError):
    """A request is in no recording. The message says what the most similar one has instead."""


class Cassette:
    """Records exchanges with a server into a file, and plays them back. A context manager.

    Modes: `none` only plays back; `once` records if there is no file yet, and else plays back;
    `new` plays back what it knows and records the rest; `all` records everything again.

    Requests are compared by method, path, query and body, whatever the order of keys. Each
    recording is played once; equal ones in the order in which they were made. The file is written
    at the end of the block, unless an exception ends it.

    Keys and cookies never come into the file, and neither do `secrets`, nor the id of the
    organization without `organization`. Raises `CassetteError` for a damaged file, when it is
    entered.
    """

    def __init__(
        self,
        path: str | Path,
        mode: Mode = "once",
        *,
        secrets: Iterable[str] = (),
        organization: bool = False,
    ) -> None:
        if mode not in MODES:
            raise ValueError(f"no mode of cassettes is called {mode!r}: {', '.join(MODES)}")
        self.path = Path(path)
        self._mode = mode
        self.secrets = Secrets(secrets)
        self.organization = organization
        self._lock = Lock()
        self._known: list[Exchange] = []
        # For each of `_known`, the same as text, or `None` once it was played.
        self._waiting: list[str | None] = []
        # What is recorded, in the order of its beginning; `None` while it has no answer.
        self._recorded: list[Exchange | None] = []
        self._records = mode == "all"
        self._made: list[Client | AsyncClient] = []

    def __enter__(self) -> Self:
        exists = self.path.exists()
        if exists and self._mode != "all":
            self._known = read_tape(self.path)
            self._waiting = [canonical(one.request) for one in self._known]
        self._records = self._mode in {"new", "all"} or (self._mode == "once" and not exists)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if kind is None:
            self.save()
        for client in self._made:
            client.transport.close()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.__exit__(kind, error, trace)

    def save(self) -> None:
        """Write what was recorded, behind what is known; nothing if nothing was."""
        with self._lock:
            recorded = [one for one in self._recorded if one is not None]
            if recorded or (self._records and self._mode == "all"):
                write_tape(self.path, [*self._known, *recorded])

    @property
    def recording(self) -> bool:
        """Whether requests may go to a server."""
        return self._records

    @property
    def unplayed(self) -> list[TapeRequest]:
        """The known requests that nobody has sent."""
        with self._lock:
            pairs = zip(self._known, self._waiting, strict=True)
            return [one.request for one, text in pairs if text is not None]

    def play(self, request: HttpRequest) -> tuple[TapeRequest, TapeAnswer | None]:
        """Return the answer to a request; `None` if it is to be recorded.

        Raises `CassetteMismatchError` for an unknown request that is not to be recorded.
        """
        body = whole(request.body)
        asked = request_of(request.method, request.url, request.headers, body, self.secrets)
        text = canonical(asked)
        with self._lock:
            if text in self._waiting:
                place = self._waiting.index(text)
                self._waiting[place] = None
                return asked, self._known[place].answer
            if self._records:
                return asked, None
            raise CassetteMismatchError(self._why(asked, text))

    def begin(self) -> int:
        """Keep a place for an exchange that begins, so that the file has the order of requests."""
        with self._lock:
            self._recorded.append(None)
            return len(self._recorded) - 1

    def add(self, place: int, exchange: Exchange) -> None:
        """Record an exchange that has ended."""
        with self._lock:
            self._recorded[place] = exchange

    def _why(self, asked: TapeRequest, text: str) -> str:
        """Say why no recording fits."""
        what = f"{asked.method} {asked.path} is not in the cassette {self.path}"
        mend = "Record it with mode='new', or all of it with mode='all'."
        if not self._known:
            return f"{what}, which has no exchanges or does not exist. {mend}"
        if any(canonical(one.request) == text for one in self._known):
            return f"{what} once more: each recording is played once. {mend}"
        near = [
            one.request
            for one in self._known
            if (one.request.method, one.request.path) == (asked.method, asked.path)
        ]
        if not near:
            known = sorted({f"{one.request.method} {one.request.path}" for one in self._known})
            return f"{what}, which knows {', '.join(known[:10])}. {mend}"
        faults = min((_faults(one.body, asked.body) for one in near), key=len)
        told = "".join(f"\n  {fault}" for fault in faults[:_MOST_DIFFERENCES])
        more = len(faults) - _MOST_DIFFERENCES
        rest = f"\n  and {more} more" if more > 0 else ""
        return f"{what}. The most similar recording differs:{told}{rest}\n{mend}"

    def transport(self, inner: Transport | None = None) -> "TapeTransport":
        """Return a transport that plays back; what is recorded goes through `inner`.

        By default that is the transport of the SDK.
        """
        from antiphon.testing.tape_transports import TapeTransport  # noqa: PLC0415

        return TapeTransport(self, inner)

    def async_transport(self, inner: AsyncTransport | None = None) -> "AsyncTapeTransport":
        """Return a transport for event loops, as `transport`."""
        from antiphon.testing.tape_transports import AsyncTapeTransport  # noqa: PLC0415

        return AsyncTapeTransport(self, inner)

    def client(self, **options: Any) -> "Client":
        """Return a client of the SDK on this cassette. It needs a key only to record."""
        from antiphon.sdk.client import Client  # noqa: PLC0415

        inner = self._kept(Client(**options)).transport if self._records else None
        return Client(**self._for_client(options), transport=self.transport(inner))

    def async_client(self, **options: Any) -> "AsyncClient":
        """Return an asynchronous client, as `client`."""
        from antiphon.sdk.async_client import AsyncClient  # noqa: PLC0415

        inner = self._kept(AsyncClient(**options)).transport if self._records else None
        return AsyncClient(**self._for_client(options), transport=self.async_transport(inner))

    def _kept(self, client: Kept) -> Kept:
        """Keep a client, whose connections end with it, until the end of the block."""
        self._made.append(client)
        return client

    def _for_client(self, options: dict[str, Any]) -> dict[str, Any]:
        return options if self._records else {"api_key": "sk-replayed", **options}


def _faults(recorded: Any, asked: Any) -> list[str]:
    """Return where two bodies differ, in both directions."""
    faults = differences(recorded, asked, "body", ("recorded", "asked"))
    return faults + _added(recorded, asked, "body")


def _added(recorded: Any, asked: Any, path: str) -> list[str]:
    if isinstance(recorded, dict) and isinstance(asked, dict):
        new = [
            f"{path}.{name}: not recorded, {shown(asked[name])} asked"
            for name in asked.keys() - recorded.keys()
        ]
        shared = [name for name in recorded if name in asked]
        return sorted(new) + [
            fault
            for name in shared
            for fault in _added(recorded[name], asked[name], f"{path}.{name}")
        ]
    if isinstance(recorded, list) and isinstance(asked, list) and len(recorded) == len(asked):
        return [
            fault
            for number, (one, other) in enumerate(zip(recorded, asked, strict=True))
            for fault in _added(one, other, f"{path}[{number}]")
        ]
    return []


def cassette(
    path: str | Path,
    mode: Mode = "once",
    *,
    secrets: Iterable[str] = (),
    organization: bool = False,
) -> Cassette:
    """Return a cassette, to be used as a context manager: see `Cassette`."""
    return Cassette(path, mode, secrets=secrets, organization=organization)
