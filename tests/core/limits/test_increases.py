"""Increase requests: what may be asked for and granted, and that each ends once."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from antiphon.core.billing.money import cents
from antiphon.core.errors import InvalidRequestError
from antiphon.core.limits.increases import (
    MOST_A_DAY,
    MOST_OPEN,
    MOST_OPEN_OF_ONE,
    Asked,
    IncreaseStatus,
    Limit,
    LimitNow,
    Step,
    after,
    check_count,
    shown,
)
from antiphon.core.limits.values import LARGEST_LIMIT, LARGEST_SPEND

RATES = st.integers(1, LARGEST_LIMIT)
CENT = 10**7


def rate(value: int | None, ceiling: int | None = None) -> Limit:
    return Limit("rate_limit", LimitNow(value, ceiling))


def spend(value: int | None, ceiling: int | None = None) -> Limit:
    return Limit("spend_limit", LimitNow(value, ceiling))


class OneRequest(RuleBasedStateMachine):
    """A request beside the limit that it asks for; administrators set the limit in between."""

    def __init__(self) -> None:
        super().__init__()
        self.limit: int | None = 100
        self.ceiling: int | None = None
        self.status: IncreaseStatus = "open"
        self.asked = rate(self.limit).wanted(150)
        self.ends: list[Step] = []
        self.granted: int | None = None

    @rule(value=st.none() | st.integers(1, 300))
    def set_limit(self, value: int | None) -> None:
        self.limit = value

    @rule(value=st.none() | st.integers(1, 300))
    def set_ceiling(self, value: int | None) -> None:
        self.ceiling = value

    @rule(chosen=st.none() | st.integers(1, 300))
    def grant(self, chosen: int | None) -> None:
        before = self.limit
        try:
            status = after(self.status, Step.GRANT)
            amount = rate(self.limit, self.ceiling).granted(self.asked, chosen)
        except InvalidRequestError:
            return
        assert before is not None
        assert amount >= before
        assert amount == before or self.ceiling is None or amount <= self.ceiling
        assert chosen is None or amount == chosen
        self.status, self.limit, self.granted = status, amount, amount
        self.ends.append(Step.GRANT)

    @rule(step=st.sampled_from([Step.REFUSE, Step.WITHDRAW, Step.REPLACE]))
    @precondition(lambda self: self.status == "open")
    def end(self, step: Step) -> None:
        before = self.limit
        self.status = after(self.status, step)
        self.ends.append(step)
        assert self.limit == before

    @rule(step=st.sampled_from(Step))
    @precondition(lambda self: self.status != "open")
    def end_again(self, step: Step) -> None:
        with pytest.raises(InvalidRequestError, match=f"is {self.status} already"):
            after(self.status, step)

    @invariant()
    def ends_once_and_as_its_end_says(self) -> None:
        assert len(self.ends) <= 1
        assert (self.status == "open") == (not self.ends)
        assert (self.status == "granted") == (self.granted is not None)


TestOneRequest = OneRequest.TestCase


def test_request_ends_once() -> None:
    assert after("open", Step.GRANT) == "granted"
    with pytest.raises(InvalidRequestError, match="is refused already"):
        after("refused", Step.WITHDRAW)


def test_increase_below_the_ceiling_is_wanted_and_may_be_asked_for() -> None:
    assert rate(100, 200).wanted(150) == 150
    check_count(Asked(open_of_asker=0, of_last_day=0, open_of_all=0))


@given(RATES, RATES)
def test_only_an_increase_is_asked_for(now: int, requested: int) -> None:
    if requested > now:
        assert rate(now).wanted(requested) == requested
    else:
        with pytest.raises(InvalidRequestError, match="this is no increase"):
            rate(now).wanted(requested)


@given(st.integers(0, LARGEST_SPEND - 1), st.integers(1, LARGEST_SPEND))
def test_amounts_of_money_are_exact(now: int, more: int) -> None:
    requested = min(now + more, LARGEST_SPEND)
    assert spend(now).wanted(cents(requested)) == requested
    assert shown("spend_limit", requested) == cents(requested)
    assert shown("rate_limit", more) == more


@pytest.mark.parametrize(
    ("limit", "given_", "said"),
    [
        (rate(5), "6", "requested: Input should be a valid integer"),
        (rate(5), 0, f"requested: Input should be from 1 to {LARGEST_LIMIT}"),
        (rate(5), LARGEST_LIMIT + 1, f"requested: Input should be from 1 to {LARGEST_LIMIT}"),
        (spend(5), 6, "requested: Input should be a valid string"),
        (spend(5), "six", "requested: Input should be an amount in cents, such as '50000' or"),
        (rate(5000), 5000, "requested: the limit is 5,000 now, so this is no increase"),
        (spend(5 * CENT), "5.0", "requested: the limit is 5 cents now, so this is no increase"),
        (rate(None, 7), 5, "limit: no such limit is set, so nothing has to be raised"),
        (rate(5, 1000), 1001, "requested: 1,001 is above the organization's limit, 1,000"),
        (spend(0, CENT), "2", "requested: 2 cents is above the cap of this server, 1 cents"),
    ],
)
def test_refused_request_says_why(limit: Limit, given_: int | str, said: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        limit.wanted(given_)
    assert refused.value.message.startswith(said)


@pytest.mark.parametrize(
    ("limit", "chosen", "granted"),
    [
        (rate(5), None, 10),
        (rate(5), 7, 7),
        (rate(5), 20, 20),
        (rate(5, 10), None, 10),
        (rate(12), None, 12),
        (rate(12), 12, 12),
        # Set from the settings, a limit may be above what may be set now: it stays.
        (rate(12, 8), None, 12),
    ],
)
def test_grant_raises_the_limit_and_lowers_none(
    limit: Limit, chosen: int | None, granted: int
) -> None:
    assert limit.granted(10, chosen) == granted


@pytest.mark.parametrize(
    ("limit", "chosen", "said"),
    [
        (rate(None), None, "limit: no such limit is set"),
        (rate(12), 11, "granted: the limit is 12 now, and a grant lowers no limit"),
        (rate(5, 9), None, "granted: 10 is above the organization's limit, 9"),
        (rate(5, 9), 11, "granted: 11 is above the organization's limit, 9"),
        (rate(5), "11", "granted: Input should be a valid integer"),
    ],
)
def test_refused_grant_says_why(limit: Limit, chosen: int | str | None, said: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        limit.granted(10, chosen)
    assert refused.value.message.startswith(said)


@given(st.integers(0, 40), st.integers(0, 200), st.integers(0, 1000))
def test_open_requests_are_bounded(own: int, today: int, everybodys: int) -> None:
    fits = own < MOST_OPEN_OF_ONE and today < MOST_A_DAY and everybodys < MOST_OPEN
    try:
        check_count(Asked(own, today, everybodys))
    except InvalidRequestError:
        assert not fits
    else:
        assert fits


@pytest.mark.parametrize(
    ("asked", "said"),
    [
        (Asked(20, 20, 20), "You have 20 open increase requests, and may have 20: withdraw"),
        (Asked(0, 100, 20), "You have made 100 increase requests within a day, and may make 100."),
        (Asked(0, 0, 500), "500 increase requests are open: an administrator has to decide"),
    ],
)
def test_bound_that_is_reached_is_named(asked: Asked, said: str) -> None:
    with pytest.raises(InvalidRequestError) as refused:
        check_count(asked)
    assert refused.value.message.startswith(said)
