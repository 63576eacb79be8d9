"""The key of a program: one of its own, which the program alone uses and its name tells apart."""

import os
import shlex
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

import msgspec

from antiphon.cli.command import CommandError
from antiphon.cli.launching.alone import alone_in
from antiphon.cli.launching.server import KeyNotTakenError, OfferedModel, offered_models
from antiphon.settings import Settings
from antiphon.store.data_folder import unusable

FOLDER = "launch"
VARIABLES = ("ANTHROPIC_AUTH_TOKEN", "ANTHROPIC_API_KEY")
"""Where other clients of a server have their key."""
_LONGEST = 1000


class LaunchKey(msgspec.Struct, frozen=True):
    """A key, and where it is kept: a file, or a variable of the environment."""

    secret: str
    file: Path | None = None
    variable: str | None = None

    @property
    def in_shell(self) -> str:
        """How a shell gets the key, without anybody seeing it."""
        if self.file is not None:
            return f'"$(cat {shlex.quote(str(self.file))})"'
        return shlex.quote(self.secret) if self.variable is None else f'"${self.variable}"'

    def __repr__(self) -> str:
        return f"LaunchKey(file={self.file}, variable={self.variable})"


def given_key(file: Path | None, environ: Mapping[str, str]) -> LaunchKey:
    """Return the key for a server elsewhere: of a file, or of the environment.

    Raises `CommandError` if there is none.
    """
    if file is not None:
        if file.exists() and not file.is_file():
            raise CommandError(
                f"{file} is no file that can be read again; set ANTHROPIC_AUTH_TOKEN instead"
            )
        if secret := _kept(file, missing=False):
            return LaunchKey(secret, file=file.absolute())
        raise CommandError(f"{file} has no key")
    for name in VARIABLES:
        if secret := environ.get(name, ""):
            return LaunchKey(secret, variable=name)
    raise CommandError(
        "the server of --base-url needs a key: name its file with --key-file, or set "
        "ANTHROPIC_AUTH_TOKEN"
    )


def own_key(
    settings: Settings, url: str, program: str
) -> tuple[LaunchKey, tuple[OfferedModel, ...]]:
    """Return the key of a program for the server of the data folder, and the server's models.

    It is the key of the settings, if the server takes that; else the one that was made for the
    program before; else a new one. Raises `CommandError`.
    """
    # Programs read the file wherever they are started.
    folder = settings.data_dir.absolute() / FOLDER
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        # Of two that begin at once, the second one finds the key of the first.
        with alone_in(folder):
            return _own_key(settings, url, program, folder)
    except OSError as error:
        raise unusable(settings.data_dir, error) from error


def _own_key(
    settings: Settings, url: str, program: str, folder: Path
) -> tuple[LaunchKey, tuple[OfferedModel, ...]]:
    file = folder / f"{program}.key"
    # A second key would have the server ignore the one of the settings at its next start.
    known = settings.api_key.reveal() if settings.api_key is not None else None
    for secret in (known, _kept(file)):
        if secret:
            with suppress(KeyNotTakenError):
                models = offered_models(url, secret)
                _keep(file, secret)
                return LaunchKey(secret, file=file), models
    # The database takes half a second to import, and is needed once.
    from antiphon.cli.launching.made_key import make_key  # noqa: PLC0415

    secret = make_key(settings, program)
    _keep(file, secret)
    return LaunchKey(secret, file=file), offered_models(url, secret)


def _kept(file: Path, *, missing: bool = True) -> str:
    """Return the key in a file; empty for a missing one, if it may be missing."""
    try:
        with file.open(encoding="utf-8") as opened:
            return opened.read(_LONGEST).strip()
    except FileNotFoundError as error:
        if missing:
            return ""
        raise CommandError(f"{file}: {error.strerror}") from error
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "no text in UTF-8"
        raise CommandError(f"{file}: {reason}") from error


def _keep(file: Path, secret: str) -> None:
    """Write the key for the user alone, whole or not at all. Raises `OSError`."""
    if file.exists() and _kept(file) == secret:
        return
    unfinished = file.with_name(f".{file.name}.new")
    # What a command has left that was killed meanwhile.
    unfinished.unlink(missing_ok=True)
    try:
        descriptor = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as opened:
            opened.write(f"{secret}\n")
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)
