import pytest

from antiphon.engines.token.prompt.template import ChatTemplate
from antiphon.engines.token.prompt.turn_marks import learn_turn_marks
from support.templates import CHATML, QWEN_LIKE
from support.word_machine import THINKING

SPOKEN = "{% for m in messages %}{{ m.role }}: {{ m.content }}\n{% endfor %}assistant:"
NEXT_ONLY = "{% for m in messages %}<|{{ m.role }}|>{{ m.content }}{% endfor %}<|assistant|>"
CHANNELS = (
    "{% for m in messages %}{% if m.role == 'assistant' %}{% if m.thinking %}"
    "<|say|>thought<|is|>{{ m.thinking }}<|end|>{% endif %}<|say|>text<|is|>{{ m.content }}<|end|>"
    "{% else %}<|say|>{{ m.role }}<|is|>{{ m.content }}<|end|>{% endif %}{% endfor %}"
)
STRICT = "{% if messages[2:] %}{{ raise_exception('No') }}{% endif %}" + NEXT_ONLY
LAST_ONLY = "<|user|>{{ messages[-1].content }}<|end|>"


@pytest.mark.parametrize(
    ("source", "marks"),
    [
        (CHATML, ("<|im_end|>", "<|im_start|>")),
        (QWEN_LIKE, ("<|im_end|>", "<|im_start|>")),
        (THINKING, ("<|im_end|>", "<|im_start|>")),
        (NEXT_ONLY, ("<|user|>",)),
        (SPOKEN, ()),
        (STRICT, ()),
        (LAST_ONLY, ()),
    ],
    ids=["two", "with tools", "with thoughts", "of the next turn", "words", "refused", "one turn"],
)
def test_marks_behind_an_answer_are_learned(source: str, marks: tuple[str, ...]) -> None:
    assert ChatTemplate(source, bos="", eos="").turn_marks == marks


def test_mark_that_an_answer_has_ends_no_turn() -> None:
    template = ChatTemplate(CHANNELS, bos="", eos="")
    tags = template.reasoning.tags
    assert tags is not None
    assert "<|end|>" in tags.closing
    assert template.turn_marks == ()


def test_marks_follow_one_another() -> None:
    def render(messages: object) -> str:
        return "Plonk <a>\n[B] c <d> wuzzle" if messages else ""

    assert learn_turn_marks(render) == ("<a>", "[B]")
