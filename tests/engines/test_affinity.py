"""Prefixes over replicas, simulated by `benchmarks.affinity` with the real order of engines."""

import pytest

from benchmarks.affinity import Traffic, simulate


@pytest.mark.parametrize("shared", [True, False], ids=["shared system prompts", "own beginnings"])
def test_prefixes_are_found_more_often_than_in_turns_and_no_replica_is_flooded(
    *, shared: bool
) -> None:
    traffic = Traffic(requests=1500, shared=shared)
    turns = simulate(traffic, 8, 200_000, 1, by_prefix=False)
    ranks = simulate(traffic, 8, 200_000, 1, by_prefix=True)
    # What is new in each prompt is not found by any order.
    new = traffic.turn_tokens / (traffic.system_tokens + traffic.turn_tokens * traffic.turns / 2)
    assert ranks.hit_share > turns.hit_share + 0.1
    assert ranks.hit_share > 1 - new - 0.1
    assert ranks.busiest < 2
