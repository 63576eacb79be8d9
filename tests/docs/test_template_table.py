"""The page of templates says what is learned of them now: `make template-table` writes it."""

import re
from pathlib import Path

import pytest

from antiphon.engines.token.template_facts import has_tools
from support.template_corpus import NAMES, every_other, template_corpus
from support.template_table import NATIVE, PAGE, example, learned, page, row

TEXT = PAGE.read_text(encoding="utf-8")
FIRST, _, SECOND = TEXT.partition("\n## How each writes a call")


def rows(text: str) -> dict[str, str]:
    """Return the rows of a table by their first cells."""
    found = re.findall(r"^\| (\S+) \| .*$", text, re.MULTILINE)
    lines = [line for line in text.splitlines() if line.startswith("| ")]
    return dict(zip(found, lines, strict=True))


@pytest.fixture(scope="module")
def corpus(models_dir: Path) -> dict[str, str]:
    return dict(template_corpus(models_dir))


@pytest.mark.parametrize("name", every_other(NAMES))
def test_rows_of_a_template_are_what_is_learned_of_it(corpus: dict[str, str], name: str) -> None:
    facts = learned(corpus[name])
    assert rows(FIRST)[name] == row(name, facts, tools=has_tools(corpus[name]))
    assert rows(SECOND).get(name) == example(name, facts)


def test_page_has_the_rows_of_all_templates_and_their_share(corpus: dict[str, str]) -> None:
    found, examples = rows(FIRST), rows(SECOND)
    for one in (found, examples):
        one.pop("template")
    assert sorted(found) == sorted(NAMES)
    assert page(found, examples, tools=sum(map(has_tools, corpus.values()))) == TEXT
    assert sum(f"| {NATIVE} |" in one for one in found.values()) == len(examples)
