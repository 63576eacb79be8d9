"""What `antiphon doctor` says of the database, the keys in it, and the clock."""

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from antiphon.cli.doctor.finding import Finding, note, ok, problem, told
from antiphon.core.ids import hash_secret
from antiphon.settings import Settings
from antiphon.store.accounts import KeyKind
from antiphon.store.data_folder import database_path, is_used, lost_database
from antiphon.store.database.database import server_database_name
from antiphon.store.database.errors import StoreError
from antiphon.store.database.migrations import NEWEST
from antiphon.store.inspection import Inspection, inspect_file, inspect_server

# What a message may take from the database to here, and clocks may differ by.
TOLERANCE: Final = timedelta(seconds=5)
_SET_CLOCK: Final = "`timedatectl set-ntp true`, or set the clock by hand"
_KINDS: Final = {"api_key": KeyKind.API, "admin_key": KeyKind.ADMIN}


def check_database(settings: Settings, now: datetime | None = None) -> Iterator[Finding]:
    """Look at the database of the settings. `now` replaces the time of the clock."""
    now = now or datetime.now(UTC)
    try:
        name, found = _inspect(settings, now)
    except StoreError as error:
        yield told("database", str(error), _mend(settings))
        yield from check_clock(None, now)
        return
    except OSError:
        # A folder that cannot be looked into; it is told of as that.
        yield from check_clock(None, now)
        return
    yield _schema(settings, name, found)
    yield from check_keys(settings, found)
    yield from check_clock(found, now)


def _inspect(settings: Settings, now: datetime) -> tuple[str, Inspection | None]:
    """Return the database by name, and what is in it; `None` if there is none yet."""
    digests = {
        name: hash_secret(secret.reveal())
        for name in _KINDS
        if (secret := getattr(settings, name)) is not None
    }
    used = is_used(settings.data_dir)
    if settings.database_url is not None:
        url = settings.database_url.reveal()
        name = server_database_name(url)
        found = asyncio.run(inspect_server(url, digests, now))
        if found.schema is None and used:
            raise lost_database(settings.data_dir, name)
        return name, None if found.schema is None else found
    path = database_path(settings.data_dir)
    if not _size(path):
        if used:
            raise lost_database(settings.data_dir)
        return str(path), None
    return str(path), inspect_file(path, digests, now)


def _size(path: Path) -> int:
    """Return the size of a file; 0 if there is none. Raises `OSError` if that cannot be said."""
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _mend(settings: Settings) -> str:
    if settings.database_url is None:
        return "restore a backup with `antiphon restore FILE`, or choose another --data-dir"
    return f"start it, or correct {settings.database_url.place or 'database_url'}"


def _schema(settings: Settings, name: str, found: Inspection | None) -> Finding:
    if found is None:
        return ok("database", f"{name}: none yet; `antiphon serve` makes it")
    if found.is_current:
        return ok("database", f"{name}, schema {found.schema}")
    if found.schema is not None and found.schema.isdecimal() and found.schema < NEWEST:
        backup = (
            "back it up with pg_dump"
            if settings.database_url is not None
            else "`antiphon backup FILE`"
        )
        return note(
            "database",
            f"{name} is of an older release, with schema {found.schema}: the next start migrates "
            f"it to {NEWEST}",
            f"{backup} before",
        )
    return problem(
        "database",
        f"{name} has the schema {found.schema!r}, which this release does not know; its own is "
        f"{NEWEST!r}",
        "run the release that made it, or a newer one",
    )


def check_keys(settings: Settings, found: Inspection | None) -> Iterator[Finding]:
    """Look whether there is a key, and whether those of the settings are of any use."""
    if found is None or not found.is_current:
        first = "that of the settings is the first" if settings.api_key else "the first start"
        if found is None:
            yield ok("keys", f"none yet; {first}{'' if settings.api_key else ' shows one'}")
        return
    for name, kind in _KINDS.items():
        secret = getattr(settings, name)
        if secret is not None and kind in found.kinds and name not in found.known:
            flag = " --admin" if kind is KeyKind.ADMIN else ""
            yield problem(
                "keys",
                f"{secret.place or name} is ignored, and requests with it are refused: it is only "
                "for an installation without keys, and this one has others",
                f"`antiphon keys create NAME{flag}`, or a new folder with --data-dir",
            )
    if found.keys and not found.usable_keys:
        yield problem(
            "keys",
            "every key is revoked, disabled or expired, so no request is answered",
            "`antiphon keys create NAME`",
        )
    elif found.keys:
        yield ok("keys", f"{found.usable_keys:,} of {found.keys:,} can be used")
    else:
        yield ok("keys", "none yet; the first start shows one")


def check_clock(found: Inspection | None, now: datetime) -> Iterator[Finding]:
    """Look whether the clock goes with the database."""
    if found is not None and found.newest is not None and found.newest > now + TOLERANCE:
        yield problem(
            "clock",
            f"it shows {_shown(now)}, and the database has entries of {_shown(found.newest)}: it "
            "was moved back, so limits and expiries are wrong",
            _SET_CLOCK,
        )
    elif found is not None and found.server_time is not None:
        apart = abs(found.server_time - now)
        if apart > TOLERANCE:
            yield problem(
                "clock",
                f"it shows {_shown(now)}, and that of the database {_shown(found.server_time)}",
                f"{_SET_CLOCK}, on both machines",
            )
        else:
            yield ok("clock", f"{_shown(now)}, as that of the database")
    else:
        yield ok("clock", _shown(now))


def _shown(moment: datetime) -> str:
    return moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
