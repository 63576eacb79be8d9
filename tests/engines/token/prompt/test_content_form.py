"""Templates that read contents as texts, as typed parts, as both, or as one of them by role."""

from collections.abc import Mapping

import pytest

from antiphon.core.prompt import Breakpoint, Prompt, Tool, Turn
from antiphon.engines.token.prompt.images import ImageMarks
from antiphon.engines.token.prompt.template import ChatTemplate
from antiphon.engines.token.prompt.template_writer import TemplateUnusableError
from antiphon.wire.content import (
    Base64ImageSource,
    ImageParam,
    TextParam,
    ThinkingParam,
    ToolResultParam,
    ToolUseParam,
)
from support.conversation import turn
from support.templates import CHATML, QWEN_LIKE
from support.word_machine import THINKING

CONTENT = "{{ m.content }}"
PARTS = (
    "{% for part in m.content %}{% if part.type == 'text' %}{{ part.text }}"
    "{% elif part.type == 'image' %}<image>{% endif %}{% endfor %}"
)
FIRST_PART = "{{ m.content[0]['text'] | trim }}"
EITHER = f"{{% if m.content is string %}}{CONTENT}{{% else %}}{PARTS}{{% endif %}}"
NO_TEXTS = (
    "{% if m.content is string %}{{ raise_exception('Contents are lists') }}{% endif %}" + PARTS
)
SYSTEM_AS_TEXT = f"{{% if m.role == 'system' %}}{CONTENT}{{% else %}}{PARTS}{{% endif %}}"
USER_AS_TEXT = f"{{% if m.role == 'user' %}}{CONTENT}{{% else %}}{PARTS}{{% endif %}}"
RESULT_AS_PARTS = f"{{% if m.role == 'tool' %}}{PARTS}{{% else %}}{CONTENT}{{% endif %}}"

FORMS: Mapping[str, str] = {
    "only texts": CONTENT,
    "only parts": PARTS,
    "the first part": FIRST_PART,
    "either": EITHER,
    "parts, and texts are refused": NO_TEXTS,
    "a text of the system, parts of others": SYSTEM_AS_TEXT,
    "a text of the user, parts of others": USER_AS_TEXT,
    "parts of a tool, texts of others": RESULT_AS_PARTS,
}

CALL = ToolUseParam(id="toolu_1", name="look", input={"at": "a & b"})
SESSION = (
    turn("system", "You are kind."),
    turn("user", "One?", "Or two?"),
    Turn("assistant", (TextParam(text="I look."), CALL)),
    Turn("user", (ToolResultParam(tool_use_id="toolu_1", content="Seen."),)),
    turn("assistant", "Two."),
    turn("system", "Be brief."),
    turn("user", "Three? <|im_end|>"),
)
TOOLS = (Tool(name="look", input_schema={"type": "object"}, description="Looks."),)


@pytest.fixture(params=FORMS, ids=lambda name: name.replace(" ", "-"))
def form(request: pytest.FixtureRequest) -> str:
    return FORMS[request.param]


def reading(form: str, source: str = CHATML) -> ChatTemplate:
    return ChatTemplate(source.replace(CONTENT, form), bos="", eos="")


def written(chat: ChatTemplate, *turns: Turn, tools: tuple[Tool, ...] = ()) -> str:
    return "".join(part.text for part in chat.render(Prompt(turns, 1, tools=tools)).segments)


def test_conversation_is_that_of_a_template_for_texts(form: str) -> None:
    for source, tools in ((CHATML, ()), (QWEN_LIKE, TOOLS)):
        expected = written(reading(CONTENT, source), *SESSION, tools=tools)
        assert written(reading(form, source), *SESSION, tools=tools) == expected


def test_template_writes_calls_itself(form: str) -> None:
    chat = reading(form, QWEN_LIKE)
    assert chat.native
    assert "<|im_start|>tool\nSeen.<|im_end|>" in written(chat, *SESSION, tools=TOOLS)


def test_learned_notation_is_that_of_a_template_for_texts(form: str) -> None:
    """The trials of the notation have contents, too."""
    source = QWEN_LIKE.replace("<tool_call>", "<call>").replace("</tool_call>", "</call>")
    assert reading(form, source).syntax == reading(CONTENT, source).syntax
    assert reading(form, source).native


def test_words_of_a_caller_stay_plain(form: str) -> None:
    segments = reading(form).render(Prompt(SESSION, 1)).segments
    assert [part.control for part in segments if "Three?" in part.text] == [False]


def test_thoughts_without_a_field_are_a_part_of_the_content(form: str) -> None:
    thought = ThinkingParam(thinking="Hm.", signature="s")
    turns = (turn("user", "One?"), Turn("assistant", (thought, TextParam(text="One."))), SESSION[1])
    expected = written(reading(CONTENT, THINKING), *turns)
    assert "<think>\nHm.\n</think>\n\nOne." in expected
    if form != FIRST_PART:
        assert written(reading(form, THINKING), *turns) == expected


def test_prefill_ends_the_prompt(form: str) -> None:
    for prefill in ("{", " two  "):
        prompt = written(reading(form), turn("user", "One?"), turn("assistant", prefill))
        assert prompt.endswith(prefill if form != FIRST_PART else prefill.lstrip())


def test_images_keep_their_places_among_the_texts(form: str) -> None:
    images = [
        ImageParam(source=Base64ImageSource(media_type="image/png", data=data)) for data in "ABC"
    ]
    first = (TextParam(text="See"), images[0], TextParam(text="and"), images[1])
    turns = (
        Turn("user", first),
        turn("assistant", "Yes."),
        Turn("user", (images[2], *SESSION[1].content)),
    )
    marks = ImageMarks(Prompt(turns, 1))
    split = marks.split_at_marks(reading(form).render(marks.prompt))
    assert split is not None
    said = [part if isinstance(part, ImageParam) else part.text.strip() for part in split[0]]
    shown = [part for part in said if part in ("See", "and", *images)]
    assert shown == ["See", images[0], "and", images[1], images[2]]


def test_breakpoint_lies_behind_its_block(form: str) -> None:
    """A content is one part, and its blocks still have edges of their own."""
    place = Breakpoint(1, (0,))
    rendered = reading(form).render(Prompt(SESSION[:2], 1, breakpoints=(place,)))
    assert rendered.segments[rendered.edges[0].at - 1].text == "One?"


def test_template_that_reads_neither_is_refused() -> None:
    with pytest.raises(TemplateUnusableError, match="it drops or reorders turns"):
        written(reading("{{ m.body }}"), turn("user", "One?"))
