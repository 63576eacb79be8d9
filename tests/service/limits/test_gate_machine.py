"""Random histories of gates with interactive and batch requests, beside a naive model."""

import asyncio
from collections.abc import Sequence

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from antiphon.core.errors import OverloadedError
from antiphon.service.limits.batch_lane import BatchLane, BatchTicket
from antiphon.service.limits.gate import Gate
from support.examples import examples

CONCURRENT, QUEUED = 2, 2
# The first two gates stand before one machine, the third one before an upstream.
LOCAL, UPSTREAM = (0, 1), 2
GATES = st.sampled_from([*LOCAL, UPSTREAM])
PICKS = st.integers(0, 99)
STEPS = st.integers(0, 2)


class Window:
    """A pacing whose window the history sets."""

    def __init__(self) -> None:
        self.size = CONCURRENT

    def window(self) -> int:
        return self.size

    def note_first_token(self, seconds: float, *, beside_batches: bool) -> None:
        """Do nothing: the window is the history's."""


class Request:
    """One request at a gate: a task that enters, stays until it may go, and leaves.

    One of a batch that `parks` stops when it is told to, and goes on when it may enter again.
    """

    def __init__(self, at: int, *, batch: bool, parks: bool = False) -> None:
        self.at = at
        self.batch = batch
        self.parks = batch and parks
        self.told = 0
        self.inside = False
        self.refused = False
        self._go = asyncio.Event()
        self._wake = asyncio.Event()

    async def run(self, gate: Gate) -> None:
        place = gate.batches.ticket(self.make_way) if self.batch else gate
        try:
            await place.enter()
        except OverloadedError:
            self.refused = True
            return
        try:
            if isinstance(place, BatchTicket) and self.parks:
                place.watch(self._wake.set)
            while True:
                self.inside = True
                await self._wake.wait()
                self._wake.clear()
                self.inside = False
                if self._go.is_set():
                    return
                assert isinstance(place, BatchTicket)
                await place.park()
        finally:
            self.inside = False
            place.leave()

    def make_way(self) -> None:
        self.told += 1

    def end(self) -> None:
        self._go.set()
        self._wake.set()


class Model:
    """Who is in and who waits, computed anew from lists at each step."""

    def __init__(self) -> None:
        self.inside: list[Request] = []
        self.line: list[Request] = []
        self.told: list[Request] = []
        self.window = CONCURRENT

    def here(self, at: int, *, batch: bool) -> list[Request]:
        return [one for one in self.inside if one.at == at and one.batch == batch]

    def enter(self, request: Request) -> bool:
        """Return whether the request enters or waits."""
        interactive = self.here(request.at, batch=False)
        waiting = [one for one in self.line if one.at == request.at and not one.batch]
        if not request.batch and len(interactive) == CONCURRENT and len(waiting) == QUEUED:
            return False
        self.line.append(request)
        self.settle()
        return True

    def leave(self, request: Request) -> None:
        for some in (self.inside, self.line, self.told):
            if request in some:
                some.remove(request)
        self.settle()

    def settle(self) -> None:
        """Let in whatever may enter: interactive requests first."""
        for one in [one for one in self.line if not one.batch]:
            if len(self.here(one.at, batch=False)) < CONCURRENT:
                self._let_in(one)
                self._make_way(one)
        for one in [one for one in self.line if one.batch]:
            if len(self.here(one.at, batch=True)) < self._batch_room(one.at):
                self._let_in(one)

    def _let_in(self, request: Request) -> None:
        self.line.remove(request)
        self.inside.append(request)

    def _batch_room(self, at: int) -> int:
        free = CONCURRENT - len(self.here(at, batch=False))
        if at == UPSTREAM:
            return min(free, self.window)
        return 0 if any(self.here(one, batch=False) for one in LOCAL) else free

    def _make_way(self, request: Request) -> None:
        lane = LOCAL if request.at in LOCAL else (UPSTREAM,)
        staying = [
            one for one in self.inside if one.batch and one.at in lane and one not in self.told
        ]
        room = CONCURRENT - len(self.here(request.at, batch=False))
        leaving = staying if request.at in LOCAL else staying[room:]
        parked = [one for one in leaving if one.parks]
        self.inside = [one for one in self.inside if one not in parked]
        self.line[:0] = parked
        self.told += [one for one in leaving if not one.parks]


class GateMachine(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.runner = asyncio.Runner()
        self.model = Model()
        self.gates = [Gate(CONCURRENT, QUEUED) for _ in range(3)]
        machine = BatchLane(exclusive=True)
        self.window = Window()
        for at, gate in enumerate(self.gates):
            gate.batches.pacing = self.window
            if at in LOCAL:
                gate.batches.join(machine)
        self.tasks: dict[Request, asyncio.Task[None]] = {}

    def teardown(self) -> None:
        for task in self.tasks.values():
            task.cancel()
        self._drain()
        assert all(gate.free == CONCURRENT and not gate.waiting for gate in self.gates)
        lanes = [gate.batches.lane for gate in self.gates]
        assert not any(lane.running or lane.waiting for lane in lanes)
        self.runner.close()

    def _drain(self) -> None:
        async def some_steps() -> None:
            for _ in range(12):
                await asyncio.sleep(0)

        self.runner.run(some_steps())

    @rule(at=GATES, batch=st.booleans(), parks=st.booleans())
    def enter(self, at: int, batch: bool, parks: bool) -> None:
        async def start() -> None:
            self.tasks[request] = asyncio.create_task(request.run(self.gates[at]))

        request = Request(at, batch=batch, parks=parks)
        self.runner.run(start())
        self._drain()
        assert request.refused != self.model.enter(request)
        if request.refused:
            del self.tasks[request]

    @precondition(lambda self: self.tasks)
    @rule(picks=st.lists(st.tuples(PICKS, st.booleans(), STEPS), min_size=1, max_size=4))
    def end_or_cancel(self, picks: Sequence[tuple[int, bool, int]]) -> None:
        """Some requests end or are cancelled, a few steps of the event loop after each other."""

        async def at_once() -> None:
            for pick, cancel, steps in picks:
                for _ in range(steps):
                    await asyncio.sleep(0)
                request = list(self.tasks)[pick % len(self.tasks)]
                if cancel:
                    self.tasks[request].cancel()
                elif request.inside:
                    request.end()
                else:
                    continue
                gone.append(request)

        gone: list[Request] = []
        self.runner.run(at_once())
        self._drain()
        for request in dict.fromkeys(gone):
            self.model.leave(request)
            task = self.tasks.pop(request)
            assert task.done()
            assert task.cancelled() or task.exception() is None

    @rule(size=st.integers(0, 3))
    def set_window(self, size: int) -> None:
        self.window.size = self.model.window = size
        assert all(self.gates[at].batches.first_token_watch() is None for at in LOCAL)
        watch = self.gates[UPSTREAM].batches.first_token_watch()
        assert watch is not None
        watch(0.1)
        self._drain()
        self.model.settle()

    @invariant()
    def model_and_gates_agree(self) -> None:
        inside = {request for request in self.tasks if request.inside}
        assert inside == set(self.model.inside)
        told = {request for request in self.tasks if request.told}
        assert told == set(self.model.told)
        assert all(request.told <= 1 for request in self.tasks)
        for at, gate in enumerate(self.gates):
            assert gate.free == CONCURRENT - len(self.model.here(at, batch=False))
            waiting = [one for one in self.model.line if one.at == at and not one.batch]
            assert gate.waiting == len(waiting)

    @invariant()
    def interactive_requests_come_first(self) -> None:
        staying = [one for one in self.tasks if one.inside and one.batch and not one.told]
        interactive = [one for one in self.tasks if one.inside and not one.batch]
        if any(one.at in LOCAL for one in interactive):
            assert not any(one.at in LOCAL for one in staying)
        upstream = [one for one in [*staying, *interactive] if one.at == UPSTREAM]
        assert len(upstream) <= CONCURRENT


TestGate = GateMachine.TestCase
TestGate.settings = settings(max_examples=examples(1), stateful_step_count=40)
