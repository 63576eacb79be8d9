"""`antiphon models ps`: what the server that runs on the data folder has loaded.

With an admin key in the settings the server itself is asked. Without one, its child processes tell
which files they run, on Linux.
"""

import argparse
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec
from msgspec.structs import replace

from antiphon.cli.command import CommandError
from antiphon.cli.links import local_url
from antiphon.cli.model_files import users_of_files
from antiphon.cli.output import decimal_size, hint, say_json
from antiphon.cli.tables import TableForm, say_table
from antiphon.engines.llama.memory import used_memory
from antiphon.engines.llama.process import CHILD
from antiphon.settings import Settings
from antiphon.store.data_folder import refuse_a_file
from antiphon.store.database.instance_lock import Holder, holder_of
from antiphon.wire.admin.models import ModelStateInfo, ModelStates

ROUTE: Final = "/v1/organizations/models"
VERSION: Final = "2026-10-21"
PATIENCE_S: Final = 10.0
MOST_BYTES: Final = 8 << 20


class LoadedFile(msgspec.Struct, frozen=True):
    """A file that a child process of a server runs: its process, and the memory it has now."""

    model: str
    file: str
    process: int
    memory: int | None


def print_loaded(arguments: argparse.Namespace, settings: Settings) -> int:
    """Print what is loaded; return 1 if no server runs."""
    refuse_a_file(settings.data_dir)
    holder = holder_of(settings.data_dir)
    if holder is None:
        raise CommandError(
            f"no server runs on {settings.data_dir}; `antiphon serve` starts one, and --data-dir "
            "names another folder"
        )
    if settings.admin_key is not None:
        states = _ask(settings, holder, settings.admin_key.reveal())
        if arguments.json:
            say_json(states)
        else:
            say_table(
                [_row(one) for one in states],
                TableForm(empty="It serves no model.", least_useful=("waiting", "running")),
            )
        return 0
    files = list(loaded_files(holder.process, settings))
    if arguments.json:
        say_json(files)
        return 0
    say_table(
        [
            {
                "model": one.model,
                "memory": None if one.memory is None else decimal_size(one.memory),
                "process": str(one.process),
                "file": one.file,
            }
            for one in files
        ],
        TableForm(
            empty=f"The server (process {holder.process}, {holder.address}) runs no file that can "
            "be seen from here.",
            least_useful=("process",),
            texts=("file",),
        ),
    )
    hint(
        "With an admin key (`antiphon keys create NAME --admin`) in ANTIPHON_ADMIN_KEY the server "
        "tells more: context, slots, requests."
    )
    return 0


def _ask(settings: Settings, holder: Holder, key: str) -> Sequence[ModelStateInfo]:
    """Ask the server for its models. Raises `CommandError`."""
    host, _, port = holder.address.rpartition(":")
    if not port.isdecimal():
        raise CommandError(f"the address of the server (process {holder.process}) is not known")
    url = local_url(replace(settings, host=host.strip("[]")), int(port)) + ROUTE
    request = urllib.request.Request(  # noqa: S310 - the address of a server on this machine
        url, headers={"x-api-key": key, "anthropic-version": VERSION}
    )
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(request, timeout=PATIENCE_S) as answer:
            return msgspec.json.decode(answer.read(MOST_BYTES), type=ModelStates).data
    except urllib.error.HTTPError as error:
        with error:
            wrong = settings.admin_key.place if settings.admin_key else None
            refused = f": {wrong or 'the admin key'} is refused" if error.code in {401, 403} else ""
            raise CommandError(f"{url} answered {error.code}{refused}") from error
    except (OSError, msgspec.DecodeError) as error:
        raise CommandError(f"{url} does not answer: {error}") from error


def _row(one: ModelStateInfo) -> dict[str, Any]:
    memories = [engine.memory for engine in one.engines if engine.memory is not None]
    known = [one.process_bytes for one in memories if one.process_bytes is not None]
    return {
        "model": one.id,
        "status": one.status,
        "context": one.context_tokens,
        "running": one.running,
        "waiting": one.waiting,
        "memory": decimal_size(sum(known)) if known else None,
    }


def loaded_files(
    process: int, settings: Settings, root: Path = Path("/proc")
) -> Iterator[LoadedFile]:
    """Yield the files that child processes of a server run, as far as `root` has processes."""
    users = users_of_files(settings)
    for child in _descendants(process, root):
        try:
            words = (
                (root / str(child) / "cmdline").read_bytes().decode(errors="replace").split("\0")
            )
        except OSError:
            continue
        if CHILD in words[:-1]:
            file = words[words.index(CHILD) + 1]
            names = ", ".join(users.get(Path(file), ())) or Path(file).stem.lower()
            yield LoadedFile(names, file, child, used_memory(child))


def _descendants(process: int, root: Path) -> Iterator[int]:
    """Yield the children of a process and theirs: of several processes one runs the models."""
    for child in _children(process, root):
        yield child
        yield from _descendants(child, root)


def _children(process: int, root: Path) -> list[int]:
    found = list[int]()
    for tasks in sorted(root.glob(f"{process}/task/*/children")):
        try:
            found += [int(number) for number in tasks.read_text(encoding="ascii").split()]
        except OSError:
            continue
    return found
