import json

import pytest

from antiphon.core.errors import OverloadedError
from antiphon.core.prompt import Turn
from antiphon.engines.base import (
    EngineConfig,
    EngineError,
    EngineErrorKind,
    Finished,
    FinishReason,
    Prompt,
    Refusal,
    Thinking,
    ThinkingChunk,
    Tool,
    ToolChoice,
)
from antiphon.engines.scripted import (
    ChosenReply,
    ScriptedCall,
    ScriptedEngine,
    ScriptedOptions,
    ScriptedReply,
    open_scripted,
)
from antiphon.wire.content import BlockParam, TextParam, ToolResultParam
from support.conversation import answer, calls_in, text_of, turn

pytestmark = pytest.mark.anyio

SAY = Tool(name="say", input_schema={"type": "object"})


async def scripted(**reply: object) -> ScriptedEngine:
    return await open_scripted(EngineConfig("scripted", options={"replies": [reply]}))


def ask(**more: object) -> Prompt:
    return Prompt((turn("user", "Hi"),), 100, **more)


async def test_scripted_call_is_made_only_of_an_offered_tool() -> None:
    engine = await scripted(text="So.", tool_calls=[{"name": "say"}, {"name": "unknown"}])
    events = await answer(engine, ask(tools=(SAY,)))
    assert text_of(events) == "So."
    assert calls_in(events) == [("say", "{}")]
    assert calls_in(await answer(engine, ask())) == []
    none = ToolChoice(mode="none")
    assert calls_in(await answer(engine, ask(tools=(SAY,), tool_choice=none))) == []


async def test_result_of_a_call_is_matched_beside_the_text_of_its_turn() -> None:
    replies = [
        {"when": "^18", "text": "Mild."},
        {"when": "^And", "text": "Tomorrow."},
        {"when": "^weather$", "tool_calls": [{"name": "say"}]},
    ]
    config = EngineConfig("scripted", options={"replies": replies, "text": "Else."})
    engine = await open_scripted(config)

    async def said(*content: BlockParam) -> str:
        turns = (turn("user", "weather"), Turn("user", content))
        return text_of(await answer(engine, Prompt(turns, 100, tools=(SAY,))))

    result = ToolResultParam(tool_use_id="toolu_1", content="18 degrees")
    parts = (TextParam(text="It has 18"), TextParam(text=" degrees"))
    assert await said(result) == "Mild."
    assert await said(ToolResultParam(tool_use_id="toolu_1"), TextParam(text="And")) == "Tomorrow."
    assert await said(ToolResultParam(tool_use_id="toolu_1", content=parts)) == "Else."


async def test_call_that_is_required_is_made_from_its_schema() -> None:
    engine = await scripted(text="So.")
    schema = {"type": "object", "properties": {"n": {"type": "integer", "minimum": 3}}}
    tool = Tool(name="add", input_schema={**schema, "required": ["n"]})
    for choice in (ToolChoice(mode="any"), ToolChoice(mode="tool", name="add")):
        events = await answer(engine, ask(tools=(tool, SAY), tool_choice=choice))
        assert calls_in(events) == [("add", '{"n":3}')]
        assert not text_of(events)


async def test_schema_that_is_too_complex_for_an_example_is_refused() -> None:
    engine = await scripted(text="So.")
    schema = {"type": "array", "items": {"type": "null"}, "minItems": 10**9}
    whole = {"type": "object", "properties": {"n": schema}, "required": ["n"]}
    tools = (SAY, Tool(name="add", input_schema=whole))
    choice = ToolChoice(mode="tool", name="add")
    for asked, where in (
        (ask(tools=tools, tool_choice=choice), "tools.1.custom.input_schema"),
        (ask(output_schema=schema), "output_config.format.schema"),
    ):
        with pytest.raises(EngineError) as error:
            await answer(engine, asked)
        assert error.value.kind is EngineErrorKind.UNSUPPORTED
        assert str(error.value) == f"{where}: Schema is too complex for an example."


async def test_only_one_call_is_made_without_parallel_use() -> None:
    engine = await scripted(tool_calls=[{"name": "say"}, {"name": "say"}])
    alone = ToolChoice(parallel=False)
    assert len(calls_in(await answer(engine, ask(tools=(SAY,), tool_choice=alone)))) == 1
    assert len(calls_in(await answer(engine, ask(tools=(SAY,))))) == 2


async def test_scripted_thinking_is_sent_only_if_enabled() -> None:
    engine = await scripted(text="So.", thinking="Well well well")
    events = await answer(engine, ask(thinking=Thinking(mode="enabled", budget=2)))
    thoughts = [event.text for event in events if isinstance(event, ThinkingChunk)]
    assert thoughts == ["Well", " well"]
    assert not any(isinstance(e, ThinkingChunk) for e in await answer(engine, ask()))


@pytest.mark.parametrize(
    ("text", "said"),
    [('{"a": 2}', '{"a": 2}'), ('{"a": 3}', '{"a":1}'), ('{"a": 2', '{"a":1}')],
)
async def test_json_of_the_script_is_kept_if_it_fits(text: str, said: str) -> None:
    engine = await scripted(text=text)
    schema = {"type": "object", "properties": {"a": {"enum": [1, 2]}}, "required": ["a"]}
    assert text_of(await answer(engine, ask(output_schema=schema))) == said


async def test_json_that_is_required_is_made_from_its_schema() -> None:
    engine = await scripted(text="So.")
    schema = {"type": "object", "properties": {"a": {"enum": [1]}}, "required": ["a"]}
    events = await answer(engine, ask(output_schema=schema))
    assert json.loads(text_of(events)) == {"a": 1}
    assert events[-1] == Finished(FinishReason.END_TURN, 1)


async def test_chosen_reply_is_said_as_it_is() -> None:
    asked: list[Prompt] = []

    def choose(prompt: Prompt) -> ChosenReply:
        asked.append(prompt)
        call = ScriptedCall(name="unknown", input={"n": 1})
        return ChosenReply(reply=ScriptedReply(text="So.", tool_calls=(call,)))

    engine = ScriptedEngine(ScriptedOptions(), choose=choose)
    prompt = ask(tools=(SAY,), tool_choice=ToolChoice(mode="any"))
    events = await answer(engine, prompt)
    assert text_of(events) == "So."
    assert calls_in(events) == [("unknown", '{"n":1}')]
    assert asked == [prompt]


async def test_chosen_reply_ends_as_it_says() -> None:
    refusal = Refusal("cyber", "No.")
    chosen = [
        ChosenReply(reply=ScriptedReply(text="No."), reason=FinishReason.REFUSAL, refusal=refusal),
        ChosenReply(reply=ScriptedReply(text="Two words", after=100), failure=OverloadedError()),
        None,
    ]
    engine = ScriptedEngine(ScriptedOptions(text="Else."), choose=lambda _: chosen.pop(0))
    assert (await answer(engine, ask()))[-1] == Finished(FinishReason.REFUSAL, 1, refusal)
    said: list[object] = []

    async def hear() -> None:
        async for event in engine.generate(ask()):
            said.append(event)  # noqa: PERF401 - of an error too, what came before it counts

    with pytest.raises(OverloadedError):
        await hear()
    assert text_of(said) == "Two words"
    assert text_of(await answer(engine, ask())) == "Else."
