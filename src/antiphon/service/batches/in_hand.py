"""The requests that one tenure has in hand, and what it does when they crowd out others.

A hand may be full of requests that wait for a model which interactive requests keep busy, or that
run for long, while requests for idle models get nothing. Then its requests are **set aside**: they
keep their places before their models, and others are claimed in their room, of other sections (the
requests of a batch for one model). Of a section with many, those that have not begun are given
back, but for some that begin at once when their model has room.
"""

import asyncio
from collections import Counter
from collections.abc import Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Final

from antiphon.service.batches.hand import FEWEST_IN_HAND, MOST_ASIDE, MOST_BYTES, Hand
from antiphon.store.batches.rows import SectionKey
from antiphon.store.batches.sections import ClaimedRequest

MOST_BYTES_ASIDE: Final = MOST_BYTES // 4
"""Bytes of params up to which requests are set aside before a model has begun them."""


@dataclass(slots=True, eq=False)
class _Held:
    request: ClaimedRequest
    task: asyncio.Task[None] | None = None
    begun: bool = False
    aside: bool = False

    @property
    def batch_id(self) -> str:
        return self.request.batch_id

    @property
    def section(self) -> SectionKey:
        return self.request.section

    @property
    def runs(self) -> bool:
        """Whether it has a task that has not ended: else its ending will be committed soon."""
        return self.task is not None and not self.task.done()


class InHand:
    """The requests of one tenure, in the order of their claims, with the tasks that run them."""

    def __init__(self, tenure: str, hand: Hand) -> None:
        self._tenure = tenure
        self._hand = hand
        # By identity: what was given back may be claimed anew before the tenure hears that it went.
        self._held: dict[int, _Held] = {}
        # Sections of which requests were given back, so that they are not claimed again at once.
        self._given_back: set[SectionKey] = set()

    def take(self, requests: Sequence[ClaimedRequest]) -> None:
        """Note that requests were claimed. Call it under the lock of claims."""
        self._held |= {id(request): _Held(request) for request in requests}
        self._hand.take(self._tenure, _sizes(requests))

    def start(self, request: ClaimedRequest, task: asyncio.Task[None]) -> None:
        """Note the task that runs a request."""
        self._held[id(request)].task = task

    def begin(self, request: ClaimedRequest) -> None:
        """Note that a run of a request was admitted: from now on it is kept, even if it parks."""
        self._held[id(request)].begun = True

    def give(self, requests: Sequence[ClaimedRequest]) -> None:
        """Note that requests are no longer in hand: they are finished, or given back."""
        gone = [self._held.pop(id(request)) for request in requests]
        self._hand.give(self._tenure, _sizes(requests))
        were_aside = {held.section for held in gone if held.aside}
        if were_aside:
            self._note_aside()
            # Their models have room again.
            self._given_back -= were_aside - self._sections_aside()

    def rest(self, section: SectionKey) -> None:
        """Claim nothing of a section until `try_again`: its model cannot be used."""
        self._given_back.add(section)

    def drop(self) -> None:
        """Note that the tenure has ended."""
        self._hand.drop(self._tenure)

    def stop(self, batch_id: str) -> None:
        """End what runs of a batch."""
        for held in self._held.values():
            if held.batch_id == batch_id and held.task is not None:
                held.task.cancel()

    @property
    def running(self) -> Sequence[str]:
        """The batches of which requests run, or wait to run."""
        return sorted({held.batch_id for held in self._held.values() if held.runs})

    @property
    def sections(self) -> AbstractSet[SectionKey]:
        """The sections of which requests are in hand, or were given back to make room."""
        return {held.section for held in self._held.values()} | self._given_back

    @property
    def passed_over(self) -> AbstractSet[SectionKey]:
        """The sections of which nothing is claimed, so that others get the room."""
        return self._sections_aside() | self._given_back

    def make_room(self) -> None:
        """Set aside what is in hand; give back what has not begun and is too much to keep.

        What has not begun is kept up to `FEWEST_IN_HAND` of a section, `MOST_ASIDE` of the process
        and `MOST_BYTES_ASIDE`; nothing, if the next request is to be alone.
        """
        kept, aside, size = Counter[SectionKey](), self._hand.aside, 0
        for held in [held for held in self._held.values() if held.runs]:
            section, more = held.section, int(not held.aside)
            fits = (
                kept[section] < FEWEST_IN_HAND
                and aside + more <= MOST_ASIDE
                and size + len(held.request.params) <= MOST_BYTES_ASIDE
            )
            if held.begun or (fits and not self._hand.one_by_one):
                held.aside = True
                kept[section] += 1
                aside += more
                size += len(held.request.params)
            else:
                aside -= held.aside
                held.aside = False
                self._given_back.add(section)
                if held.task is not None:
                    held.task.cancel()
        self._note_aside()

    def pass_over_none(self) -> bool:
        """Let all be claimed, as no other section has work; return whether any was passed over."""
        passed = bool(self.passed_over)
        for held in self._held.values():
            held.aside = False
        self._note_aside()
        self._given_back.clear()
        return passed

    def try_again(self) -> None:
        """Let sections be claimed of which nothing was set aside."""
        self._given_back.clear()

    def _sections_aside(self) -> set[SectionKey]:
        return {held.section for held in self._held.values() if held.aside}

    def _note_aside(self) -> None:
        aside = sum(held.aside for held in self._held.values())
        self._hand.set_aside(self._tenure, aside)


def _sizes(requests: Sequence[ClaimedRequest]) -> list[int]:
    return [len(request.params) for request in requests]
