"""What `antiphon doctor` says of the data folder and its disk."""

import errno
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from shlex import quote
from stat import S_IMODE

from antiphon.cli.doctor.finding import Finding, note, ok, problem, told
from antiphon.cli.output import decimal_size
from antiphon.server.run import address_of
from antiphon.settings import Settings
from antiphon.store.data_folder import database_path, unusable
from antiphon.store.database.disk import Usage, reserve_of
from antiphon.store.database.instance_lock import holder_of

_OTHERS = 0o077
_WRITTEN_BY_OTHERS = 0o022
_ANOTHER = "choose another folder with --data-dir"


def check_folder(settings: Settings) -> Iterator[Finding]:
    """Look at the owner and the rights of the folder, and whether another server has it."""
    data_dir = settings.data_dir
    try:
        nearest = _nearest(data_dir)
        _refuse(nearest)
    except OSError as error:
        yield told("data folder", str(unusable(data_dir, error)), _ANOTHER)
        return
    if nearest != data_dir:
        yield ok("data folder", f"{data_dir} does not exist yet; `antiphon serve` makes it")
        return
    faults = [*_rights(data_dir), *_other_server(settings)]
    yield from faults or [ok("data folder", _described(data_dir))]


def _nearest(data_dir: Path) -> Path:
    """Return the folder, or else the nearest folder above it that exists. Raises `OSError`."""
    for path in (data_dir, *data_dir.absolute().parents):
        try:
            path.lstat()
        except FileNotFoundError:
            continue
        return path
    return data_dir  # pragma: no cover - there is a root


def _refuse(path: Path) -> None:
    """Raise `OSError` if files cannot be made in what should be a folder."""
    if not path.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR))
    if os.statvfs(path).f_flag & os.ST_RDONLY:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))
    if not os.access(path, os.R_OK | os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES))


def _rights(data_dir: Path) -> Iterator[Finding]:
    folder = data_dir.stat()
    if folder.st_mode & _WRITTEN_BY_OTHERS:
        yield problem(
            "data folder",
            f"other users of this machine may write into {data_dir}",
            f"`chmod 700 {quote(str(data_dir))}`",
        )
    if os.geteuid() == 0 and folder.st_uid != 0:
        yield note(
            "data folder",
            f"{data_dir} belongs to the user {_user(data_dir)}, and this is root: a server of root "
            "makes files there that its owner cannot use",
            "start the server as that user",
        )
    path = database_path(data_dir)
    if path.exists():
        if path.stat().st_mode & _OTHERS:
            yield problem(
                "data folder",
                f"other users of this machine may read {path}, which has keys and bills",
                f"`chmod 600 {quote(str(path))}`",
            )
        if not os.access(path, os.R_OK | os.W_OK):
            yield problem(
                "data folder",
                f"{path} belongs to the user {_user(path)}, and cannot be used",
                f"start the server as that user, or {_ANOTHER}",
            )


def _other_server(settings: Settings) -> Iterator[Finding]:
    holder = holder_of(settings.data_dir)
    address = address_of(settings.host, settings.port)
    if holder is None or holder.address == address or settings.counters_url is not None:
        return
    at = f" on {holder.address}" if holder.address else ""
    yield problem(
        "data folder",
        f"another server (process {holder.process}{at}) uses {settings.data_dir}, so none can "
        f"start on {address} beside it",
        f"stop it with `kill {holder.process}`, or {_ANOTHER}; if it is the one that is meant, "
        "give --host and --port as it was started with",
    )


def _described(data_dir: Path) -> str:
    rights = S_IMODE(data_dir.stat().st_mode)
    return f"{data_dir}, of {_user(data_dir)}, rights {rights:o}"


def _user(path: Path) -> str:
    try:
        return path.owner()
    except KeyError:  # a number without a name
        return str(path.stat().st_uid)


def check_disk(
    settings: Settings, disk_usage: Callable[[Path], Usage] = shutil.disk_usage
) -> Iterator[Finding]:
    """Look at what is free on the disk of the data folder."""
    try:
        usage = disk_usage(_nearest(settings.data_dir))
    except OSError:
        return  # told of the folder
    reserve = reserve_of(usage.total)
    said = f"{decimal_size(usage.free)} free of {decimal_size(usage.total)}"
    if usage.free < reserve:
        yield problem(
            "disk",
            f"{said}, and a server keeps {decimal_size(reserve)} free",
            f"free some space, or {_ANOTHER}",
        )
    else:
        yield ok("disk", said)
