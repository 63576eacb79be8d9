import pytest

from antiphon.engines.token.prompt.placeholders import Rendered, Segment
from antiphon.engines.token.prompt.tokens import Tokenizer

pytestmark = pytest.mark.anyio


class Letters:
    """Tokenizes to code points; wants `begin` before everything."""

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
    return (await tokenizer.encode(Rendered(segments))).tokens


async def test_text_is_tokenized_once() -> None:
    letters = Letters()
    tokens = Tokenizer(letters, [])
    assert await encoded(tokens, plain("a", "b", "a")) == [97, 98, 97]
    assert await encoded(tokens, plain("a", "c")) == [97, 99]
    assert sorted(letters.asked) == ["a", "b", "c"]


async def test_token_cache_is_bounded_by_characters() -> None:
    letters = Letters()
    tokens = Tokenizer(letters, [], limit=4)
    for text in ("aa", "bb", "aa", "cc", "aa", "bb", "ddddd", "bb"):
        await encoded(tokens, plain(text))
    assert letters.asked == ["aa", "bb", "cc", "bb", "ddddd"]


async def test_same_text_as_control_and_as_plain_is_kept_apart() -> None:
    letters = Letters()
    tokens = Tokenizer(letters, [])
    await encoded(tokens, [Segment("a", control=True), Segment("a", control=False)])
    assert letters.asked == ["a", "a"]


async def test_begin_token_is_added_once() -> None:
    tokens = await Tokenizer.open(Letters(1, 2))
    assert await encoded(tokens, plain("a")) == [1, 97]
    assert await encoded(tokens, plain("\x01", "a")) == [1, 97]


async def test_begin_token_is_not_added_for_a_model_without_one() -> None:
    tokens = await Tokenizer.open(Letters())
    assert await encoded(tokens, plain("a")) == [97]
