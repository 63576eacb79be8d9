"""What the documents say is so."""

import argparse
import re
from collections.abc import Awaitable, Callable, Iterator
from decimal import Decimal
from pathlib import Path

import pytest
from msgspec.structs import replace

from antiphon import __version__
from antiphon.cli import FAMILIES, parser
from antiphon.core import errors
from antiphon.core.billing.price_list import LIST_PRICES
from antiphon.engines.llama.options import LlamaOptions
from antiphon.engines.scripted import ScriptedOptions, ScriptedReply
from antiphon.engines.sglang.options import SglangOptions
from antiphon.engines.upstream.chat_completions.options import ChatOptions
from antiphon.engines.upstream.messages_api.options import MessagesOptions
from antiphon.engines.vllm.options import VllmOptions
from antiphon.oidc_settings import OidcSettings
from antiphon.server.app import ORGANIZATIONS_PATH, routes
from antiphon.service.platform import Platform
from antiphon.settings import (
    SETTING_NAMES,
    CardSettings,
    ConsoleSettings,
    LimitSettings,
    ModelSettings,
    PriceSettings,
)
from antiphon.telemetry_settings import MetricsSettings, TracesSettings
from support import surface

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SETTINGS = (DOCS / "reference/settings.md").read_text(encoding="utf-8")
HTTP = (DOCS / "reference/http.md").read_text(encoding="utf-8")
COMMANDS = (DOCS / "reference/commands.md").read_text(encoding="utf-8")
PAGES = (
    *sorted(DOCS.rglob("*.md")),
    *sorted(ROOT.glob("*.md")),
    *sorted((ROOT / "examples").rglob("*.md")),
)


def test_every_setting_is_documented() -> None:
    assert [name for name in SETTING_NAMES if f"`{name}`" not in SETTINGS] == []


@pytest.mark.parametrize(
    ("section", "kind"),
    [
        ("## `[[models]]`", ModelSettings),
        ("## `[price]`", PriceSettings),
        ("## `[limits]`", LimitSettings),
        ("## `[console]`", ConsoleSettings),
        ("## `[oidc]`", OidcSettings),
        ("## `[metrics]`", MetricsSettings),
        ("## `[traces]`", TracesSettings),
        ("## `[llama]`", LlamaOptions),
        ("## `[scripted]`", ScriptedOptions),
        ("## `[scripted]`", ScriptedReply),
        ("## `chat_completions`", ChatOptions),
        ("## `messages_api`", MessagesOptions),
        ("## `vllm`", VllmOptions),
        ("## `sglang`", SglangOptions),
    ],
)
def test_every_option_of_a_table_is_documented(section: str, kind: type) -> None:
    text = SETTINGS.partition(section)[2].partition("\n## ")[0]
    for name in kind.__struct_fields__:
        assert f"`{name}`" in text, name


def test_page_of_prices_is_the_list_of_prices() -> None:
    page = (DOCS / "reference/prices.md").read_text(encoding="utf-8")
    columns = ("input", "cache_write_5m", "cache_write_1h", "cache_read", "output")
    cards = []
    for row in re.findall(r"^\| (claude-.*) \|$", page, re.MULTILINE):
        names, *dollars = row.split(" | ")
        card = CardSettings(**dict(zip(columns, map(Decimal, dollars), strict=True))).card()
        cards += [(name, card) for name in re.findall(r"claude-[a-z0-9-]+", names)]
    listed = [
        (name, card)
        for name, price in LIST_PRICES.items()
        for card in (replace(price, long=None, long_above=0), price.long)
        if card
    ]
    assert sorted(cards, key=repr) == sorted(listed, key=repr)


@pytest.mark.anyio
async def test_every_route_is_documented(
    platform: Callable[[], Awaitable[Platform]],
) -> None:
    page = (DOCS / "reference/admin.md").read_text(encoding="utf-8")
    served = {f"{route.method} {route.template}" for route in routes(await platform())}
    administration = {name for name in served if ORGANIZATIONS_PATH in name}
    assert set(re.findall(r"^\| `(\w+ /v1/organizations[^`]*)` \|", page, re.MULTILINE)) == (
        administration
    )
    for name in served - administration:
        assert f"`{name}`" in HTTP
    rows = {*surface.SURFACE["routes"], *surface.SURFACE["administration"]}
    assert {
        name for name in administration if name.replace(ORGANIZATIONS_PATH, "") not in rows
    } <= rows


def test_every_error_is_documented() -> None:
    catalogue = [one for one in vars(errors).values() if isinstance(one, type)]
    for error in catalogue:
        if issubclass(error, errors.ApiError) and error is not errors.ApiError:
            assert f"| {error.status} | `{error.type}` |" in HTTP


def test_every_event_of_the_prompt_cache_that_the_page_names_is_logged() -> None:
    (table,) = re.findall(r"^\| event \|.*?(?=^$|\Z)", HTTP, re.MULTILINE | re.DOTALL)
    rows = table.splitlines()[2:]
    events = [name for row in rows for name in re.findall("`(.*?)`", row.split(" | ")[0])]
    assert len(events) > len(rows)
    source = "".join(one.read_text(encoding="utf-8") for one in (ROOT / "src").rglob("*.py"))
    assert [name for name in events if f'"{name}"' not in source] == []


def flags(
    whole: argparse.ArgumentParser, path: tuple[str, ...]
) -> Iterator[tuple[tuple[str, ...], str]]:
    for action in whole._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, child in action.choices.items():
                yield from flags(child, (*path, name))
        else:
            for flag in action.option_strings:
                yield path, flag


def test_every_command_and_flag_is_documented() -> None:
    found = list(flags(parser(FAMILIES), ("antiphon",)))
    assert len(found) > 10
    for path, flag in found:
        assert " ".join(path) in COMMANDS
        assert flag == "-h" or f"`{flag}" in COMMANDS


def test_every_link_between_documents_leads_somewhere() -> None:
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)[^)]*\)", page.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (page.parent / target).exists(), f"{page.name}: {target}"


LAYERS = ("wire", "schemas", "core", "engines", "store", "weights", "service", "server", "cli")


def is_there(name: str) -> bool:
    """Whether a path, or a dotted name of a module or of something in it, leads to a file."""
    roots = (ROOT / "src/antiphon", ROOT, ROOT / "examples")
    if name.endswith(".py"):
        return any((root / name).is_file() for root in roots)
    parts = name.split(".")
    whole, parent = roots[0].joinpath(*parts), roots[0].joinpath(*parts[:-1])
    return whole.is_dir() or any(one.with_suffix(".py").is_file() for one in (whole, parent))


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_module_that_a_page_names_exists(page: Path) -> None:
    text = re.sub(
        r"^```.*?^```", "", page.read_text(encoding="utf-8"), flags=re.DOTALL | re.MULTILINE
    )
    named = {span for span in re.findall(r"`([\w./-]+)`", text) if span.endswith(".py")}
    named |= {
        span for span in re.findall(r"`(\w+(?:\.\w+)+)`", text) if span.split(".")[0] in LAYERS
    }
    assert [name for name in sorted(named) if not is_there(name)] == []


def test_figures_of_the_comparison_are_those_of_the_benchmarks() -> None:
    page, benchmarks = (
        (DOCS / name).read_text(encoding="utf-8") for name in ("comparison.md", "benchmarks.md")
    )
    figures = re.findall(r"\d[\d,.]* (?:ms|requests/s)|0\.\d+ of bare llama.cpp", page)
    assert len(figures) >= 5
    assert [figure for figure in figures if figure not in benchmarks] == []


def test_pictures_of_the_readme_are_there_and_small() -> None:
    text = (ROOT / "README.md").read_text(encoding="utf-8")
    pictures = [ROOT / name for name in re.findall(r'(?:src|srcset)="([^"]+)"', text)]
    assert len(pictures) == 2
    for picture in pictures:
        assert picture.read_bytes().startswith(b"\x89PNG")
        assert picture.stat().st_size < 150_000


def test_the_changelog_begins_with_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    versions = re.findall(r"^## \[?([\d.]+)", text, re.MULTILINE)
    assert versions[0] == __version__


def test_wheels_that_pages_name_are_of_this_version() -> None:
    wheels = {
        wheel
        for page in PAGES
        for wheel in re.findall(r"antiphon-[\d.]+-[\w-]+\.whl", page.read_text(encoding="utf-8"))
    }
    assert wheels == {f"antiphon-{__version__}-py3-none-any.whl"}


def test_decisions_are_numbered_without_gaps() -> None:
    numbers = sorted(int(page.name[:4]) for page in (DOCS / "decisions").glob("*.md"))
    assert numbers == list(range(1, len(numbers) + 1))


def test_nothing_but_the_settings_reads_the_environment() -> None:
    for module in (ROOT / "src").rglob("*.py"):
        # A program with the SDK has no settings of a server.
        if module.name != "settings.py" and module.parts[-2:] != ("sdk", "environment.py"):
            source = module.read_text(encoding="utf-8")
            # What llama.cpp reads is set, in its own process; nothing is read.
            source = source.replace("os.environ.setdefault", "")
            assert "os.environ" not in source, module
            assert "getenv" not in source, module


def test_coverage_page_equals_the_marks_of_the_tests() -> None:
    committed = surface.PAGE.read_text(encoding="utf-8")
    states = surface.covered()
    assert surface.regressions(surface.stated(committed), states) == []
    assert committed == surface.page(states), "run make coverage-table"
