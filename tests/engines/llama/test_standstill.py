"""A child that stands still, and the clock that stands still with it."""

from antiphon.engines.llama.standstill import Standstill


class Child:
    """Notes what it was told."""

    def __init__(self) -> None:
        self.still: bool | None = None

    def stand_still(self) -> None:
        self.still = True

    def go_on(self) -> None:
        self.still = False


class Clock:
    def __init__(self) -> None:
        self.seconds = 10.0

    def __call__(self) -> float:
        return self.seconds


def test_child_stands_still_from_the_first_begin_to_the_end() -> None:
    still, child = Standstill(), Child()
    still.take(child)
    assert child.still is None
    still.begin()
    still.begin()
    assert (child.still, still.is_still, still.times) == (True, True, 1)
    still.end()
    still.end()
    assert (child.still, still.is_still, still.times) == (False, False, 1)


def test_child_that_starts_meanwhile_stands_still_at_once() -> None:
    still, child = Standstill(), Child()
    still.begin()
    still.take(child)
    assert child.still


def test_clock_stands_still_with_the_child() -> None:
    clock = Clock()
    still = Standstill(clock)
    began = still.now()
    clock.seconds += 1
    still.begin()
    clock.seconds += 100
    assert still.now() - began == 1
    still.end()
    clock.seconds += 2
    assert still.now() - began == 3
