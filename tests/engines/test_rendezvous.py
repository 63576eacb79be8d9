from typing import Any

import msgspec
import pytest

from antiphon.engines.base import Prompt
from antiphon.engines.rendezvous import prefix_key, rank
from support.requests import able, user

MARK = {"cache_control": {"type": "ephemeral"}}


def said(text: str, *, marked: bool = False) -> dict[str, Any]:
    return {"type": "text", "text": text, **(MARK if marked else {})}


def says(*blocks: dict[str, Any], role: str = "user") -> dict[str, Any]:
    return {"role": role, "content": list(blocks)}


def tool(name: str = "f", **more: Any) -> dict[str, Any]:
    return {"name": name, "input_schema": {"type": "object"}, **more}


SYSTEM = [said("Be brief."), said("Be kind.", marked=True)]
QUESTION = says(said("Hi"))


def test_prompt_without_breakpoints_has_no_key() -> None:
    assert prefix_key(able(QUESTION, system="Be brief.", tools=[tool()])) is None


def test_key_stays_while_the_only_breakpoint_moves_with_the_conversation() -> None:
    first = able(QUESTION, cache_control=MARK["cache_control"])
    longer = able(
        QUESTION,
        says(said("Hello!"), role="assistant"),
        says(said("How are you?")),
        cache_control=MARK["cache_control"],
    )
    assert prefix_key(first) == prefix_key(longer) is not None


def test_key_ends_at_the_first_breakpoint() -> None:
    for body in (
        {"system": SYSTEM},
        {"system": [*SYSTEM, said("Be quick.")]},
        {"system": SYSTEM, "cache_control": MARK["cache_control"]},
        {"system": SYSTEM, "temperature": 0.5},
    ):
        other = able(says(said("Anything else")), **body)
        assert prefix_key(other) == prefix_key(able(QUESTION, system=SYSTEM))
    tools = [tool(**MARK), tool("g")]
    other = able(QUESTION, system=SYSTEM, tools=[*tools, tool("h")])
    assert prefix_key(other) == prefix_key(able(says(said("Bye")), tools=tools))


BODY: dict[str, Any] = {"system": SYSTEM, "tools": [tool()]}


@pytest.mark.parametrize(
    "body",
    [
        {**BODY, "system": [said("Be brief."), said("Be kin", marked=True)]},
        {**BODY, "system": [said("Be brief.Be kind.", marked=True)]},
        {**BODY, "tools": [tool("g")]},
        {**BODY, "tools": []},
        {**BODY, "tools": [tool(**MARK)]},
        {**BODY, "system": [said("Be brief.", marked=True), said("Be kind.")]},
    ],
)
def test_another_beginning_has_another_key(body: dict[str, Any]) -> None:
    assert prefix_key(able(QUESTION, **body)) != prefix_key(able(QUESTION, **BODY))


def test_another_salt_has_another_key() -> None:
    prompt = able(QUESTION, system=SYSTEM)
    salted = [msgspec.structs.replace(prompt, cache_salt=salt) for salt in ("", "a", "b")]
    assert len({prefix_key(one) for one in salted}) == 3


def test_blocks_that_are_no_text_count() -> None:
    def prompt(data: str) -> Prompt:
        source = {"type": "text", "media_type": "text/plain", "data": data}
        return able(says({"type": "document", "source": source, **MARK}))

    assert prefix_key(prompt("a")) == prefix_key(prompt("a"))
    assert prefix_key(prompt("a")) != prefix_key(prompt("b"))


def test_no_more_than_64_kib_count() -> None:
    def prompt(last: str) -> Prompt:
        return able(user("Hi"), system=[said("x" * 65_000), said("y" * 600 + last, marked=True)])

    assert prefix_key(prompt("a")) == prefix_key(prompt("b"))


def test_schema_that_is_nested_too_deeply_to_be_written_has_no_key() -> None:
    schema: dict[str, Any] = {}
    for _ in range(100_000):
        schema = {"properties": schema}
    prompt = able(QUESTION, tools=[tool(**MARK)])
    deep = msgspec.structs.replace(prompt.tools[0], input_schema=schema)
    assert prefix_key(msgspec.structs.replace(prompt, tools=(deep,))) is None


def test_engine_of_twice_the_weight_has_twice_the_rank() -> None:
    assert rank(b"k", 3, 2) == pytest.approx(2 * rank(b"k", 3, 1))
