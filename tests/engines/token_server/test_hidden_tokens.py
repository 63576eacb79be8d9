"""Callers' texts and control tokens, on tokenizers of every kind."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.engines.base import EngineStartError
from antiphon.engines.token_server.hidden_tokens import hide_tokens
from antiphon.engines.token_server.vocabulary import Vocabulary, open_vocabulary
from support.hf_folder import marked_tokenizer, sentence_pieces

MARKS = ("<|im_start|>", "<|im_end|>", "<think>", "<s>", "[INST]", "<|", "|>")
TEXTS = st.lists(st.sampled_from([*MARKS, " ", "\n", "a", "the", "é", "🦜", "<", "s", ">"])).map(
    "".join
)


def opened(document: dict[str, Any]) -> Vocabulary:
    return open_vocabulary("m", json.dumps(document).encode())


BYTES = opened(marked_tokenizer())
PIECES = opened(sentence_pieces())


@given(TEXTS)
def test_no_text_of_a_caller_has_a_control_token(text: str) -> None:
    for vocabulary in (BYTES, PIECES):
        tokens = vocabulary.tokens(text, control=False)
        assert not set(tokens) & (vocabulary.spellings.keys() - {0 if vocabulary is PIECES else -1})
    assert BYTES.text(BYTES.tokens(text, control=False)) == text


@given(TEXTS)
def test_control_tokens_are_found_where_they_are_meant(text: str) -> None:
    known = {content: token for token, content in BYTES.spellings.items()}
    tokens = BYTES.tokens(text, control=True)
    assert BYTES.spelled(tokens) == text
    found = [token for token in tokens if token in BYTES.spellings]
    assert len(found) == sum(text.count(content) for content in known)


def test_numbers_of_tokens_stay() -> None:
    document = marked_tokenizer()
    numbers = {one["content"]: one["id"] for one in document["added_tokens"]}
    for content, number in numbers.items():
        assert list(BYTES.tokens(content, control=True)) == [number]
    plain = document["model"]["vocab"]
    assert list(BYTES.tokens("the", control=False)) == [plain["the"]]


def test_words_and_spaces_that_were_added_are_text() -> None:
    assert len(BYTES.tokens("parrot", control=False)) == 1
    assert len(BYTES.tokens("  ", control=False)) == 1
    assert {"parrot", "  "}.isdisjoint(BYTES.spellings.values())
    assert {"<think>", "[INST]"} <= set(BYTES.spellings.values())


def test_marks_that_are_no_special_tokens_are_text_of_an_answer() -> None:
    silent = {BYTES.spellings[token] for token in BYTES.silent}
    assert silent == {"<s>", "<|im_start|>", "<|im_end|>"}


def test_text_in_the_middle_of_a_prompt_gets_no_space_before_it() -> None:
    whole, *parts = [list(PIECES.tokens(one, control=False)) for one in ("a the", "a", " the")]
    assert whole == [*parts[0], *parts[1]]
    assert len(parts[1]) == 1
    document = marked_tokenizer()
    document["pre_tokenizer"]["pretokenizers"][1]["add_prefix_space"] = True
    assert list(opened(document).tokens("the", control=False)) == [
        *BYTES.tokens("the", control=False)
    ]


def test_text_is_neither_cut_nor_filled_up() -> None:
    """Files may say how a text was prepared for training."""
    document = marked_tokenizer()
    document["truncation"] = {
        "direction": "Right",
        "max_length": 4,
        "strategy": "LongestFirst",
        "stride": 0,
    }
    document["padding"] = {
        "strategy": {"Fixed": 64},
        "direction": "Right",
        "pad_to_multiple_of": None,
        "pad_id": 0,
        "pad_type_id": 0,
        "pad_token": "<s>",
    }
    tokens = opened(document).tokens("one two three", control=False)
    assert tokens == BYTES.tokens("one two three", control=False)


def test_merges_that_make_a_control_token_are_left_out() -> None:
    document = marked_tokenizer()
    model = document["model"]
    model["vocab"]["<s"] = max(model["vocab"].values()) + 9
    model["merges"] = [*model["merges"], "< s", ["<s", ">"]]
    model["merges"] = [one.split(" ") if isinstance(one, str) else one for one in model["merges"]]
    vocabulary = opened(document)
    assert vocabulary.text(vocabulary.tokens("<s>", control=False)) == "<s>"
    assert not set(vocabulary.tokens("<s>", control=False)) & vocabulary.spellings.keys()


def test_unknown_token_of_a_vocabulary_is_renamed_with_it() -> None:
    document = marked_tokenizer()
    document["model"]["unk_token"] = "<s>"
    hidden = hide_tokens(json.dumps(document).encode(), "00")
    assert json.loads(hidden.document)["model"]["unk_token"] == hidden.secret["<s>"]


@pytest.mark.parametrize("document", [b"{", b"[]", b"{}", b'{"added_tokens": 1, "model": {}}'])
def test_file_that_is_no_tokenizer_is_refused(document: bytes) -> None:
    with pytest.raises(EngineStartError, match=r"tokenizer\.json cannot be read"):
        open_vocabulary("m", document)
