"""docs/how-to/add-a-content-block.md: paths, names and quotations are those of the code."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "src/antiphon"
PAGE = (ROOT / "docs/how-to/add-a-content-block.md").read_text(encoding="utf-8")
FENCE = re.compile(r"^```(\w+)\n(.*?)^```\n", re.MULTILINE | re.DOTALL)
PROSE = FENCE.sub("", PAGE)
# Parts of names, words of the wire, and a command.
NO_NAMES = {"Param", "Block", "event_", "None", "null", 'tag_field="type"', "make coverage-table"}
ENGINES = {"llama", "chat_completions", "messages_api", "scripted"}


def located(path: str) -> Path:
    """Return the file or folder that a path of the page names."""
    return next(root / path for root in (PACKAGE, ROOT) if (root / path).exists())


def spans() -> set[str]:
    """Return what stands in backticks."""
    return set(re.findall(r"`([^`]+)`", PROSE)) - NO_NAMES


PATHS = sorted(span for span in spans() if "/" in span)
NAMES = sorted(span for span in spans() if "/" not in span)


def names_in(path: Path) -> Iterator[str]:
    """Yield the names that a module defines or imports, and its strings of one word."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        match node:
            case ast.ClassDef(name=name) | ast.FunctionDef(name=name) | ast.Name(id=name):
                yield name
            case ast.AsyncFunctionDef(name=name) | ast.alias(name=name):
                yield name
            case ast.Attribute(attr=name) | ast.Constant(value=str(name)):
                yield name


@pytest.mark.parametrize("path", PATHS)
def test_path_of_the_page_exists(path: str) -> None:
    assert located(path).exists()


def test_every_name_of_the_page_is_in_a_module_that_it_names() -> None:
    modules = [located(path) for path in PATHS if path.endswith(".py")]
    known = {name for module in modules for name in names_in(module)}
    packages = {folder.name for folder in PACKAGE.iterdir() if folder.is_dir()}
    assert set(NAMES) - known - packages - ENGINES == set()


@pytest.mark.parametrize(
    ("name", "path"), re.findall(r"`(\w+)`[^`|\n]{0,20} in\s+`([^`]+\.py)`", PROSE)
)
def test_name_is_defined_where_the_page_says(name: str, path: str) -> None:
    assert name in set(names_in(located(path)))


@pytest.mark.parametrize("quoted", [text for kind, text in FENCE.findall(PAGE) if kind == "python"])
def test_quoted_code_is_in_its_file(quoted: str) -> None:
    path, _, code = quoted.removeprefix("# ").partition("\n")
    lines = [line.strip() for line in located(path).read_text(encoding="utf-8").splitlines()]
    assert "\n".join(map(str.strip, code.strip().splitlines())) in "\n".join(lines)
