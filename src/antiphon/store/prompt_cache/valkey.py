"""The index of the prompt cache in Valkey, shared by every process."""

import re
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from typing import Any, Final

import msgspec

from antiphon.core.prompt_cache import CacheEntry, Fingerprint
from antiphon.core.prompt_cache.entries import TTL_MS
from antiphon.logs import EventLog
from antiphon.store.prompt_cache.base import FINGERPRINT_MS, Found
from antiphon.store.valkey import Script, ValkeyAwayError, ValkeyServer

_ENTRY: Final = re.compile("([0-9]{1,16}) ([0-9]{1,16}) (5m|1h)")

# A server that is away is asked again after this time, by one call.
_RETRY_MS: Final = 500


class ValkeyCacheIndex:
    """The rules of `core.prompt_cache.entries` in Lua; see `index.lua` for the script and its keys.

    The time is the server's, which all processes share; `now` replaces it in tests. `clock` is the
    clock of this process: it says when to ask a server again that is away. While it is away, `find`
    tells the time by that clock, so what such a request stores later ends by it.

    A call takes 250 ms at most. After one that failed, every call returns at once, but for one in
    half a second. The log has a line when the server goes away, and one when it is back.
    """

    def __init__(
        self, server: ValkeyServer, clock: Callable[[], int], now: Callable[[], int] | None = None
    ) -> None:
        self._server = server
        self._now = now
        self._clock = clock
        self._script = Script((files(__package__) / "index.lua").read_bytes())
        self._log = EventLog(__name__)
        # While the server is away: the time at which it is asked again.
        self._away_until: int | None = None

    async def find(self, keys: Sequence[bytes]) -> Found:
        answer = await self._call("find", [key.hex() for key in keys])
        if answer is None:
            return Found(self._clock(), {})
        now, found = answer
        read = ((keys[number], _read(text)) for number, text in found)
        return Found(int(now), {key: entry for key, entry in read if entry is not None})

    async def refresh(self, key: bytes, started_at: int) -> None:
        await self._call("refresh", {"key": key.hex(), "started_at": started_at, "lives": TTL_MS})

    async def store(self, entries: Mapping[bytes, CacheEntry]) -> None:
        """Add entries, unless the server has little memory left: the counters may need it."""
        added = [(key.hex(), one.tokens, one.ttl, one.expires_at) for key, one in entries.items()]
        if added:
            await self._call("store", added)

    async def keep_fingerprint(self, key: bytes, fingerprint: Fingerprint) -> None:
        """Keep a fingerprint, unless the server has little memory left."""
        written = msgspec.json.encode(fingerprint).decode()
        argument = {"key": key.hex(), "written": written, "life": FINGERPRINT_MS}
        await self._call("keep_fingerprint", argument)

    async def fingerprint(self, key: bytes) -> Fingerprint | None:
        written = await self._call("fingerprint", key.hex())
        try:
            return msgspec.json.decode(written, type=Fingerprint) if written else None
        except msgspec.DecodeError:
            # Of another release.
            return None

    async def aclose(self) -> None:
        await self._server.aclose()

    async def _call(self, operation: str, argument: Any) -> Any:
        """Run an operation; return `None` if the server is away."""
        if self._away_until is not None:
            asked_at = self._clock()
            if asked_at < self._away_until:
                return None
            # Other calls do not wait for this one.
            self._away_until = asked_at + _RETRY_MS
        now = None if self._now is None else self._now()
        try:
            answer = await self._server.run(self._script, operation, argument, now)
        except ValkeyAwayError as error:
            if self._away_until is None:
                self._log.warning("prompt cache index away", reason=str(error))
            self._away_until = self._clock() + _RETRY_MS
            return None
        if self._away_until is not None:
            self._away_until = None
            self._log.info("prompt cache index back")
        return answer


def _read(text: str) -> CacheEntry | None:
    """Read an entry; one of another form, as of another release, counts as none."""
    found = _ENTRY.fullmatch(text)
    if found is None:
        return None
    expires_at, tokens, ttl = found.groups()
    return CacheEntry(int(tokens), "1h" if ttl == "1h" else "5m", int(expires_at))
