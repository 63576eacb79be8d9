import pytest

from antiphon.engines.token.prompt.placeholders import Rendered, Segment
from antiphon.engines.token.prompt.tokens import Tokenizer
from support.word_machine import WordMachine

pytestmark = pytest.mark.anyio


class LetterTokenizer:
    """Tokenizes to code points; `begin` comes before every text."""

    def __init__(self, *begin: int) -> None:
        self.begin = list(begin)
        self.asked: list[str] = []

    async def __call__(self, text: str, *, control: bool, ends: bool = False) -> list[int]:
        assert control in {True, False}
        self.asked.append(text)
        return (self.begin if ends else []) + [ord(letter) for letter in text]


def plain(*texts: str) -> list[Segment]:
    return [Segment(text, control=False) for text in texts]


async def encoded(tokenizer: Tokenizer, segments: list[Segment]) -> list[int]:
    return list((await tokenizer.encode(Rendered(segments))).tokens)


async def test_text_is_tokenized_once() -> None:
    tokenizer = LetterTokenizer()
    tokens = Tokenizer(tokenizer, [])
    assert await encoded(tokens, plain("a", "b", "a")) == [97, 98, 97]
    assert await encoded(tokens, plain("a", "c")) == [97, 99]
    assert sorted(tokenizer.asked) == ["a", "b", "c"]


async def test_token_cache_is_bounded_by_characters() -> None:
    tokenizer = LetterTokenizer()
    tokens = Tokenizer(tokenizer, [], limit=4)
    for text in ("aa", "bb", "aa", "cc", "aa", "bb", "ddddd", "bb"):
        await encoded(tokens, plain(text))
    assert tokenizer.asked == ["aa", "bb", "cc", "bb", "ddddd"]


async def test_same_text_as_control_and_as_plain_is_kept_apart() -> None:
    tokenizer = LetterTokenizer()
    tokens = Tokenizer(tokenizer, [])
    await encoded(tokens, [Segment("a", control=True), Segment("a", control=False)])
    assert tokenizer.asked == ["a", "a"]


async def test_begin_token_is_added_once() -> None:
    tokens = await Tokenizer.open(LetterTokenizer(1, 2))
    assert await encoded(tokens, plain("a")) == [1, 97]
    assert await encoded(tokens, plain("\x01", "a")) == [1, 97]


async def test_begin_token_is_not_added_for_a_model_without_one() -> None:
    tokens = await Tokenizer.open(LetterTokenizer())
    assert await encoded(tokens, plain("a")) == [97]


async def test_control_token_is_one_token_and_another_than_its_text() -> None:
    machine = WordMachine()
    tokens = await Tokenizer.open(machine.tokenize)
    assert await tokens.is_control("<|im_end|>")
    assert not await tokens.is_control("<|im_end|><|im_start|>")
    assert not await tokens.is_control("word")
    assert not await tokens.is_control("<other>")
