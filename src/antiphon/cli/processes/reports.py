"""What the overseer tells a process when it starts it, and what the process reports."""

from typing import Any, Final, Literal

import msgspec

PING: Final = b"ping\n"
HAND_OVER: Final = b"hand over\n"
DRAIN: Final = b"drain\n"
"""Tells an engine host to take no new call, and to end when the running ones have."""


class Start(msgspec.Struct, frozen=True, kw_only=True):
    """How a process begins: which one it is, and what it gets from the overseer.

    Process 0 is the engine host. `flags` and `config` are those of the overseer's command line, so
    each process reads the settings as they are when it starts. `listener` is a descriptor that it
    inherits, `address` where that listens, `metrics` the descriptor at which its metrics are read.
    `engines` is the socket of the engine host, if there is one, `counters_url` the Valkey server
    that the overseer runs, if it runs one. `welcomes` is asked of one process, once: a welcome
    replaces a first key that nobody has used. One that `takes_over` accepts no request before it
    can answer it: the server answered before. `schema` is the schema of the database that the
    running processes know; a process that would migrate it does not start. One that only `looks`
    reads the settings, reports what it has `found`, and ends.
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
    takes_over: bool = False
    schema: str = ""
    looks: bool = False


class Found(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What the settings and the code are now, as far as the whole server depends on them.

    `host` has a digest of each thing that the engine host depends on, by its name. `fixed` are the
    settings that a reload cannot change, by their names, without secrets. `alone` says why a second
    engine host cannot run beside the first; it is empty if one can.
    """

    host: dict[str, str] = {}
    fixed: dict[str, str] = {}
    alone: str = ""


class Report(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a process says of itself.

    `ready` comes with the welcome of the server, and with why every request is refused, if one is.
    That of an engine host comes with what it has `found`, and so does the report of a process that
    only looks. `stopping` has the number of running requests. `error` is why it cannot start, for
    people.
    """

    state: Literal["ready", "alive", "stopping", "failed", "found"]
    welcome: str = ""
    left: int = 0
    error: str = ""
    found: Found | None = None
