"""Whole requests, one after the other, with the usage that each of them reports."""

from typing import Any

import pytest

from antiphon.core.prompt import Prompt
from support.prompt_cache import Cache, marked, prompt_of, seen, usage, words
from support.requests import EPHEMERAL, assistant, tool, user


def tools(count: int, **fields: Any) -> list[dict[str, Any]]:
    return [tool(description=words(count), **fields)]


def with_system(question: int, system: list[dict[str, Any]], **fields: Any) -> Prompt:
    return prompt_of(user(words(question)), tools=tools(300), system=system, **fields)


def test_first_request_writes_the_marked_prefix() -> None:
    cache = Cache(minimum_tokens=1024)
    assert seen(cache.ask(with_system(50, [marked(1000)]))) == usage(50, write_5m=1300)


def test_second_request_reads_what_the_first_one_wrote() -> None:
    cache = Cache(minimum_tokens=1024)
    cache.ask(with_system(50, [marked(1000)]))
    assert seen(cache.ask(with_system(70, [marked(1000)]))) == usage(70, read=1300)


def test_change_of_one_byte_loses_the_only_entry() -> None:
    cache = Cache(minimum_tokens=1024)
    cache.ask(with_system(50, [marked(1000)]))
    changed = [{**marked(1000), "text": words(999) + "y"}]
    assert seen(cache.ask(with_system(50, changed))) == usage(50, write_5m=1300)


def test_breakpoint_behind_the_tools_survives_a_change_of_the_system_prompt() -> None:
    cache = Cache()

    def ask(letter: str) -> tuple[int, int, int, int]:
        marks = tools(600, cache_control=EPHEMERAL)
        return seen(
            cache.ask(prompt_of(user(words(50)), tools=marks, system=[marked(700, letter=letter)]))
        )

    assert ask("x") == usage(50, write_5m=1300)
    assert ask("y") == usage(50, read=600, write_5m=700)


def test_automatic_breakpoint_moves_on_with_the_conversation() -> None:
    cache = Cache()
    first = [user(words(900))]
    assert seen(cache.ask(prompt_of(*first, cache_control=EPHEMERAL))) == usage(write_5m=900)
    second = [*first, assistant(words(100)), user(words(40))]
    assert seen(cache.ask(prompt_of(*second, cache_control=EPHEMERAL))) == usage(
        read=900, write_5m=140
    )


def test_prefix_below_the_minimum_is_not_cached_in_silence() -> None:
    cache = Cache(minimum_tokens=1024)
    prompt = prompt_of(user(words(50)), system=[marked(800)])
    assert [seen(cache.ask(prompt)) for _ in range(2)] == [usage(850), usage(850)]
    assert cache.entries == {}


def test_each_lifetime_is_written_and_counted_apart() -> None:
    cache = Cache()
    short = prompt_of(user([marked(500), marked(30, None)]), system=[marked(1000, "1h")])
    assert seen(cache.ask(short)) == usage(30, write_5m=500, write_1h=1000)
    longer = prompt_of(
        user([marked(500, None), marked(30, None)]),
        assistant(words(70)),
        user([marked(500), marked(10, None)]),
        system=[marked(1000, "1h")],
    )
    assert seen(cache.ask(longer, now=1)) == usage(10, read=1500, write_5m=600)


def test_pre_warming_writes_and_produces_nothing() -> None:
    cache = Cache()
    prompt = prompt_of(user("hi"), system=[marked(5000)], max_tokens=0)
    claim = cache.ask(prompt)
    assert seen(claim) == usage(2, write_5m=5000)
    assert claim.usage.output == 0
    later = prompt_of(user("Now, then."), system=[marked(5000)])
    assert seen(cache.ask(later, now=1)) == usage(10, read=5000)


@pytest.mark.parametrize(("starts_at", "reads"), [(1, 0), (3, 1000)])
def test_second_of_two_requests_reads_only_once_the_first_response_has_begun(
    starts_at: int, reads: int
) -> None:
    cache = Cache()
    prompt = prompt_of(user("hi"), system=[marked(1000)])
    first = cache.start(prompt, now=0)
    if starts_at < 2:
        second = cache.start(prompt, now=starts_at)
        cache.respond(first, now=2)
    else:
        cache.respond(first, now=2)
        second = cache.start(prompt, now=starts_at)
    assert seen(cache.respond(second, now=4)) == usage(2, read=reads, write_5m=1000 - reads)
