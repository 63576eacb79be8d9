"""Tools that a caller's own search finds, from a request to the tokens and the call of a model."""

from typing import Any

import pytest

from antiphon.engines.token.prompt.call_syntax import TAGGED
from antiphon.service.access import RequestContext
from support.asgi import KEY
from support.organization import StartPlatform
from support.requests import OLD, params
from support.word_machine import WordMachine, word_engine

pytestmark = pytest.mark.anyio

SEARCH = {"name": "search", "description": "Find tools.", "input_schema": {"type": "object"}}
LATE = {
    "name": "late",
    "description": "Come late.",
    "input_schema": {"type": "object"},
    "defer_loading": True,
}
FOUND = {"type": "tool_reference", "tool_name": "late"}


def turns(*rounds: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a question, and a call of the search with what it found for each round."""
    said: list[dict[str, Any]] = [{"role": "user", "content": "Which tools are there?"}]
    for number, content in enumerate(rounds):
        call = {"type": "tool_use", "id": f"toolu_{number}", "name": "search", "input": {}}
        found = {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": content}
        said.append({"role": "assistant", "content": [call]})
        said.append({"role": "user", "content": [found]})
    return said


async def test_tool_is_described_where_it_is_found_and_then_called(
    platform: StartPlatform,
) -> None:
    machine = WordMachine("None.", TAGGED.call("late", {}), "Done.")

    async def opened(*_: object) -> object:
        return await word_engine(machine)

    started = await platform(open_engine=opened)
    caller = await started.access.authenticate(KEY, None, None)
    asked = [
        ([SEARCH], turns()),
        ([LATE, SEARCH], turns([FOUND])),
        ([LATE, SEARCH], turns([FOUND], [FOUND])),
    ]
    messages = []
    for number, (tools, said) in enumerate(asked):
        asking = params(*said, model="scripted", max_tokens=90, tools=tools)
        context = RequestContext(caller, f"req_{number}", OLD)
        async with started.messages.answer(asking, context) as answer:
            messages.append(await answer.message())

    # Without the text that asks the model to go on.
    first, second, third = (
        machine.text_of(one.tokens).removesuffix("<|im_end|>\n<|im_start|>assistant\n")
        for one in machine.asked
    )
    assert "late" not in first
    assert second.startswith(first)
    assert third.startswith(second.removesuffix("\n</tool_response>"))
    description = '{"name": "late", "description": "Come late.", "parameters": {"type": "object"}}'
    assert second.removeprefix(first).count(description) == third.count(description) == 1
    assert third.endswith("<tool_response>\nTool: late\n</tool_response>")
    assert [message.stop_reason for message in messages] == ["end_turn", "tool_use", "end_turn"]
    assert [block.name for block in messages[1].content] == ["late"]
