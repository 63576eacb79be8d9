from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.late_tools import with_described_tools
from antiphon.core.prompt import Prompt, Tool, Turn
from antiphon.core.token_bounds import tokens_at_most
from antiphon.wire.content import ContentParam
from antiphon.wire.decoding import decode_member
from support.tool_changes import definition, removal

IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}


def prompt(*blocks: dict[str, Any], **more: Any) -> Prompt:
    content = msgspec.convert(blocks, list[ContentParam], dec_hook=decode_member)
    turn = Turn("user", tuple(content))
    return Prompt((turn,), 5, **more)


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


@given(st.lists(st.text(), max_size=4))
def test_no_vocabulary_has_more_tokens_than_there_are_bytes(texts: list[str]) -> None:
    most = tokens_at_most(prompt(*map(text, texts)))
    assert most is not None
    assert most >= sum(len(one.encode("utf-8", "surrogatepass")) for one in texts)


@given(st.text(), st.booleans())
def test_bound_includes_the_text_of_a_change(description: str, removes: bool) -> None:
    schema = {"type": "object", "properties": {"a": {"enum": [*range(300)]}}}
    block = definition("f", description, input_schema=schema)
    changed = prompt(text("Hi"), block, *[removal("f")] * removes, offered=())
    bare, most = tokens_at_most(prompt(text("Hi"))), tokens_at_most(changed)
    assert bare is not None
    assert most is not None
    read = "".join(with_described_tools(changed).turns[0].texts)
    assert most - bare >= len(read.encode("utf-8", "surrogatepass")) - len("Hi")


def test_bound_includes_calls_results_tools_and_schemas() -> None:
    bare = tokens_at_most(prompt(text("Hi")))
    assert bare is not None
    call = {"type": "tool_use", "id": "t", "name": "f", "input": {"a": "x" * 100}}
    result = {"type": "tool_result", "tool_use_id": "t", "content": "x" * 100}
    tool = Tool(name="f", description="x" * 100, input_schema={"type": "object"})
    for longer in (
        prompt(text("Hi"), call),
        prompt(text("Hi"), result),
        prompt(text("Hi"), tools=(tool,)),
        prompt(text("Hi"), output_schema={"title": "x" * 100}),
    ):
        most = tokens_at_most(longer)
        assert most is not None
        assert most >= bare + 100


@pytest.mark.parametrize(
    "block", [IMAGE, {"type": "tool_result", "tool_use_id": "t", "content": [text("Hi"), IMAGE]}]
)
def test_prompt_with_an_image_has_no_token_bound(block: dict[str, Any]) -> None:
    assert tokens_at_most(prompt(block)) is None
