"""What the hints of a request steer in llama.cpp: its turn, its slot, and what is dropped.

Nothing here changes an answer or a claim: a request without hints is steered as `PLAIN`.
"""

from collections import OrderedDict
from typing import Final, TypeAlias

import msgspec

from antiphon.core.hints import Hints

Session: TypeAlias = tuple[str, str, str | None]
"""The salt of a workspace, a session in it, and an agent of the session."""

HELD_S: Final = 30.0
"""How long the slot of a session is held for its next request, if nothing is known of its tools."""
MOST_HELD_S: Final = 300.0
LONGER: Final = 2.0
"""A tool may take so many times as long as the last ones did."""
MOST_SESSIONS: Final = 1024
MOST_PREFIXES: Final = 256

BATCH_PORTION: Final = 32
"""Tokens of the prompt of a batch's request that are read at once. What is being read delays the
interactive request for which it is given up; llama.cpp ends no batch of tokens before its end."""

_SIDE: Final = frozenset({"auxiliary", "compaction", "workflow"})
_READ_ONCE: Final = frozenset({"auxiliary", "compaction"})


class Steering(msgspec.Struct, frozen=True, kw_only=True):
    """How a request is treated.

    - `waits`: requests of others that come later may have a slot first.
    - `held_s`: how long its slot is held for the session after the answer.
    - `displaces`: what it keeps may displace what others keep.
    - `spare`: its slot is the first that others get.
    - `portion`: how many tokens of its prompt are read at once, so that it can be given up soon.
    - `session`: whose prefixes it keeps, and `drops` those that the session kept before.
    """

    waits: bool = False
    held_s: float = 0.0
    displaces: bool = True
    spare: bool = False
    portion: int | None = None
    session: Session | None = None
    drops: bool = False


PLAIN: Final = Steering()


def steering_of(hints: Hints, salt: str) -> Steering:
    """Return what the hints of a request of this workspace steer."""
    session = None
    if hints.session_id is not None:
        session = (salt, hints.session_id, hints.agent_id)
    read_once = hints.is_compaction or hints.request_class in _READ_ONCE
    return Steering(
        waits=hints.in_batch or hints.request_class in _SIDE,
        held_s=0.0 if session is None or read_once else _held_s(hints),
        displaces=not read_once,
        spare=hints.in_batch,
        portion=BATCH_PORTION if hints.in_batch else None,
        session=session,
        drops=hints.was_compacted and session is not None,
    )


def _held_s(hints: Hints) -> float:
    longest_ms = max((one.ms for one in hints.tool_durations), default=0)
    return min(MOST_HELD_S, max(HELD_S, LONGER * longest_ms / 1000))


class SessionPrefixes:
    """The names of the snapshots that sessions keep; of the oldest ones, some are forgotten."""

    def __init__(self) -> None:
        self._names: OrderedDict[Session, OrderedDict[str, None]] = OrderedDict()

    def add(self, session: Session, name: str) -> None:
        """Note that a session keeps a snapshot."""
        names = self._names.setdefault(session, OrderedDict())
        names[name] = None
        if len(names) > MOST_PREFIXES:
            names.popitem(last=False)
        self._names.move_to_end(session)
        if len(self._names) > MOST_SESSIONS:
            self._names.popitem(last=False)

    def take(self, session: Session) -> tuple[str, ...]:
        """Return the names of a session's snapshots, and forget them."""
        return tuple(self._names.pop(session, ()))
