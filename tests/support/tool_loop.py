"""A loop of calls that the official SDK runs, on models whose words are scripted.

The models have real templates. What they write is put into their mouths where tokens leave a token
machine, in the notation of each template; the prompts that arrive there are compared with what
Jinja renders by itself.
"""

import json
import re
from collections.abc import AsyncGenerator, Iterator, Mapping
from datetime import datetime
from typing import Any

import anthropic
import msgspec
from anthropic import beta_async_tool

from antiphon.core.late_tools import description_of
from antiphon.core.prompt import Prompt, Thinking, Tool
from antiphon.engines.token.engine import TokenEngine, capabilities_of
from antiphon.engines.token.machine import CompletionRequest, Piece
from antiphon.engines.token.notation.notation import Call, Notation
from antiphon.engines.token.prompt.jinja_environment import to_json
from antiphon.engines.token.prompt.template import ChatTemplate
from antiphon.engines.token.prompt.tokens import Tokenizer
from antiphon.engines.token.prompt.tool_prompt import call_instructions, tool_prompt
from support.asgi import KEY
from support.reference_jinja import reference_jinja
from support.word_machine import BEGIN, CONTROL, WordMachine

ROUNDS = 10
QUESTION = "Where is it?"
ANSWER = "It is not here."
HARD = 'it\'s "<b>" & \\n\n'
NOW = datetime(2026, 11, 29, 12, 0)  # noqa: DTZ001 - a local date, as templates write it
SCHEMA = {
    "type": "object",
    "properties": {
        "at": {"type": "string", "description": "Where."},
        "depth": {"type": "integer", "description": "Depth."},
    },
    "required": ["at", "depth"],
}


@beta_async_tool(name="look", description="To look.", input_schema=SCHEMA)
async def look(at: str, depth: int) -> str:
    return f"Not <here>, {depth}: {at.strip()}"


def given(number: int) -> dict[str, Any]:
    return {"at": f"{HARD}{number}", "depth": number}


class SpeakingMachine(WordMachine):
    """Leaves out the beginning of a call if the prompt ends with it, as a model would."""

    def __init__(self, *answers: str, opening: str, control: re.Pattern[str]) -> None:
        super().__init__(*answers, control=control)
        self._opening = opening

    def complete(self, request: CompletionRequest) -> AsyncGenerator[Piece, None]:
        if self._opening and self.text_of(request.tokens).endswith(self._opening):
            self._answers[0] = self._answers[0].removeprefix(self._opening)
        return super().complete(request)


class Model:
    """A template, and what its model writes in the loop."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.chat = ChatTemplate(source, bos=BEGIN, eos="<|im_end|>", now=lambda: NOW)
        reasoning = self.chat.reasoning
        # Without a field, thoughts are a part of the content, which no reference says how to write.
        self.thinks = reasoning.tags is not None and reasoning.field is not None
        self.thinking = Thinking(mode="enabled", budget=1024) if self.thinks else Thinking()
        self.machine = SpeakingMachine(
            *self._words(), opening=self.chat.syntax.opening, control=self._control()
        )

    async def engine(self) -> TokenEngine[WordMachine]:
        """Return an engine that speaks these words."""
        tokenizer = await Tokenizer.open(self.machine.tokenize)
        return TokenEngine(self.machine, self.chat, tokenizer, capabilities_of(self.chat, 100_000))

    def prompts(self) -> list[str]:
        """Return the prompts that arrived, each once: a thought continues the same one."""
        asked = self.machine.asked[:: 2 if self.thinks else 1]
        return [self.machine.text_of(one.tokens).removeprefix(BEGIN) for one in asked]

    def references(self, identifiers: list[str]) -> Iterator[list[str]]:
        """Yield what Jinja renders for each prompt of the loop: alone, and with what opens or
        skips a thought behind it."""
        tags = self.chat.reasoning.tags
        added = ("", tags.begin, tags.end, tags.nothing) if tags else ("",)
        template = reference_jinja(lambda: NOW).from_string(self.source)
        described = description_of(TOOL)
        for said in range(ROUNDS + 1):
            rendered = template.render(
                messages=self._messages(identifiers[:said]),
                tools=[{"type": "function", "function": described}],
                # Firefunction reads these variables in their place.
                functions=json.dumps([described], indent=4),
                datetime=f"{NOW:%Y-%m-%d}",
                documents=None,
                add_generation_prompt=True,
                bos_token=BEGIN,
                eos_token="<|im_end|>",
                **self.chat.reasoning.variables(self.thinking, None),
            )
            yield [rendered.removeprefix(BEGIN) + more for more in added]

    def _words(self) -> Iterator[str]:
        """Yield each completion: a thought up to its end, if there is one, and what follows."""
        syntax, tags = self.chat.syntax, self.chat.reasoning.tags
        opening = syntax.text_opening if isinstance(syntax, Notation) else ""
        for number in range(ROUNDS + 1):
            if self.thinks and tags is not None:
                yield f"Thought {number}." + tags.end.partition(tags.closing)[0] + tags.closing
            if number == ROUNDS:
                yield opening + ANSWER
            elif isinstance(syntax, Notation):
                yield syntax.write(Call("look", given(number), f"call{number:05}", 0))
            else:
                yield syntax.call("look", given(number))

    def _control(self) -> re.Pattern[str]:
        tags = self.chat.reasoning.tags
        marks = {*self.chat.syntax.marks, *(tags.tokens if tags else ())} - {""}
        longest = sorted((one for one in marks if one.strip()), key=len, reverse=True)
        return re.compile("|".join([*map(re.escape, longest), CONTROL.pattern]))

    def _messages(self, identifiers: list[str]) -> list[dict[str, Any]]:
        """Return the conversation in the form of transformers."""
        found: list[dict[str, Any]] = []
        if not self.chat.describes:
            calls = call_instructions(self.chat.syntax)
            first = tool_prompt(Prompt((), 1, tools=(TOOL,)), calls)
            text = "".join(part.separator + part.text for part in first)
            found.append({"role": "system", "content": text.removeprefix(first[0].separator)})
        found.append({"role": "user", "content": QUESTION})
        syntax = self.chat.syntax
        as_text = isinstance(syntax, Notation) and syntax.arguments_as_text
        for number, one in enumerate(identifiers):
            identifier = self.chat._writer.identifier(one)
            arguments = to_json(given(number)) if as_text else given(number)
            function = {"name": "look", "arguments": arguments}
            calls_of = [{"type": "function", "id": identifier, "function": function}]
            empty = syntax.empty if isinstance(syntax, Notation) else ""
            answer = {"role": "assistant", "content": empty, "tool_calls": calls_of}
            if self.thinks:
                answer[self.chat.reasoning.field or ""] = f"Thought {number}."
            content = f"Not <here>, {number}: {given(number)['at'].strip()}"
            result = {"role": "tool", "tool_call_id": identifier, "name": "look"}
            found += [answer, {**result, "content": content}]
        return found


TOOL = Tool(name="look", description="To look.", input_schema=SCHEMA)


async def run(url: str, name: str, model: Model) -> list[Any]:
    """Let the SDK run the loop, and return its messages."""
    thinking: Mapping[str, Any] = (
        {"type": "enabled", "budget_tokens": 1024} if model.thinks else {"type": "disabled"}
    )
    async with anthropic.AsyncAnthropic(base_url=url, api_key=KEY, max_retries=0) as client:
        runner = client.beta.messages.tool_runner(
            model=name,
            max_tokens=4000,
            thinking=thinking,  # type: ignore[arg-type]  # a literal
            tools=[look],
            messages=[{"role": "user", "content": QUESTION}],
        )
        return [message async for message in runner]


def identifiers_of(messages: list[Any]) -> list[str]:
    return [block.id for one in messages for block in one.content if block.type == "tool_use"]


class Loop(msgspec.Struct):
    """What a loop of one model was: its messages, and where a prompt was another than expected."""

    messages: list[Any]
    other_prompts: list[int]


async def loop_of(url: str, name: str, model: Model) -> Loop:
    messages = await run(url, name, model)
    pairs = zip(model.prompts(), model.references(identifiers_of(messages)), strict=True)
    other = [number for number, (ours, reference) in enumerate(pairs) if ours not in reference]
    return Loop(messages, other)
