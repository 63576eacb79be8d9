from antiphon.core.prompt import Prompt, Tool, Turn
from antiphon.wire.content import ImageParam, TextParam, UrlSource


def test_the_texts_of_a_turn_are_those_of_its_text_blocks() -> None:
    image = ImageParam(source=UrlSource(url="https://example.com/cat.png"))
    turn = Turn("user", (TextParam(text="one"), image, TextParam(text="two")))
    assert turn.texts == ("one", "two")


def test_path_of_a_tool_says_where_it_is_defined() -> None:
    a, b, other_a = (Tool(name=name, input_schema={}) for name in "aba")
    prompt = Prompt((Turn("user", (TextParam(text="Hi"),)),), 1, tools=(a, b), offered=(b, other_a))
    assert prompt.tool_paths((b, other_a)) == ("tools.1.custom", "tool_addition.a")
