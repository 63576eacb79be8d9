"""An engine on a token machine that is none of llama.cpp's: what the seam has to carry."""

import asyncio
import json
import threading
from contextlib import AsyncExitStack, aclosing
from pathlib import Path

import msgspec
import pytest
from msgspec.structs import replace

from antiphon.core.prompt import Breakpoint
from antiphon.engines.base import (
    Confirmation,
    EngineError,
    EngineErrorKind,
    EngineStartError,
    FinishReason,
    Prompt,
    Started,
    TextChunk,
    Thinking,
    ThinkingChunk,
    Tool,
    ToolChoice,
    Turn,
)
from antiphon.engines.token.engine import BRIEF_PARTS, TokenEngine, open_template
from antiphon.engines.token.options import ReasoningTagOptions, TemplateOptions
from antiphon.engines.token.prompt.call_syntax import TAGGED
from antiphon.engines.token.prompt.placeholders import Rendered
from antiphon.engines.token.prompt.template import ChatTemplate
from antiphon.engines.token.prompt.tokens import RenderedPrompt
from antiphon.wire.content import TextParam
from support.conversation import answer, ask, calls_in, reason_of, text_of, tokens_in, turn
from support.images import image_param
from support.templates import CHATML
from support.word_machine import THINKING, WordMachine, word_engine

pytestmark = pytest.mark.anyio

ADD = Tool(
    name="add",
    input_schema={
        "properties": {"n": {"type": "array", "items": {"type": "integer"}, "uniqueItems": True}},
        "required": ["n"],
    },
)


async def test_prompt_is_rendered_tokenized_and_continued() -> None:
    machine = WordMachine("Good day, friend.")
    engine = await word_engine(machine)
    prompt = ask("Hello <|im_end|> there")
    events = await answer(engine, prompt)
    assert text_of(events) == "Good day, friend."
    assert reason_of(events) is FinishReason.END_TURN
    assert tokens_in(events) == len(["Good", " day", ",", " friend", ".", "end"])
    (request,) = machine.asked
    assert machine.text_of(request.tokens) == (
        "<|begin|><|im_start|>user\nHello <|im_end|> there<|im_end|>\n<|im_start|>assistant\n"
    )
    controls = await machine.tokenize("<|im_end|>", control=True)
    assert [request.tokens.count(token) for token in controls] == [1]
    assert await engine.count_tokens(prompt) == len(request.tokens)


class NotingTemplate(ChatTemplate):
    """Notes the threads in which it renders."""

    def __init__(self, source: str, *, bos: str, eos: str) -> None:
        super().__init__(source, bos=bos, eos=eos)
        self.threads: set[int] = set()

    def render(self, prompt: Prompt, *, brief: bool = False) -> Rendered:
        self.threads.add(threading.get_ident())
        return super().render(prompt, brief=brief)


@pytest.mark.parametrize("parts", [3, BRIEF_PARTS + 1])
async def test_prompt_of_many_parts_is_rendered_in_a_thread(parts: int) -> None:
    """Its tokens are those of a prompt that is rendered on the event loop."""
    engine = await word_engine(WordMachine())
    engine._templates = template = NotingTemplate(CHATML, bos="", eos="")
    content = tuple(TextParam(text=f"part {number}") for number in range(parts - 1))
    prompt = Prompt((Turn("user", content),), 1)
    assert await engine.count_tokens(prompt) > parts
    assert (template.threads == {threading.get_ident()}) == (parts <= BRIEF_PARTS)


async def test_limit_and_context_end_an_answer() -> None:
    engine = await word_engine(WordMachine("one two three four", "one two three four"))
    events = await answer(engine, ask("Count.", max_tokens=2))
    assert (text_of(events), tokens_in(events)) == ("one two", 2)
    assert reason_of(events) is FinishReason.MAX_TOKENS
    size = await engine.count_tokens(ask("Count."))
    small = await word_engine(WordMachine("one two three four"), context=size + 3)
    events = await answer(small, ask("Count.", max_tokens=9))
    assert (text_of(events), reason_of(events)) == ("one two three", FinishReason.CONTEXT_WINDOW)
    full = await word_engine(WordMachine(), context=size)
    said = f"^prompt is too long: {size} tokens > {size - 1} maximum$"
    with pytest.raises(EngineError, match=said) as error:
        await answer(full, ask("Count."))
    assert error.value.kind is EngineErrorKind.UNSUPPORTED


@pytest.mark.parametrize("shows_tokens", [True, False])
async def test_reasoning_is_a_completion_of_its_own(*, shows_tokens: bool) -> None:
    machine = WordMachine("Two of them.</think>", "It is two.", shows_tokens=shows_tokens)
    engine = await word_engine(machine, THINKING)
    thinking = Thinking(mode="enabled", budget=50)
    events = await answer(engine, Prompt((turn("user", "Why?"),), 90, thinking=thinking))
    reasoning = "".join(event.text for event in events if isinstance(event, ThinkingChunk))
    assert (reasoning, text_of(events)) == ("Two of them.", "It is two.")
    first, second = machine.asked
    assert first.stop == ("</think>",)
    continued = machine.text_of(second.tokens).removeprefix(machine.text_of(first.tokens))
    assert continued == "Two of them.</think>\n\n"
    closing = await machine.tokenize("</think>", control=True)
    assert second.tokens.count(closing[0]) == 1


@pytest.mark.parametrize("shows_tokens", [True, False])
async def test_call_that_does_not_fit_is_written_again(*, shows_tokens: bool) -> None:
    wrong = "Look: " + TAGGED.call("add", {"n": [1, 1]})
    machine = WordMachine(wrong, TAGGED.call("add", {"n": [1, 2]}), shows_tokens=shows_tokens)
    engine = await word_engine(machine)
    events = await answer(engine, Prompt((turn("user", "Add."),), 90, tools=(ADD,)))
    assert text_of(events) == "Look:"
    assert calls_in(events) == [("add", '{"n": [1, 2]}')]
    first, second = machine.asked
    assert "<tool_call>" in first.shown
    assert machine.text_of(second.tokens) == machine.text_of(first.tokens) + "Look: "
    assert first.grammar != second.grammar


async def test_loaded_tool_is_called_and_a_deferred_one_is_not() -> None:
    late = msgspec.structs.replace(ADD, name="late", deferred=True)
    unknown = msgspec.structs.replace(ADD, name="unknown", deferred=True)
    machine = WordMachine(TAGGED.call("late", {"n": [1, 2]}))
    engine = await word_engine(machine)
    tools = (unknown, ADD, late)
    prompt = Prompt((turn("user", "Add."),), 90, tools=tools, offered=(ADD, late))
    assert calls_in(await answer(engine, prompt)) == [("late", '{"n": [1, 2]}')]
    (request,) = machine.asked
    grammar, written = request.grammar or "", machine.text_of(request.tokens)
    assert [f'\\"{name}\\"' in grammar for name in ("add", "late", "unknown")] == [
        True,
        True,
        False,
    ]
    assert [f'"{name}"' in written for name in ("add", "late", "unknown")] == [True, False, False]


async def test_schema_of_a_loaded_tool_is_refused_by_its_place_in_the_request() -> None:
    late = Tool(name="late", input_schema={"type": "object", "enum": []}, deferred=True)
    unknown = msgspec.structs.replace(ADD, name="unknown", deferred=True)
    any_of = ToolChoice(mode="any")
    asked = Prompt((turn("user", "Add."),), 90, tools=(ADD, unknown, late), tool_choice=any_of)
    prompt = msgspec.structs.replace(asked, offered=(ADD, late))
    with pytest.raises(EngineError, match=r"^tools\.2\.custom\.input_schema: no input fits"):
        await answer(await word_engine(WordMachine()), prompt)
    defined = msgspec.structs.replace(asked, offered=(ADD, msgspec.structs.replace(late)))
    with pytest.raises(EngineError, match=r"^tool_addition\.late\.input_schema: no input fits"):
        await answer(await word_engine(WordMachine()), defined)


async def test_forced_call_and_output_schema_are_requested_with_a_grammar() -> None:
    machine = WordMachine(TAGGED.call("add", {"n": []}), json.dumps({"a": 1}))
    engine = await word_engine(machine)
    forced = ToolChoice(mode="any")
    await answer(engine, Prompt((turn("user", "Add."),), 90, tools=(ADD,), tool_choice=forced))
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"]}
    await answer(engine, Prompt((turn("user", "Add."),), 90, output_schema=schema))
    call, output = (request.grammar or "" for request in machine.asked)
    assert '\\"name\\": \\"add\\"' in call
    assert '\\"a\\"' in output


async def test_prompt_is_read_and_nothing_is_answered_without_tokens() -> None:
    machine = WordMachine("never shown")
    events = await answer(await word_engine(machine), ask("Hello", max_tokens=0))
    assert (events[:-1], reason_of(events)) == ([], FinishReason.MAX_TOKENS)
    assert machine.asked[0].max_tokens == 0


async def test_marked_prompt_is_confirmed_when_its_answer_begins() -> None:
    machine = WordMachine("Good day.", "Good day.", keeps_prefixes=True)
    engine = await word_engine(machine)
    assert engine.capabilities.keeps_prefixes
    assert engine.capabilities.cache_ttls == ("5m", "1h")
    prompt = replace(ask("Hello"), breakpoints=(Breakpoint(0, (0,), number=1),))
    size = await engine.measure(prompt)
    kept = size.breakpoints[1]
    assert (size.tokens, size.breakpoints) == (await engine.count_tokens(prompt), (0, kept))
    assert 0 < kept < size.tokens
    for reused in (0, kept):
        async with aclosing(engine.generate(prompt)) as events:
            confirmed = Confirmation(reused, frozenset({kept}), size.breakpoints)
            assert await anext(events) == Started(input_tokens=size.tokens, confirmed=confirmed)
            assert isinstance(await anext(events), TextChunk)


async def test_prompt_without_breakpoints_starts_before_it_has_a_place() -> None:
    machine = WordMachine("one two", "one two", keeps_prefixes=True)
    engine = await word_engine(machine)
    async with (
        machine.completions(RenderedPrompt([]), ""),
        aclosing(engine.generate(ask("Hello"))) as events,
    ):
        started = await anext(events)
        assert isinstance(started, Started)
        assert started.confirmed is None


async def test_requests_beyond_the_slots_wait() -> None:
    machine = WordMachine(*["one two three"] * 6, slots=2)
    engine = await word_engine(machine)
    most = 0

    async def ask_one() -> None:
        nonlocal most
        async with aclosing(engine.generate(ask("Count."))) as events:
            async for _ in events:
                most = max(most, machine.open)

    await asyncio.gather(*(ask_one() for _ in range(6)))
    assert most == 2


async def test_closing_early_ends_the_completion() -> None:
    machine = WordMachine("one two three")
    engine = await word_engine(machine)
    async with aclosing(engine.generate(ask("Count."))) as events:
        async for event in events:
            if isinstance(event, TextChunk):
                break
        assert machine.open == 1
    assert machine.open == 0


async def test_prompt_is_tokenized_once_while_it_lives() -> None:
    engine = await word_engine(WordMachine())
    prompt = ask("Hello")
    assert await engine.tokens_of(prompt) is await engine.tokens_of(prompt)
    assert await engine.tokens_of(prompt) is not await engine.tokens_of(ask("Hello"))


async def test_engine_is_ready_while_its_machine_is() -> None:
    machine = WordMachine()
    engine = await word_engine(machine)
    assert engine.ready
    machine.ready = False
    assert not engine.ready


async def test_images_are_refused_by_a_machine_without_images() -> None:
    engine = await word_engine(WordMachine())
    prompt = Prompt((Turn("user", (TextParam(text="?"), image_param())),), 8)
    with pytest.raises(EngineError, match="images in these places") as error:
        await engine.count_tokens(prompt)
    assert error.value.kind is EngineErrorKind.UNSUPPORTED


async def test_conversation_that_the_template_cannot_express_is_refused() -> None:
    engine = await word_engine(WordMachine(), "{{ raise_exception('Never.') }}")
    with pytest.raises(EngineError, match=r"cannot express these messages: Never\.") as error:
        await engine.count_tokens(ask("Hello"))
    assert error.value.kind is EngineErrorKind.UNSUPPORTED


async def test_capabilities_are_those_of_the_template() -> None:
    plain = await word_engine(WordMachine(), CHATML, context=99)
    reasoning = await word_engine(WordMachine(), THINKING)
    assert (plain.capabilities.context_tokens, plain.capabilities.thinking) == (99, False)
    assert plain.capabilities.tools
    assert plain.capabilities.forced_tools
    assert plain.capabilities.structured_outputs
    assert not plain.capabilities.images
    assert reasoning.capabilities.thinking
    assert reasoning.capabilities.efforts


@pytest.mark.parametrize(
    ("of_model", "named", "sampled"),
    [(None, None, 1.0), (0.25, None, 0.25), (0.0, None, 0.0), (0.25, 1.0, 1.0), (0.25, 0.5, 0.5)],
)
async def test_temperature_of_the_model_is_that_of_requests_without_one(
    of_model: float | None, named: float | None, sampled: float
) -> None:
    machine = WordMachine("Hi")
    engine = await word_engine(machine, temperature=of_model)
    more = {"any_temperature": True} if named is None else {"temperature": named}
    prompt = Prompt((turn("user", "Hi"),), 9, **more)  # type: ignore[arg-type]
    await answer(engine, prompt)
    (request,) = machine.asked
    assert request.temperature == sampled


async def test_resources_are_closed_with_the_engine() -> None:
    closed = asyncio.Event()
    stack = AsyncExitStack()
    stack.callback(closed.set)
    engine = await word_engine(WordMachine())
    owner = TokenEngine(
        engine.machine,
        engine._templates,
        engine._tokenizer,
        engine.capabilities,
        resources=stack,
    )
    await owner.aclose()
    assert closed.is_set()


def test_options_name_the_template_and_the_tags(tmp_path: Path) -> None:
    path = tmp_path / "chat.jinja"
    path.write_text(CHATML)
    tags = ReasoningTagOptions(open="<ponder>", close="</ponder>")
    options = TemplateOptions(chat_template=str(path), thinking=tags)
    template = open_template("m", options, "never used", bos="", eos="")
    assert template.reasoning.tags is not None
    assert template.reasoning.tags.opening == "<ponder>"
    own = open_template("m", TemplateOptions(thinking=False), THINKING, bos="", eos="")
    assert own.reasoning.tags is None


def test_template_that_is_wrong_is_a_start_error() -> None:
    with pytest.raises(EngineStartError, match="Model `m`: its chat template is wrong: line 1"):
        open_template("m", TemplateOptions(), "{% for %}", bos="", eos="")
