from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.errors import InvalidRequestError
from antiphon.core.pagination import (
    IdCursor,
    IdPage,
    TokenCursor,
    bind_token,
    cut_page,
    listing,
    page,
    page_by_tokens,
    page_limit,
    page_position,
    page_token,
    place_of_token,
    token_of_place,
    unbind_token,
)


class Item(NamedTuple):
    id: str
    user: str


IDS = st.lists(st.text("abc", min_size=1, max_size=3), unique=True, max_size=12)
LIMITS = st.integers(1, 6)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@given(IDS, LIMITS)
def test_walking_forwards_yields_every_id_once(ids: list[str], limit: int) -> None:
    seen: list[str] = []
    found = page(ids, IdCursor(limit))
    seen += found.ids
    while found.has_more:
        found = page(ids, IdCursor(limit, after_id=found.ids[-1]))
        assert 1 <= len(found.ids) <= limit
        seen += found.ids
    assert seen == ids


@given(IDS.filter(bool), LIMITS)
def test_walking_backwards_yields_every_id_once(ids: list[str], limit: int) -> None:
    seen = [ids[-1]]
    found = page(ids, IdCursor(limit, before_id=ids[-1]))
    seen[:0] = found.ids
    while found.has_more:
        found = page(ids, IdCursor(limit, before_id=found.ids[0]))
        assert 1 <= len(found.ids) <= limit
        seen[:0] = found.ids
    assert seen == ids


def test_page_after_the_last_id_is_empty() -> None:
    assert page(["a"], IdCursor(1, after_id="a")) == IdPage((), has_more=False)


def test_page_before_the_first_id_is_empty() -> None:
    assert page(["a"], IdCursor(1, before_id="a")) == IdPage((), has_more=False)


def test_both_cursors_at_once_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match="Only one of `after_id` and `before_id`"):
        page(["a"], IdCursor(1, after_id="a", before_id="a"))


@pytest.mark.parametrize("name", ["after_id", "before_id"])
def test_cursor_that_is_not_listed_is_refused(name: str) -> None:
    cursor = IdCursor(**{"limit": 1, name: "zzz"})  # type: ignore[arg-type]
    with pytest.raises(InvalidRequestError, match=f"{name}: no such id: zzz"):
        page(["a"], cursor)


@pytest.mark.parametrize(("text", "limit"), [(None, 20), ("1", 1), ("1000", 1000), ("007", 7)])
def test_limit_is_read_from_the_query(text: str | None, limit: int) -> None:
    assert page_limit(text) == limit


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("0", "limit: Input should be greater than or equal to 1"),
        ("-3", "limit: Input should be greater than or equal to 1"),
        ("1001", "limit: Input should be less than or equal to 1000"),
        ("100001", "limit: Input should be less than or equal to 1000"),
        ("9" * 5000, "limit: Input should be less than or equal to 1000"),
        ("", "limit: Input should be a valid integer"),
        ("ten", "limit: Input should be a valid integer"),
        ("1.0", "limit: Input should be a valid integer"),
        ("1_0", "limit: Input should be a valid integer"),
        ("+1", "limit: Input should be a valid integer"),
        (" 1", "limit: Input should be a valid integer"),
        ("1\n", "limit: Input should be a valid integer"),
        ("٣", "limit: Input should be a valid integer"),
    ],
)
def test_limit_that_is_no_number_in_its_range_is_refused(text: str, sentence: str) -> None:
    with pytest.raises(InvalidRequestError) as refusal:
        page_limit(text)
    assert str(refusal.value) == sentence


@given(st.integers(0, 12), LIMITS)
def test_walking_by_tokens_yields_every_item_once(size: int, limit: int) -> None:
    items = list(range(size))
    listing = page_by_tokens(items, TokenCursor(limit))
    seen = [*listing.data]
    while listing.next_page is not None:
        listing = page_by_tokens(items, TokenCursor(limit, listing.next_page))
        assert 1 <= len(listing.data) <= limit
        seen += listing.data
    assert seen == items


def test_page_by_tokens_without_a_limit_is_everything() -> None:
    assert page_by_tokens([1, 2, 3], TokenCursor()).data == (1, 2, 3)
    assert page_by_tokens([1, 2, 3], TokenCursor(token="page_1")).data == (2, 3)


@pytest.mark.parametrize(
    "token", ["", "page_", "page_4", "page_-1", "page_x", "page_٣", "page_" + "0" * 5000]
)
def test_token_that_a_listing_did_not_give_is_refused(token: str) -> None:
    with pytest.raises(InvalidRequestError, match="page: not a page of this listing"):
        page_by_tokens([1, 2, 3], TokenCursor(1, token))


@given(
    st.integers(0, 10**17 - 1).map(lambda number: EPOCH + timedelta(microseconds=number)),
    st.from_regex(r"[0-9A-Za-z_]+", fullmatch=True),
)
def test_place_is_read_from_its_token(at: datetime, item_id: str) -> None:
    assert place_of_token(token_of_place(at, item_id)) == (at, item_id)


def test_place_is_a_moment_and_an_id() -> None:
    at = EPOCH + timedelta(microseconds=1_700_000_000_000_001)
    assert page_position(token_of_place(at, "req_1")) == "1700000000000001 req_1"
    assert place_of_token(token_of_place(at, "req_1")) == (at, "req_1")


@pytest.mark.parametrize(
    "place", ["", "5", "5 ", " a", "-5 a", "5 a-b", "5 a\n", "٣ a", f"{10**17} a"]
)
def test_token_of_no_place_is_refused(place: str) -> None:
    with pytest.raises(InvalidRequestError, match="page: not a page of this listing"):
        place_of_token(page_token(place))
    with pytest.raises(InvalidRequestError, match="page: not a page of this listing"):
        place_of_token(place)


def test_listing_names_its_first_and_its_last_item() -> None:
    items = [Item(id="a", user="x"), Item(id="b", user="y")]
    page_of_two = listing(items, has_more=True)
    assert (page_of_two.data, page_of_two.has_more) == (tuple(items), True)
    assert (page_of_two.first_id, page_of_two.last_id) == ("a", "b")
    assert listing(items, has_more=False, id_field="user").last_id == "y"
    nothing = listing([], has_more=False)
    assert (nothing.first_id, nothing.last_id) == (None, None)


def test_page_of_a_listing_by_tokens_ends_where_the_next_one_begins() -> None:
    found = [Item(id=name, user="x") for name in "abc"]
    page_of_two = cut_page(found, 2, lambda item: (EPOCH, item.id))
    assert page_of_two == (found[:2], token_of_place(EPOCH, "b"))
    assert cut_page(found, 3, lambda item: (EPOCH, item.id)) == (found, None)
    assert cut_page([], 3, lambda item: (EPOCH, item.id)) == ([], None)


def test_cursor_has_the_size_of_its_page_and_the_place_before_it() -> None:
    assert (TokenCursor().size, TokenCursor().place) == (20, None)
    cursor = TokenCursor(7, token_of_place(EPOCH, "b"))
    assert (cursor.size, cursor.place) == (7, (EPOCH, "b"))
    with pytest.raises(InvalidRequestError, match="page: not a page of this listing"):
        _ = TokenCursor(7, "page_7").place


def test_token_is_bound_to_its_listing() -> None:
    bound = bind_token("page_7", "/v1/files?limit=2")
    assert bound not in {"page_7", bind_token("page_7", "/v1/files?limit=3")}
    assert unbind_token(bound, "/v1/files?limit=2") == "page_7"


@given(st.text(), st.text())
def test_bound_token_leads_on_in_its_listing_alone(position: str, listing: str) -> None:
    for token in (page_token(position), "page_7"):
        bound = bind_token(token, listing)
        assert bound.startswith("page_")
        assert unbind_token(bound, listing) == token
        with pytest.raises(InvalidRequestError, match="page: not a page of this listing; it leads"):
            unbind_token(bound, f"{listing}&")


@pytest.mark.parametrize("token", ["", "page_", "page_7", page_token("5 audit_1")])
def test_token_that_is_bound_to_no_listing_is_refused(token: str) -> None:
    with pytest.raises(InvalidRequestError, match="page: not a page of this listing; it leads"):
        unbind_token(token, "/v1/organizations/audit_log?")


@given(st.text())
def test_page_token_decodes_to_its_position(position: str) -> None:
    assert page_position(page_token(position)) == position


@pytest.mark.parametrize("token", ["x", "page_!!!!", "page_/w==", "page_\u00e4", "YQ==", "page_YQ"])
def test_malformed_page_token_has_no_position(token: str) -> None:
    assert page_position(token) is None
