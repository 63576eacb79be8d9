"""What the overseer tells a process when it starts it, and what the process reports."""

from typing import Any, Final, Literal

import msgspec

PING: Final = b"ping\n"
HAND_OVER: Final = b"hand over\n"


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """How a process begins: which one it is, and what it gets from the overseer.

    Process 0 is the engine host. `flags` and `config` are those of the overseer's command line, so
    each process reads the settings as they are when it starts. `listener` is a descriptor that it
    inherits, `address` where that listens, `metrics` the descriptor at which its metrics are read.
    `engines` is the socket of the engine host, if there is one, `counters_url` the Valkey server
    that the overseer runs, if it runs one. `welcomes` is asked of one process, once: a welcome
    replaces a first key that nobody has used.
    """

    number: int
    of: int
    overseer: int
    flags: dict[str, Any]
    config: str | None
    listener: int
    metrics: int | None = None
    address: str
    engines: str | None
    counters_url: str | None
    welcomes: bool = False


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a process says of itself.

    `ready` comes with the welcome of the server, and with why every request is refused, if one is.
    `stopping` has the number of running requests. `error` is why it cannot start, for people.
    """

    state: Literal["ready", "alive", "stopping", "failed"]
    welcome: str = ""
    left: int = 0
    error: str = ""
