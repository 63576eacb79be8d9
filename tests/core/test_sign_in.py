import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.sign_in import (
    FORGOTTEN_AFTER_S,
    FREE_TRIES,
    LONGEST_WAIT_S,
    Failures,
    after_failure,
    client_address,
    is_forgotten,
    password_bytes,
    wait_s,
)

PROXIES = ("127.0.0.0/8", "::1", "10.0.0.0/8")
TIMES = st.floats(0, 1e9, allow_nan=False)


def failed(times: int, at: float = 0.0) -> Failures | None:
    failures: Failures | None = None
    for _ in range(times):
        failures = after_failure(failures, at)
    return failures


@pytest.mark.parametrize(
    ("times", "pause"),
    [(0, 0), (4, 0), (5, 1), (6, 2), (7, 4), (14, 512), (15, 900), (10_000, 900)],
)
def test_each_failure_beyond_the_free_ones_doubles_the_pause(times: int, pause: float) -> None:
    assert wait_s(failed(times), FREE_TRIES, 0.0) == pause


def test_pause_passes() -> None:
    failures = failed(8)
    assert wait_s(failures, FREE_TRIES, 5.0) == 3.0
    assert wait_s(failures, FREE_TRIES, 8.0) == 0.0
    assert wait_s(failures, FREE_TRIES, 1000.0) == 0.0


def test_failures_are_forgotten_after_an_hour() -> None:
    failures = failed(100)
    assert failures is not None
    assert not is_forgotten(failures, FORGOTTEN_AFTER_S - 1)
    assert is_forgotten(failures, FORGOTTEN_AFTER_S)
    assert after_failure(failures, FORGOTTEN_AFTER_S) == Failures(1, FORGOTTEN_AFTER_S)


@given(times=st.integers(0, 10**6), free=st.integers(1, 50), last=TIMES, now=TIMES)
def test_nobody_waits_longer_than_the_longest_pause(
    times: int, free: int, last: float, now: float
) -> None:
    waited = wait_s(Failures(times, last), free, max(last, now))
    assert 0.0 <= waited <= LONGEST_WAIT_S


@given(free=st.integers(1, 20), gaps=st.lists(st.floats(0, 100), min_size=1, max_size=60))
def test_tries_within_a_time_are_few(free: int, gaps: list[float]) -> None:
    """Whenever somebody tries as soon as it is allowed, the pauses add up."""
    failures: Failures | None = None
    now, tries = 0.0, 0
    for gap in gaps:
        now += gap + wait_s(failures, free, now + gap)
        failures = after_failure(failures, now)
        tries += 1
    beyond = max(0, tries - free - 1)
    least = sum(min(2.0**n, LONGEST_WAIT_S) for n in range(beyond))
    # The sum of a float and a pause may be a little less than both.
    assert now >= least * 0.999


def test_ways_to_write_a_character_are_the_same_password() -> None:
    assert password_bytes("caf\u00e9") == password_bytes("cafe\u0301")
    assert password_bytes("a") != password_bytes("A")
    assert password_bytes(" a") != password_bytes("a")


@given(st.text(max_size=50) | st.text("\ud800\udfff", max_size=4))
def test_every_text_can_be_a_password(text: str) -> None:
    assert isinstance(password_bytes(text), bytes)


@pytest.mark.parametrize(
    ("peer", "forwarded", "address"),
    [
        ("192.0.2.7", None, "192.0.2.7"),
        # The peer is no proxy, so what it says of others is not believed.
        ("192.0.2.7", "198.51.100.1", "192.0.2.7"),
        ("127.0.0.1", None, "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1", "198.51.100.1"),
        # The client has invented the first one.
        ("127.0.0.1", "203.0.113.9, 198.51.100.1", "198.51.100.1"),
        ("127.0.0.1", "203.0.113.9, 198.51.100.1, 10.1.2.3", "198.51.100.1"),
        ("127.0.0.1", "10.1.2.3", "10.1.2.3"),
        ("127.0.0.1", "junk", "127.0.0.1"),
        ("127.0.0.1", "198.51.100.1, junk", "127.0.0.1"),
        ("127.0.0.1", "", "127.0.0.1"),
        ("::ffff:192.0.2.7", None, "192.0.2.7"),
        ("2001:db8:1:2:3:4:5:6", None, "2001:db8:1:2::/64"),
        ("::1", "2001:db8:1:2::9", "2001:db8:1:2::/64"),
        ("", None, "unknown"),
        ("/run/a.sock", None, "unknown"),
    ],
)
def test_client_is_the_last_address_that_is_no_proxy(
    peer: str, forwarded: str | None, address: str
) -> None:
    assert client_address(peer, forwarded, PROXIES) == address


@given(st.text(max_size=100))
def test_invented_addresses_do_not_hide_the_peer(invented: str) -> None:
    assert client_address("192.0.2.7", invented, PROXIES) == "192.0.2.7"
    assert client_address("10.0.0.1", f"{invented}, 192.0.2.7", PROXIES) == "192.0.2.7"
