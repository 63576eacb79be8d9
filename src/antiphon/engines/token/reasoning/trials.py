"""Tries values of the variables that a template reads, and renders the same question with each."""

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

import jinja2.nodes
import msgspec
from jinja2.meta import find_undeclared_variables

from antiphon.engines.base import EFFORTS
from antiphon.engines.token.notation.lab import ASKED
from antiphon.engines.token.prompt.reasoning_format import DEFAULT_EFFORT
from antiphon.engines.token.reasoning.lab import MOST_RENDERINGS, Lab, Variables

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

    @property
    def with_efforts(self) -> "Reads":
        """The same with those variables only that are compared with an effort."""
        found = {name: words for name, words in self.variables.items() if {*words} & {*EFFORTS}}
        return Reads(found, self.constants)


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
    """The prompts of a question with each value of each variable, and without any.

    Half of the renderings are left for the tags.
    """

    def __init__(self, lab: Lab, reads: Reads) -> None:
        self.default = lab.text([ASKED])
        self.trials: list[Trial] = []
        self._unknown: dict[str, str | None] = {}
        self.reads = reads
        for name, words in reads.variables.items():
            if lab.left < MOST_RENDERINGS // 2:
                break
            self._unknown[name] = lab.text([ASKED], {name: UNKNOWN})
            for value in self._values(lab, name, words):
                text = lab.text([ASKED], {name: value})
                if text is not None:
                    self.trials.append(Trial(name, value, text))

    @property
    def names(self) -> Sequence[str]:
        """The variables that were tried."""
        return tuple(self._unknown)

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
