import gc
import tracemalloc

import pytest
from hypothesis import given, target
from hypothesis import strategies as st

from antiphon.core.stop_sequences import LONG, SHORT, Scan, StopScanner

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


# Nested and overlapping sequences, texts that are made of their parts, and long texts.
PARTS = st.sampled_from(["a", "b", "aa", "ab", "aab", "é", "😀", "aaaaaaaa", "abababab"])
MADE = st.lists(PARTS, max_size=60).map("".join)
MANY = st.lists(st.lists(PARTS, min_size=1, max_size=4).map("".join), max_size=12)


@given(MADE, MANY, PLACES)
def test_overlapping_sequences_are_found_as_defined(
    text: str, sequences: list[str], places: list[int]
) -> None:
    expected = oracle(text, sequences)
    assert scanned(cut(text, places), sequences) == expected
    assert scanned([text], sequences) == expected


def test_sequence_may_begin_in_a_long_piece_and_end_in_the_next() -> None:
    scanner = StopScanner(["END"])
    assert scanner.feed("-" * LONG + "EN") == Scan("-" * LONG)
    assert scanner.feed("D!") == Scan("", "END")


@given(MADE, MADE, MANY, st.booleans())
def test_long_pieces_are_searched_with_the_same_result(
    before: str, behind: str, sequences: list[str], ends: bool
) -> None:
    wanted = [*sequences, "END"]
    text = before + "-" * LONG + behind + ("END" if ends else "") + behind
    expected = oracle(text, wanted)
    assert scanned([text], wanted) == expected
    assert scanned([before + "E", "N" + "-" * LONG, behind], wanted) == oracle(
        before + "EN" + "-" * LONG + behind, wanted
    )
    # Sequences of more than SHORT characters are not searched for one by one.
    assert scanned([text], [*wanted, "x" * (SHORT + 1)]) == expected


def test_scanner_begins_anew_behind_a_match() -> None:
    scanner = StopScanner(["END", "NX"])
    assert scanner.feed("an END").match == "END"
    assert scanner.feed("X") == Scan("X")
    assert scanner.feed("N") == Scan("")
    assert scanner.flush() == "N"
    assert scanner.feed("X") == Scan("X")


def steps_for(text: str, sequences: list[str], piece: int = 4) -> int:
    scanner = StopScanner(sequences)
    for start in range(0, len(text), piece):
        if scanner.feed(text[start : start + piece]).match is not None:
            break
    return scanner.steps


# A character is read, and leads to a state of its own or back along earlier ones.
MOST_STEPS = 4
DEEP = 3000
WORST: list[tuple[str, list[str], str]] = [
    ("many", [f"{n:05}!" for n in range(8191)], "0123456789" * 1000),
    ("one beginning", ["a" * DEEP + f"{n:05}" for n in range(1000)], ("a" * DEEP + "b") * 4),
    ("nested", ["a" * n + "b" + "c" * n for n in range(1, 500)], ("a" * 499 + "b") * 20),
    ("all ends", ["ab" * n + "c" for n in range(1, 800)], ("ab" * 800 + "b") * 8),
    ("only itself", ["a" * DEEP + "b"], "a" * 20_000),
    ("many letters", [chr(0x4E00 + n) + "xy" for n in range(8191)], "一x二x三x" * 2000),
]


@pytest.mark.parametrize(("text", "sequences"), [case[2:0:-1] for case in WORST])
def test_steps_do_not_depend_on_the_sequences(text: str, sequences: list[str]) -> None:
    assert steps_for(text, sequences) <= MOST_STEPS * len(text)
    assert steps_for(text, sequences, piece=len(text)) <= MOST_STEPS * len(text)


@given(st.lists(st.text("ab", min_size=1, max_size=40), max_size=60), st.text("ab", min_size=1))
def test_steps_of_any_text_are_bounded(sequences: list[str], text: str) -> None:
    unfinished = [f"{one}!" for one in sequences]
    long = text * (600 // len(text))
    steps = steps_for(long, unfinished)
    target(steps / len(long))
    assert steps <= MOST_STEPS * len(long)


def test_scanner_keeps_no_copy_of_its_sequences() -> None:
    sequences = [f"{n}" + "x" * 2000 for n in range(2000)]
    tracemalloc.start()
    scanner = StopScanner(sequences)
    scanner.feed("17xxx and 21xx")
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 500_000


def test_scanner_leaves_no_reference_cycle() -> None:
    gc.collect()
    gc.disable()
    try:
        for sequences in ([], ["aab", "ab", "b!"]):
            scanner = StopScanner(sequences)
            scanner.feed("aaaaxab")
            del scanner
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_long_sequence_goes_on_through_a_long_piece() -> None:
    started_assembly, sequence = "x" * 10, "x" * 10 + "y" * LONG + "zz"
    scanner = StopScanner([sequence])
    assert scanner.feed(started_assembly) == Scan("")
    assert scanner.feed("y" * LONG) == Scan("")
    assert scanner.feed("zz") == Scan("", sequence)
