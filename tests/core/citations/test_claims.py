from collections.abc import Iterable, Sequence

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from antiphon.core.citations.marks import tokens
from antiphon.core.citations.sources import Sources
from antiphon.core.prompt import (
    EngineEvent,
    Finished,
    FinishReason,
    TextChunk,
    ThinkingChunk,
    ToolCallStart,
)
from antiphon.core.stop_sequences import StopScanner
from antiphon.wire.content import TextBlock
from antiphon.wire.events import (
    CitationsDelta,
    ContentBlockDelta,
    ContentBlockStart,
    StartedText,
    StreamEvent,
    TextDelta,
)
from antiphon.wire.fold import fold
from antiphon.wire.messages import Message
from support.assembling import started_assembly
from support.sources import DOCUMENTS, Citable, matches_source, sources_of

COLOURS = "The grass is green. The sky is blue. The sun, which everybody sees every day, is yellow."
SOURCES = sources_of([COLOURS])
SAID = st.lists(
    st.sampled_from(
        [
            *("The grass is green.", "the sky is blue", " ", "\n", "\n\n", ".", ",", "!", " No. "),
            *("as everybody who has ever looked up knows", "- ", "(", ")", '"', "word ", "END"),
            *("[source 1]", " [source 2]", " [source 1-3]", "[source 99]", "[source", "[sour"),
            *("[source 2, 3]", "[source x]", "\u8349\u306f\u7dd1\u3067\u3059\u3002", "x" * 700),
        ]
    ),
    max_size=14,
).map("".join)
STOPS = st.sampled_from([(), ("END",), ("[",), ("source",), (" ", "END"), ("].",), ("green. The",)])


def streamed(
    pieces: Iterable[str | EngineEvent],
    sources: Sources = SOURCES,
    stops: Sequence[str] = (),
    *,
    streamed: bool = True,
) -> list[StreamEvent]:
    assembly = started_assembly(*stops, streamed=streamed, sources=sources)
    events: list[StreamEvent] = [assembly.start()]
    ending = Finished(FinishReason.END_TURN)
    for piece in (*pieces, ending):
        if not assembly.ended:
            events += assembly.feed(TextChunk(piece, 1) if isinstance(piece, str) else piece)
    return events


def blocks(*pieces: str | EngineEvent, stops: Sequence[str] = ()) -> list[tuple[str, list[str]]]:
    """The text blocks of an answer, each with the texts that it cites."""
    return [
        (block.text, [one.cited_text for one in block.citations])
        for block in fold(streamed(pieces, stops=stops)).content
        if isinstance(block, TextBlock)
    ]


def text_of(message: Message) -> str:
    return "".join(block.text for block in message.content if isinstance(block, TextBlock))


def unmarked(text: str) -> str:
    return "".join(token for token in tokens(text) if isinstance(token, str))


def cuts(text: str, places: Iterable[int]) -> list[str]:
    ends = sorted(min(place, len(text)) for place in places)
    return [text[a:b] for a, b in zip([0, *ends], [*ends, len(text)], strict=True)]


PLACES = st.lists(st.integers(0, 200), max_size=8)


@pytest.mark.covers("blocks of an answer: citations", "effect")
@given(DOCUMENTS, SAID, PLACES)
def test_blocks_hold_the_answer_without_marks_and_cite_true_text(
    documents: list[Citable], said: str, places: list[int]
) -> None:
    message = fold(streamed(cuts(said, places), sources_of(documents)))
    assert text_of(message) == unmarked(said)
    for block in message.content:
        assert isinstance(block, TextBlock)
        assert all(matches_source(one, documents) for one in block.citations)
        # A block of nothing but space could not be sent back.
        assert block.text.strip() or text_of(message).isspace()


@given(DOCUMENTS, SAID, PLACES, STOPS)
@example(["The grass is green."], "The grass is green.[", [], ("[",))
def test_cuts_of_an_answer_do_not_change_its_blocks(
    documents: list[Citable], said: str, places: list[int], stops: tuple[str, ...]
) -> None:
    sources = sources_of(documents)
    whole = fold(streamed([said], sources, stops))
    pieces = cuts(said, places)
    for answer in (pieces, list(said)):
        for gathers in (True, False):
            again = fold(streamed(answer, sources, stops, streamed=not gathers))
            assert again.content == whole.content
            assert (again.stop_reason, again.stop_sequence) == (
                whole.stop_reason,
                whole.stop_sequence,
            )


@given(DOCUMENTS, SAID, PLACES, STOPS)
def test_stop_sequences_are_those_of_the_answer_without_marks(
    documents: list[Citable], said: str, places: list[int], stops: tuple[str, ...]
) -> None:
    message = fold(streamed(cuts(said, places), sources_of(documents), stops))
    scanner = StopScanner(stops)
    scan = scanner.feed(unmarked(said))
    expected = scan.text if scan.match else scan.text + scanner.flush()
    assert text_of(message) == expected
    assert message.stop_sequence == scan.match


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        ("Nothing of that.", [("Nothing of that.", [])]),
        ("Grass has a colour [source 1].", [("Grass has a colour.", ["The grass is green."])]),
        (
            "I know. It has a colour. [source 1] And so on.",
            [("I know. ", []), ("It has a colour. ", ["The grass is green."]), ("And so on.", [])],
        ),
        (
            "Grass is so [source 1] and sky so [source 2]. Well.",
            [
                ("Grass is so ", ["The grass is green."]),
                ("and sky so. ", ["The sky is blue."]),
                ("Well.", []),
            ],
        ),
        (
            "Both [source 1] [source 2], indeed",
            [("Both, ", ["The grass is green.", "The sky is blue."]), ("indeed", [])],
        ),
        ("Both [source 1, 2].", [("Both.", ["The grass is green. The sky is blue."])]),
        ("Twice [source 1][source 1].", [("Twice.", ["The grass is green."])]),
        ("So [source 1] - [source 2]!", [("So -!", ["The grass is green.", "The sky is blue."])]),
        ("So [source 1] - [source 1]!", [("So ", ["The grass is green."]), ("-!", [])]),
        ("Odd [source 99]. Very [source 4-7].", [("Odd. Very.", [])]),
        ("Cut [source 1", [("Cut [source 1", [])]),
        ("[source 1] At first.", [(" At first.", [])]),
        ("- [source 1] a", [("- a", [])]),
        ("\n\nSo [source 1]", [("\n\nSo", ["The grass is green."])]),
        ("So [source 1]\n\n", [("So\n\n", ["The grass is green."])]),
        (
            "One.\nThe grass is green.\nThree.",
            [("One.\n", []), ("The grass is green.\n", ["The grass is green."]), ("Three.", [])],
        ),
        (" \n", [(" \n", [])]),
        ("", []),
    ],
)
def test_claim_is_a_block_with_its_citations(
    said: str, expected: list[tuple[str, list[str]]]
) -> None:
    assert blocks(said) == expected
    assert blocks(*said) == expected


def test_claim_is_sent_as_soon_as_it_is_certain() -> None:
    assembly = started_assembly(sources=SOURCES)
    assert assembly.feed(TextChunk("It is so", 1)) == []
    assert assembly.feed(TextChunk(" [source 1", 1)) == []
    start, text, cited = assembly.feed(TextChunk("]", 1))
    assert start == ContentBlockStart(index=0, content_block=StartedText(citations=()))
    assert text == ContentBlockDelta(index=0, delta=TextDelta(text="It is so"))
    assert isinstance(cited, ContentBlockDelta)
    assert isinstance(cited.delta, CitationsDelta)
    assert assembly.feed(TextChunk(".", 1)) == [
        ContentBlockDelta(index=0, delta=TextDelta(text="."))
    ]


def test_text_without_citations_starts_without_them() -> None:
    events = streamed(["So."])
    assert events[1] == ContentBlockStart(index=0, content_block=StartedText())


def test_a_mark_before_a_stop_sequence_counts_and_one_behind_it_does_not() -> None:
    green = ["The grass is green."]
    assert blocks("It is so [source 1]END", stops=["END"]) == [("It is so", green)]
    assert blocks("It is soEND [source 1]", stops=["END"]) == [("It is so", [])]
    assert blocks("It is so E [source 1]ND", stops=[" END"]) == [("It is so", [])]
    assert blocks("It is so E [source 1]n", stops=[" END"]) == [("It is so E", green), ("n", [])]


def test_no_stop_sequence_is_found_in_a_mark() -> None:
    for stop in ("source", "[", "1]", "so [source"):
        (block,) = blocks("It is so [source 1].", stops=[stop])
        assert block == ("It is so.", ["The grass is green."])


def test_a_stop_sequence_that_might_have_been_a_mark_ends_the_message() -> None:
    message = fold(streamed(["It is ["], stops=["["]))
    assert (message.stop_reason, message.stop_sequence) == ("stop_sequence", "[")
    assert text_of(message) == "It is "


def test_thinking_and_tool_calls_end_a_claim() -> None:
    said = blocks(
        "It is so [source 1]",
        ThinkingChunk("Hm [source 2]", 1),
        ". And",
        ToolCallStart("f", 1),
        " The sky is blue.",
    )
    assert said == [
        ("It is so", ["The grass is green."]),
        (". And", []),
        (" The sky is blue.", ["The sky is blue."]),
    ]


def test_usage_includes_the_tokens_of_marks() -> None:
    message = fold(streamed(["It is so", " [source", " 1]", "."]))
    assert message.usage.output_tokens == 4
