import pytest
from hypothesis import given, target
from hypothesis import strategies as st

from antiphon.core.citations.quotes import LONG, SEARCHES, SHORT, Quotes

TOWER = "The tower in the park is 330 metres high and was finished in 1889."
GRASS = "The grass is green."
SHORT_ONE = "Very well."
PIECES = (TOWER, GRASS, SHORT_ONE, "", "\u8349\u306f\u7dd1\u3067\u3059\u3002")
WORDS = st.lists(st.sampled_from(["a", "b", "c", "d", "e"]), max_size=14)


@pytest.mark.parametrize(
    ("sentence", "number"),
    [
        (TOWER, 1),
        ("I read: the TOWER, in the park, is 330 metres high!", 1),
        ("The tower in the park is 330 metres", 1),
        ("I read that the tower in the park is there", None),
        ("Is 330 metres high", 1),
        ("It is 330 metres high", None),
        (GRASS, 2),
        ("As it says, the grass is green, you know.", 2),
        ("The grass is", None),
        (SHORT_ONE, None),
        ("", None),
        ("\u8349\u306f\u7dd1\u3067\u3059", 5),
        ("As \u8349\u306f\u7dd1\u3067\u3059", 5),
    ],
)
def test_a_sentence_quotes_the_piece_that_it_shares_a_long_run_with(
    sentence: str, number: int | None
) -> None:
    assert Quotes(PIECES).find(sentence) == number


def test_the_longest_run_counts_and_of_two_the_first() -> None:
    longer = "well then one two three four five six seven eight nine"
    pieces = ("one two three four five six seven eight", longer, longer)
    assert Quotes(pieces).find("He said: one two three four five six seven eight nine.") == 2
    assert Quotes(pieces).find("He said: one two three four five six seven eight.") == 1


def test_search_without_pieces_finds_no_quote() -> None:
    assert Quotes([]).find(TOWER) is None


COMMON = "word word word word"
MANY = 2000
WORST: list[tuple[list[str], str]] = [
    ([f"{COMMON} {number}" for number in range(MANY)], "word " * 400),
    ([f"{COMMON} {'a ' * number}" for number in range(300)], f"{COMMON} a " * 80),
    (["word " * n for n in range(4, 300)], "word " * 299 + "end"),
    (["a b c d e f g h"] * MANY, "a b c d e f g i " * 100),
]


@pytest.mark.parametrize(("pieces", "sentence"), WORST)
def test_search_reads_the_pieces_a_limited_number_of_times(
    pieces: list[str], sentence: str
) -> None:
    quotes = Quotes(pieces)
    for times in range(1, 4):
        quotes.find(sentence)
        # The last search of a sentence may end beyond the limit.
        assert quotes.steps <= times * most_steps(quotes, sentence)


def most_steps(quotes: Quotes, sentence: str) -> int:
    """Return the characters that may be searched, and those that may be searched for."""
    sought = 2 * len(sentence) * len(sentence.split())
    return (SEARCHES + 2) * (len(quotes._lines) + len(sentence)) + sought


def test_long_quote_of_a_short_document_is_found() -> None:
    words = [f"w{number}" for number in range(300)]
    pieces = [" ".join(words[:end]) for end in (250, 300, 280)]
    assert Quotes(pieces).find(" ".join(words)) == 2
    assert Quotes(pieces).find(" ".join(["So", *words])) == 2


@given(st.lists(WORDS, max_size=12), WORDS)
def test_search_of_any_sentence_is_limited(pieces: list[list[str]], said: list[str]) -> None:
    quotes = Quotes(" ".join(piece * 5) for piece in pieces)
    sentence = " ".join(said * 20)
    quotes.find(sentence)
    most = most_steps(quotes, sentence)
    target(quotes.steps / most)
    assert quotes.steps <= most


def runs(words: list[str], length: int) -> set[tuple[str, ...]]:
    return {tuple(words[at : at + length]) for at in range(len(words) - length + 1)}


@given(st.lists(WORDS, max_size=4), WORDS)
def test_every_quote_is_found_and_nothing_else(pieces: list[list[str]], said: list[str]) -> None:
    """The measure once more, by all runs of words that there are."""
    reached = []
    for piece in pieces:
        shared = 0
        for length in range(SHORT, len(said) + 1):
            alone = length in (len(said), len(piece))
            if (length >= LONG or alone) and runs(said, length) & runs(piece, length):
                shared = length
        reached.append(shared)
    longest = max(reached, default=0)
    number = Quotes(map(" ".join, pieces)).find(" ".join(said))
    # Pieces that come later count alike.
    grown = Quotes(map(" ".join, pieces[:1]))
    grown.add(map(" ".join, pieces[1:]))
    assert grown.find(" ".join(said)) == number
    assert (number is None) == (longest == 0)
    if number is not None:
        assert reached[number - 1] == longest
