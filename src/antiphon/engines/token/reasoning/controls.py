"""Finds the variables by which a template controls reasoning: values are tried, and compared."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import jinja2.nodes
import msgspec
from jinja2.meta import find_undeclared_variables

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

USUAL: Final = ("enable_thinking", "thinking", "reasoning")
"""Names of switches. Only these can be switches that change nothing but the instructions."""

GIVEN: Final = {
    "messages", "tools", "documents", "add_generation_prompt", "bos_token", "eos_token",
}  # fmt: skip
"""Variables that a template is given by every engine."""

LEAST: Final = ("none", "no_think", "off", "disabled", "minimal", "low")
"""Values that may switch reasoning off, the plainest first."""

NO: Final = LEAST[:4]
YES: Final = (DEFAULT_EFFORT, "enabled", "on")

UNKNOWN: Final = "vexq"
"""A value that no template names."""

TOKENS: Final = (1024, 4096)
MOST_VARIABLES: Final = 40
MOST_WORDS: Final = 12
MOST_SETTINGS: Final = 10
_WORD: Final = re.compile(r"[A-Za-z_-]{2,16}")


class Reads(msgspec.Struct, frozen=True):
    """What a template reads: its variables, the words that it compares each with, all texts."""

    variables: Mapping[str, tuple[str, ...]]
    constants: tuple[str, ...]


def reads_of(tree: jinja2.nodes.Template) -> Reads:
    """Return what a template reads."""
    # First the texts: looking for variables folds what is constant.
    constants = [node.value for node in tree.find_all(jinja2.nodes.Const)]
    texts = tuple(dict.fromkeys(one for one in constants if isinstance(one, str)))
    words = {name: tuple(found) for name, found in _compared(tree).items()}
    names = sorted(
        find_undeclared_variables(tree) - GIVEN,
        key=lambda name: (USUAL.index(name) if name in USUAL else len(USUAL), name),
    )
    return Reads({name: words.get(name, ()) for name in names[:MOST_VARIABLES]}, texts)


def _compared(tree: jinja2.nodes.Template) -> Mapping[str, list[str]]:
    """Return the words with which a template compares each variable, or what it sets from it."""
    found: dict[str, list[str]] = {}
    origins: dict[str, set[str]] = {}
    for assign in tree.find_all(jinja2.nodes.Assign):
        if isinstance(assign.target, jinja2.nodes.Name):
            named = {one.name for one in assign.node.find_all(jinja2.nodes.Name)}
            origins.setdefault(assign.target.name, set()).update(named)
    for compare in tree.find_all(jinja2.nodes.Compare):
        words = [
            one.value
            for one in compare.find_all(jinja2.nodes.Const)
            if isinstance(one.value, str) and _WORD.fullmatch(one.value)
        ]
        for name in {one.name for one in compare.find_all(jinja2.nodes.Name)}:
            for origin in {name, *origins.get(name, ())}:
                found.setdefault(origin, []).extend(words)
    return {name: list(dict.fromkeys(words))[:MOST_WORDS] for name, words in found.items()}


class Trial(msgspec.Struct, frozen=True):
    """A question, rendered with one value of a variable."""

    variable: str
    value: Any
    text: str

    @property
    def given(self) -> Variables:
        return {self.variable: self.value}


class Trials:
    """The prompts of a question with each value of each variable, and without any."""

    def __init__(self, lab: Lab, reads: Reads) -> None:
        self.default = lab.text([ASKED])
        self.trials = [
            Trial(name, value, text)
            for name, words in reads.variables.items()
            for value in self._values(lab, name, words)
            if (text := lab.text([ASKED], {name: value})) is not None
        ]
        self._unknown = {name: lab.text([ASKED], {name: UNKNOWN}) for name in reads.variables}
        self.reads = reads

    def _values(self, lab: Lab, name: str, words: Sequence[str]) -> Iterator[Any]:
        """Yield values; many of them only of a variable of which one makes a difference."""
        some = (True, False, *words)
        yield from some
        if all(lab.text([ASKED], {name: one}) in (self.default, None) for one in (*some, UNKNOWN)):
            return
        yield from (word for word in dict.fromkeys((*EFFORTS, *LEAST)) if word not in words)
        yield from (0, *TOKENS)

    @property
    def settings(self) -> list[Variables]:
        """The variables of prompts that are not like others, first the default; a few at most."""
        seen: dict[str, Variables] = {} if self.default is None else {self.default: {}}
        for trial in self.trials:
            words = self.reads.variables[trial.variable]
            if isinstance(trial.value, bool) or trial.value in words:
                seen.setdefault(trial.text, trial.given)
        return list(seen.values())[:MOST_SETTINGS]

    def of(self, name: str) -> list[Trial]:
        return [trial for trial in self.trials if trial.variable == name]

    def refuses(self, name: str) -> bool:
        """Whether the template refuses a value of the variable that it does not know."""
        return self._unknown[name] is None

    def repeats(self, trial: Trial) -> bool:
        """Whether the template writes a word as it would write any other."""
        unknown = self._unknown[trial.variable]
        return unknown is not None and unknown.replace(UNKNOWN, trial.value) == trial.text


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
    for name in trials.reads.variables:
        tried = trials.of(name)
        if _is_number(tried):
            continue
        closed = _by_plainness([one for one in tried if ends.of(one.text) == "closed"])
        opened = [one for one in tried if ends.of(one.text) == "open"]
        others = [one for one in tried if ends.of(one.text) == "free"]
        off = next(iter(closed or (_by_plainness(others) if opened else ())), None)
        if off is None:
            continue
        alike = [one for one in opened or others if type(one.value) is type(off.value)]
        on = _first_on(trials, alike)
        if on is not None and on.text != off.text:
            return Switch(name, on.value, off.value)
    for name in USUAL:
        texts = {one.value: one.text for one in trials.of(name) if isinstance(one.value, bool)}
        if len(set(texts.values())) > 1:
            return Switch(name)
    return _named_switch(trials)


def _named_switch(trials: Trials) -> Switch | None:
    """Return a variable that only changes the instructions, by its words: "none" and "high", say.

    Both are words that the template itself looks for.
    """
    for name, words in trials.reads.variables.items():
        tried = [one for one in trials.of(name) if one.value in words]
        off = next(iter(_by_plainness([one for one in tried if one.value in NO])), None)
        on = _first_on(trials, [one for one in tried if one.value in YES])
        if on is not None and off is not None and on.text != off.text:
            return Switch(name, on.value, off.value)
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
    for name in trials.reads.variables:
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
    for name in trials.reads.variables:
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
