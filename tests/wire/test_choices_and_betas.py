"""Sentences that list the values of an enum, paths of `cache_control`, and keys of betas."""

import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal, get_args, get_origin, get_type_hints

import pytest
from msgspec import UNSET, inspect

from antiphon.wire import base, content, messages, tools
from antiphon.wire.admin import keys, limits, organizations
from antiphon.wire.base import BETAS, CacheControlParam, CacheScope, Param
from antiphon.wire.decoding import BodyDecoder, BodyError, decode_member, faults
from antiphon.wire.messages import CreateMessageParams

DECODER = BodyDecoder(CreateMessageParams)
EXTRA = "Extra inputs are not permitted"
SCOPED = {"type": "ephemeral", "scope": "global"}


def literals_of(hint: Any) -> Iterator[tuple[Any, ...]]:
    if get_origin(hint) is Literal:
        yield get_args(hint)
    for part in get_args(hint):
        yield from literals_of(part)


def choices() -> Iterator[tuple[type[Param], str, tuple[Any, ...]]]:
    """Yield each field of a request that holds an enum, with the values as they are declared."""
    for module in (messages, content, tools, keys, limits, organizations):
        for kind in vars(module).values():
            if isinstance(kind, type) and issubclass(kind, Param) and kind.__struct_fields__:
                for name, hint in get_type_hints(kind, include_extras=True).items():
                    for values in literals_of(hint):
                        yield kind, name, values


def sentence_of(body: dict[str, Any], betas: frozenset[str] = frozenset()) -> str:
    valid = {"model": "m", "max_tokens": 8, "messages": [{"role": "user", "content": "Hi"}]}
    with pytest.raises(BodyError) as refusal:
        DECODER.decode(json.dumps(valid | body).encode(), betas)
    return str(refusal.value)


@pytest.mark.parametrize(("kind", "name", "values"), [*choices()])
def test_sentence_lists_the_values_of_an_enum_as_declared(
    kind: type[Param], name: str, values: tuple[Any, ...]
) -> None:
    *most, last = [f"'{value}'" for value in values]
    expected = f"Input should be {', '.join(most)} or {last}" if most else f"Input should be {last}"
    wrong: Any = [5] if "list" in str(get_type_hints(kind)[name]) else 5
    sentences = [one.sentence for one in faults(inspect.type_info(kind), {name: wrong}, ())]
    assert expected in sentences


class TwoEnums(Param, kw_only=True, frozen=True):
    first: Literal["b", "a"] = "a"
    second: list[Annotated[Literal["d", "c"] | None, base.error_text()]] | None = None


def test_enums_of_one_struct_keep_their_own_orders() -> None:
    with pytest.raises(BodyError, match=r"^first: Input should be 'b' or 'a'$"):
        BodyDecoder(TwoEnums).decode(b'{"first": "d"}')
    with pytest.raises(BodyError, match=r"^second\.0: Input should be 'd' or 'c'$"):
        BodyDecoder(TwoEnums).decode(b'{"second": ["a"]}')


def with_block(block: dict[str, Any]) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": [block]}]}


TEXT = {"type": "text", "text": "Hi"}
RESULT = {"type": "tool_result", "tool_use_id": "a"}
TOOL = {"name": "a", "input_schema": {"type": "object"}}
BASH = {"type": "bash_20250124", "name": "bash"}
PLACES: list[tuple[Any, str]] = [
    (lambda mark: {"system": [TEXT, TEXT | {"cache_control": mark}]}, "system.1"),
    (lambda mark: with_block(TEXT | {"cache_control": mark}), "messages.0.content.0.text"),
    (
        lambda mark: with_block(RESULT | {"cache_control": mark}),
        "messages.0.content.0.tool_result",
    ),
    (
        lambda mark: with_block(RESULT | {"content": [TEXT | {"cache_control": mark}]}),
        "messages.0.content.0.tool_result.content.0.text",
    ),
    (lambda mark: {"tools": [TOOL | {"cache_control": mark}]}, "tools.0.custom"),
    (lambda mark: {"tools": [BASH | {"cache_control": mark}]}, "tools.0.bash_20250124"),
    (lambda mark: {"cache_control": mark}, ""),
]


@pytest.mark.parametrize(("place", "path"), PLACES, ids=[path or "top" for _, path in PLACES])
def test_fault_in_a_breakpoint_has_its_type_in_the_path(place: Any, path: str) -> None:
    where = f"{path}.cache_control" if path else "cache_control"
    assert sentence_of(place(SCOPED)) == f"{where}.ephemeral.scope: {EXTRA}"
    assert sentence_of(place(SCOPED), frozenset({"other-2026-01-01"})) == (
        f"{where}.ephemeral.scope: {EXTRA}"
    )
    assert sentence_of(place({"type": "ephemeral", "zzz": 1})) == f"{where}.ephemeral.zzz: {EXTRA}"
    assert sentence_of(place({"type": "ephemeral", "zzz": 1}), BETAS) == (
        f"{where}.ephemeral.zzz: {EXTRA}"
    )
    assert sentence_of(place({"type": "ephemeral", "ttl": 5})) == (
        f"{where}.ephemeral.ttl: Input should be '5m' or '1h'"
    )
    assert sentence_of(place({})) == f"{where}.type: Field required"
    assert sentence_of(place({"type": "x"})) == f"{where}.type: Input should be 'ephemeral'"


@pytest.mark.parametrize(("place", "path"), PLACES, ids=[path or "top" for _, path in PLACES])
@pytest.mark.parametrize("scope", ["global", "organization", None, 5, {"x": []}], ids=str)
def test_scope_of_a_breakpoint_passes_with_its_beta(place: Any, path: str, scope: Any) -> None:
    del path
    body = {"model": "m", "max_tokens": 8, "messages": [{"role": "user", "content": "Hi"}]}
    body |= place(SCOPED | {"scope": scope})
    params = DECODER.decode(json.dumps(body).encode(), BETAS)
    assert params.model == "m"
    # A key that stands twice takes the other way through the decoder.
    twice = json.dumps(body).replace('"model"', '"model": 5, "model"')
    assert DECODER.decode(twice.encode(), BETAS).model == "m"


def test_breakpoint_without_a_scope_has_none() -> None:
    assert CacheControlParam(type="ephemeral").scope is UNSET
    assert isinstance(decode_member(CacheScope, "global", BETAS), CacheScope)


@pytest.mark.parametrize(
    ("block", "sentence"),
    [
        ({"type": "text"}, "system.0.text: Field required"),
        (TEXT | {"bogus": 1}, f"system.0.bogus: {EXTRA}"),
        (TEXT | {"text": 5}, "system.0.text: Input should be a valid string"),
        ({}, "system.0.type: Field required"),
    ],
)
def test_fault_in_a_system_block_has_no_type_in_the_path(
    block: dict[str, Any], sentence: str
) -> None:
    assert sentence_of({"system": [block]}) == sentence


def test_enum_without_a_struct_is_listed_in_order() -> None:
    (fault,) = faults(inspect.type_info(Literal["b", "a"]), 5, ())
    assert str(fault) == "Input should be 'a' or 'b'"
