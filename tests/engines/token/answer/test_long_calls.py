"""A long call that comes in many pieces takes work in proportion to its length."""

import sys
from types import FrameType
from typing import Any

import pytest

from antiphon.core.prompt import Tool, ToolCallStart
from antiphon.engines.token.answer.answer_format import AnswerFormat
from antiphon.engines.token.answer.parser import AnswerParser
from antiphon.engines.token.notation.notation import Call, Notation
from antiphon.engines.token.prompt.call_syntax import TAGGED
from support.elements import NESTED, QUOTED
from support.elements import TAGGED as ELEMENTS

OBJECT = Notation(opening="<call>", lead="", middle="|", closing="</call>")
PARAMETERS = Notation(opening="<call>", lead="", middle="|", closing="</call>", elements=ELEMENTS)
FIELDS = Notation(opening="<call>", lead="", middle="|", closing="</call>", elements=QUOTED)
PARTS = Notation(opening="<call>", lead="", middle="|", closing="[ns]</call>", elements=NESTED)
LINE = "if it: {so[1]}\n"
TEXT = LINE * 1000
LIST = [LINE] * 1000


class Work:
    """Counts the steps of a parser, and the characters that readers of calls are given."""

    def __init__(self) -> None:
        self.steps = 0
        self.characters = 0

    def __call__(self, frame: FrameType, event: str, _: object) -> None:
        if event != "call":
            return
        name = frame.f_code.co_qualname
        self.steps += name == "AnswerParser._read"
        if name in ("ElementReader.read", "NestedReader.read", "ObjectReader.read"):
            self.characters += len(frame.f_locals["text"])
        elif name == "CallEnd.find":
            self.characters += len(frame.f_locals["piece"])


@pytest.mark.parametrize("syntax", [TAGGED, OBJECT, PARAMETERS, FIELDS, PARTS])
@pytest.mark.parametrize(
    ("kind", "value"),
    [("string", TEXT), ("array", LIST), (["string", "number", "array"], TEXT)],
    ids=["text", "list", "any"],
)
def test_long_call_is_read_once(syntax: Any, kind: Any, value: Any) -> None:
    if isinstance(syntax, Notation):
        written = syntax.write(Call("write", {"it": value}))
    else:
        written = syntax.call("write", {"it": value})
    tool = Tool(name="write", input_schema={"properties": {"it": {"type": kind}}})
    parser = AnswerParser(AnswerFormat(syntax, (tool,), constrained=True))
    pieces = [written[start : start + 4] for start in range(0, len(written), 4)]
    work, before = Work(), sys.getprofile()
    sys.setprofile(work)
    try:
        events = [parser.feed(piece, 1) for piece in pieces]
    finally:
        sys.setprofile(before)
    found = [event for some in events for event in some]
    assert isinstance(found[0], ToolCallStart)
    assert work.steps < 100
    assert work.characters < 12 * len(written)
    assert parser.held == 0


def test_call_that_is_held_tells_its_length() -> None:
    tool = Tool(name="write", input_schema={"type": "object"})
    parser = AnswerParser(AnswerFormat(OBJECT, (tool,), constrained=True))
    for piece in ("<call>", "write|", '{"it": "', "so ", "so "):
        parser.feed(piece, 1)
    assert parser.held == len('write|{"it": "so so ')
