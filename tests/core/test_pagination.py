import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.errors import InvalidRequestError
from antiphon.core.pagination import IdPage, page, page_limit

IDS = st.lists(st.text("abc", min_size=1, max_size=3), unique=True, max_size=12)
LIMITS = st.integers(1, 6)


@given(IDS, LIMITS)
def test_walking_forwards_yields_every_id_once(ids: list[str], limit: int) -> None:
    seen: list[str] = []
    listing = page(ids, limit=limit, after_id=None, before_id=None)
    seen += listing.ids
    while listing.has_more:
        listing = page(ids, limit=limit, after_id=listing.ids[-1], before_id=None)
        assert 1 <= len(listing.ids) <= limit
        seen += listing.ids
    assert seen == ids


@given(IDS.filter(bool), LIMITS)
def test_walking_backwards_yields_every_id_once(ids: list[str], limit: int) -> None:
    seen = [ids[-1]]
    listing = page(ids, limit=limit, after_id=None, before_id=ids[-1])
    seen[:0] = listing.ids
    while listing.has_more:
        listing = page(ids, limit=limit, after_id=None, before_id=listing.ids[0])
        assert 1 <= len(listing.ids) <= limit
        seen[:0] = listing.ids
    assert seen == ids


def test_page_after_the_last_id_is_empty() -> None:
    assert page(["a"], limit=1, after_id="a", before_id=None) == IdPage((), has_more=False)


def test_page_before_the_first_id_is_empty() -> None:
    assert page(["a"], limit=1, after_id=None, before_id="a") == IdPage((), has_more=False)


def test_both_cursors_at_once_are_refused() -> None:
    with pytest.raises(InvalidRequestError, match="Only one of `after_id` and `before_id`"):
        page(["a"], limit=1, after_id="a", before_id="a")


@pytest.mark.parametrize("name", ["after_id", "before_id"])
def test_cursor_that_is_not_listed_is_refused(name: str) -> None:
    cursors = {"after_id": None, "before_id": None, name: "zzz"}
    with pytest.raises(InvalidRequestError, match=f"{name}: no such id: zzz"):
        page(["a"], limit=1, **cursors)


@pytest.mark.parametrize(
    ("values", "limit"), [([], 20), (["1"], 1), (["1000"], 1000), (["007"], 7)]
)
def test_limit_is_read_from_the_query(values: list[str], limit: int) -> None:
    assert page_limit(values) == limit


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
        page_limit([text])
    assert str(refusal.value) == sentence
