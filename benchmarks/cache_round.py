"""What one round of the prompt cache's benchmark measures, and the figures of all rounds."""

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from benchmarks.marked_prompts import AT_ONCE
from benchmarks.report import Figure, Goal

WITHIN = Goal(most=15)
ISOLATED = Goal(least=0.9)
TOGETHER = Goal(most=1.3)


@dataclass(slots=True)
class Round:
    """One round of one size: times to the first token in ms, unless something else is said.

    - `behind`: the tokens behind the breakpoint, of `tokens` before it.
    - `cold_again`: another prefix, read after `elsewhere`, when slots hold long prompts.
    - `killed`, `killed_second`: the first and the second request of a new server; `bare_killed` is
      what the bare child restores beside them.
    - `together`: until `AT_ONCE` requests have their first token.
    - `claimed`: the cached tokens that the usage told: in the slot, restored, and after the kill.
    - `save`, `restore`, `restore_from_disk`, `check`: the times of one snapshot.
    """

    tokens: int = 0
    behind: int = 0
    cold: float = 0
    bare_cold: float = 0
    slot: float = 0
    bare_slot: float = 0
    restored: float = 0
    bare_restored: float = 0
    killed: float = 0
    killed_second: float = 0
    bare_killed: float = 0
    elsewhere: float = 0
    cold_again: float = 0
    together: float = 0
    claimed: tuple[int, ...] = (0, 0, 0)
    save: float = 0
    restore: float = 0
    restore_from_disk: float = 0
    check: float = 0
    snapshot_bytes: int = 0


Value: TypeAlias = Callable[[Round], float]


class _Rows:
    """Makes figures of the rounds of one size."""

    def __init__(self, rounds: Sequence[Round]) -> None:
        self._rounds = rounds
        self._size = f"{rounds[0].tokens:,} tokens"

    def row(
        self, what: str, value: Value, goal: Goal | None = None, *, unit: str = "ms", side: str = ""
    ) -> Figure:
        return Figure(f"{self._size}: {what}", unit, tuple(map(value, self._rounds)), goal, side)

    def beside(self, what: str, value: Value, bare: Value, side: str = "") -> list[Figure]:
        """Return a time, and what it is more than that of the bare child."""
        of_cold = f"{self.median(lambda one: value(one) / one.cold):.3g} of cold"
        return [
            self.row(what, value, side=of_cold + side),
            self.row(f"{what}, more than bare", lambda one: value(one) - bare(one), WITHIN),
        ]

    def median(self, value: Value) -> float:
        return statistics.median(map(value, self._rounds))


def first_tokens(rounds: Sequence[Round]) -> list[Figure]:
    """Return the times to the first token of one size."""
    rows = _Rows(rounds)
    row, beside = rows.row, rows.beside
    behind = f"{rounds[0].behind} tokens behind the prefix"
    of_bare = f"{rows.median(lambda one: one.cold / one.bare_cold):.3g} of bare"
    in_slot, restored, killed = (
        f"; {min(claimed):,} claimed"
        for claimed in zip(*(one.claimed for one in rounds), strict=True)
    )

    def bare(one: Round) -> float:
        return one.bare_restored

    def bare_killed(one: Round) -> float:
        return one.bare_killed

    def elsewhere(one: Round) -> float:
        return one.elsewhere / one.cold_again

    def together(one: Round) -> float:
        return (one.together - AT_ONCE * one.bare_slot) / one.cold_again

    reused = "" if ISOLATED.met(rows.median(elsewhere)) else "noise, or KV of another workspace"
    return [
        row("cold, bare llama.cpp", lambda one: one.bare_cold, side=behind),
        row("cold", lambda one: one.cold, side=of_bare),
        row("in its slot, bare llama.cpp", lambda one: one.bare_slot),
        *beside("in its slot", lambda one: one.slot, lambda one: one.bare_slot, in_slot),
        row("restored, bare llama.cpp", bare),
        *beside("restored", lambda one: one.restored, bare, restored),
        row("after kill -9, bare llama.cpp", bare_killed),
        *beside("after kill -9", lambda one: one.killed, bare_killed),
        *beside(
            "after kill -9, second request", lambda one: one.killed_second, bare_killed, killed
        ),
        row("cold, other slots in use", lambda one: one.cold_again),
        row("in another workspace", lambda one: one.elsewhere),
        row("in another workspace, of cold", elsewhere, ISOLATED, unit="times", side=reused),
        row(f"{AT_ONCE} at once, until all have one", lambda one: one.together),
        row(f"{AT_ONCE} at once less their questions, of cold", together, TOGETHER, unit="times"),
    ]


def snapshots(rounds: Sequence[Round]) -> list[Figure]:
    """Return what a snapshot of one size costs, measured on the bare child but for its check.

    Where prompts are read faster than the last two rates, reading the tokens takes less time than
    their snapshot from this disk, also with the check after a start of the system.
    """
    row, rate = _Rows(rounds).row, "tokens/s"

    def read(one: Round) -> float:
        return 1000 * (one.tokens + one.behind) / one.bare_cold

    def from_disk(one: Round) -> float:
        return 1000 * one.tokens / one.restore_from_disk

    def checked(one: Round) -> float:
        return 1000 * one.tokens / (one.restore_from_disk + one.check)

    return [
        row("snapshot, save", lambda one: one.save),
        row("snapshot, restore", lambda one: one.restore),
        row("snapshot, restore, not in memory", lambda one: one.restore_from_disk),
        row("snapshot, check after a start of the system", lambda one: one.check),
        row("snapshot, for each token", lambda one: one.snapshot_bytes / one.tokens, unit="bytes"),
        row("prompts are read at", read, unit=rate),
        row("the disk is slower from", from_disk, unit=rate),
        row("the disk is slower, with a check, from", checked, unit=rate),
    ]
