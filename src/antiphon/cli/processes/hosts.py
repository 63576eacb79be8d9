"""The engine hosts of a server, of which one follows the other at a reload.

    what it depends on has not changed   it stays, with the models that it has loaded
    a second one fits beside it          the new one loads; the old one goes on for the processes
                                         that ask it, and ends with the last of them
    else                                 the old one answers what runs, and ends; then the new one
                                         loads, for which requests wait

Each has a generation, which names its socket. One that takes the place of another at the same
socket has the generation of that one.
"""

from collections.abc import Iterable, Mapping
from typing import Final

import msgspec

from antiphon.cli.processes.reports import Found
from antiphon.cli.processes.run import Run

RELEASE: Final = "release"
"""The name of the code among what an engine host depends on."""
OF_ALL: Final = frozenset({"data_dir", "database_url", "counters_url", "engine"})
"""Fixed settings that all processes share, so that none may begin with another value."""


class Seat:
    """The place of one process, in which one run follows the other."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.run: Run | None = None
        self.crashes = 0


class HostSeat(Seat):
    """The place of an engine host; `parts` once only processes that hand over ask it."""

    def __init__(self, generation: int) -> None:
        super().__init__(0)
        self.generation = generation
        self.parts = False

    @property
    def found(self) -> Found | None:
        """What it depends on."""
        return None if self.run is None else self.run.found


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What a reload changes.

    `host` names what the engine host depends on and has changed: nothing if it stays. `alone` says
    why no second one can be loaded beside it. `kept` are settings that stay as they were, and
    `refused` those for which nothing may be restarted. With another release (`is_release`) no old
    process can ask a new engine host.
    """

    host: str = ""
    alone: str = ""
    kept: str = ""
    refused: str = ""
    is_release: bool = False


def change_of(found: Found, host: Found | None, fixed: Mapping[str, str]) -> Change:
    """Compare what is there now with what the running engine host, and the server, began with.

    Without a running host there is none to keep, so everything has changed.
    """
    before = {} if host is None else host.host
    of_host = {name for name in found.host if found.host[name] != before.get(name)}
    both = fixed.keys() & found.fixed.keys()
    changed = {name for name in both if fixed[name] != found.fixed[name]}
    return Change(
        host=_named(of_host),
        alone="" if host is None else found.alone,
        kept=_named(changed - OF_ALL),
        refused=_named(changed & OF_ALL),
        is_release=RELEASE in of_host,
    )


def _named(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))
