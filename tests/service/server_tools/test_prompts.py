"""The rounds of an answer as a token machine reads them, and the conversation that follows."""

from itertools import pairwise
from typing import Any

import msgspec
import pytest

from antiphon.engines.token.prompt.call_syntax import TAGGED
from antiphon.service.access import RequestContext
from support.asgi import KEY
from support.organization import StartPlatform
from support.requests import OLD, params
from support.tool_search import BM25, LOOK, QUESTION, REGEX, deferred
from support.word_machine import WordMachine, word_engine

pytestmark = pytest.mark.anyio

TOOLS = [REGEX, BM25, deferred("get_weather", "How the weather is."), deferred("send_mail")]
DESCRIBED = '"description": "How the weather is."'


async def said(platform: StartPlatform, machine: WordMachine, *asked: dict[str, Any]) -> list[Any]:
    """Send requests, each made of what was said before; return the answers as JSON."""

    async def opened(*_: object) -> object:
        return await word_engine(machine)

    started = await platform(open_engine=opened)
    caller = await started.access.authenticate(KEY, None, None)
    answers: list[Any] = []
    messages: list[Any] = []
    for number, more in enumerate(asked):
        messages.append(more)
        context = RequestContext(caller, f"req_{number}", OLD)
        asking = params(*messages, model="scripted", max_tokens=200, tools=TOOLS)
        async with started.messages.answer(asking, context) as answer:
            answers.append(msgspec.to_builtins(await answer.message()))
        messages.append({"role": "assistant", "content": answers[-1]["content"]})
    return answers


async def test_each_prompt_begins_with_the_one_before(platform: StartPlatform) -> None:
    machine = WordMachine(
        "I look. " + TAGGED.call(REGEX["name"], {"pattern": "("}),
        TAGGED.call(REGEX["name"], {"pattern": "weather"}),
        TAGGED.call("get_weather", LOOK["input"]),
        "It rains.",
    )
    used = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "Rain."}
    answers: list[Any] = await said(platform, machine, QUESTION)
    used["tool_use_id"] = answers[0]["content"][-1]["id"]
    prompts = [machine.text_of(one.tokens) for one in machine.asked]
    assert len(prompts) == 3
    for before, after in pairwise(prompts):
        assert after.startswith(before)
    first, second, third = prompts
    assert DESCRIBED not in second
    assert "Error: Invalid regular expression pattern" in second
    assert third.count(DESCRIBED) == 1
    assert "send_mail" not in third
    # The tool that was found may be called only from there on.
    grammars = [one.grammar or "" for one in machine.asked]
    assert ["get_weather" in grammar for grammar in grammars] == [False, False, True]
    assert REGEX["name"] in first


async def test_conversation_that_comes_back_begins_with_all_rounds(
    platform: StartPlatform,
) -> None:
    machine = WordMachine(
        TAGGED.call(BM25["name"], {"query": "weather"}), "I found a tool.", "It rains."
    )
    await said(platform, machine, QUESTION, {"role": "user", "content": "Use it."})
    first, second, third = [machine.text_of(one.tokens) for one in machine.asked]
    assert second.startswith(first)
    # What ends with the mark of the assistant's turn goes on with what it said.
    assert third.startswith(second)
    assert third.count(DESCRIBED) == 1
