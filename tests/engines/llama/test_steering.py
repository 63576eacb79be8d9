import pytest

from antiphon.core.hints import NO_HINTS, OF_BATCH, Hints, ToolDuration
from antiphon.engines.llama.steering import (
    BATCH_PORTION,
    HELD_S,
    MOST_HELD_S,
    MOST_PREFIXES,
    MOST_SESSIONS,
    PLAIN,
    SessionPrefixes,
    Steering,
    steering_of,
)

SESSION = ("salt", "s1", "a1")


def steered(**hints: object) -> Steering:
    return steering_of(Hints(session_id="s1", agent_id="a1", **hints), "salt")  # type: ignore[arg-type]


def test_request_without_hints_is_plain() -> None:
    assert steering_of(NO_HINTS, "salt") == PLAIN


@pytest.mark.parametrize("name", ["main", "subagent", None])
def test_slot_of_a_session_is_held(name: str | None) -> None:
    assert steered(request_class=name) == Steering(session=SESSION, held_s=HELD_S)


@pytest.mark.parametrize(
    ("durations", "held_s"),
    [((1_000, 2_000), HELD_S), ((60_000, 9), 120.0), ((10**9,), MOST_HELD_S)],
)
def test_slot_is_held_as_long_as_tools_take(durations: tuple[int, ...], held_s: float) -> None:
    took = tuple(ToolDuration("Bash", ms) for ms in durations)
    assert steered(tool_durations=took).held_s == held_s


def test_request_of_a_batch_waits_and_is_read_in_portions() -> None:
    assert steering_of(OF_BATCH, "salt") == Steering(waits=True, spare=True, portion=BATCH_PORTION)


def test_side_requests_wait_and_displace_nothing() -> None:
    auxiliary = steered(request_class="auxiliary")
    assert (auxiliary.waits, auxiliary.displaces, auxiliary.held_s) == (True, False, 0.0)
    workflow = steered(request_class="workflow")
    assert (workflow.waits, workflow.displaces, workflow.held_s) == (True, True, HELD_S)
    assert not steered(is_compaction=True).displaces
    assert not steered(request_class="compaction").displaces


def test_compacted_context_is_dropped_where_its_session_is_known() -> None:
    assert steered(was_compacted=True).drops
    assert not steering_of(Hints(was_compacted=True), "salt").drops


def test_prefixes_of_a_session_are_taken_once() -> None:
    kept = SessionPrefixes()
    for name in ("a", "b", "a"):
        kept.add(SESSION, name)
    kept.add(("salt", "s2", None), "c")
    assert kept.take(SESSION) == ("a", "b")
    assert kept.take(SESSION) == ()


def test_what_sessions_keep_is_bounded() -> None:
    kept = SessionPrefixes()
    for number in range(MOST_PREFIXES + 1):
        kept.add(SESSION, str(number))
    assert kept.take(SESSION)[0] == "1"
    for number in range(MOST_SESSIONS + 1):
        kept.add(("salt", str(number), None), "x")
    assert kept.take(("salt", "0", None)) == ()
    assert kept.take(("salt", "1", None)) == ("x",)
