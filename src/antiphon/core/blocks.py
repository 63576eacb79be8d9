"""The one visitor for content blocks: their inner blocks, their text, the rewriting of prompts.

Documents made of blocks, search results and results of tools hold blocks. Every walk over blocks
goes through `inner_blocks`, which refuses a class that it does not know: a new block is added here
first, and no walk can pass over it in silence.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import Any, Final, TypeAlias

from msgspec.structs import replace

from antiphon.core.prompt import Breakpoint, Prompt, Turn
from antiphon.wire.content import (
    BlockParam,
    ContentSource,
    DocumentParam,
    ImageParam,
    PlainTextSource,
    RedactedThinkingParam,
    RefusedBlockParam,
    SearchResultParam,
    ServerToolUseParam,
    TextParam,
    ThinkingParam,
    ToolAdditionParam,
    ToolReferenceParam,
    ToolRemovalParam,
    ToolResultParam,
    ToolSearchErrorParam,
    ToolSearchResultParam,
    ToolSearchToolResultParam,
    ToolUseParam,
    WebFetchToolResultParam,
    WebSearchToolResultParam,
)

BLOCK_SEPARATOR: Final = "\n"
"""Between blocks that become one text. Templates take one string; llama.cpp and vLLM join blocks
with a newline too, and nothing in between would glue the words of two messages together."""

Path: TypeAlias = tuple[int, ...]
"""Leads from a list of blocks to one of them: its index, then its index inside of that block."""

Change: TypeAlias = Callable[[BlockParam], Sequence[BlockParam]]
ChangeInPieces: TypeAlias = Callable[[BlockParam, Sequence[int]], Sequence[Sequence[BlockParam]]]


class UnknownBlockError(TypeError):
    """A class of blocks that the visitor does not know."""

    def __init__(self, block: object) -> None:
        super().__init__(f"core.blocks does not know the block {type(block).__name__}")


def inner_blocks(block: BlockParam) -> Sequence[BlockParam]:
    """Return the blocks inside of a block; a string there is one text block, an empty one none.

    Raises `UnknownBlockError`.
    """
    match block:
        case TextParam():
            return ()
        case ToolResultParam(content=content) | SearchResultParam(content=content):
            return _as_blocks(content)
        case DocumentParam(source=ContentSource(content=content)):
            return _as_blocks(content)
        case ToolSearchToolResultParam(content=ToolSearchResultParam(tool_references=found)):
            return found
        case (
            ImageParam()
            | DocumentParam()
            | ThinkingParam()
            | RedactedThinkingParam()
            | ToolUseParam()
            | ToolReferenceParam()
            | ToolAdditionParam()
            | ToolRemovalParam()
            | ServerToolUseParam()
            | ToolSearchToolResultParam(content=ToolSearchErrorParam())
            | WebSearchToolResultParam()
            | WebFetchToolResultParam()
            | RefusedBlockParam()
        ):
            return ()
    raise UnknownBlockError(block)


def with_inner_blocks(block: BlockParam, blocks: Sequence[BlockParam]) -> BlockParam:
    """Return a block with other blocks inside. Raises `UnknownBlockError` for one without any."""
    content: Any = list(blocks)
    match block:
        case ToolResultParam() | SearchResultParam():
            return replace(block, content=content)
        case DocumentParam(source=ContentSource() as source):
            return replace(block, source=replace(source, content=content))
        case ToolSearchToolResultParam(content=ToolSearchResultParam() as found):
            return replace(block, content=replace(found, tool_references=content))
    raise UnknownBlockError(block)


def text_of(block: BlockParam) -> str:
    """Return the text in a block, line by line of the blocks inside of it.

    Images, calls and thinking have none. Raises `UnknownBlockError`.
    """
    match block:
        case TextParam(text=text):
            return text
        case DocumentParam(source=PlainTextSource(data=text)):
            return text
        case ToolResultParam() | SearchResultParam() | DocumentParam():
            return text_of_all(inner_blocks(block))
        case (
            ImageParam()
            | ThinkingParam()
            | RedactedThinkingParam()
            | ToolUseParam()
            | ToolReferenceParam()
            | ToolAdditionParam()
            | ToolRemovalParam()
            | ServerToolUseParam()
            | ToolSearchToolResultParam()
            | WebSearchToolResultParam()
            | WebFetchToolResultParam()
            | RefusedBlockParam()
        ):
            return ""
    raise UnknownBlockError(block)


def text_of_all(blocks: Sequence[BlockParam]) -> str:
    """Join the texts of blocks, without those that have none."""
    return BLOCK_SEPARATOR.join(text for block in blocks if (text := text_of(block)))


def walk(blocks: Sequence[BlockParam]) -> Iterator[tuple[Path, BlockParam]]:
    """Yield blocks and all blocks inside of them, each before those inside of it."""
    for index, block in enumerate(blocks):
        yield (index,), block
        # Most blocks have none inside: no generator for those.
        if inside := inner_blocks(block):
            for path, inner in walk(inside):
                yield (index, *path), inner


def rewrite(prompt: Prompt, change: Change) -> Prompt:
    """Replace each block by the blocks that `change` returns: none, one or several.

    Blocks inside of others are changed first. Breakpoints move with the content before them. If
    `change` removes a block, its breakpoint moves behind the content before the block; without
    such content the breakpoint is dropped. If `change` changes no block, the prompt itself is
    returned.

    Raises `ValueError` if `change` takes apart a block that has a breakpoint inside; use
    `rewrite_in_pieces` for that.
    """
    return rewrite_in_pieces(prompt, lambda block, _: (change(block),))


def rewrite_in_pieces(prompt: Prompt, change: ChangeInPieces) -> Prompt:
    """Rewrite a prompt as `rewrite` does; `change` may take apart blocks that hold others.

    `change(block, cuts)` gets the indices of the inner blocks with a breakpoint behind them, in
    rising order. It returns the replacement in `len(cuts) + 1` pieces: each but the last ends
    where the inner block of its cut ends. A change that keeps the block, with the same number of
    blocks inside, returns one piece.
    """
    turns, moved = [], dict[int, Breakpoint | None]()
    for index, turn in enumerate(prompt.turns):
        marks = {
            number: mark.path
            for number, mark in enumerate(prompt.breakpoints)
            if mark.turn == index
        }
        content, paths = _rewritten(turn.content, marks, change)
        same = _are_same(content, turn.content)
        turns.append(turn if same else Turn(turn.role, tuple(content)))  # type: ignore[arg-type]
        for number, path in paths.items():
            moved[number] = _behind(prompt, turns, path, prompt.breakpoints[number])
    if _are_same(turns, prompt.turns):
        return prompt
    kept = [moved.get(number, at) for number, at in enumerate(prompt.breakpoints)]
    return replace(prompt, turns=tuple(turns), breakpoints=_distinct(kept))


def without_empty_turns(prompt: Prompt) -> Prompt:
    """Drop turns without content, to which no breakpoint points, and join those around them."""
    turns: list[Turn] = []
    places: dict[int, tuple[int, int]] = {}
    for index, turn in enumerate(prompt.turns):
        if turns and turns[-1].role == turn.role:
            places[index] = len(turns) - 1, len(turns[-1].content)
            turns[-1] = Turn(turn.role, (*turns[-1].content, *turn.content))
        elif turn.content:
            places[index] = len(turns), 0
            turns.append(turn)
    moved = tuple(_in_turns(mark, places) for mark in prompt.breakpoints)
    return replace(prompt, turns=tuple(turns), breakpoints=moved)


def _in_turns(mark: Breakpoint, places: Mapping[int, tuple[int, int]]) -> Breakpoint:
    """Move a breakpoint to the place of its turn: a turn, and the number of blocks before it."""
    if mark.turn is None:
        return mark
    turn, before = places[mark.turn]
    return replace(mark, turn=turn, path=(mark.path[0] + before, *mark.path[1:]))


def rewrite_blocks(blocks: Sequence[BlockParam], change: Change) -> list[BlockParam]:
    """Rewrite blocks that no breakpoint of a prompt points to, as `rewrite` does."""
    return _rewritten(blocks, {}, lambda block, _: (change(block),))[0]


def images_of(prompt: Prompt) -> Iterator[ImageParam]:
    """Yield the images of a prompt at every depth, in its order."""
    for turn in prompt.turns:
        for _, block in walk(turn.content):
            if isinstance(block, ImageParam):
                yield block


def replace_images(
    turns: Sequence[Turn], change: Callable[[ImageParam], Sequence[BlockParam]]
) -> tuple[Turn, ...]:
    """Return turns with each image replaced by other blocks, or by none."""

    def replaced(turn: Turn) -> Turn:
        content: Any = rewrite_blocks(
            turn.content, lambda block: change(block) if isinstance(block, ImageParam) else (block,)
        )
        return Turn(turn.role, tuple(content))

    return tuple(map(replaced, turns))


def _as_blocks(content: Any) -> Sequence[BlockParam]:
    if isinstance(content, str):
        return (TextParam(text=content),) if content else ()
    return content if isinstance(content, list) else ()


def _are_same(some: Sequence[object], others: Sequence[object]) -> bool:
    return len(some) == len(others) and all(map(lambda a, b: a is b, some, others))


def _rewritten(
    blocks: Sequence[BlockParam], marks: Mapping[int, Path], change: ChangeInPieces
) -> tuple[list[BlockParam], dict[int, Path]]:
    """Rewrite a list of blocks, and the paths of the breakpoints in it, each with its number.

    An empty path stands for a breakpoint before all remaining content.
    """
    new: list[BlockParam] = []
    moved: dict[int, Path] = {}
    for index, block in enumerate(blocks):
        here = {number: path[1:] for number, path in marks.items() if path[0] == index}
        pieces, inside = _changed(block, {n: path for n, path in here.items() if path}, change)
        ends = [len(new) - 1 + end for end in accumulate(map(len, pieces), initial=0)]
        new += [block for piece in pieces for block in piece]
        for number, path in here.items():
            piece, rest = inside[number] if path else (len(pieces), ())
            last = ends[piece] + 1 if rest else ends[piece]
            moved[number] = (last, *rest) if last >= 0 else ()
    return new, moved


def _changed(
    block: BlockParam, marks: Mapping[int, Path], change: ChangeInPieces
) -> tuple[Sequence[Sequence[BlockParam]], dict[int, tuple[int, Path]]]:
    """Change a block and the blocks inside of it.

    Returns the pieces of the replacement and, for each breakpoint inside, the number of pieces
    before it. If the block was kept, that number is 0 and a path leads to the breakpoint in it.
    """
    inner = inner_blocks(block)
    new_inner, paths = _rewritten(inner, marks, change)
    if not _are_same(new_inner, inner):
        block = with_inner_blocks(block, new_inner)
    cuts = sorted({path[0] for path in paths.values() if path})
    pieces = change(block, cuts)
    if not paths:
        return pieces, {}
    if _keeps(pieces, new_inner):
        return pieces, {number: (0, path) for number, path in paths.items()}
    if len(pieces) != len(cuts) + 1 or any(len(path) > 1 for path in paths.values()):
        raise ValueError(f"a change takes apart a {type(block).__name__} with a breakpoint inside")
    return pieces, {
        number: (cuts.index(path[0]) + 1 if path else 0, ()) for number, path in paths.items()
    }


def _keeps(pieces: Sequence[Sequence[BlockParam]], inner: Sequence[BlockParam]) -> bool:
    """Return whether a change kept a block, with the same number of blocks inside."""
    match pieces:
        case [[block]]:
            return len(inner_blocks(block)) == len(inner)
    return False


def _behind(
    prompt: Prompt, turns: Sequence[Turn], path: Path, mark: Breakpoint
) -> Breakpoint | None:
    """Return a breakpoint moved into the last of the turns, or behind the content before it."""
    if path:
        return replace(mark, turn=len(turns) - 1, path=path)
    for index in range(len(turns) - 2, -1, -1):
        if turns[index].content:
            return replace(mark, turn=index, path=(len(turns[index].content) - 1,))
    return replace(mark, turn=None, path=(len(prompt.tools) - 1,)) if prompt.tools else None


def _distinct(breakpoints: Sequence[Breakpoint | None]) -> tuple[Breakpoint, ...]:
    """Drop removed breakpoints; keep the first, the longest, of several at one position."""
    by_position = {(one.turn, one.path): one for one in reversed(breakpoints) if one is not None}
    return tuple(reversed(by_position.values()))
