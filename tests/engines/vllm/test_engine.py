"""The engine on a vLLM: how it opens, what it refuses to open on, and what it promises."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, aclosing, asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from antiphon.core.hints import OF_BATCH
from antiphon.core.prompt import Breakpoint
from antiphon.engines.base import (
    EngineConfig,
    EngineError,
    EngineErrorKind,
    EngineStartError,
    FinishReason,
    Prompt,
    Started,
    Thinking,
    ThinkingChunk,
    Tool,
    ToolChoice,
)
from antiphon.engines.registry import check_engine
from antiphon.engines.vllm.engine import VllmEngine, open_vllm
from antiphon.engines.vllm.options import VllmOptions
from support.conversation import (
    all_events,
    answer,
    ask,
    calls_in,
    eventually,
    first_piece,
    reason_of,
    text_of,
    tokens_in,
    turn,
)
from support.hf_folder import write_folder
from support.simulated_vllm import SimulatedVllm, running
from support.tiny_models import own_tokens
from support.word_machine import THINKING

pytestmark = pytest.mark.anyio

LONG = "One two three four five six seven eight nine ten. " * 20
Opened = Callable[..., Awaitable[VllmEngine]]


@pytest.fixture
async def opened() -> AsyncIterator[Opened]:
    """Open an engine on a server, and close it at the end of the test."""
    async with AsyncExitStack() as stack:

        async def open_one(url: str, **options: Any) -> VllmEngine:
            more = {
                name: options.pop(name) for name in ("cache_minimum_tokens",) if name in options
            }
            engine = await open_vllm(EngineConfig("m", options={"url": url, **options}, **more))
            stack.push_async_callback(engine.aclose)
            return engine

        yield open_one


@asynccontextmanager
async def serving(folder: Path, **how: Any) -> AsyncIterator[SimulatedVllm]:
    async with running(SimulatedVllm(folder, **how)) as server:
        yield server


async def fault(opened: Opened, *args: Any, **options: Any) -> str:
    with pytest.raises(EngineStartError) as caught:
        await opened(*args, **options)
    return str(caught.value)


async def test_server_is_asked_for_all_that_is_not_set(
    opened: Opened, server: SimulatedVllm
) -> None:
    engine = await opened(server.url)
    assert engine.ready
    limits = engine.capabilities
    assert limits.context_tokens == 1024
    assert limits.counts_exactly
    assert limits.keeps_prefixes
    assert not limits.images
    assert not limits.computes_here


async def test_prompt_is_sent_as_the_tokens_that_are_counted(
    opened: Opened, server: SimulatedVllm
) -> None:
    engine = await opened(server.url)
    prompt = ask("Say it <|im_end|>.")
    server.says = ["Oslo."]
    events = await all_events(engine, prompt)
    assert text_of(events) == "Oslo."
    assert reason_of(events) is FinishReason.END_TURN
    body = server.asked[-1]
    assert isinstance(events[0], Started)
    assert events[0].input_tokens == await engine.count_tokens(prompt) == len(body["prompt"])
    marks = [token for token in body["prompt"] if token < 3]
    assert marks == [1, 2, 1]
    assert server._text(body["prompt"]) == (
        "<|im_start|>user\nSay it <|im_end|>.<|im_end|>\n<|im_start|>assistant\n"
    )


async def test_workspaces_have_salts_and_batches_wait(opened: Opened, folder: Path) -> None:
    async with serving(folder, priorities=True) as server:
        engine = await opened(server.url)
        for hints in ({}, {"hints": OF_BATCH}):
            await answer(engine, Prompt((turn("user", "Hi"),), 2, cache_salt="ws", **hints))
        first, second = server.asked[-2:]
        assert (first["cache_salt"], first.get("priority", 0)) == ("ws", 0)
        assert (second["cache_salt"], second["priority"]) == ("ws", 100)


@pytest.mark.parametrize("priority", [None, False])
async def test_server_without_priorities_gets_none(
    opened: Opened, server: SimulatedVllm, priority: bool | None
) -> None:
    engine = await opened(server.url, priority=priority)
    await answer(engine, Prompt((turn("user", "Hi"),), 2, hints=OF_BATCH))
    assert "priority" not in server.asked[-1]


async def test_priorities_that_a_server_refuses_are_told(
    opened: Opened, server: SimulatedVllm
) -> None:
    assert "Got priority 100" in await fault(opened, server.url, priority=True)


async def test_prefix_is_read_first_and_claimed_as_the_server_reports_it(
    opened: Opened, server: SimulatedVllm
) -> None:
    engine = await opened(server.url, cache_minimum_tokens=64)

    async def confirmed(question: str, salt: str = "a") -> Any:
        marks = (Breakpoint(0, (0,), "5m", 0),)
        prompt = Prompt((turn("user", LONG, question),), 2, breakpoints=marks, cache_salt=salt)
        started = (await all_events(engine, prompt))[0]
        assert isinstance(started, Started)
        return started.confirmed

    cold = await confirmed("Why?")
    (edge,) = cold.breakpoints
    assert (cold.reused, cold.stored) == (0, {edge})
    read, answered = server.asked[-2:]
    assert (len(read["prompt"]), read["max_tokens"]) == (edge // 16 * 16 + 1, 1)
    assert answered["prompt"][: len(read["prompt"])] == read["prompt"]
    assert (await confirmed("Who?")).reused == edge
    assert (await confirmed("Who?", salt="b")).reused == 0


async def test_short_prefix_costs_no_request(opened: Opened, server: SimulatedVllm) -> None:
    engine = await opened(server.url)
    before = len(server.asked)
    marks = (Breakpoint(0, (0,), "5m", 0),)
    events = await all_events(engine, Prompt((turn("user", "Hi", "You"),), 2, breakpoints=marks))
    assert isinstance(events[0], Started)
    assert events[0].confirmed is not None
    assert (events[0].confirmed.reused, events[0].confirmed.stored) == (0, frozenset())
    assert len(server.asked) == before + 1


async def test_prefix_that_is_shorter_than_a_block_is_not_kept(
    opened: Opened, folder: Path
) -> None:
    async with serving(folder, block=1024, context=8192) as server:
        engine = await opened(server.url, cache_minimum_tokens=16)
        marks = (Breakpoint(0, (0,), "5m", 0),)
        prompt = Prompt((turn("user", LONG[:500], "Why?"),), 2, breakpoints=marks)
        started = (await all_events(engine, prompt))[0]
    assert isinstance(started, Started)
    assert started.confirmed is not None
    assert started.confirmed.stored == frozenset()


@pytest.mark.parametrize("how", [{"details": False}, {"block": 4096}])
async def test_nothing_is_claimed_where_the_server_reports_nothing(
    opened: Opened, folder: Path, how: dict[str, Any]
) -> None:
    async with serving(folder, **how) as server:
        assert not (await opened(server.url)).capabilities.keeps_prefixes
        assert (await opened(server.url, cache_block_tokens=16)).capabilities.keeps_prefixes


async def test_nothing_is_claimed_if_the_operator_says_so(
    opened: Opened, server: SimulatedVllm
) -> None:
    engine = await opened(server.url, cache_block_tokens=0)
    assert not engine.capabilities.keeps_prefixes


@pytest.mark.parametrize(("block", "context"), [(16, 1024), (128, 1024), (544, 4096)])
async def test_blocks_of_the_prefix_cache_are_found_out(
    opened: Opened, folder: Path, block: int, context: int
) -> None:
    async with serving(folder, block=block, context=context) as server:
        assert (await opened(server.url)).machine._block == block


async def test_thinking_ends_at_its_budget(
    opened: Opened, server: SimulatedVllm, tmp_path: Path
) -> None:
    template = tmp_path / "thinking.jinja"
    template.write_text(THINKING)
    engine = await opened(server.url, chat_template=str(template))
    server.says = ["a " * 400, "So."]
    thinking = Thinking(mode="enabled", budget=20)
    events = await answer(engine, Prompt((turn("user", "Hi"),), 200, thinking=thinking))
    thought = [event for event in events if isinstance(event, ThinkingChunk)]
    assert sum(event.tokens for event in thought) == 20
    reasoning, rest = server.asked[-2:]
    assert "</think>" in reasoning["stop"][0]
    assert server._text(rest["prompt"]).endswith("</think>\n\n")


async def test_thinking_that_ends_by_itself_leaves_the_rest_to_the_answer(
    opened: Opened, server: SimulatedVllm, tmp_path: Path
) -> None:
    template = tmp_path / "thinking.jinja"
    template.write_text(THINKING)
    engine = await opened(server.url, chat_template=str(template))
    server.says = ["I see.\n</think> no", "Yes."]
    thinking = Thinking(mode="enabled", budget=100)
    events = await answer(engine, Prompt((turn("user", "Hi"),), 200, thinking=thinking))
    assert "".join(e.text for e in events if isinstance(e, ThinkingChunk)).strip() == "I see."
    assert text_of(events) == "Yes."


async def test_forced_call_is_held_to_its_schema_by_a_grammar(
    opened: Opened, server: SimulatedVllm
) -> None:
    engine = await opened(server.url)
    tool = Tool(name="look", input_schema={"type": "object", "properties": {"deep": {"const": 1}}})
    choice = ToolChoice(mode="tool", name="look")
    prompt = Prompt((turn("user", "Look."),), 100, tools=(tool,), tool_choice=choice)
    ((name, _),) = calls_in(await answer(engine, prompt))
    assert name == "look"
    assert "root ::= " in server.asked[-1]["structured_outputs"]["grammar"]


async def test_caller_who_leaves_ends_the_work(opened: Opened, folder: Path) -> None:
    async with serving(folder, pause_s=0.001) as server:
        engine = await opened(server.url)
        async with aclosing(engine.generate(ask("Tell.", max_tokens=300))) as events:
            await first_piece(events)
            assert server.running == 1
        await eventually(lambda: server.running == 0)
        assert server.broken_off == 1


async def test_server_that_dies_in_an_answer_is_a_failure(
    opened: Opened, server: SimulatedVllm
) -> None:
    engine = await opened(server.url)
    server.dies_behind = 3
    with pytest.raises(EngineError) as caught:
        await answer(engine, ask("Tell.", max_tokens=100))
    assert caught.value.kind is EngineErrorKind.FAILED


async def test_prompt_that_does_not_fit_is_refused_before_it_is_sent(
    opened: Opened, server: SimulatedVllm
) -> None:
    engine = await opened(server.url)
    before = len(server.asked)
    with pytest.raises(EngineError, match="prompt is too long: ") as caught:
        await answer(engine, ask(LONG * 4))
    assert caught.value.kind is EngineErrorKind.UNSUPPORTED
    assert len(server.asked) == before


async def test_context_that_the_server_refuses_is_told_as_the_api_tells_it(
    opened: Opened, server: SimulatedVllm
) -> None:
    engine = await opened(server.url, context_tokens=100_000)
    with pytest.raises(EngineError, match=r"prompt is too long: \d+ tokens > 1024 maximum"):
        await answer(engine, ask(LONG * 4))


async def test_model_without_a_template_gets_that_of_its_tokens(
    opened: Opened, server: SimulatedVllm, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path / "a", chat_template=None)
    engine = await opened(server.url, tokenizer=str(folder))
    assert await engine.count_tokens(ask("Hi")) > 4
    tokens = own_tokens(None, ("<a>", "<b>", "<c>"))
    folder = write_folder(tmp_path / "b", tokens, chat_template=None)
    async with serving(folder) as other:
        assert "no chat template" in await fault(opened, other.url)


async def test_model_may_have_a_template_for_tools(
    opened: Opened, server: SimulatedVllm, tmp_path: Path
) -> None:
    folder = write_folder(tmp_path)
    (folder / "additional_chat_templates").mkdir()
    (folder / "additional_chat_templates" / "tool_use.jinja").write_text(
        "{% for m in messages %}<|im_start|>{{ m.role }}\nTools! {{ m.content }}<|im_end|>\n"
        "{% endfor %}{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
    )
    engine = await opened(server.url, tokenizer=str(folder))
    await answer(engine, Prompt((turn("user", "Hi"),), 2, tools=(Tool(name="a", input_schema={}),)))
    assert "Tools!" in server._text(server.asked[-1]["prompt"])


async def test_wrong_model_is_told_with_the_right_ones(
    opened: Opened, server: SimulatedVllm
) -> None:
    said = await fault(opened, server.url, model="qwen")
    assert "has no model `qwen`. Set `model` to one of these: smollm2." in said


async def test_one_of_several_models_has_to_be_chosen(
    opened: Opened, server: SimulatedVllm
) -> None:
    server.cards = [{}, {"id": "lora"}]
    assert "set `model` to one of its server's: smollm2, lora" in await fault(opened, server.url)
    assert (await opened(server.url, model="smollm2")).ready


async def test_size_of_the_context_may_have_to_be_set(
    opened: Opened, server: SimulatedVllm
) -> None:
    server.cards = [{"max_model_len": None}]
    assert "Set `context_tokens`" in await fault(opened, server.url)
    engine = await opened(server.url, context_tokens=512)
    assert engine.capabilities.context_tokens == 512


async def test_folder_of_another_machine_is_told(opened: Opened, server: SimulatedVllm) -> None:
    server.cards = [{"root": "/models/of/another/machine"}]
    assert "is no folder here" in await fault(opened, server.url)


async def test_tokenizer_of_another_model_is_told(
    opened: Opened, server: SimulatedVllm, tmp_path: Path
) -> None:
    other = own_tokens(None, ("<|endoftext|>", "<x>", "<|im_start|>", "<|im_end|>"))
    folder = write_folder(tmp_path, other)
    said = await fault(opened, server.url, tokenizer=str(folder))
    assert "is not that of the model `smollm2` on its server" in said
    larger = own_tokens(None, tuple(f"<{number}>" for number in range(2000)))
    folder = write_folder(tmp_path, larger, chat_template="{{ messages }}")
    said = await fault(opened, server.url, tokenizer=str(folder))
    assert "is not that of the model `smollm2` on its server" in said


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"ids": False}, "does not tell the tokens of its answer"),
        ({"grammars": False}, "does not keep to a grammar"),
    ],
)
async def test_server_that_is_too_old_is_told(
    opened: Opened, folder: Path, how: dict[str, Any], said: str
) -> None:
    async with serving(folder, **how) as server:
        text = await fault(opened, server.url)
    assert said in text
    assert "vLLM 0.32.0" in text
    assert "vLLM 0.12 or newer is needed" in text


async def test_folder_without_a_tokenizer_is_told(
    opened: Opened, server: SimulatedVllm, tmp_path: Path
) -> None:
    assert "has no tokenizer.json" in await fault(opened, server.url, tokenizer=str(tmp_path))


async def test_server_that_is_away_keeps_from_starting(opened: Opened) -> None:
    assert "upstream is away" in await fault(opened, "http://127.0.0.1:9")


async def test_server_that_is_busy_keeps_from_starting_if_it_has_to_be_asked(
    opened: Opened, server: SimulatedVllm, folder: Path
) -> None:
    server.is_busy = True
    assert "status 503" in await fault(opened, server.url)
    known = {"model": "smollm2", "context_tokens": 1024, "tokenizer": str(folder)}
    assert not (await opened(server.url, **known)).machine.examined


async def test_server_that_is_away_is_examined_at_the_first_request(
    opened: Opened, folder: Path
) -> None:
    known = {"model": "smollm2", "context_tokens": 1024, "tokenizer": str(folder)}
    async with serving(folder) as server:
        url = server.url
    engine = await opened(url, **known)
    with pytest.raises(EngineError) as caught:
        await answer(engine, ask("Hi"))
    assert caught.value.kind is EngineErrorKind.OVERLOADED
    port = int(url.rpartition(":")[2])
    async with running(SimulatedVllm(folder), port) as server:
        assert tokens_in(await answer(engine, ask("Hi", max_tokens=3))) == 3
        examined = len(server.asked)
        await answer(engine, ask("Hi", max_tokens=3))
        assert len(server.asked) == examined + 1
    engine = await opened(url, **known)
    async with running(SimulatedVllm(folder, grammars=False), port):
        with pytest.raises(EngineError, match="does not keep to a grammar") as caught:
            await answer(engine, ask("Hi"))
    assert caught.value.kind is EngineErrorKind.FAILED


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({}, "`url` is missing"),
        ({"url": "ftp://a"}, "the option `url` is wrong"),
        ({"url": "http://a", "slots": 1}, "slots"),
        ({"url": "http://a", "chat_template": "/missing.jinja"}, "chat template is wrong"),
    ],
)
def test_wrong_options_are_told_before_anything_is_opened(
    options: dict[str, Any], said: str
) -> None:
    with pytest.raises(EngineStartError, match=said):
        check_engine("vllm", EngineConfig("m", options=options))


def test_options_show_no_keys() -> None:
    options = VllmOptions(url="http://user:pass@a", api_key="secret", headers={"a": "b"})
    assert repr(options) == "VllmOptions(model=None, …)"
