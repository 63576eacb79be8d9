"""What ended requests add, against sums that are computed in another way."""

from collections import Counter
from collections.abc import Mapping
from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st
from msgspec.structs import replace

from antiphon.core.billing.ledger import LedgerEntry
from antiphon.core.billing.usage import Outcome, TokenCounts
from antiphon.core.limits.refusals import RefusedBy
from antiphon.core.limits.values import Scope
from antiphon.core.metrics.families import Distribution, Labels, Value
from antiphon.service.limits.waits import Waits
from antiphon.service.metrics.catalogue import FAMILIES
from antiphon.service.metrics.requests import MOST_WORKSPACES, RequestMetrics
from support.ledger import NOON, an_entry


def series(metrics: RequestMetrics, name: str) -> Mapping[Labels, Value]:
    (found,) = (one.series for one in metrics.readings() if one.family.name == name)
    return found


def observed(metrics: RequestMetrics, name: str) -> dict[Labels, tuple[int, float]]:
    """Return how many values each series of a histogram has, and their sum."""
    found = series(metrics, name)
    assert all(isinstance(one, Distribution) for one in found.values())
    return {key: (sum(one.counts), one.sum) for key, one in found.items()}  # type: ignore[union-attr]


counts = st.builds(
    TokenCounts, **dict.fromkeys(TokenCounts.__struct_fields__, st.integers(0, 10**6))
)
entries = st.builds(
    lambda number, tokens, outcome, batch, workspace: replace(
        an_entry(number, batch_id=batch, workspace_id=workspace),
        tokens=tokens,
        outcome=outcome,
        service_tier="batch" if batch else "standard",
    ),
    st.integers(1, 9),
    counts,
    st.sampled_from(Outcome),
    st.sampled_from([None, "msgbatch_1"]),
    st.sampled_from([None, "wrkspc_a"]),
)


@given(answered=st.lists(entries, max_size=12))
def test_bills_add_up(answered: list[LedgerEntry]) -> None:
    metrics = RequestMetrics(by_workspace=True)
    for entry in answered:
        metrics.answered(entry)
    tokens, thinking, answers = Counter[Labels](), Counter[Labels](), Counter[Labels]()
    for entry in answered:
        labels = (entry.served_model, entry.service_tier, entry.workspace_id or "default")
        answers[*labels, entry.outcome.value] += 1
        thinking[labels] += entry.tokens.thinking
        for name in ("input", "cache_read", "cache_write_5m", "cache_write_1h", "output"):
            tokens[*labels, name] += getattr(entry.tokens, name)
    assert Counter(dict(series(metrics, "antiphon_answers_total"))) == answers
    assert Counter(dict(series(metrics, "antiphon_tokens_total"))) == tokens
    assert Counter(dict(series(metrics, "antiphon_thinking_tokens_total"))) == thinking
    cost = sum(float(one) for one in series(metrics, "antiphon_cost_dollars_total").values())  # type: ignore[arg-type]
    assert round(cost * 10**9) == sum(entry.costs.total for entry in answered)


def test_workspaces_are_told_apart_only_where_that_is_asked_for() -> None:
    metrics = RequestMetrics()
    metrics.answered(an_entry(workspace_id="wrkspc_a"))
    metrics.refused(RefusedBy(kind="queue", limit=1), "wrkspc_a")
    assert {labels[2] for labels in series(metrics, "antiphon_thinking_tokens_total")} == {""}
    assert [*series(metrics, "antiphon_requests_refused_total")] == [("queue", "", "", "")]


def test_workspaces_beyond_the_most_are_one() -> None:
    metrics = RequestMetrics(by_workspace=True)
    for number in range(MOST_WORKSPACES + 3):
        metrics.answered(an_entry(workspace_id=f"wrkspc_{number}"))
    metrics.answered(an_entry(workspace_id="wrkspc_0"))
    found = {labels[2]: n for labels, n in series(metrics, "antiphon_answers_total").items() if n}
    assert len(found) == MOST_WORKSPACES + 1
    assert (found["other"], found["wrkspc_0"]) == (3, 2)


def test_refusals_are_counted_by_the_limit() -> None:
    metrics = RequestMetrics(by_workspace=True)
    by = RefusedBy(kind="rate_limit", limit=5, scope=Scope.WORKSPACE, type="requests")
    metrics.refused(by, "wrkspc_a")
    metrics.refused(by, "wrkspc_a")
    metrics.refused(RefusedBy(kind="spend_limit", limit=5, scope=Scope.KEY, type="daily"), None)
    assert series(metrics, "antiphon_requests_refused_total") == {
        ("rate_limit", "requests", "workspace", "wrkspc_a"): 2,
        ("spend_limit", "daily", "key", "default"): 1,
    }


def test_method_of_a_request_without_a_route_is_no_label() -> None:
    metrics = RequestMetrics()
    metrics.ended(None, "CALLERS-OWN", 404, "not_found_error", 0.001)
    metrics.ended("/v1/messages", "POST", 0, None, 2.0)
    assert series(metrics, "antiphon_requests_total") == {
        ("", "", "404", "not_found_error"): 1,
        ("/v1/messages", "POST", "499", ""): 1,
    }
    assert observed(metrics, "antiphon_request_duration_seconds") == {
        ("",): (1, 0.001),
        ("/v1/messages",): (1, 2.0),
    }


def test_first_token_counts_from_the_head_of_the_request() -> None:
    metrics = RequestMetrics()
    entry = replace(
        an_entry(),
        started_at=NOON,
        first_token_at=NOON + timedelta(seconds=2),
        ended_at=NOON + timedelta(seconds=5),
        tokens=TokenCounts(input=1, output=7),
    )
    # It waited for a second and a half before its admission.
    metrics.timed(entry, 6.5)
    assert observed(metrics, "antiphon_time_to_first_token_seconds") == {("small",): (1, 3.5)}
    assert observed(metrics, "antiphon_time_between_tokens_seconds") == {("small",): (1, 0.5)}


def test_answer_without_a_second_token_has_no_time_between_tokens() -> None:
    metrics = RequestMetrics()
    at = NOON + timedelta(seconds=2)
    begun = replace(an_entry(), first_token_at=at, ended_at=at, tokens=TokenCounts(output=1))
    metrics.timed(begun, 3.0)
    metrics.timed(replace(begun, tokens=TokenCounts(output=9), outcome=Outcome.INTERRUPTED), 3.0)
    metrics.timed(replace(begun, first_token_at=None), 3.0)
    assert observed(metrics, "antiphon_time_to_first_token_seconds") == {("small",): (2, 6.0)}
    assert observed(metrics, "antiphon_time_between_tokens_seconds") == {}


def test_waits_are_counted_if_there_were_any() -> None:
    metrics, waits = RequestMetrics(), Waits()
    metrics.waited("small", waits)
    waits.gate_s = 0.25
    metrics.waited("small", waits)
    waits.note_money(3.0)
    metrics.waited("small", waits)
    assert observed(metrics, "antiphon_queue_seconds") == {("small",): (2, 0.5)}
    assert observed(metrics, "antiphon_money_wait_seconds") == {("small",): (1, 3.0)}


def test_every_reading_is_of_the_catalogue() -> None:
    known = {family.name: family for family in FAMILIES}
    assert all(known[one.family.name] is one.family for one in RequestMetrics().readings())
