"""An engine that answers by a script, deterministically, at a set speed.

For tests, benchmarks and users' CI: everything around it is the real server.
"""

import asyncio
import re
import sys
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from functools import partial
from typing import Annotated, Any, TypeAlias
from weakref import WeakKeyDictionary

import msgspec
from msgspec import Meta

from antiphon.core.blocks import images_of, rewrite_blocks
from antiphon.core.images import usual_tokens
from antiphon.core.prompt import (
    TextChunk,
    ThinkingChunk,
    ToolCallJson,
    ToolCallStart,
)
from antiphon.engines.base import (
    Capabilities,
    EngineConfig,
    EngineError,
    EngineErrorKind,
    EngineEvent,
    EngineStartError,
    Finished,
    FinishReason,
    Prompt,
    Started,
    checked,
)
from antiphon.engines.step_runner import StepRunner
from antiphon.schemas.example import example
from antiphon.schemas.steps import Steps, TooComplexError, Work
from antiphon.wire.content import ImageParam, ToolResultParam, ToolUseParam
from antiphon.wire.mistakes import explained

DEFAULT_TEXT = "I am the scripted engine of Antiphon: I say what I am told."
# Tokens of a turn beside its text, as a chat template would add them.
TURN_TOKENS = 4
# A stream at full speed yields the event loop after so many events.
BREATH = 64
# Texts of so many characters are cut into tokens one by one, which can be stopped.
LONG_TEXT = 64 * 1024
TOKEN = re.compile(r"\s?\w{1,12}|\s?[^\w\s]|\s")

Amount: TypeAlias = Annotated[float, Meta(ge=0)]


class ScriptedCall(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A call of a tool, and its input."""

    name: Annotated[str, Meta(min_length=1)]
    input: dict[str, Any] = {}


class ScriptedReply(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """The answer to prompts whose last user turn matches `when`, a regular expression.

    `thinking` comes before the text, if the caller enables it, and `tool_calls` behind it, if
    their tools are in the request. A required call, or a required JSON, that the script does not
    have is made from its schema.

    `error` fails the request instead, after `after` tokens of `text`. `delay_s` passes before the
    first token, as with a long prompt.
    """

    when: str = ""
    text: str = DEFAULT_TEXT
    echo: bool = False
    thinking: str = ""
    tool_calls: tuple[ScriptedCall, ...] = ()
    error: EngineErrorKind | None = None
    after: Annotated[int, Meta(ge=0)] = 0
    delay_s: Amount = 0.0


class ScriptedOptions(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """Options of a model on this engine.

    The first of `replies` that matches answers, else `text` does. Speeds are in tokens per
    second, 0 is unlimited. With `images` the model takes images, counts each as the Claude API
    does, and ignores their content.
    """

    text: str = DEFAULT_TEXT
    echo: bool = False
    replies: tuple[ScriptedReply, ...] = ()
    tokens_per_second: Amount = 0.0
    prefill_tokens_per_second: Amount = 0.0
    context_tokens: Annotated[int, Meta(ge=1)] = 200_000
    max_output_tokens: Annotated[int, Meta(ge=1)] | None = None
    images: bool = False


class ScriptedEngine:
    """A whole `Engine` without a model."""

    def __init__(
        self,
        options: ScriptedOptions,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._options = options
        self._sleep = sleep
        self._runner = StepRunner()
        self._counting = StepRunner()
        self._rules = [(re.compile(reply.when, re.DOTALL), reply) for reply in options.replies]
        self._default = ScriptedReply(text=options.text, echo=options.echo)
        # The texts of the script are cut into tokens once.
        self._cut = {reply.text: tokens(reply.text) for reply in (*options.replies, self._default)}
        self.capabilities = Capabilities(
            context_tokens=options.context_tokens,
            max_output_tokens=options.max_output_tokens,
            tools=True,
            forced_tools=True,
            structured_outputs=True,
            thinking=True,
            images=options.images,
        )
        self.ready = True
        # A prompt is counted before it is answered, and its count is needed again then.
        self._counts: WeakKeyDictionary[Prompt, int] = WeakKeyDictionary()

    async def count_tokens(self, prompt: Prompt) -> int:
        count = self._counts.get(prompt)
        if count is None:
            count = await self._counting.run(partial(count_of, prompt))
            self._counts[prompt] = count
        return count

    async def generate(self, prompt: Prompt) -> AsyncGenerator[EngineEvent, None]:
        read = await self.count_tokens(prompt)
        reply, script = await self._runner.run(
            partial(self._script, prompt), brief=read <= LONG_TEXT
        )
        yield Started(input_tokens=read)
        await self._wait(reply.delay_s + _seconds(read, self._options.prefill_tokens_per_second))
        room = self.capabilities.context_tokens - read
        limit = min(prompt.max_tokens, room)
        full = FinishReason.CONTEXT_WINDOW if room < prompt.max_tokens else FinishReason.MAX_TOKENS
        pause = _seconds(1, self._options.tokens_per_second)
        sent = 0
        for position, event in enumerate(script):
            if reply.error is not None and position >= reply.after:
                break
            if position >= limit:
                yield Finished(full)
                return
            if pause or position % BREATH == BREATH - 1:
                await self._sleep(pause)
            yield event
            sent += 1
        if reply.error is not None:
            raise EngineError(reply.error, "the script says so")
        # The token that ends a turn needs room as every other does.
        ends = sent < limit
        yield Finished(FinishReason.END_TURN, tokens=1) if ends else Finished(full)

    async def aclose(self) -> None:
        self.ready = False

    async def _wait(self, seconds: float) -> None:
        if seconds:
            await self._sleep(seconds)

    def _script(self, prompt: Prompt, work: Work) -> tuple[ScriptedReply, Iterator[EngineEvent]]:
        last_user = next((turn for turn in reversed(prompt.turns) if turn.role == "user"), None)
        question = "".join(last_user.texts) if last_user else ""
        rules = (reply for pattern, reply in self._rules if pattern.search(question))
        reply = next(rules, self._default)
        text = question if reply.echo else reply.text
        last = prompt.turns[-1]
        if last.role == "assistant":
            # A prefill is continued, not repeated.
            text = text.removeprefix("".join(last.texts))
        text, calls = reply_as_required(prompt, text, reply.tool_calls, work)
        thought = reply.thinking if prompt.thinking.mode != "disabled" else ""
        pieces = self._cut.get(text) or tokens(text)
        return reply, events_of(tokens(thought)[: prompt.thinking.budget], pieces, calls)


def tokens(text: str) -> tuple[str, ...]:
    """Cut a text into this engine's tokens: words with the space before them, and the rest."""
    # Not `findall`: one call of it would keep all other threads waiting.
    return tuple([token[0] for token in TOKEN.finditer(text)])


def count_of(prompt: Prompt, work: Work) -> int:
    """Return the number of a prompt's tokens; the time is linear in its blocks and characters."""
    # Any number of steps: they leave the event loop, and end with the caller.
    steps = work.budget(sys.maxsize)
    steps.take(sum(1 + len(turn.content) for turn in prompt.turns))
    count = TURN_TOKENS * len(prompt.turns)
    for turn in prompt.turns:
        count += _number_of_tokens("".join(turn.texts), steps)
    count += _number_of_tokens(beside_text(prompt), steps)
    return count + sum(map(usual_tokens, images_of(prompt)))


def _number_of_tokens(text: str, steps: Steps) -> int:
    if len(text) < LONG_TEXT:
        steps.take(len(text) // BREATH)
        return len(TOKEN.findall(text))
    count = 0
    for _ in TOKEN.finditer(text):
        count += 1
        if count % BREATH == 0:
            steps.take()
    return count


def _seconds(amount: int, per_second: float) -> float:
    return amount / per_second if per_second else 0.0


def check_scripted(config: EngineConfig) -> None:
    """Check the script. Raises `EngineStartError`."""
    _scripted(config)


@checked(check_scripted)
async def open_scripted(config: EngineConfig) -> ScriptedEngine:
    """Open the engine; raises `EngineStartError` for options that it does not know."""
    return _scripted(config)


def _scripted(config: EngineConfig) -> ScriptedEngine:
    try:
        options = msgspec.convert(dict(config.options), ScriptedOptions, strict=False)
        return ScriptedEngine(options)
    except msgspec.ValidationError as error:
        path, fault = explained(error, ScriptedOptions)
        where = f"{path}: " if path else ""
        raise EngineStartError(f"model {config.model}: {where}{fault}") from error
    except re.error as error:
        raise EngineStartError(f"model {config.model}: {error}") from error


def reply_as_required(
    prompt: Prompt, text: str, calls: tuple[ScriptedCall, ...], work: Work
) -> tuple[str, tuple[ScriptedCall, ...]]:
    """Return the text and the calls of a reply, made to fit `tool_choice` and the schema."""
    if not prompt.tools and prompt.output_schema is None:
        return text, ()
    choice = prompt.tool_choice
    known = {tool.name: tool for tool in prompt.tools}
    if choice.mode == "none":
        calls = ()
    calls = tuple(call for call in calls if call.name in known)
    if choice.mode in ("any", "tool") and known:
        calls = tuple(call for call in calls if choice.name in (None, call.name))
        tool = known.get(choice.name or "") or prompt.tools[0]
        where = f"tools.{prompt.tools.index(tool)}.custom.input_schema"
        made = ScriptedCall(name=tool.name, input=_example(tool.input_schema, where, work) or {})
        text, calls = "", calls or (made,)
    if not choice.parallel or choice.mode == "tool":
        calls = calls[:1]
    if prompt.output_schema is not None and not calls:
        text = msgspec.json.encode(
            _example(prompt.output_schema, "output_config.format.schema", work)
        ).decode()
    return text, calls


def _example(schema: dict[str, Any], where: str, work: Work) -> Any:
    try:
        return example(schema, work.budget())
    except TooComplexError as error:
        raise EngineError(
            EngineErrorKind.UNSUPPORTED, f"{where}: Schema is too complex for an example."
        ) from error


def events_of(
    thought: tuple[str, ...], pieces: tuple[str, ...], calls: tuple[ScriptedCall, ...]
) -> Iterator[EngineEvent]:
    """Yield the events of an answer, one for each token."""
    for piece in thought:
        yield ThinkingChunk(piece, 1)
    for piece in pieces:
        yield TextChunk(piece, 1)
    for call in calls:
        yield ToolCallStart(call.name, 1)
        text = msgspec.json.encode(call.input).decode()
        for start in range(0, len(text), 12):
            yield ToolCallJson(text[start : start + 12], 1)


def beside_text(prompt: Prompt) -> str:
    """Return the rest of a prompt as text: tools, a schema, calls and results."""
    blocks = [
        block
        for turn in prompt.turns
        for block in turn.content
        if isinstance(block, ToolUseParam | ToolResultParam)
    ]
    if not blocks and not prompt.tools and prompt.output_schema is None:
        return ""
    seen = rewrite_blocks(blocks, lambda block: () if isinstance(block, ImageParam) else (block,))
    parts = [part for part in (*prompt.tools, prompt.output_schema, *seen) if part is not None]
    return msgspec.json.encode(parts).decode()
