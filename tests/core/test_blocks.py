import random
from collections.abc import Iterator, Sequence

import msgspec
import pytest
from msgspec.structs import replace

from antiphon.core.blocks import (
    Change,
    UnknownBlockError,
    inner_blocks,
    rewrite,
    rewrite_in_pieces,
    text_of,
    text_of_all,
    walk,
    with_inner_blocks,
)
from antiphon.core.prompt import Breakpoint, Prompt, Tool, Turn
from antiphon.wire.content import (
    Base64PdfSource,
    BlockParam,
    ContentParam,
    ContentSource,
    DocumentParam,
    ImageParam,
    PlainTextSource,
    RedactedThinkingParam,
    SearchResultParam,
    TextParam,
    ThinkingParam,
    ToolReferenceParam,
    ToolResultParam,
    ToolUseParam,
    UrlSource,
)


class MadeUpParam(BlockParam, tag="made_up", kw_only=True, frozen=True):
    """A block that no visitor knows."""


IMAGE = ImageParam(source=UrlSource(url="https://example.com/cat.png"))
SEARCH_RESULT = SearchResultParam(source="s", title="t", content=[TextParam(text="found")])
DOCUMENT = DocumentParam(source=ContentSource(content=[TextParam(text="said"), IMAGE]))
TOOL_RESULT = ToolResultParam(
    tool_use_id="toolu_1", content=[TextParam(text="result"), SEARCH_RESULT, DOCUMENT]
)
LEAVES = [
    TextParam(text="text"),
    IMAGE,
    DocumentParam(source=PlainTextSource(media_type="text/plain", data="plain")),
    DocumentParam(source=Base64PdfSource(media_type="application/pdf", data="")),
    ThinkingParam(thinking="hm", signature="s"),
    RedactedThinkingParam(data="d"),
    ToolUseParam(id="toolu_1", name="look", input={}),
    ToolReferenceParam(tool_name="look"),
    msgspec.convert({"type": "container_upload"}, ContentParam),
]


def texts(*said: str) -> list[TextParam]:
    return [TextParam(text=text) for text in said]


def prompt_of(*turns: Sequence[BlockParam], breakpoints: Sequence[Breakpoint] = ()) -> Prompt:
    return Prompt(
        turns=tuple(Turn("user", tuple(blocks)) for blocks in turns),
        max_tokens=1,
        tools=(Tool(name="look", input_schema={}),),
        breakpoints=tuple(breakpoints),
    )


def test_inner_blocks_are_those_inside_of_a_block() -> None:
    assert inner_blocks(TOOL_RESULT) == [TextParam(text="result"), SEARCH_RESULT, DOCUMENT]
    assert inner_blocks(SEARCH_RESULT) == [TextParam(text="found")]
    assert inner_blocks(DOCUMENT) == [TextParam(text="said"), IMAGE]


def test_string_inside_of_a_block_is_one_text_block() -> None:
    said = ToolResultParam(tool_use_id="toolu_1", content="one")
    assert inner_blocks(said) == (TextParam(text="one"),)
    assert inner_blocks(replace(said, content="")) == ()
    assert inner_blocks(replace(said, content=None)) == ()
    assert inner_blocks(ToolResultParam(tool_use_id="toolu_1")) == ()


@pytest.mark.parametrize("block", LEAVES)
def test_leaf_block_has_no_inner_blocks(block: BlockParam) -> None:
    assert inner_blocks(block) == ()
    with pytest.raises(UnknownBlockError):
        with_inner_blocks(block, texts("one"))


@pytest.mark.parametrize("block", [TOOL_RESULT, SEARCH_RESULT, DOCUMENT])
def test_inner_blocks_are_replaced(block: BlockParam) -> None:
    assert inner_blocks(with_inner_blocks(block, texts("one", "two"))) == texts("one", "two")


def test_text_of_a_block_is_that_of_its_inner_blocks_in_lines() -> None:
    assert text_of(TextParam(text="one")) == "one"
    assert text_of(LEAVES[2]) == "plain"
    assert text_of(TOOL_RESULT) == "result\nfound\nsaid"
    assert text_of_all([TextParam(text="one"), *LEAVES[3:], TextParam(text="two")]) == "one\ntwo"


def test_walk_yields_each_block_before_its_inner_blocks() -> None:
    walked = list(walk([TextParam(text="one"), TOOL_RESULT]))
    assert [path for path, _ in walked] == [
        (0,), (1,), (1, 0), (1, 1), (1, 1, 0), (1, 2), (1, 2, 0), (1, 2, 1),
    ]  # fmt: skip
    assert walked[-1][1] is IMAGE


@pytest.mark.parametrize(
    "visit",
    [
        inner_blocks,
        lambda block: with_inner_blocks(block, ()),
        text_of,
        lambda block: list(walk([replace(TOOL_RESULT, content=[block])])),
        lambda block: rewrite(prompt_of([block]), lambda block: [block]),
    ],
)
def test_unknown_block_raises(visit: object) -> None:
    with pytest.raises(UnknownBlockError, match="MadeUpParam"):
        visit(MadeUpParam())


def test_rewriting_that_changes_nothing_returns_the_prompt() -> None:
    prompt = prompt_of([TextParam(text="one"), TOOL_RESULT])
    assert rewrite(prompt, lambda block: [block]) is prompt


def test_rewriting_reaches_blocks_inside_of_others() -> None:
    prompt = prompt_of([TOOL_RESULT])
    rewritten = rewrite(prompt, lambda block: [] if block is IMAGE else [block])
    document = inner_blocks(rewritten.turns[0].content[0])[2]
    assert inner_blocks(document) == texts("said")


def test_breakpoints_move_with_the_content_before_them() -> None:
    breakpoints = [
        Breakpoint(None, (0,), "1h"),
        Breakpoint(0, (0,)),
        Breakpoint(0, (1,)),
        Breakpoint(0, (2, 0)),
    ]
    result = ToolResultParam(tool_use_id="toolu_1", content=[*texts("c", "d")])
    prompt = prompt_of([*texts("a", "b"), result], breakpoints=breakpoints)
    changes = {"a": texts("a1", "a2"), "b": [], "c": texts("c1", "c2"), "d": texts("d")}

    rewritten = rewrite(
        prompt, lambda block: changes[block.text] if isinstance(block, TextParam) else [block]
    )

    # What lies behind the nothing that is left of `b` lies behind `a2`, where there is one already.
    assert rewritten.breakpoints == (
        Breakpoint(None, (0,), "1h"),
        Breakpoint(0, (1,)),
        Breakpoint(0, (2, 1)),
    )


def test_breakpoint_behind_a_removed_block_lies_behind_what_stands_before() -> None:
    result = ToolResultParam(tool_use_id="toolu_1", content=[*texts("gone", "d")])
    prompt = prompt_of(
        texts("a"),
        texts("gone"),
        [result],
        breakpoints=[Breakpoint(2, (0, 0)), Breakpoint(2, (0,))],
    )

    rewritten = rewrite(prompt, without("gone"))

    assert rewritten.breakpoints == (Breakpoint(0, (0,)), Breakpoint(2, (0,)))


def test_breakpoint_before_everything_lies_behind_the_tools_or_is_gone() -> None:
    prompt = prompt_of(texts("gone", "b"), breakpoints=[Breakpoint(0, (0,))])
    assert rewrite(prompt, without("gone")).breakpoints == (Breakpoint(None, (0,)),)
    assert rewrite(replace(prompt, tools=()), without("gone")).breakpoints == ()


def without(text: str) -> Change:
    return lambda block: [] if block == TextParam(text=text) else [block]


def test_block_with_breakpoints_inside_is_taken_apart_in_pieces() -> None:
    prompt = prompt_of(
        [*texts("a"), replace(TOOL_RESULT, content=[DOCUMENT])],
        breakpoints=[Breakpoint(0, (1, 0, 0)), Breakpoint(0, (1, 0, 1)), Breakpoint(0, (1, 0))],
    )

    def in_pieces(block: BlockParam, cuts: Sequence[int]) -> Sequence[Sequence[BlockParam]]:
        if not isinstance(block, DocumentParam):
            return [[block]]
        assert cuts == [0, 1]
        return [texts("head", "said"), [IMAGE], texts("tail")]

    rewritten = rewrite_in_pieces(prompt, in_pieces)

    assert inner_blocks(rewritten.turns[0].content[1]) == [
        *texts("head", "said"), IMAGE, *texts("tail"),
    ]  # fmt: skip
    assert rewritten.breakpoints == (
        Breakpoint(0, (1, 1)),
        Breakpoint(0, (1, 2)),
        Breakpoint(0, (1, 3)),
    )


def test_change_that_loses_a_breakpoint_inside_raises() -> None:
    prompt = prompt_of([DOCUMENT], breakpoints=[Breakpoint(0, (0, 0))])
    with pytest.raises(ValueError, match="DocumentParam"):
        rewrite(prompt, lambda block: texts("x") if block is DOCUMENT else [block])
    deep = prompt_of([TOOL_RESULT], breakpoints=[Breakpoint(0, (0, 1, 0))])
    with pytest.raises(ValueError, match="ToolResultParam"):
        rewrite_in_pieces(
            deep, lambda block, _: [[block]] if block is not TOOL_RESULT else [[], []]
        )


@pytest.mark.parametrize("seed", range(200))
def test_every_breakpoint_lies_behind_the_same_content_after_rewriting(seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a failure has to come back
    prompt = made(chance)
    plan = {text: chance.choice(["keep", "drop", "split"]) for text in said(prompt.turns)}

    def change(block: BlockParam) -> Sequence[BlockParam]:
        if not isinstance(block, TextParam) or plan[block.text] == "keep":
            return [block]
        halves = [f"{block.text}+", f"{block.text}-"]
        return texts(*halves) if plan[block.text] == "split" else []

    rewritten = rewrite(prompt, change)

    before = {kept(prefix(prompt, one), plan) for one in prompt.breakpoints}
    after = {prefix(rewritten, one) for one in rewritten.breakpoints}
    assert after - {()} == before - {()}


def made(chance: random.Random) -> Prompt:
    """Make a prompt of nested texts, and up to four breakpoints in its order."""
    names = iter(range(1000))

    def leaf() -> TextParam:
        return TextParam(text=f"t{next(names)}")

    def container() -> BlockParam:
        inner = [leaf() if chance.random() < 0.6 else found() for _ in range(chance.randrange(4))]
        return ToolResultParam(tool_use_id="toolu_1", content=[*inner])

    def found() -> SearchResultParam:
        return replace(SEARCH_RESULT, content=[leaf() for _ in range(chance.randrange(1, 4))])

    turns = [
        [leaf() if chance.random() < 0.5 else container() for _ in range(chance.randrange(1, 5))]
        for _ in range(chance.randrange(1, 4))
    ]
    prompt = prompt_of(*turns)
    spots = [
        Breakpoint(index, path)
        for index, turn in enumerate(prompt.turns)
        for path in sorted(
            (path for path, _ in walk(turn.content)), key=lambda path: (*path, 1_000_000)
        )
    ]
    chosen = sorted(chance.sample(range(len(spots)), min(4, len(spots))))
    return replace(prompt, breakpoints=tuple(spots[index] for index in chosen))


def said(turns: Sequence[Turn]) -> Iterator[str]:
    for turn in turns:
        for _, block in walk(turn.content):
            if isinstance(block, TextParam):
                yield block.text


def prefix(prompt: Prompt, mark: Breakpoint) -> tuple[str, ...]:
    """Return the texts up to and including a breakpoint's block."""
    assert mark.turn is not None or mark.path == (0,)
    if mark.turn is None:
        return ()
    texts_before = [*said(prompt.turns[: mark.turn])]
    for path, block in walk(prompt.turns[mark.turn].content):
        is_before = path < mark.path or path[: len(mark.path)] == mark.path
        if is_before and isinstance(block, TextParam):
            texts_before.append(block.text)
    return tuple(texts_before)


def kept(prefix: Sequence[str], plan: dict[str, str]) -> tuple[str, ...]:
    left: list[str] = []
    for text in prefix:
        match plan[text]:
            case "keep":
                left.append(text)
            case "split":
                left += [f"{text}+", f"{text}-"]
    return tuple(left)
