from base64 import urlsafe_b64encode
from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.billing.reports import (
    WIDTHS,
    Buckets,
    BucketWidth,
    Span,
    buckets,
    cost_description,
    display_name,
    wire_time,
)
from antiphon.core.errors import InvalidRequestError

NOW = datetime(2026, 11, 22, 12, 34, 56, tzinfo=UTC)

offsets = st.integers(-1439, 1439).map(lambda minutes: timezone(timedelta(minutes=minutes)))
# A day from either end of time, since an offset may lead over it.
instants = st.datetimes(datetime(1, 1, 2), datetime(9999, 12, 30), timezones=offsets)  # noqa: DTZ001 - Hypothesis wants bounds without a zone


def asked(width: BucketWidth = "1d", **span: str) -> Buckets:
    return buckets(width, Span(**span), NOW)


def starts(found: Buckets) -> list[str]:
    return [wire_time(start) for start, _ in found]


def token(text: str) -> str:
    return "page_" + urlsafe_b64encode(text.encode()).decode()


def test_span_is_read_from_parameters_by_their_names() -> None:
    given = {"starting_at": "2026-11-20T00:00:00Z", "limit": "3"}
    assert Span.of(given.get) == Span(**given)


def test_report_begins_with_the_bucket_that_its_start_lies_in() -> None:
    found = asked(starting_at="2026-11-20T23:59:59+02:00", ending_at="2026-11-22T00:00:00Z")
    assert list(found) == [
        (datetime(2026, 11, 20, tzinfo=UTC), datetime(2026, 11, 21, tzinfo=UTC)),
        (datetime(2026, 11, 21, tzinfo=UTC), datetime(2026, 11, 22, tzinfo=UTC)),
    ]
    assert (found.end, found.next_page) == (datetime(2026, 11, 22, tzinfo=UTC), None)


@pytest.mark.parametrize(
    ("width", "start", "first", "last"),
    [
        ("1d", "2026-11-20T12:00:00Z", "2026-11-20T00:00:00Z", "2026-11-22T00:00:00Z"),
        ("1h", "2026-11-22T10:59:59Z", "2026-11-22T10:00:00Z", "2026-11-22T12:00:00Z"),
        ("1m", "2026-11-22T12:30:30Z", "2026-11-22T12:30:00Z", "2026-11-22T12:34:00Z"),
    ],
)
def test_report_without_an_end_ends_with_the_bucket_that_is_running(
    width: BucketWidth, start: str, first: str, last: str
) -> None:
    found = starts(asked(width, starting_at=start))
    assert (found[0], found[-1]) == (first, last)


def test_nanoseconds_are_cut_and_not_rounded_into_the_next_bucket() -> None:
    last = "2026-11-21T23:59:59.999999999Z"
    assert starts(asked(starting_at=last)) == ["2026-11-21T00:00:00Z", "2026-11-22T00:00:00Z"]
    found = asked(starting_at="2026-11-20T00:00:00Z", ending_at=last)
    assert starts(found) == ["2026-11-20T00:00:00Z"]
    assert starts(asked(starting_at="9999-12-31T23:59:59.999999999Z")) == []


def test_bucket_that_is_not_over_at_the_end_is_left_out() -> None:
    found = asked(starting_at="2026-11-20T00:00:00Z", ending_at="2026-11-21T23:59:59Z")
    assert starts(found) == ["2026-11-20T00:00:00Z"]


def test_no_bucket_is_in_the_future() -> None:
    found = asked(starting_at="2026-11-22T00:00:00Z", ending_at="2030-01-01T00:00:00Z")
    assert starts(found) == ["2026-11-22T00:00:00Z"]
    assert starts(asked(starting_at="9999-12-31T23:59:59Z")) == []


def test_report_of_two_thousand_years_has_pages() -> None:
    found = asked("1m", starting_at="0001-01-01T00:00:00Z")
    assert (found.count, starts(found)[0]) == (60, "0001-01-01T00:00:00Z")
    assert found.next_page is not None


@pytest.mark.parametrize("width", WIDTHS)
def test_pages_have_their_usual_length_and_at_most_the_most(width: BucketWidth) -> None:
    long_ago = "2020-01-01T00:00:00Z"
    assert asked(width, starting_at=long_ago).count == WIDTHS[width].usual
    most = WIDTHS[width].most
    assert asked(width, starting_at=long_ago, limit=str(most)).count == most
    with pytest.raises(InvalidRequestError) as refusal:
        asked(width, starting_at=long_ago, limit=str(most + 1))
    assert str(refusal.value) == f"limit: Input should be less than or equal to {most}"


@given(
    st.sampled_from(list(WIDTHS)),
    instants,
    instants,
)
def test_every_span_is_answered_with_whole_buckets_that_have_begun(
    width: BucketWidth, start: datetime, end: datetime
) -> None:
    if end <= start:
        with pytest.raises(InvalidRequestError):
            asked(width, starting_at=start.isoformat(), ending_at=end.isoformat())
        return
    found = asked(width, starting_at=start.isoformat(), ending_at=end.isoformat())
    span = WIDTHS[width].span
    assert found.count <= WIDTHS[width].usual
    for begin, over in found:
        assert (begin - datetime(1970, 1, 1, tzinfo=UTC)) % span == timedelta(0)
        assert over - begin == span
        assert start - span < begin <= NOW
        assert over <= end


def test_next_page_begins_where_the_page_before_has_ended() -> None:
    whole = asked(starting_at="2026-11-20T00:00:00Z")
    first = asked(starting_at="2026-11-20T00:00:00Z", limit="2")
    assert first.next_page is not None
    second = asked(starting_at="2026-11-20T00:00:00Z", limit="2", page=first.next_page)
    assert second.next_page is None
    assert starts(first) + starts(second) == starts(whole)


@given(
    st.sampled_from(list(WIDTHS)),
    st.integers(0, 3 * 86_400),
    st.integers(1, 31),
)
def test_pages_cover_every_bucket_once_and_in_order(
    width: BucketWidth, ago_s: int, limit: int
) -> None:
    start = wire_time(NOW - timedelta(seconds=ago_s))
    found: list[datetime] = []
    page = Span(starting_at=start, limit=str(limit))
    while True:
        part = buckets(width, page, NOW)
        found += [begin for begin, _ in part]
        if part.next_page is None:
            break
        assert part.count == limit
        page = Span(starting_at=start, limit=str(limit), page=part.next_page)
    span = WIDTHS[width].span
    assert found == [found[0] + number * span for number in range(len(found))]
    assert found[0] <= NOW - timedelta(seconds=ago_s) < found[0] + span
    assert found[-1] <= NOW < found[-1] + span


@pytest.mark.parametrize(
    ("span", "sentence"),
    [
        ({}, "starting_at: Field required"),
        ({"starting_at": "yesterday"}, "starting_at: Input should be a valid RFC 3339 datetime"),
        ({"starting_at": "2026-11-20"}, "starting_at: Input should be a valid RFC 3339 datetime"),
        (
            {"starting_at": "2026-11-20T00:00:00 02:00"},
            "starting_at: Input should be a valid RFC 3339 datetime",
        ),
        (
            {"starting_at": "9999-12-31T23:59:59-01:00"},
            "starting_at: Input should be a valid RFC 3339 datetime",
        ),
        (
            {"starting_at": "2026-11-20T00:00:00Z", "ending_at": "2026-11-19T00:00:00Z"},
            "ending_at: Input should be after `starting_at`",
        ),
        ({"starting_at": "2026-11-20T00:00:00"}, "starting_at: Input should have timezone info"),
        (
            {"starting_at": "0001-01-01T00:00:00+10:00"},
            "starting_at: Input should be a valid RFC 3339 datetime",
        ),
        (
            {"starting_at": "2026-11-20T00:00:00Z", "ending_at": "x"},
            "ending_at: Input should be a valid RFC 3339 datetime",
        ),
        (
            {"starting_at": "2026-11-20T00:00:00Z", "ending_at": "2026-11-20T00:00:00Z"},
            "ending_at: Input should be after `starting_at`",
        ),
        ({"starting_at": "2026-11-20T00:00:00Z", "limit": "0"}, "limit: Input should be greater"),
        ({"starting_at": "2026-11-20T00:00:00Z", "limit": "x"}, "limit: Input should be a valid"),
    ],
)
def test_impossible_span_is_refused_with_the_name_of_its_parameter(
    span: dict[str, str], sentence: str
) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        asked(**span)
    assert str(refusal.value).startswith(sentence)


@pytest.mark.parametrize(
    "page",
    [
        "x",
        "page_",
        "page_\u00e4",
        "page_!!!!",
        token("\u00e4"),
        token("2026-11-21"),
        token("2026-11-21T00:00:01Z"),
        token("2026-11-19T00:00:00Z"),
        token("2026-11-23T00:00:00Z"),
        "page_/w==",
        token("2026-11-21T00:00:00Z").removeprefix("page_"),
        token("2026-11-21T00:00:00Z") + "=",
        token("2026-11-21T00:00:00Z").replace("page_", "page_!"),
        token("2026-11-21T00:00:00Z").replace("page_", "page_ "),
    ],
)
def test_token_of_another_report_is_refused(page: str) -> None:
    with pytest.raises(InvalidRequestError, match="page: not a page of this report"):
        asked(starting_at="2026-11-20T00:00:00Z", page=page)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("claude-opus-5-5", "Claude Opus 5.5"),
        ("claude-opus-5", "Claude Opus 5"),
        ("claude-sonnet-4-5-20250929", "Claude Sonnet 4.5"),
        ("claude-3-5-haiku-latest", "Claude Haiku 3.5"),
        ("claude-haiku", "claude-haiku"),
        ("claude-5-5", "claude-5-5"),
        ("claude-", "claude-"),
        ("smollm2-135m-instruct", "smollm2-135m-instruct"),
    ],
)
def test_model_has_the_name_that_people_write(model: str, name: str) -> None:
    assert display_name(model) == name


def test_line_of_a_bill_names_its_tier_and_window() -> None:
    plain = cost_description(
        "claude-opus-5-5", "uncached_input_tokens", "standard", "0-200k", "not_available"
    )
    assert plain == "Claude Opus 5.5 Usage - Input Tokens"
    special = cost_description("small", "output_tokens", "batch", "200k-1M", "us")
    assert special == "small Usage (batch, 200k-1M, us) - Output Tokens"
