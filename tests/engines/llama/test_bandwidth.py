import itertools

from antiphon.engines.llama.bandwidth import memory_bandwidth


def test_bandwidth_is_that_of_the_fastest_round() -> None:
    ticks = itertools.accumulate([0.0, 4.0, 1.0, 2.0, 1.0, 8.0])
    assert memory_bandwidth(2, 1 << 20, 3, lambda: next(ticks)) == (1 << 20) / 2.0


def test_memory_is_really_read() -> None:
    found = memory_bandwidth(2, 16 << 20)
    assert found is not None
    assert 1e8 < found < 1e13
