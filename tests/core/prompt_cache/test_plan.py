"""Where an entry is looked for, which one is read, and what is written."""

from itertools import cycle, islice
from typing import Any

import pytest

from antiphon.core.prompt import PromptSize
from antiphon.core.prompt_cache import CacheEntry, chain_of, keys_to_find, plan_of
from antiphon.core.prompt_cache.plan import CachePoint
from support.prompt_cache import ROOT, Cache, marked, prompt_of, seen, size_of, usage, words
from support.requests import EPHEMERAL, assistant, call, result, text, tool, user


def conversation(blocks: int, marks: dict[int, str], tokens: int = 10) -> Any:
    """Return a prompt of one turn with breakpoints on the blocks of these numbers, from 1 on."""
    return prompt_of(user([marked(tokens, marks.get(number)) for number in range(1, blocks + 1)]))


def read(blocks: int, *marks: int, tokens: int = 10, wrote: int = 10) -> int:
    """Return the tokens that a request reads which follows one with a breakpoint at `wrote`."""
    cache = Cache(minimum_tokens=10)
    cache.ask(conversation(wrote, {wrote: "5m"}, tokens))
    claim = cache.ask(conversation(blocks, dict.fromkeys(marks, "5m"), tokens), now=1)
    return claim.usage.cache_read


def test_entry_is_read_from_any_of_the_last_twenty_positions() -> None:
    assert read(10, 10) == 100
    assert read(15, 15) == 100
    assert read(29, 29) == 100


def test_entry_that_is_one_position_too_far_is_missed() -> None:
    assert read(30, 30) == 0
    assert read(35, 35) == 0


def test_earlier_breakpoint_finds_what_the_last_one_misses() -> None:
    assert read(60, 29, 60) == 100
    assert read(60, 30, 60) == 0
    assert read(40, 10, 40) == 100


def test_nothing_is_written_before_a_breakpoint() -> None:
    assert read(9, 9) == 0
    assert read(10, 9) == 0


def test_third_turn_of_the_example_misses_the_second_by_one_block() -> None:
    cache = Cache(minimum_tokens=10)
    assert seen(cache.ask(conversation(10, {10: "5m"}))) == usage(write_5m=100)
    assert seen(cache.ask(conversation(15, {15: "5m"}))) == usage(read=100, write_5m=50)
    assert seen(cache.ask(conversation(35, {35: "5m"}))) == usage(write_5m=350)


def test_longest_entry_wins() -> None:
    cache = Cache(minimum_tokens=10)
    cache.ask(conversation(12, {3: "5m", 7: "5m", 12: "5m"}))
    assert seen(cache.ask(conversation(9, {9: "5m"}), now=1)) == usage(read=70, write_5m=20)
    assert seen(cache.ask(conversation(12, {5: "5m", 12: "5m"}), now=1)) == usage(read=120)


def test_marker_that_moves_back_finds_the_entry_in_front_of_it_alone() -> None:
    cache = Cache(minimum_tokens=10)
    cache.ask(conversation(12, {3: "5m", 12: "5m"}))
    assert seen(cache.ask(conversation(12, {11: "5m"}), now=1)) == usage(
        input_tokens=10, read=30, write_5m=80
    )


def agent(loops: int, width: int, *, mark: bool) -> Any:
    """Return a conversation of tool loops with so many parallel calls, marked at the end."""
    messages = [user("Go.")]
    for loop in range(loops):
        ids = [f"{loop}-{number}" for number in range(width)]
        messages += [
            assistant([call(one) for one in ids]),
            user([result(one, "") for one in ids]),
        ]
    end = {"cache_control": EPHEMERAL} if mark else {}
    messages[-1]["content"][-1] |= end
    return prompt_of(*messages, tools=[tool(description=words(50))])


def test_loop_of_many_parallel_calls_is_two_positions() -> None:
    cache = Cache(minimum_tokens=10)
    cache.ask(agent(1, 30, mark=True))
    # A loop ends nine loops of two positions behind the entry, and then ten.
    assert cache.ask(agent(10, 30, mark=True), now=1).usage.cache_read == 53
    other = Cache(minimum_tokens=10)
    other.ask(agent(1, 30, mark=True))
    assert other.ask(agent(11, 30, mark=True), now=1).usage.cache_read == 0


def results(mark: int) -> Any:
    """Return a prompt that ends in a run of 25 results of ten tokens; one has a breakpoint."""
    ids = [str(number) for number in range(1, 26)]
    found = [result(one, words(10)) for one in ids]
    found[mark - 1] |= {"cache_control": EPHEMERAL}
    return prompt_of(user("Go."), assistant([call(one) for one in ids]), user(found))


@pytest.mark.parametrize(("wrote", "mark", "reads"), [(25, 25, 253), (6, 15, 63), (5, 15, 0)])
def test_entry_inside_of_a_run_is_found_among_the_last_twenty_prefixes_of_it(
    wrote: int, mark: int, reads: int
) -> None:
    cache = Cache(minimum_tokens=10)
    cache.ask(results(wrote))
    # The text inside of a result ends a prefix of its own: ten results have twenty.
    assert cache.ask(results(mark), now=1).usage.cache_read == reads


def test_entry_before_a_long_run_is_found() -> None:
    cache = Cache(minimum_tokens=10)
    before = prompt_of(user([marked(50)]))
    cache.ask(before)
    calls = [call(str(number)) for number in range(100)]
    back = [result(str(number)) for number in range(100)]
    back[-1] |= {"cache_control": EPHEMERAL}
    after = prompt_of(user([text(words(50))]), assistant(calls), user(back))
    assert cache.ask(after, now=1).usage.cache_read == 50


def test_each_key_is_looked_for_once_and_their_number_is_bounded() -> None:
    marks = islice(cycle([{"cache_control": EPHEMERAL}, {}]), 8)
    blocks = [{**text("a"), **mark} for mark in marks]
    keys = keys_to_find(chain_of(prompt_of(user(blocks)), ROOT))
    assert len(keys) == len(set(keys)) == 7
    wide = [result(str(number), [text("a")] * 1000) for number in range(3)]
    wide[-1] |= {"cache_control": EPHEMERAL}
    talk = [user("a"), assistant([call(str(number)) for number in range(3)]), user(wide)]
    assert len(keys_to_find(chain_of(prompt_of(*talk), ROOT))) == 20 + 3 + 1
    assert keys_to_find(chain_of(prompt_of(user("a")), ROOT)) == ()


def test_breakpoint_below_the_minimum_is_not_written_and_a_longer_one_is() -> None:
    prompt = prompt_of(user([marked(300), marked(1)]), system=[marked(511, "1h")])
    assert seen(Cache().ask(prompt)) == usage(write_5m=812)
    enough = prompt_of(user([marked(300), marked(1)]), system=[marked(512, "1h")])
    assert seen(Cache().ask(enough)) == usage(write_5m=301, write_1h=512)


def test_default_minimum_is_512_tokens() -> None:
    prompt = prompt_of(user([marked(511), marked(1)]))
    plan = plan_of(chain_of(prompt, ROOT), {}, size_of(prompt), now=0)
    assert [point.tokens for point in plan.writes] == [512]


def test_breakpoint_in_front_of_the_entry_is_not_written() -> None:
    cache = Cache(minimum_tokens=10)
    cache.ask(conversation(12, {12: "5m"}))
    running = cache.start(conversation(12, {3: "1h", 12: "5m"}), now=1)
    assert running.plan.writes == ()
    assert [point.tokens for point in running.plan.writable] == [30, 120]
    assert running.plan.usage == cache.respond(running).usage


def test_hour_is_counted_up_to_its_last_breakpoint() -> None:
    marks = {2: "1h", 5: "1h", 7: "5m", 9: "5m"}
    cache = Cache(minimum_tokens=10)
    assert seen(cache.ask(conversation(10, marks))) == usage(10, write_5m=40, write_1h=50)
    assert seen(cache.ask(conversation(12, {2: "1h", 5: "1h", 12: "1h"}), now=1)) == usage(
        read=90, write_1h=30
    )


def test_request_without_breakpoints_reads_and_writes_nothing() -> None:
    cache = Cache(minimum_tokens=10)
    cache.ask(conversation(10, {10: "5m"}))
    assert seen(cache.ask(conversation(10, {}), now=1)) == usage(100)


def test_expired_entry_is_not_read() -> None:
    cache = Cache(minimum_tokens=10)
    cache.ask(conversation(10, {10: "5m"}), now=0)
    assert cache.ask(conversation(10, {10: "5m"}), now=299_999).usage.cache_read == 100
    later = 299_999 + 300_000
    assert cache.ask(conversation(10, {10: "5m"}), now=later).usage.cache_read == 0


PROMPT = conversation(10, {3: "1h", 7: "5m"})
CHAIN = chain_of(PROMPT, ROOT)


@pytest.mark.parametrize(
    ("index", "tokens", "fits"),
    [
        (2, 30, True),
        (2, 29, False),
        (2, 31, False),
        (0, 1, True),
        (1, 31, False),
        (4, 30, True),
        (4, 71, False),
        (6, 70, True),
        (0, 0, False),
    ],
)
def test_entry_of_another_count_is_passed_over(index: int, tokens: int, *, fits: bool) -> None:
    key = CHAIN.prefixes[index].key
    found = {key: CacheEntry(tokens, "5m", 1)}
    plan = plan_of(CHAIN, found, size_of(PROMPT), now=0, minimum_tokens=10)
    assert plan.readable == ((CachePoint(index, key, tokens, "5m"),) if fits else ())


def test_breakpoint_without_a_size_is_not_in_the_prompt() -> None:
    short, whole = (
        plan_of(CHAIN, {}, PromptSize(100, sizes), now=0, minimum_tokens=10)
        for sizes in ((30,), (30, 0))
    )
    assert short == whole
    assert [point.tokens for point in short.writable] == [30]


@pytest.mark.parametrize(
    ("size", "fault"),
    [
        (PromptSize(100, (70, 30)), r"the sizes of prefixes, \[70, 30, 100\], do not rise"),
        (PromptSize(60, (30, 70)), "do not rise"),
        (PromptSize(100, (-1, 70)), "do not rise"),
        (PromptSize(100, (30, 70, 80)), "3 sizes for 2 breakpoints"),
    ],
)
def test_size_of_another_prompt_is_refused(size: PromptSize, fault: str) -> None:
    with pytest.raises(ValueError, match=fault):
        plan_of(CHAIN, {}, size, now=0)


def test_breakpoint_that_is_not_in_the_rendered_prompt_is_neither_read_nor_written() -> None:
    plan = plan_of(CHAIN, {}, PromptSize(100, (0, 70)), now=0, minimum_tokens=10)
    assert [(point.index, point.ttl) for point in plan.writes] == [(6, "5m")]
    assert plan.usage.cache_write_5m == 70
    nothing = plan_of(CHAIN, {}, PromptSize(100, (0, 0)), now=0, minimum_tokens=10)
    assert nothing.usage.input == 100
