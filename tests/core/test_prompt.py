from antiphon.core.prompt import Turn
from antiphon.wire.content import ImageParam, TextParam, UrlSource


def test_the_texts_of_a_turn_are_those_of_its_text_blocks() -> None:
    image = ImageParam(source=UrlSource(url="https://example.com/cat.png"))
    turn = Turn("user", (TextParam(text="one"), image, TextParam(text="two")))
    assert turn.texts == ("one", "two")
