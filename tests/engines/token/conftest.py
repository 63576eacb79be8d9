"""The chat templates of the corpus, each compiled once in a worker: that takes a tenth of a second.

What is learned of a template is most of it.
"""

from collections.abc import Callable, Iterator
from datetime import datetime
from functools import cache
from pathlib import Path
from typing import TypeAlias

import pytest
from jinja2 import Template

from antiphon.engines.token.prompt.template import ChatTemplate
from support.reference_jinja import reference_jinja
from support.template_corpus import template_corpus

NOW = datetime(2026, 11, 28, 9, 30)  # noqa: DTZ001 - a local date, as templates write it

Compiled: TypeAlias = Callable[[str], ChatTemplate]
"""Compiles a template of the corpus by its name; a function, because Hypothesis shows it."""

Referenced: TypeAlias = Callable[[str], Template]
"""The same, as transformers compiles it."""


class Clock:
    """The time that all templates of the corpus read."""

    def __init__(self) -> None:
        self.now = NOW


@pytest.fixture(scope="session")
def session_clock() -> Clock:
    return Clock()


@pytest.fixture
def clock(session_clock: Clock) -> Iterator[Clock]:
    """The clock of the templates, which a test may set."""
    yield session_clock
    session_clock.now = NOW


@pytest.fixture(scope="session")
def corpus(models_dir: Path) -> Callable[[str], str]:
    """Gives the text of a template by its name."""
    return template_corpus(models_dir).__getitem__


@pytest.fixture(scope="session")
def compiled(corpus: Callable[[str], str], session_clock: Clock) -> Compiled:
    @cache
    def compile_(name: str) -> ChatTemplate:
        return ChatTemplate(corpus(name), bos="<s>", eos="</s>", now=lambda: session_clock.now)

    return compile_


@pytest.fixture(scope="session")
def referenced(corpus: Callable[[str], str], session_clock: Clock) -> Referenced:
    return cache(lambda name: reference_jinja(lambda: session_clock.now).from_string(corpus(name)))
