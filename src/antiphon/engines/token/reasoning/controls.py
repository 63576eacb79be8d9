"""Finds the variables by which a template controls reasoning: values are tried, and compared."""

from collections.abc import Mapping, Sequence
from typing import Any

from antiphon.engines.base import EFFORTS, nearest
from antiphon.engines.token.notation.lab import ASKED
from antiphon.engines.token.prompt.reasoning_format import (
    DEFAULT_EFFORT,
    EffortControl,
    Opening,
    ReasoningTags,
    Switch,
)
from antiphon.engines.token.reasoning.lab import Lab, Variables
from antiphon.engines.token.reasoning.trials import (
    LEAST,
    NO,
    TOKENS,
    USUAL,
    YES,
    Reads,
    Trial,
    Trials,
)


def needed(lab: Lab, reads: Reads) -> Variables:
    """Return the variable without which a template refuses a question, with one of its words."""
    if lab.text([ASKED]) is not None:
        return {}
    pairs = [(name, word) for name, words in reads.variables.items() for word in words]
    for name, word in sorted(pairs, key=lambda pair: pair[1] not in YES):
        if lab.text([ASKED], {name: word}) is not None:
            return {name: word}
    return {}


class Ends:
    """Tells how prompts end: in an open thought, behind an empty one, or before either."""

    def __init__(self, tags: ReasoningTags, header: str) -> None:
        self._tags = tags
        self._header = header

    def of(self, prompt: str | None) -> Opening:
        """Return how a prompt of the question of the lab ends."""
        tail = "" if prompt is None else prompt.rpartition(ASKED["content"])[2]
        # A template may write something behind the last question, too.
        more = tail.partition(self._header)[2].strip() if self._header else tail.strip()
        if not more:
            return "free"
        if more.endswith(self._tags.opening):
            return "open"
        gap = self._tags.gap.strip()
        is_closed = self._tags.closing in more or (gap and gap.endswith(more))
        return "closed" if is_closed else "free"


def switch_in(trials: Trials, ends: Ends) -> Switch | None:
    """Return the variable that switches reasoning on and off.

    One value of it has to end the prompt behind an empty thought, or in an open one, and another
    not. A variable with a usual name may also change the instructions only.
    """
    for name in trials.names:
        if _is_number(trials.of(name)):
            continue
        for kind in (bool, str):
            tried = [one for one in trials.of(name) if type(one.value) is kind]
            found = _pair(trials, ends, tried)
            if found is not None:
                return _switch(trials, name, *found)
    for name in USUAL:
        texts = {one.value: one.text for one in trials.of(name) if isinstance(one.value, bool)}
        if len(set(texts.values())) > 1:
            return _switch(trials, name, on=True, off=False)
    return _named_switch(trials)


def _switch(trials: Trials, name: str, on: Any, off: Any) -> Switch:
    usual = [
        one.value
        for one in trials.of(name)
        if one.text == trials.default and type(one.value) is type(on) and one.value in (on, off)
    ]
    return Switch(name, on, off, next(iter(usual), None))


def _pair(trials: Trials, ends: Ends, tried: Sequence[Trial]) -> tuple[Any, Any] | None:
    """Return the values for on and off, if there are both."""
    closed = [one for one in tried if ends.of(one.text) == "closed"]
    opened = [one for one in tried if ends.of(one.text) == "open"]
    others = [one for one in tried if ends.of(one.text) == "free"]
    if not closed and not opened:
        return None
    off = next(iter(_by_plainness(closed or others)), None)
    on = _first_on(trials, opened or others)
    return None if on is None or off is None else (on.value, off.value)


def _named_switch(trials: Trials) -> Switch | None:
    """Return a variable that only changes the instructions, by its words: "none" and "high", say.

    Both are words that the template itself looks for.
    """
    for name in trials.names:
        words = trials.reads.variables[name]
        tried = [one for one in trials.of(name) if one.value in words]
        off = next(iter(_by_plainness([one for one in tried if one.value in NO])), None)
        on = _first_on(trials, [one for one in tried if one.value in YES])
        if on is not None and off is not None and on.text != off.text:
            return _switch(trials, name, on.value, off.value)
    return None


def _first_on(trials: Trials, tried: Sequence[Trial]) -> Trial | None:
    """Return the value that switches on: `True`, the usual effort, or what is so by default."""
    chosen = [one for value in (True, *YES) for one in tried if one.value == value]
    usual = [one for one in tried if one.text == trials.default]
    return next(iter((*chosen, *usual, *tried)), None)


def _by_plainness(tried: Sequence[Trial]) -> list[Trial]:
    """Return trials with those first that say no: `False`, or the plainest word."""
    order = (False, *LEAST)
    return sorted(tried, key=lambda one: order.index(one.value) if one.value in order else 99)


def effort_in(trials: Trials, ends: Ends | None) -> EffortControl | None:
    """Return the variable for the effort, and the levels that it tells apart."""
    for name in trials.names:
        tried = {one.value: one for one in trials.of(name) if one.value in EFFORTS}
        if not tried or _is_number(trials.of(name)):
            continue
        levels = _levels(trials, name, tried, ends)
        if len(levels) > 1:
            return EffortControl(name, levels)
    return None


def _levels(
    trials: Trials, name: str, tried: Mapping[str, Trial], ends: Ends | None
) -> tuple[str, ...]:
    """Return one level for each prompt that the levels make.

    A template that writes any word (a date, say) knows no levels, unless one of them is what it
    takes by default, or it compares with one. Of levels that it only repeats, it knows three.
    """
    words = trials.reads.variables[name]
    known = {*EFFORTS[:3], *words, *trials.reads.constants}
    is_shown = trials.refuses(name) or any(one.text == trials.default for one in tried.values())
    if ends is not None:
        found = {value: ends.of(one.text) for value, one in tried.items()}
        is_shown |= len(set(found.values())) > 1
        tried = {value: one for value, one in tried.items() if found[value] != "closed"}
        opened = {value: one for value, one in tried.items() if found[value] == "open"}
        tried = opened or tried
    if not is_shown and not any(word in EFFORTS for word in words):
        return ()
    repeated = {value: trials.repeats(one) for value, one in tried.items()}
    tried = {value: one for value, one in tried.items() if value in known or not repeated[value]}
    classes: dict[str, list[str]] = {}
    for value in sorted(tried, key=EFFORTS.index):
        classes.setdefault(tried[value].text, []).append(value)
    levels = [nearest(DEFAULT_EFFORT, one) for one in classes.values()]
    return tuple(sorted(levels, key=EFFORTS.index))


def budget_in(trials: Trials, ends: Ends) -> str | None:
    """Return the variable for the most tokens: it is written, and 0 ends in an empty thought."""
    for name in trials.names:
        tried = trials.of(name)
        states = {one.value: ends.of(one.text) for one in tried if type(one.value) is int}
        if _is_number(tried) and states.pop(0) == "closed" not in states.values():
            return name
    return None


def _is_number(tried: Sequence[Trial]) -> bool:
    """Whether a template writes numbers of a variable, and takes 0 as something else."""
    numbers = {one.value: one.text for one in tried if type(one.value) is int}
    return (
        all(str(tokens) in numbers.get(tokens, "") for tokens in TOKENS)
        and len(numbers) == 1 + len(TOKENS)
        and numbers[TOKENS[0]].replace(str(TOKENS[0]), "0") != numbers[0]
    )
