import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.stop_sequences import Scan, StopScanner

# Few letters, so that sequences overlap each other and themselves.
TEXTS = st.text("abc", max_size=30)
SEQUENCES = st.lists(st.text("abc", min_size=1, max_size=5), max_size=4)
PLACES = st.lists(st.integers(0, 30), max_size=8)


def scanned(pieces: list[str], sequences: list[str]) -> tuple[str, str | None]:
    """All that may be sent of these pieces, and the sequence that ended them."""
    scanner = StopScanner(sequences)
    sent = ""
    for piece in pieces:
        scan = scanner.feed(piece)
        sent += scan.text
        if scan.match is not None:
            return sent, scan.match
    return sent + scanner.flush(), None


def oracle(text: str, sequences: list[str]) -> tuple[str, str | None]:
    """Read character by character; where a sequence is complete the longest is the match."""
    for end in range(len(text) + 1):
        complete = [one for one in sequences if text[:end].endswith(one)]
        if complete:
            match = max(complete, key=len)
            return text[: end - len(match)], match
    return text, None


def cut(text: str, places: list[int]) -> list[str]:
    ends = sorted(min(place, len(text)) for place in places)
    return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]


@given(TEXTS, SEQUENCES, PLACES)
def test_any_cut_of_a_text_gives_what_reading_it_by_characters_gives(
    text: str, sequences: list[str], places: list[int]
) -> None:
    expected = oracle(text, sequences)
    assert scanned([text], sequences) == expected
    assert scanned(cut(text, places), sequences) == expected
    assert scanned(list(text), sequences) == expected


@given(TEXTS, SEQUENCES, PLACES)
def test_no_part_of_a_stop_sequence_is_sent(
    text: str, sequences: list[str], places: list[int]
) -> None:
    before, match = oracle(text, sequences)
    sent, found = scanned(cut(text, places), sequences)
    assert found == match
    assert not any(one in sent for one in sequences)
    assert before.startswith(sent)


@given(TEXTS, SEQUENCES, PLACES)
def test_only_what_may_become_a_stop_sequence_is_held_back(
    text: str, sequences: list[str], places: list[int]
) -> None:
    scanner = StopScanner(sequences)
    sent = seen = ""
    for piece in cut(text, places):
        seen += piece
        scan = scanner.feed(piece)
        sent += scan.text
        if scan.match is not None:
            return
        held = seen.removeprefix(sent)
        assert sent + held == seen
        assert not held or any(one.startswith(held) and one != held for one in sequences)


@pytest.mark.parametrize(
    ("text", "sequences", "sent", "match"),
    [
        ("Hello END of it", ["END"], "Hello ", "END"),
        ("abcd", ["bcd", "abcd"], "", "abcd"),
        ("abcd", ["abcd", "bc"], "a", "bc"),
        ("ab", ["a", "ab"], "", "a"),
        ("aab", ["ab"], "a", "ab"),
        ("ENDLESS", ["END", "ENDLESS"], "", "END"),
        ("EN", ["END"], "EN", None),
        ("", ["END"], "", None),
        ("END", [], "END", None),
        ("für €€ immer", ["€€"], "für ", "€€"),
    ],
)
def test_first_complete_sequence_ends_the_text(
    text: str, sequences: list[str], sent: str, match: str | None
) -> None:
    assert scanned([text], sequences) == (sent, match)
    assert scanned(list(text), sequences) == (sent, match)


def test_text_is_passed_on_at_once_without_stop_sequences() -> None:
    assert StopScanner([]).feed("Hi") == Scan("Hi")


def test_beginning_of_a_sequence_waits_for_the_rest() -> None:
    scanner = StopScanner(["END"])
    assert scanner.feed("the E") == Scan("the ")
    assert scanner.feed("N") == Scan("")
    assert scanner.feed("T") == Scan("ENT")


def test_flush_gives_what_was_held_back_once() -> None:
    scanner = StopScanner(["END"])
    scanner.feed("EN")
    assert scanner.flush() == "EN"
    assert not scanner.flush()
