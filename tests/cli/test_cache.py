"""`antiphon cache`: what is kept of prompts on the disk, and for whom."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from antiphon.cli.output import day
from antiphon.engines.llama.snapshots.folder import name_model
from antiphon.service.caching import salt_of
from antiphon.service.installation import opened_database, signing_key_of
from antiphon.settings import Settings
from antiphon.store.directory import read_directory
from cli.conftest import Shell
from support.snapshots import Disk, open_store, put


async def salt(data_dir: Path, workspace: str) -> str:
    """Return the salt of a workspace, as a server computes it."""
    settings = Settings.load({"data_dir": data_dir}, environ={})
    async with opened_database(settings) as database:
        key = await signing_key_of(database, bytes)
        async with database.read() as connection:
            directory = await read_directory(connection)
        (found,) = [one for one in directory.workspaces.values() if one.name == workspace]
        return salt_of(key, directory.organization.id, found.id)


async def keep(data_dir: Path) -> None:
    """Keep a prefix of the Default workspace, one of `research`, and one of an unknown salt."""
    disk = Disk()
    store = await open_store(data_dir / "engines" / "snapshots", disk)
    name_model(store.folder, "qwen")
    for number, name in enumerate(("Default", "research")):
        await put(store, await salt(data_dir, name), list(range(2, 12 + number)), b"x" * 5000)
        disk.now += 60
    await put(store, "gone", [1, 2, 3])
    await store.aclose()


@pytest.fixture
def kept(shell: Shell) -> Shell:
    shell("workspaces create research")
    asyncio.run(keep(shell.data_dir))
    return shell


def test_kept_prefixes_are_listed_with_their_workspaces(kept: Shell) -> None:
    rows = kept.json("cache list")
    assert [(row["model"], row["workspace"], row["tokens"]) for row in rows] == [
        ("qwen", None, 3),
        ("qwen", "research", 11),
        ("qwen", "Default", 10),
    ]
    said = kept.both("cache list --workspace research --model qwen")
    assert "5.0 kB" in said
    assert said.endswith("1 prefix, 5.0 kB.\n")


def test_times_have_their_zone_for_programs_and_the_form_of_tables_for_people(kept: Shell) -> None:
    times = [row[name] for row in kept.json("cache list") for name in ("used_at", "ends_at")]
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", one) for one in times)
    row = kept("cache list").splitlines()[1]
    assert row.endswith(f"{day(times[0])}  {day(times[1])}")


def test_models_are_found_by_their_names(kept: Shell, configured: Callable[[str], Shell]) -> None:
    configured('model_id = "qwen"\naliases = ["claude-opus-4-8", "tiny-*"]\n')
    for name in ("qwen", "claude-opus-4-8", "tiny-1"):
        assert len(kept.json(f"cache list --model {name}")) == 3
    # Another model is served now. Its name finds nothing, and the old id still finds its prefixes.
    configured('engine = "scripted"\naliases = ["claude-opus-4-8", "qwen"]\n')
    assert len(kept.json("cache list --model qwen")) == 3
    empty = kept("cache list --model claude-opus-4-8 --workspace research")
    assert empty == (
        "No prefixes of prompts of model 'claude-opus-4-8' in workspace 'research' are on the "
        "disk.\n"
    )
    assert kept("cache clear --model scripted") == "There is nothing to remove.\n"


@pytest.mark.parametrize("action", ["list", "clear --yes"])
def test_unknown_model_is_refused_with_the_known_names(
    kept: Shell, configured: Callable[[str], Shell], action: str
) -> None:
    configured('engine = "scripted"\naliases = ["claude-x"]\n')
    told = kept.complaint(f"cache {action} --model claude-opus")
    assert told == "no model answers to 'claude-opus'; the names are scripted, claude-x, qwen"
    assert len(kept.json("cache list")) == 3


def test_prefixes_are_removed_by_workspace(kept: Shell) -> None:
    said = kept("cache clear --workspace research")
    assert said.startswith("Removed 1 prefix: 5.0 kB are free again.")
    assert [row["workspace"] for row in kept.json("cache list")] == [None, "Default"]
    assert kept.json("cache clear --yes") == {"removed": 2, "bytes": 5005}
    assert kept("cache list") == "No prefixes of prompts are on the disk.\n"
    assert kept("cache clear") == "There is nothing to remove.\n"


def test_unknown_workspace_is_told(kept: Shell) -> None:
    assert kept.complaint("cache list --workspace none").startswith("there is no workspace 'none'")
