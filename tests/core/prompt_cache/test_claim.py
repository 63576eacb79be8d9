"""What may be claimed of a plan, given what the engine has proved."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from antiphon.core.prompt import Confirmation
from antiphon.core.prompt_cache import CacheEntry, CachePlan, claim_of
from antiphon.core.prompt_cache.plan import CachePoint
from support.prompt_cache import Cache, everything, marked, prompt_of, seen, usage
from support.requests import assistant, user


def warm_plan() -> CachePlan:
    """Return the plan of a request that finds 600 and 1,000 tokens, and would write 1,500."""
    cache = Cache()
    talk = [user([marked(400), marked(300, None)]), assistant([marked(200, None)])]
    cache.ask(prompt_of(*talk[:1], system=[marked(600, "1h")]))
    longer = [*talk, user([marked(300), marked(50, None)])]
    return cache.start(prompt_of(*longer, system=[marked(600, "1h")]), now=1).plan


PLAN = warm_plan()
ALL = frozenset({600, 1000, 1800})


def test_plan_of_these_tests_has_two_entries_and_one_write() -> None:
    assert [point.tokens for point in PLAN.readable] == [1000, 600]
    assert [point.tokens for point in PLAN.writable] == [600, 1000, 1800]
    assert [point.tokens for point in PLAN.writes] == [1800]


def test_read_that_the_engine_confirms_is_claimed() -> None:
    claim = claim_of(PLAN, Confirmation(1000, ALL))
    assert seen(claim) == usage(50, read=1000, write_5m=800)
    assert claim.usage == PLAN.usage
    assert claim.read == PLAN.read


def test_more_reuse_than_an_entry_has_is_not_claimed() -> None:
    assert seen(claim_of(PLAN, Confirmation(1799, ALL))) == usage(50, read=1000, write_5m=800)


def test_next_shorter_entry_is_claimed_where_the_engine_reused_less() -> None:
    claim = claim_of(PLAN, Confirmation(999, ALL))
    assert seen(claim) == usage(50, read=600, write_5m=1200)
    assert [point.tokens for point in claim.writes] == [1000, 1800]


def test_all_is_written_where_the_engine_reused_nothing() -> None:
    claim = claim_of(PLAN, Confirmation(599, ALL))
    assert seen(claim) == usage(50, write_1h=600, write_5m=1200)
    assert claim.read is None


def test_prefix_that_the_engine_does_not_keep_is_plain_input() -> None:
    assert seen(claim_of(PLAN, Confirmation(1000))) == usage(850, read=1000)
    partly = claim_of(PLAN, Confirmation(0, frozenset({1000})))
    assert seen(partly) == usage(850, write_5m=1000)
    assert [(point.tokens, point.ttl) for point in partly.writes] == [(1000, "5m")]


def test_engine_without_a_cache_gives_plain_input() -> None:
    assert seen(claim_of(PLAN, Confirmation(0))) == usage(1850)


def test_entries_of_a_claim_end_a_lifetime_after_the_start() -> None:
    claim = claim_of(PLAN, Confirmation(0, ALL))
    assert list(claim.entries(7).values()) == [
        CacheEntry(600, "1h", 3_600_007),
        CacheEntry(1000, "5m", 300_007),
        CacheEntry(1800, "5m", 300_007),
    ]


def points(draw: Any, tokens: int, ttls: list[str]) -> tuple[CachePoint, ...]:
    """Draw points in the order of a prompt whose tokens do not fall."""
    indices = sorted(draw(st.sets(st.integers(0, 40), max_size=6)))
    ends = sorted(
        draw(st.lists(st.integers(1, tokens), min_size=len(indices), max_size=len(indices)))
    )
    return tuple(
        CachePoint(index, b"%d" % index, end, draw(st.sampled_from(ttls)))
        for index, end in zip(indices, ends, strict=True)
    )


@st.composite
def plans(draw: Any) -> CachePlan:
    tokens = draw(st.integers(1, 200))
    every = points(draw, tokens, ["1h", "5m"])
    writable = [point for point in every if draw(st.booleans())][:4]
    # Lifetimes never rise along a prompt.
    hours = draw(st.integers(0, 4))
    writable = [replace(p, ttl="1h" if n < hours else "5m") for n, p in enumerate(writable)]
    last = writable[-1].index if writable else -1
    readable = [p for p in every if p.index <= last and draw(st.booleans())]
    return CachePlan(tokens, tuple(reversed(readable)), tuple(writable))


@given(plans(), st.integers(0, 220), st.sets(st.integers(0, 200)))
def test_claim_is_what_was_proved(plan: CachePlan, reused: int, stored: set[int]) -> None:
    kept = {*stored, *(p.tokens for p in plan.writable if p.tokens % 2)}
    claim = claim_of(plan, Confirmation(reused, frozenset(kept)))
    counts = claim.usage
    parts = (counts.input, counts.cache_read, counts.cache_write_5m, counts.cache_write_1h)
    assert min(parts) >= 0
    assert counts.prompt == sum(parts) == plan.tokens
    assert counts.output == 0

    assert counts.cache_read <= reused
    possible = [p.tokens for p in plan.readable if p.tokens <= reused]
    assert counts.cache_read == max(possible, default=0)
    assert (claim.read is None) == (counts.cache_read == 0)

    assert {p.tokens for p in claim.writes} <= kept
    assert all(claim.read is None or p.index > claim.read.index for p in claim.writes)
    ends = {p.tokens for p in claim.writes}
    assert counts.prompt - counts.input == max(ends, default=counts.cache_read)
    if counts.cache_write_1h:
        assert any(
            p.ttl == "1h" and p.tokens == counts.cache_read + counts.cache_write_1h
            for p in claim.writes
        )
    if counts.cache_write_5m:
        assert any(p.ttl == "5m" for p in claim.writes)


@given(plans(), st.integers(0, 200), st.integers(0, 200))
def test_more_reuse_never_gives_a_shorter_read(plan: CachePlan, some: int, more: int) -> None:
    reused = min(some, more), max(some, more)
    less, greater = (claim_of(plan, Confirmation(n)).usage.cache_read for n in reused)
    assert less <= greater


@given(plans())
def test_engine_that_keeps_everything_gives_what_was_planned(plan: CachePlan) -> None:
    claim = claim_of(plan, everything(plan))
    assert claim.usage == plan.usage
    assert claim.read == plan.read
    assert claim.writes == plan.writes
