import asyncio
import time
from typing import Any

import pytest

from antiphon.core.prompt import Tool, ToolChoice
from antiphon.engines.token.answer.constraint import ConstraintRequest, SchemaUnsupportedError
from antiphon.engines.token.answer.constraint_cache import ConstraintCache
from antiphon.engines.token.prompt.call_syntax import TAGGED

pytestmark = pytest.mark.anyio


EXPENSIVE = Tool(
    name="t",
    input_schema={
        "allOf": [
            {"if": {"properties": {f"a{n}": {"const": n}}}, "then": {"required": [f"b{n}"]}}
            for n in range(40)
        ]
    },
)


def question(name: str, properties: int = 1) -> ConstraintRequest:
    schema: dict[str, Any] = {
        "properties": {f"p{n}": {"type": "string"} for n in range(properties)}
    }
    return ConstraintRequest((Tool(name=name, input_schema=schema),), ToolChoice(), None, TAGGED)


async def test_same_request_has_the_same_constraint() -> None:
    grammars = ConstraintCache()
    assert await grammars.of(question("a")) is await grammars.of(question("a"))
    assert await grammars.of(question("a")) != await grammars.of(question("b"))


async def test_constraints_used_last_are_kept() -> None:
    first = question("a")
    one = await ConstraintCache().of(first)
    room = 2 * (len(first.key) + len(one.grammar or ""))
    grammars = ConstraintCache(room)
    kept, dropped = await grammars.of(first), await grammars.of(question("b"))
    assert await grammars.of(first) is kept
    await grammars.of(question("c"))
    assert await grammars.of(first) is kept
    assert await grammars.of(question("b")) is not dropped


async def test_constraint_larger_than_the_cache_is_not_kept() -> None:
    grammars = ConstraintCache(10)
    assert await grammars.of(question("a")) is not await grammars.of(question("a"))


async def test_long_request_is_compiled_in_a_thread_and_once() -> None:
    grammars = ConstraintCache()
    long = question("a", 3000)
    turns = 0

    async def count() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    counting = asyncio.create_task(count())
    one, other = await asyncio.gather(grammars.of(long), grammars.of(long))
    counting.cancel()
    assert one is other
    assert turns > 2


async def test_cancelled_request_does_not_cancel_the_grammar_of_others() -> None:
    grammars = ConstraintCache()
    long = question("a", 3000)
    first = asyncio.create_task(grammars.of(long))
    second = asyncio.create_task(grammars.of(long))
    await asyncio.sleep(0)
    first.cancel()
    assert (await second).grammar is not None
    assert first.cancelled()


async def test_last_request_that_leaves_ends_the_work() -> None:
    grammars = ConstraintCache()
    slow = ConstraintRequest((EXPENSIVE,), ToolChoice(), None, TAGGED)
    waiting = [asyncio.create_task(grammars.of(slow)) for _ in range(2)]
    await asyncio.sleep(0.01)
    for task in waiting:
        task.cancel()
    await asyncio.wait(waiting)
    # The only thread is free again: the next request does not wait for the end of the work.
    begun = time.process_time()
    assert (await grammars.of(question("b", 3000))).grammar is not None
    assert time.process_time() - begun < 1


async def test_request_that_comes_when_the_last_one_leaves_is_answered() -> None:
    grammars = ConstraintCache()
    long = question("a", 3000)
    first = asyncio.create_task(grammars.of(long))
    await asyncio.sleep(0)
    first.cancel()
    await asyncio.sleep(0)
    assert (await grammars.of(long)).grammar is not None


async def test_refusal_is_raised_each_time_and_not_kept() -> None:
    grammars = ConstraintCache()
    schema = {"properties": {f"p{n}": False for n in range(300)}, "required": ["p1"]}
    tool = Tool(name="t", input_schema=schema, strict=True)
    asked = ConstraintRequest((tool,), ToolChoice(), None, TAGGED)
    for _ in range(2):
        with pytest.raises(SchemaUnsupportedError, match="no input fits"):
            await grammars.of(asked)
