"""Failed tries are counted by account, address and browser, in bounded memory."""

from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.errors import AuthenticationError, OverloadedError, RateLimitError
from antiphon.service.console.throttle import SignInThrottle, Subject

ADA: Subject = ("account", "ada")
HERE: Subject = ("address", "192.0.2.1")


class Seconds:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def fail(throttle: SignInThrottle, *subjects: Subject) -> str:
    """Make a try that fails; return how it was answered."""
    try:
        with throttle.trying(subjects):
            raise AuthenticationError  # noqa: TRY301 - as a wrong password does
    except AuthenticationError:
        return "wrong"
    except RateLimitError as refused:
        return refused.headers["retry-after"]


def test_pauses_double_and_refused_tries_do_not_count() -> None:
    clock = Seconds()
    throttle = SignInThrottle(clock)
    assert [fail(throttle, ADA) for _ in range(7)] == ["wrong"] * 5 + ["1", "1"]
    for pause in (1, 2, 4, 8, 16):
        clock.now += pause
        assert fail(throttle, ADA) == "wrong"
        assert fail(throttle, ADA) == str(2 * pause)


def test_success_forgets_the_account_and_not_the_address() -> None:
    throttle = SignInThrottle(Seconds())
    for _ in range(4):
        fail(throttle, ADA, HERE)
    with throttle.trying([ADA, HERE]):
        pass
    assert [fail(throttle, ADA) for _ in range(6)][-2:] == ["wrong", "1"]
    # The address has 4 failures, and a right password in between is none.
    assert [fail(throttle, ("account", f"u{n}"), HERE) for n in range(17)][-2:] == ["wrong", "1"]


def test_other_errors_count_as_nothing() -> None:
    throttle = SignInThrottle(Seconds())
    for _ in range(100):
        with suppress(OverloadedError), throttle.trying([ADA, HERE]):
            raise OverloadedError
    assert fail(throttle, ADA, HERE) == "wrong"


def test_hour_without_failures_forgets_them() -> None:
    clock = Seconds()
    throttle = SignInThrottle(clock)
    for _ in range(5):
        fail(throttle, ADA)
    clock.now += 3600
    assert [fail(throttle, ADA) for _ in range(6)] == ["wrong"] * 5 + ["1"]


@given(st.lists(st.text(max_size=3), max_size=200))
def test_memory_is_bounded(names: list[str]) -> None:
    throttle = SignInThrottle(Seconds(), most=7)
    for name in names:
        fail(throttle, ("account", name), ("address", name), ("browser", name))
    assert all(len(known) <= 7 for known in throttle._failures.values())


def test_subject_that_failed_longest_ago_is_forgotten_first() -> None:
    throttle = SignInThrottle(Seconds(), most=2)
    for _ in range(5):
        fail(throttle, ADA)
    fail(throttle, ("account", "b"))
    assert fail(throttle, ADA) == "1"
    for _ in range(2):
        fail(throttle, ("account", "c"))
    fail(throttle, ("account", "d"))
    assert fail(throttle, ADA) == "wrong"


def test_nobody_is_locked_out_for_ever() -> None:
    """However often others have failed, a quarter of an hour later there is a try."""
    clock = Seconds()
    throttle = SignInThrottle(clock)
    for _ in range(1000):
        clock.now += 900
        assert fail(throttle, ADA) == "wrong"
    clock.now += 900
    with throttle.trying([ADA]):
        pass


@pytest.mark.parametrize("kind", ["account", "address", "browser"])
def test_each_subject_alone_is_enough_to_wait(kind: str) -> None:
    throttle = SignInThrottle(Seconds())
    subject: Subject = (kind, "x")  # type: ignore[assignment]
    for _ in range(20):
        fail(throttle, subject)
    assert fail(throttle, subject, ("account", "other")) == "1"
