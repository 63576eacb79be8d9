"""The glossary is true of the code: its names exist, and its retired words name nothing."""

import ast
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs/glossary.md").read_text(encoding="utf-8")
ROWS = re.findall(r"^\| ([^|`]+) \| [^|]+ \| `([\w.]+)(?::(\w+))?` \|$", PAGE, re.MULTILINE)
RETIRED = re.findall(r"[a-z]+", PAGE.partition("## Retired words")[2].partition(":")[2])


def names_in(source: str) -> Iterator[str]:
    """Yield every name that a module gives: to what it defines, binds, takes and imports."""
    for node in ast.walk(ast.parse(source)):
        match node:
            case ast.FunctionDef(name=name) | ast.AsyncFunctionDef(name=name):
                yield name
            case ast.ClassDef(name=name) | ast.ExceptHandler(name=str(name)):
                yield name
            case ast.arg(arg=name) | ast.Name(id=name, ctx=ast.Store()):
                yield name
            case ast.alias(asname=str(name)):
                yield name


def words_in(name: str) -> set[str]:
    return {word.lower() for word in re.findall(r"[A-Z]?[a-z]+|[A-Z]+", name)}


def test_glossary_lists_each_word_once() -> None:
    words = [word for word, _, _ in ROWS]
    assert len(words) > 50
    assert len(set(words)) == len(words)


def test_words_of_the_glossary_are_in_the_code() -> None:
    for word, module, name in ROWS:
        found = import_module(f"antiphon.{module}")
        assert not name or hasattr(found, name), word


@pytest.fixture(scope="module")
def given() -> dict[Path, set[str]]:
    """The words of the names that each module has, and gives."""
    words: dict[Path, set[str]] = {}
    for path in (ROOT / "src").rglob("*.py"):
        relative = path.relative_to(ROOT / "src")
        # The tables and their migrations keep the names that databases in use have.
        if path.name == "tables.py" or "versions" in relative.parts:
            continue
        names = {*relative.with_suffix("").parts, *names_in(path.read_text("utf-8"))}
        words[relative] = set().union(*map(words_in, names))
    return words


@pytest.mark.parametrize("word", RETIRED)
def test_retired_word_names_nothing(given: dict[Path, set[str]], word: str) -> None:
    assert len(RETIRED) > 10
    assert [path for path, words in given.items() if word in words] == []
