"""The chain of a prompt: a key for each of its prefixes.

A prefix ends behind one block: a tool, a block of the system prompt, a block of a message, or a
block inside of one. Its key is a hash of the key before it and of the block, so two requests have
the same key if all of the prompt up to there is the same:

    root ─ tools … ─ settings of the system prompt ─ system … ─ settings of the messages ─ blocks …

The settings of a section are no blocks, but a change of them loses the cache from there on. They
stand where the API's table of what invalidates a cache has them; `_system_settings` and
`_message_parameters` are that table.

Blocks are hashed as msgspec writes the decoded structs: without `cache_control`, with the keys of
inputs and schemas in the order in which the caller sent them. White space between JSON tokens, the
escapes of a string, and an absent key instead of its default make no difference. A tool that is
loaded late is hashed with the block that loads it.
"""

from collections.abc import Mapping, Sequence
from hashlib import sha256
from typing import Any, Final

import msgspec

from antiphon.core.billing.pricing import CacheTtl
from antiphon.core.blocks import Path, inner_blocks, with_inner_blocks
from antiphon.core.citations.sources import Citable, has_citations_enabled
from antiphon.core.errors import InvalidRequestError
from antiphon.core.late_tools import OfferedTools
from antiphon.core.prompt import Prompt, Role, Tool, Turn
from antiphon.wire.content import (
    TOOL_CHANGES,
    BlockParam,
    ImageParam,
    TextParam,
    ToolReferenceParam,
    ToolResultParam,
    ToolUseParam,
)

# What a hashed content is. No name contains NUL, which ends it, so no two contents look alike.
_ROOT: Final = b"root\0"
_TOOL: Final = b"tool\0"
_SYSTEM_SETTINGS: Final = b"system settings\0"
_MESSAGE_SETTINGS: Final = b"message settings\0"
_BLOCK: Mapping[Role, bytes] = {"system": b"system\0", "user": b"user\0", "assistant": b"model\0"}
_OPENING: Mapping[Role, bytes] = {
    "system": b"system (\0",
    "user": b"user (\0",
    "assistant": b"model (\0",
}
_CLOSING: Final = b")\0"

# Up to here a copy costs less than three calls.
_SMALL: Final = 4096

# Blocks of these classes that follow each other count as one position.
_RUNS: Final = (ToolUseParam, ToolResultParam)


class ChainRoot(msgspec.Struct, frozen=True, kw_only=True):
    """What a cache entry belongs to besides its content: a workspace, a model, a speed.

    `model` is the id of the model that answers, not the requested name. Requests of different
    speeds share the tools alone, as the API's table has it. `default_effort` is the effort of a
    request that names none: to name it explicitly changes nothing.
    """

    organization_id: str
    workspace_id: str
    model: str
    speed: str = "standard"
    default_effort: str = "high"


class Prefix(msgspec.Struct, frozen=True, gc=False):
    """A part of a prompt, from its beginning to the end of one block.

    `position` counts the blocks on the outside: a run of calls is one, and so is a run of results;
    a block inside of another one has the position of the outer one. `size` is the number of
    hashed bytes.
    """

    key: bytes
    position: int
    size: int


class SectionEnd(msgspec.Struct, frozen=True, gc=False):
    """The key and the size of a chain at the end of a section, which may be empty."""

    key: bytes
    size: int


class MarkedPrefix(msgspec.Struct, frozen=True, gc=False):
    """A breakpoint in a chain: the index of the prefix that ends there, and the lifetime."""

    index: int
    ttl: CacheTtl


class Chain(msgspec.Struct, frozen=True):
    """The prefixes of a prompt, and its breakpoints among them, both in the prompt's order.

    `model_key` is a key of the root and the speed alone, `parameters_key` one of the parameters
    whose change loses the cache of the messages. `tools` and `system` are the ends of
    these sections; the prefixes from the index `first_message` on are those of the messages.
    """

    prefixes: tuple[Prefix, ...]
    breakpoints: tuple[MarkedPrefix, ...]
    model_key: bytes
    parameters_key: bytes
    tools: SectionEnd
    system: SectionEnd
    first_message: int


def chain_of(prompt: Prompt, root: ChainRoot) -> Chain:
    """Return the chain of a prompt as validation returned it: before documents become text.

    It takes time linear in the bytes of the request, and memory for one `Prefix` a block. Raises
    `InvalidRequestError` if an input or a schema is nested too deeply to be written, and
    `UnknownBlockError` for a block that `core.blocks` does not know.
    """
    try:
        return _chain_of(prompt, root)
    except RecursionError:
        raise InvalidRequestError("An input or a schema is nested too deeply") from None


def _chain_of(prompt: Prompt, root: ChainRoot) -> Chain:
    shared = [root.organization_id, root.workspace_id, root.model]
    builder = _Builder(prompt)
    builder.mix(_ROOT, shared)
    builder.add_tools(prompt.tools)
    tools = builder.section_end()
    has_citations, has_images = _features(prompt)
    builder.mix(_SYSTEM_SETTINGS, _system_settings(prompt, root, has_citations=has_citations))
    first = 0
    # No message of that role comes first, so this turn is the system prompt.
    if prompt.turns[0].role == "system":
        builder.add_turn(0, prompt.turns[0])
        first = 1
    system, first_message = builder.section_end(), len(builder.prefixes)
    parameters = _message_parameters(prompt, root)
    builder.mix(_MESSAGE_SETTINGS, [*parameters, has_images])
    for index, turn in enumerate(prompt.turns[first:], first):
        builder.add_turn(index, turn)
    return Chain(
        prefixes=tuple(builder.prefixes),
        breakpoints=builder.breakpoints(),
        model_key=_digest(b"", _ROOT, msgspec.json.encode([*shared, root.speed])),
        parameters_key=_digest(b"", _MESSAGE_SETTINGS, msgspec.json.encode(parameters)),
        tools=tools,
        system=system,
        first_message=first_message,
    )


def _system_settings(prompt: Prompt, root: ChainRoot, *, has_citations: bool) -> list[Any]:
    """Return the settings whose change loses the cache of the system prompt and the messages."""
    return [root.speed, has_citations, prompt.output_schema]


def _message_parameters(prompt: Prompt, root: ChainRoot) -> list[Any]:
    """Return the parameters whose change loses the cache of the messages alone.

    So does the presence of images, which is no parameter.
    """
    return [prompt.tool_choice, prompt.thinking, prompt.effort or root.default_effort]


def _features(prompt: Prompt) -> tuple[bool, bool]:
    """Return whether a prompt has sources to cite, and whether it has images, at any depth."""
    has_citations = has_images = False
    lists: list[Sequence[BlockParam]] = [turn.content for turn in prompt.turns]
    while lists:
        for block in lists.pop():
            # Most blocks are texts, and a request may have a million of them.
            if isinstance(block, TextParam):
                continue
            if isinstance(block, Citable):
                has_citations = has_citations or has_citations_enabled(block)
            elif isinstance(block, ImageParam):
                has_images = True
            lists.append(inner_blocks(block))
    return has_citations, has_images


class _Builder:
    """A chain while it grows, block by block."""

    def __init__(self, prompt: Prompt) -> None:
        self.prefixes: list[Prefix] = []
        self._key = b""
        self._size = 0
        self._position = -1
        self._run: type | None = None
        self._offered = OfferedTools(prompt.tools)
        self._breakpoints = prompt.breakpoints
        self._marked: dict[int | None, set[Path]] = {}
        for one in prompt.breakpoints:
            self._marked.setdefault(one.turn, set()).add(one.path)
        self._indices: dict[tuple[int | None, Path], int] = {}

    def mix(self, kind: bytes, content: Any) -> None:
        """Add what is no prefix of its own."""
        written = msgspec.json.encode(content)
        self._key = _digest(self._key, kind, written)
        self._size += len(written)

    def add_tools(self, tools: Sequence[Tool]) -> None:
        for index, tool in enumerate(tools):
            if tool.deferred:
                continue
            self._position += 1
            self.mix(_TOOL, tool)
            self._end(None, (index,))

    def add_turn(self, index: int, turn: Turn) -> None:
        for number, block in enumerate(turn.content):
            run = type(block) if isinstance(block, _RUNS) else None
            if run is None or run is not self._run:
                self._position += 1
            self._run = run
            self._add_block(block, turn.role, index, (number,))

    def section_end(self) -> SectionEnd:
        return SectionEnd(self._key, self._size)

    def breakpoints(self) -> tuple[MarkedPrefix, ...]:
        """Return the breakpoints by the indices of their prefixes."""
        return tuple(
            MarkedPrefix(self._indices[one.turn, one.path], one.ttl) for one in self._breakpoints
        )

    def _add_block(self, block: BlockParam, role: Role, turn: int, path: Path) -> None:
        inner = () if isinstance(block, TextParam) else inner_blocks(block)
        if inner:
            # A block may have a breakpoint inside: its opening, its blocks, its closing.
            self.mix(_OPENING[role], with_inner_blocks(block, ()))
            for number, one in enumerate(inner):
                self._add_block(one, role, turn, (*path, number))
            self.mix(_CLOSING, None)
        else:
            self.mix(_BLOCK[role], block)
            if isinstance(block, (ToolReferenceParam, *TOOL_CHANGES)):
                # The tool is described here; a block about a tool of the front says its name.
                self.mix(_TOOL, self._offered.read(block))
        self._end(turn, path)

    def _end(self, turn: int | None, path: Path) -> None:
        """Note that a block is complete: a prefix ends here."""
        marked = self._marked.get(turn)
        if marked is not None and path in marked:
            self._indices[turn, path] = len(self.prefixes)
        self.prefixes.append(Prefix(self._key, self._position, self._size))


def _digest(before: bytes, kind: bytes, written: bytes) -> bytes:
    if len(written) < _SMALL:
        return sha256(before + kind + written).digest()
    digest = sha256(before)
    digest.update(kind)
    digest.update(written)
    return digest.digest()
