"""The tokens of an answer as pieces: text, counts and stops, however they arrive."""

import json
from collections.abc import Sequence

from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.token.machine import Piece, PieceEnd
from antiphon.engines.token_server.decoding import PieceDecoder, TextDecoder
from antiphon.engines.token_server.vocabulary import Vocabulary, open_vocabulary
from support.hf_folder import marked_tokenizer, sentence_pieces

BYTES = open_vocabulary("m", json.dumps(marked_tokenizer()).encode())
PIECES = open_vocabulary("m", json.dumps(sentence_pieces()).encode())
TEXTS = st.lists(st.sampled_from(["the", " and", "é", "🦜", "漢", "\n", "STOP", "ST", "a"])).map(
    "".join
)


def decoded(
    vocabulary: Vocabulary,
    tokens: Sequence[int],
    *,
    cuts: Sequence[int] = (),
    stop: Sequence[str] = (),
    shown: Sequence[str] = (),
    prompt: Sequence[int] = (),
) -> list[Piece]:
    pieces = PieceDecoder(TextDecoder(vocabulary, prompt, shown), stop)
    found: list[Piece] = []
    ends = [*sorted({min(cut, len(tokens)) for cut in cuts}), len(tokens)]
    for start, end in zip([0, *ends], ends, strict=False):
        found += pieces.feed(tokens[start:end])
        if pieces.ended:
            return found
    return [*found, *pieces.end(PieceEnd.MODEL, 1)]


def text_of(pieces: Sequence[Piece]) -> str:
    return "".join(piece.text for piece in pieces)


@given(TEXTS, st.lists(st.integers(0, 60)))
def test_pieces_are_the_text_however_the_tokens_arrive(text: str, cuts: list[int]) -> None:
    tokens = BYTES.tokens(text, control=False)
    pieces = decoded(BYTES, tokens, cuts=cuts)
    assert text_of(pieces) == text
    assert pieces == decoded(BYTES, tokens)
    assert [token for piece in pieces for token in piece.tokens or ()] == list(tokens)
    assert sum(piece.count for piece in pieces) == len(tokens) + 1
    assert not any("\ufffd" in piece.text for piece in pieces)


@given(TEXTS)
def test_answer_ends_behind_a_stop_text(text: str) -> None:
    tokens = BYTES.tokens(text, control=False)
    pieces = decoded(BYTES, tokens, stop=("STOP", "🦜é"))
    found = [
        (text.index(one) + len(one), text.index(one)) for one in ("STOP", "🦜é") if one in text
    ]
    assert text_of(pieces) == (text[: min(found)[1]] if found else text)
    assert pieces[-1].end is (PieceEnd.STOP if found else PieceEnd.MODEL)
    whole = [*BYTES.tokens(text[: min(found)[0]], control=False)] if found else [*tokens, 0]
    assert sum(piece.count for piece in pieces) == len(whole)


@given(st.lists(st.integers(0, 255), max_size=12), TEXTS)
def test_bytes_that_are_no_character_end(noise: list[int], text: str) -> None:
    """A model of random weights writes them; the text behind them is not lost."""
    first = min(BYTES.tokens("!", control=False))
    tokens = [first + byte for byte in noise if first + byte < first + 200]
    tokens += BYTES.tokens("." * 4 + text, control=False)
    pieces = decoded(BYTES, tokens)
    assert text_of(pieces).endswith("..." + text)
    assert sum(piece.count for piece in pieces) == len(tokens) + 1


def test_bytes_that_never_become_a_character_are_not_held_back() -> None:
    half = list(BYTES.tokens("é", control=False))[1:]
    pieces = decoded(BYTES, half * 50)
    assert [piece.count for piece in pieces] == [*[4] * 12, 3]
    assert sum(piece.count for piece in pieces) == 51


def test_control_tokens_are_no_text_unless_they_are_shown() -> None:
    tokens = BYTES.tokens("a<|im_end|>b<think>c", control=True)
    assert text_of(decoded(BYTES, tokens)) == "ab<think>c"
    assert text_of(decoded(BYTES, tokens, shown=("<|im_end|>",))) == "a<|im_end|>b<think>c"


def test_stop_text_may_be_a_control_token() -> None:
    tokens = BYTES.tokens("a<|im_end|>b", control=True)
    pieces = decoded(BYTES, tokens, stop=("<|im_end|>",), shown=("<|im_end|>",))
    assert text_of(pieces) == "a"
    assert pieces[-1].end is PieceEnd.STOP
    assert sum(piece.count for piece in pieces) == 2


def test_half_a_character_before_a_control_token_is_dropped() -> None:
    half = BYTES.tokens("é", control=False)[:1]
    tokens = [*half, *BYTES.tokens("<|im_end|>é", control=True)]
    pieces = decoded(BYTES, tokens)
    assert text_of(pieces) == "é"
    assert sum(piece.count for piece in pieces) == len(tokens) + 1


def test_space_at_the_beginning_of_an_answer_stays() -> None:
    prompt = PIECES.tokens("say:", control=False)
    tokens = PIECES.tokens(" the the", control=False)
    assert text_of(decoded(PIECES, tokens, prompt=prompt)) == " the the"


def test_text_that_is_held_back_for_a_stop_comes_at_the_end() -> None:
    tokens = BYTES.tokens("a ST", control=False)
    assert text_of(decoded(BYTES, tokens, stop=("STOP",))) == "a ST"
