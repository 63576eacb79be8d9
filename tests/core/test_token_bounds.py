from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from antiphon.core.prompt import Prompt, Tool, Turn
from antiphon.core.token_bounds import tokens_at_most
from antiphon.wire.content import ContentParam

IMAGE = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AA=="}}


def prompt(*blocks: dict[str, Any], **more: Any) -> Prompt:
    turn = Turn("user", tuple(msgspec.convert(blocks, list[ContentParam])))
    return Prompt((turn,), 5, **more)


def text(said: str) -> dict[str, Any]:
    return {"type": "text", "text": said}


@given(st.lists(st.text(), max_size=4))
def test_no_vocabulary_has_more_tokens_than_there_are_bytes(texts: list[str]) -> None:
    most = tokens_at_most(prompt(*map(text, texts)))
    assert most is not None
    assert most >= sum(len(one.encode("utf-8", "surrogatepass")) for one in texts)


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
