"""Tools that a caller's own search finds, from a request to the tokens and the call of a model."""

from typing import Any

import pytest

from antiphon.engines.token.prompt.call_syntax import TAGGED
from antiphon.engines.token.prompt.tool_prompt import CALLS
from antiphon.service.access import RequestContext
from support.asgi import KEY
from support.gbnf import Grammar
from support.organization import StartPlatform
from support.requests import OLD, params
from support.tool_changes import definition, removal
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


async def answered(
    platform: StartPlatform, machine: WordMachine, *asked: dict[str, Any]
) -> tuple[list[Any], list[str]]:
    """Return the answers, and the prompts without the text that asks the model to go on."""

    async def opened(*_: object) -> object:
        return await word_engine(machine)

    started = await platform(open_engine=opened)
    caller = await started.access.authenticate(KEY, None, None)
    messages = []
    for number, fields in enumerate(asked):
        said = fields.pop("messages")
        asking = params(*said, model="scripted", max_tokens=90, **fields)
        context = RequestContext(caller, f"req_{number}", OLD)
        async with started.messages.answer(asking, context) as answer:
            messages.append(await answer.message())
    prompts = (machine.text_of(one.tokens) for one in machine.asked)
    return messages, [one.removesuffix("<|im_end|>\n<|im_start|>assistant\n") for one in prompts]


async def test_tool_is_described_where_it_is_found_and_then_called(
    platform: StartPlatform,
) -> None:
    machine = WordMachine("None.", TAGGED.call("late", {}), "Done.")
    messages, (first, second, third) = await answered(
        platform,
        machine,
        {"tools": [SEARCH], "messages": turns()},
        {"tools": [LATE, SEARCH], "messages": turns([FOUND])},
        {"tools": [LATE, SEARCH], "messages": turns([FOUND], [FOUND])},
    )
    assert "late" not in first
    assert second.startswith(first)
    assert third.startswith(second.removesuffix("\n</tool_response>"))
    description = '{"name": "late", "description": "Come late.", "parameters": {"type": "object"}}'
    assert second.removeprefix(first).count(description) == third.count(description) == 1
    assert third.endswith("<tool_response>\nTool: late\n</tool_response>")
    assert [message.stop_reason for message in messages] == ["end_turn", "tool_use", "end_turn"]
    assert [block.name for block in messages[1].content] == ["late"]


async def test_tool_is_defined_called_and_removed_where_messages_say_so(
    platform: StartPlatform,
) -> None:
    """Without any tools in front, the first definition says how tools are called."""
    machine = WordMachine("None.", TAGGED.call("new", {}), "Done.")
    begun = [
        {"role": "user", "content": "Which tools are there?"},
        {"role": "assistant", "content": "None."},
        {"role": "user", "content": "And now?"},
        {"role": "system", "content": [definition("new", "Be new.")]},
    ]
    use = {"type": "tool_use", "id": "toolu_1", "name": "new", "input": {}}
    used = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "It was new."}
    more = [
        {"role": "assistant", "content": [use]},
        {"role": "user", "content": [used]},
        {"role": "system", "content": [removal("new")]},
    ]
    messages, (first, second, third) = await answered(
        platform,
        machine,
        {"messages": begun[:1]},
        {"messages": begun},
        {"messages": [*begun, *more]},
    )
    assert second.startswith(first)
    assert third.startswith(second)
    description = '{"name": "new", "description": "Be new.", "parameters": {"type": "object"}}'
    assert third.index(CALLS) < third.index(description) < third.index("It was new.")
    assert third.count(CALLS) == third.count(description) == 1
    assert third.endswith("You can no longer call this tool: new")
    assert [message.stop_reason for message in messages] == ["end_turn", "tool_use", "end_turn"]
    assert '\\"new\\"' in (machine.asked[1].grammar or "")
    # A model that calls it all the same would write the call as text.
    last = Grammar(machine.asked[2].grammar or "")
    assert last.allows("A <tool> of mine.")
    assert not last.allows(TAGGED.call("new", {}))
