"""How the scripted engine reads a prompt: its tokens, and the prefixes that it keeps of it.

A prompt is counted block by block, in the order of the prompt cache: tools, the schema of the
answer, then the turns. So prompts that begin alike count alike as far as they do, wherever their
breakpoints are.
"""

import re
import sys
from collections import OrderedDict
from collections.abc import Iterator
from hashlib import sha256
from typing import Any, Final

import msgspec

from antiphon.core.blocks import Path, inner_blocks, with_inner_blocks
from antiphon.core.images import usual_tokens
from antiphon.core.late_tools import with_described_tools
from antiphon.core.prompt import Prompt, PromptSize
from antiphon.schemas.steps import Work
from antiphon.wire.content import (
    BlockParam,
    ImageParam,
    TextParam,
    ToolResultParam,
    ToolUseParam,
)

TOKEN: Final = re.compile(r"\s?\w{1,12}|\s?[^\w\s]|\s")
TURN_TOKENS: Final = 4
"""The tokens of a turn beside its text, as a chat template would add them."""
LONG_TEXT: Final = 64 * 1024
"""The characters from which on a text is cut into tokens one by one, which can be stopped."""
CHARACTERS_A_STEP: Final = 64


class PrefixEnd(msgspec.Struct, frozen=True, gc=False):
    """The end of a tool or a block: the tokens up to there, and a hash of salt and content."""

    tokens: int
    key: bytes


class CountedPrompt(msgspec.Struct, frozen=True):
    """A prompt as the engine reads it.

    `ends` are those of all tools and blocks, and `marked` those with a breakpoint; a prompt
    without breakpoints has neither.
    """

    size: PromptSize
    ends: tuple[PrefixEnd, ...] = ()
    marked: tuple[PrefixEnd, ...] = ()


def tokens(text: str) -> tuple[str, ...]:
    """Cut a text into this engine's tokens: words with the space before them, and the rest."""
    # Not `findall`: one call of it would keep all other threads waiting.
    return tuple([token[0] for token in TOKEN.finditer(text)])


def count_prompt(prompt: Prompt, work: Work) -> CountedPrompt:
    """Read a prompt; the time is linear in its blocks and characters."""
    if prompt.offered is not None:
        # This takes a few µs for each block.
        work.budget(sys.maxsize).take(sum(len(turn.content) for turn in prompt.turns))
        prompt = with_described_tools(prompt)
    counting = _Counting(prompt, work)
    for index, tool in enumerate(prompt.tools):
        if not tool.deferred:
            counting.add(tool)
            counting.end(None, (index,))
    if prompt.output_schema is not None:
        counting.add(prompt.output_schema)
    for index, turn in enumerate(prompt.turns):
        counting.begin_turn(turn.role)
        for number, block in enumerate(turn.content):
            counting.add_block(block, index, (number,))
    return counting.result()


class KeptPrefixes:
    """The prefixes that the engine keeps: the `most` that were used last.

    A prefix shorter than `minimum_tokens` is not kept. Salts are in the keys, so that workspaces
    share nothing.
    """

    def __init__(self, most: int, minimum_tokens: int) -> None:
        self._most = most
        self._minimum_tokens = minimum_tokens
        self._kept: OrderedDict[bytes, None] = OrderedDict()

    def reused(self, prompt: CountedPrompt) -> int:
        """Return the tokens of the longest prefix of a prompt that is kept."""
        for end in reversed(prompt.ends):
            if end.key in self._kept:
                self._kept.move_to_end(end.key)
                return end.tokens
        return 0

    def worth_keeping(self, prompt: CountedPrompt) -> tuple[PrefixEnd, ...]:
        """Return the prefixes of a prompt to keep: the longest, if there is no room for all."""
        long = tuple(end for end in prompt.marked if end.tokens >= self._minimum_tokens)
        return long[-self._most :]

    def keep(self, prompt: CountedPrompt) -> None:
        """Keep the prefixes of a prompt whose answer begins."""
        for end in self.worth_keeping(prompt):
            self._kept[end.key] = None
            self._kept.move_to_end(end.key)
        while len(self._kept) > self._most:
            self._kept.popitem(last=False)


class _Counting:
    """A prompt while it is read."""

    def __init__(self, prompt: Prompt, work: Work) -> None:
        # Any number of steps: they leave the event loop, and end with the caller.
        self._steps = work.budget(sys.maxsize)
        self._tokens = 0
        self._prefixes = _Prefixes(prompt) if prompt.breakpoints else None

    def begin_turn(self, role: str) -> None:
        self._steps.take()
        self._tokens += TURN_TOKENS
        if self._prefixes is not None:
            self._prefixes.add(role)

    def add(self, part: Any) -> None:
        """Add what is read as its JSON."""
        self._tokens += self._count(msgspec.json.encode(part).decode())
        self._hash(part)

    def add_block(self, block: BlockParam, turn: int, path: Path) -> None:
        if isinstance(block, TextParam):
            self._tokens += self._count(block.text)
            if self._prefixes is not None:
                self._prefixes.add(block)
        else:
            self._add_other(block)
            for number, one in enumerate(inner_blocks(block)):
                self.add_block(one, turn, (*path, number))
        self.end(turn, path)

    def _add_other(self, block: BlockParam) -> None:
        """Add a block that is no text, without the blocks inside of it."""
        self._steps.take()
        match block:
            case ImageParam():
                self._tokens += usual_tokens(block)
                self._hash(block)
            case ToolUseParam():
                self.add(block)
            case ToolResultParam():
                self.add(with_inner_blocks(block, ()))
            case _:
                # Thinking costs nothing, but a prompt without it is another one.
                self._hash(block)

    def end(self, turn: int | None, path: Path) -> None:
        """Note that a tool or a block is complete."""
        if self._prefixes is not None:
            self._prefixes.end(self._tokens, turn, path)

    def result(self) -> CountedPrompt:
        if self._prefixes is None:
            return CountedPrompt(PromptSize(self._tokens))
        return self._prefixes.of_prompt(self._tokens)

    def _hash(self, part: Any) -> None:
        if self._prefixes is not None:
            self._prefixes.add(part)

    def _count(self, text: str) -> int:
        if len(text) < LONG_TEXT:
            self._steps.take(1 + len(text) // CHARACTERS_A_STEP)
            return len(TOKEN.findall(text))
        count = 0
        for _ in TOKEN.finditer(text):
            count += 1
            if count % CHARACTERS_A_STEP == 0:
                self._steps.take()
        return count


class _Prefixes:
    """The prefixes of a prompt with breakpoints, while it is read."""

    def __init__(self, prompt: Prompt) -> None:
        self._digest = sha256(prompt.cache_salt.encode() + b"\0")
        self._ends: list[PrefixEnd] = []
        self._marks = {(one.turn, one.path): one.number for one in prompt.breakpoints}
        self._marked: dict[int, PrefixEnd] = {}

    def add(self, part: Any) -> None:
        # JSON has no NUL, so two parts never look like one.
        self._digest.update(msgspec.json.encode(part) + b"\0")

    def end(self, tokens: int, turn: int | None, path: Path) -> None:
        """Note that a tool or a block is complete, and the tokens of the prompt up to there."""
        self._digest.update(b")")
        end = PrefixEnd(tokens, self._digest.digest())
        self._ends.append(end)
        number = self._marks.get((turn, path))
        if number is not None:
            self._marked[number] = end

    def of_prompt(self, tokens: int) -> CountedPrompt:
        """Return the whole prompt, which has so many tokens."""
        marked = tuple(self._marked.values())
        return CountedPrompt(PromptSize(tokens, tuple(self._sizes())), tuple(self._ends), marked)

    def _sizes(self) -> Iterator[int]:
        for number in range(max(self._marked, default=-1) + 1):
            end = self._marked.get(number)
            yield end.tokens if end else 0
